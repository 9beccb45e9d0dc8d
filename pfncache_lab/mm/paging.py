"""paging.py: find the page of an address, by get_user_pages and by a fault.

Each function is one step. A fault waits while the page is about to move. Mirrors mm/gup.c,
mm/memory.c.
"""

# ruff: noqa: D102  # What the methods of an operation are for stands in op.py.
from __future__ import annotations

from typing import Any

from .counting import allocate, take
from .frames import DEVICE, RESERVED, ZEROES, Page, the_ram
from .mm_struct import PROT_WRITE, VM_PFNMAP, MmStruct, Vma
from .pte import PteOp, leave, leave_ids, saw
from .pte_values import HwPoison, Migration, Present, Pte, Swap
from .step import MmOp, mm_step
from .types import EFAULT, EHWPOISON, ENOMEM

PRIMITIVES = True

MUST_COPY = 1
"""What a fault finds out where a page must be copied before it can be written to."""


def get_user_page_fast_only(mm: MmStruct, hva: int, write: bool = False) -> Page | None:
    """Take a reference to the page of an address, if the page table has it. Never sleeps.

    None where that would take a fault, or where no references are counted.
    """
    if not mm.has_pte(hva):
        return None
    page: Page | None = mm_step(_Gup(mm.pte(hva), write))
    return page


def fault_step(mm: MmStruct, hva: int, vma: Vma, write: bool) -> int:
    """Bring the page of an address into the page table. 0, -errno or MUST_COPY."""
    result: int = mm_step(_Fault(mm.pte(hva), vma, write))
    return result


def copy_page_step(mm: MmStruct, hva: int) -> int:
    """Put a copy that may be written to in the place of a page that may not. 0 or -ENOMEM."""
    result: int = mm_step(_Copy(mm.pte(hva)))
    return result


class _Gup(MmOp):
    __slots__ = ("pte", "write")
    kind = "gup"

    def __init__(self, pte: Pte, write: bool) -> None:
        self.pte = pte
        self.write = write

    def found(self) -> Page | None:
        """Return the page to which a reference can be taken now."""
        value = self.pte.value
        if not isinstance(value, Present) or value.page.kind == DEVICE:
            return None
        return value.page if value.allows(self.write) else None

    @property
    def reads(self) -> tuple[int, ...]:  # type: ignore[override]
        page = self.found()
        return (self.pte.id,) if page is None else (self.pte.id, page.ref)

    @property
    def writes(self) -> tuple[int, ...]:  # type: ignore[override]
        page = self.found()
        return () if page is None else page.take_writes()

    def effect(self) -> Page | None:
        saw(self.pte)
        page = self.found()
        if page is not None:
            take(page)
        return page

    def future(self) -> str:
        return f"get the page at {self.pte.hva:#_x}{' to write' if self.write else ''}"

    def past(self, result: Any) -> str:
        return f"{self.future()} → {result.name if result else None}"


class _Fault(PteOp):
    __slots__ = ("vma", "write")
    kind = "fault"
    waits = True

    def __init__(self, pte: Pte, vma: Vma, write: bool) -> None:
        super().__init__(pte)
        self.vma = vma
        self.write = write

    def enabled(self) -> bool:
        return not isinstance(self.pte.value, Migration)

    def reason(self) -> str:
        return f"it waits until the page at {self.where()} has moved"

    def is_new(self) -> bool:
        """Tell whether a frame will be handed out."""
        value = self.pte.value
        if isinstance(value, Swap):
            return value.page is None
        return value is None and self.write and not self.vma.flags & VM_PFNMAP

    @property
    def reads(self) -> tuple[int, ...]:  # type: ignore[override]
        return the_ram().alloc_reads() if self.is_new() else ()

    @property
    def writes(self) -> tuple[int, ...]:  # type: ignore[override]
        ids, value = (self.pte.id,), self.pte.value
        if self.is_new():
            return ids + the_ram().alloc_writes()
        if isinstance(value, Present):  # whether it must be copied depends on who refers to it
            return (*ids, value.page.ref)
        device = self.device_page()
        return ids if device is None else ids + device.map_ids

    def effect(self) -> int:
        pte, value = self.pte, self.pte.value
        saw(pte)
        writable = bool(self.vma.prot & PROT_WRITE)
        if isinstance(value, HwPoison):
            return -EHWPOISON
        if isinstance(value, Present):
            return self.fix(value)
        if isinstance(value, Swap) and value.page is not None:
            pte.set(Present(value.page, writable))
            return 0
        page = self.new_page(value.data if isinstance(value, Swap) else ZEROES)
        if isinstance(page, int):
            return page
        page.add_mapping()
        pte.set(Present(page, writable and page.kind != RESERVED))
        return 0

    def fix(self, value: Present) -> int:
        """Allow a write to a page that is there, if nobody else refers to it."""
        if value.allows(self.write):
            return 0
        if self.write and (value.page.kind == RESERVED or value.page.refcount > 1):
            return MUST_COPY
        self.pte.set(value._replace(writable=value.writable or self.write, readable=True))
        return 0

    def device_page(self) -> Page | None:
        """Return the frame that the area has for this address, if it is one of a device."""
        if self.pte.value is not None or not self.vma.flags & VM_PFNMAP:
            return None
        return the_ram().pages.get(self.vma.pfn_of(self.pte.hva))

    def new_page(self, data: bytes) -> Page | int:
        """Return what belongs here, or -errno."""
        if self.vma.flags & VM_PFNMAP:
            return self.device_page() or -EFAULT
        if not self.is_new():
            return the_ram().zero_page
        return allocate(data) or -ENOMEM

    def future(self) -> str:
        return f"handle a fault at {self.where()}{', to write' if self.write else ''}"

    def past(self, result: Any) -> str:
        found = "the page must be copied" if result == MUST_COPY else result
        return f"{self.future()} → {self.pte.page.name if not result and self.pte.page else found}"


class _Copy(PteOp):
    __slots__ = ()
    kind = "copy"

    def old(self) -> Page | None:
        """Return the page that is still to be copied."""
        value = self.pte.value
        return value.page if isinstance(value, Present) and not value.writable else None

    @property
    def reads(self) -> tuple[int, ...]:  # type: ignore[override]
        old = self.old()
        return (self.pte.id,) if old is None else (old.id, *the_ram().alloc_reads())

    @property
    def writes(self) -> tuple[int, ...]:  # type: ignore[override]
        old = self.old()
        if old is None:
            return ()
        return (self.pte.id, *leave_ids(old), *the_ram().alloc_writes())

    def effect(self) -> int:
        old = self.old()
        saw(self.pte)
        if old is None:
            return 0
        page = allocate(old.data)
        if page is None:
            return -ENOMEM
        page.add_mapping()
        self.pte.set(Present(page, True))
        leave(old, self.pte.hva, "copied it, to be written to, away from")
        return 0

    def future(self) -> str:
        return f"copy the page at {self.where()}, to be written to"

    def past(self, result: Any) -> str:
        return f"{self.future()} → {self.pte.page.name if self.pte.page else result}"
