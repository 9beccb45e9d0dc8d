"""host.py: a host with little memory, for lesson 03: its programs, and the cases of its lookup."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..explore import Condition, Scenario
from ..kvm.kvm_types import KVM_PFN_ERR_FAULT, KVM_PFN_ERR_HWPOISON, KVM_PFN_ERR_RO_FAULT
from ..mm import (
    FIRST_DEVICE_PFN,
    FIRST_HVA,
    PAGE_SIZE,
    PFN_PHYS,
    PROT_READ,
    VM_PFNMAP,
    MmStruct,
    Page,
    Present,
    Ram,
    check_kernel_mappings,
    check_page_refs,
    copy_to_user,
    get_user_page_fast_only,
    madvise_dontneed,
    memory_failure,
    migrate_page,
    mmap,
    mprotect,
    munmap,
    offset_in_page,
    page_to_pfn,
    put_page,
    ram,
    store_phys,
    swap_out,
)
from ..sim import SpinLock, Struct, marked
from ..viz import photograph
from .exercise import Case

ZERO, ONE, TWO = (FIRST_HVA + page * PAGE_SIZE for page in range(3))
HVA = ZERO


class Kvm(NamedTuple):
    """As much of a struct kvm as a lookup needs."""

    mm: MmStruct


class Host(Struct):
    """A process with three pages: two hold something, the third was never touched."""

    saved = marked[Any](None)
    returned = marked[Any](None)

    def __init__(self, frames: int = 4, device_frames: int = 0) -> None:
        super().__init__()
        self.ram = Ram(frames, device_frames)
        self.mm = MmStruct("mm", pages=3 + device_frames)
        mmap(self.mm, ZERO, 3 * PAGE_SIZE)
        copy_to_user(self.mm, ZERO, b"page 0")
        copy_to_user(self.mm, ONE, b"page 1")
        self.lock = SpinLock("lock")

    def spaces(self) -> tuple[MmStruct, ...]:
        """Return the address spaces to draw."""
        return (self.mm,)

    def snapshot(self) -> dict[str, Any]:
        """Copy what is to be seen, for pictures."""
        fields = super().snapshot()
        kept = {} if fields["saved"] is None else {"saved": (fields["saved"], ZERO)}
        return {"memory": photograph(self.ram, *self.spaces(), kept=kept)}


class TwoProcesses(Host):
    """The same, and a bank, which has no page yet. There is one free frame."""

    def __init__(self) -> None:
        super().__init__(frames=3)
        self.bank = MmStruct("bank", pages=1)
        mmap(self.bank, ZERO, PAGE_SIZE)

    def spaces(self) -> tuple[MmStruct, ...]:
        """Return the address spaces to draw."""
        return (self.mm, self.bank)


def writer_without_reference(s):
    """Look up the page, write down its pfn, drop the reference, and store."""
    page = get_user_page_fast_only(s.mm, HVA, True)
    if page is None:
        return
    pfn = s.saved = page_to_pfn(page)
    put_page(page)
    store_phys(PFN_PHYS(pfn), b"HELLO!")


def writer_with_reference(s):
    """The same, but keep the reference as long as the page is in use."""
    page = get_user_page_fast_only(s.mm, HVA, True)
    if page is None:
        return
    pfn = s.saved = page_to_pfn(page)
    store_phys(PFN_PHYS(pfn), b"HELLO!")
    put_page(page)


def migrating(s):
    """Move the first page to another frame."""
    migrate_page(s.mm, HVA)


def swapping(s):
    """Swap the first page out."""
    swap_out(s.mm, HVA)


def throwing_away(s):
    """Throw away what is in the first page, as a balloon does."""
    madvise_dontneed(s.mm, HVA, PAGE_SIZE)


def saving(s):
    """The bank touches its page for the first time."""
    copy_to_user(s.bank, HVA, b"owner: Ann")


def bytes_at(mm, hva, length):
    """Read what a process has at an address, as a condition may; None if there is no page."""
    entry, offset = mm.pte(hva).value, offset_in_page(hva)
    return entry.page.data[offset : offset + length] if isinstance(entry, Present) else None


NO_LEAK = Condition("nothing leaked", lambda s: check_page_refs(s.ram))
NO_MAPPING = Condition("nothing is mapped", lambda s: check_kernel_mappings(s.ram))

STALE = Scenario(
    "a stale pfn",
    TwoProcesses,
    {"writer": writer_without_reference, "host": migrating, "bank": saving},
    [
        Condition(
            "the bank's page is the bank's", lambda s: bytes_at(s.bank, HVA, 10) == b"owner: Ann"
        )
    ],
)
LATE = Scenario(
    "no reference", Host, {"writer": writer_without_reference, "host": migrating}, [NO_LEAK]
)
HELD = Scenario(
    "a reference", Host, {"writer": writer_with_reference, "host": migrating}, [NO_LEAK]
)
SWAP = Scenario("swap", Host, {"writer": writer_with_reference, "host": swapping}, [NO_LEAK])
ZAP = Scenario(
    "a balloon", Host, {"writer": writer_with_reference, "host": throwing_away}, [NO_LEAK]
)

# -- the cases of a lookup -------------------------------------------------------------------------

NAMES = {
    KVM_PFN_ERR_FAULT: "KVM_PFN_ERR_FAULT",
    KVM_PFN_ERR_HWPOISON: "KVM_PFN_ERR_HWPOISON",
    KVM_PFN_ERR_RO_FAULT: "KVM_PFN_ERR_RO_FAULT",
}


def found(got: Any) -> str:
    """Say what a lookup has returned, and how many references it has taken."""
    if type(got) is not int:
        return f"{got!r}"
    if got in NAMES or got < 0:
        more = [page for page in ram().pages.values() if _more(page) > 0]
        return f"{NAMES.get(got, got)}{' and a reference' * bool(more)}"
    page = ram().pages.get(got)
    if page is None or not page.counted:
        return f"pfn {got:#x}"
    return f"pfn {got:#x}, and {_more(page)} reference{'s' * (_more(page) != 1)} to its page"


def _more(page: Page) -> int:
    return page.refcount - (page.mapcount or 0) if page.counted else 0


def lookup(
    what: str,
    gives: str,
    because: str,
    *,
    addr: int = ZERO,
    atomic: bool = False,
    write: bool = True,
    before: Callable[[Host], object] = lambda host: None,
) -> Case:
    """Make the case of one lookup, after something has happened to the memory."""

    def observe(my: Any) -> str:
        host = Host(device_frames=1)
        before(host)
        return found(my.hva_to_pfn(Kvm(host.mm), addr, atomic, write))

    args = f"kvm, {addr:#_x}, atomic={atomic}, write_fault={write}"
    return Case(f"{what}: hva_to_pfn({args})", observe, gives, because)


def _device(host: Host) -> None:
    mmap(host.mm, ZERO + 3 * PAGE_SIZE, PAGE_SIZE, flags=VM_PFNMAP, pfn=FIRST_DEVICE_PFN)


TAKEN = "pfn 0x901, and 1 reference to its page"
CASES = [
    lookup("a page that is there", TAKEN, "the fast path finds it", addr=ZERO + 0x80),
    lookup("where nobody may sleep", TAKEN, "the fast path does not sleep", atomic=True),
    lookup("only to read", TAKEN, "the slow path finds it as well", write=False),
    lookup(
        "a page that nobody has touched", "pfn 0x903, and 1 reference to its page",
        "the slow path faults it in, to be written to", addr=TWO,
    ),
    lookup(
        "an untouched page, where nobody may sleep", "KVM_PFN_ERR_FAULT",
        "a fault may sleep", addr=TWO, atomic=True,
    ),
    lookup(
        "an untouched page, only to read", "pfn 0x8ff",
        "a reader gets the page of zeroes, which all share", addr=TWO, write=False,
    ),
    lookup(
        "a page on the swap device", "pfn 0x903, and 1 reference to its page",
        "the fault brings it back, in another frame", before=lambda h: swap_out(h.mm, ZERO),
    ),
    lookup(
        "a page that may only be read", TAKEN, "it is there, and to read it is allowed",
        write=False, before=lambda h: mprotect(h.mm, ZERO, PAGE_SIZE, PROT_READ),
    ),
    lookup(
        "a store to a page that may only be read", "KVM_PFN_ERR_FAULT", "no fault helps here",
        before=lambda h: mprotect(h.mm, ZERO, PAGE_SIZE, PROT_READ),
    ),
    lookup(
        "where nothing is mapped", "KVM_PFN_ERR_FAULT", "there is no page to fault in",
        before=lambda h: munmap(h.mm, ZERO, PAGE_SIZE),
    ),
    lookup(
        "memory that is broken", "KVM_PFN_ERR_HWPOISON", "the caller must be able to tell",
        before=lambda h: memory_failure(h.mm, ZERO),
    ),
    lookup(
        "the memory of a device", "pfn 0xfd00", "it has no struct page, so nobody counts",
        addr=ZERO + 3 * PAGE_SIZE, before=_device,
    ),
]  # fmt: skip
