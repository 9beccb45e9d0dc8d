"""Lesson 01, Five addresses: what each of them names, and the way from the first to the last."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

from ...explore import Condition, Scenario, replay
from ...kvm.kvm_types import constant
from ...kvm.vm import Vm, create_vm
from ...mm import (
    DIRECT_MAP,
    FIRST_HVA,
    PAGE_SHIFT,
    PAGE_SIZE,
    Khva,
    Page,
    copy_to_user,
    get_user_pages_unlocked,
    kmap,
    kunmap,
    put_page,
    store,
)
from ...sim import Oops
from ...viz.memory import Chain, follow, memory_of
from ..asking import short
from ..authoring import Hex, call, edited, written
from ..exercise import Case, Correct, Exercise, Incorrect, Lesson, Mutant, Prediction

# -- the machine, and what the kernel does to it ---------------------------------------------------


class Guest(Vm):
    """A machine that shows the first bytes of what lies at a gpa, beside each step."""

    watched: constant[int] = constant()
    """The pfn and offset of what is shown, as a physical address."""

    def snapshot(self) -> dict[str, Any]:
        """Return what a picture shows of the machine."""
        hpa = self.watched
        page = self.ram.pages[hpa >> PAGE_SHIFT]
        return {"the guest's byte": page.data[hpa & 0xFFF]}


def one_guest(watched: int = 0x90_1ABC) -> Guest:
    """Make a guest of four pages. It has used three of them, not in order."""
    vm = Guest()
    vm.watched = watched
    create_vm(pages=4, populated=0, frames=5, vm=vm)
    for page in (2, 0, 3):
        copy_to_user(vm.mm, FIRST_HVA + page * PAGE_SIZE, b"page %d" % page)
    return vm


def store_as_it_stands(vm):
    """Take the guest's address for one of the kernel's."""
    store(0x12_ABC, b"\x01")


def page_of(vm: Vm, hva: int) -> Page:
    """Get the page that the process has at an address, to write to it."""
    page = get_user_pages_unlocked(vm.mm, hva, True)
    assert isinstance(page, Page)
    return page


def store_eight_bytes(vm):
    """Map the page of gfn 0x12, and store across its end."""
    page = page_of(vm, FIRST_HVA + 2 * PAGE_SIZE)
    khva = kmap(page)
    store(khva + 0xFFC, b"12345678")
    kunmap(page)
    put_page(page)


def nothing_to_do(vm):
    """Let the guest be."""


GUEST = Scenario("one guest", one_guest, {"kernel": nothing_to_do})
AS_IT_STANDS = Scenario("as it stands", one_guest, {"kernel": store_as_it_stands})
ACROSS = Scenario("across the end", partial(one_guest, 0x90_1FFC), {"kernel": store_eight_bytes})


def to_the_end(scenario: Scenario) -> str:
    """Return the schedule in which its only task takes one step after the other."""
    schedule, key = "", next(iter(scenario.keys.values()))
    while not (run := replay(scenario, schedule)).finished and run.bug is None:
        schedule += key
    return schedule


# -- 01.1. Readers see these answers. --------------------------------------------------------------


def gpa_to_gfn(gpa):
    """Return the number of the guest's frame in which this address lies."""
    return gpa >> 12


def offset_in_page(address):
    """Return how many bytes into its page this address is."""
    return address & 0xFFF


def by_division(gpa):
    """Count whole pages."""
    return gpa // 4096


def by_remainder(address):
    """Take away all whole pages."""
    whole = address - address % 4096
    return address - whole


SPLIT_STUB = '''\
def gpa_to_gfn(gpa):
    """Return the number of the guest's frame in which this address lies."""
    return ____


def offset_in_page(address):
    """Return how many bytes into its page this address is."""
    return ____
'''


def _frame(old: str, new: str, says: str) -> Mutant:
    return Mutant({"gpa_to_gfn": edited(gpa_to_gfn, (old, new))}, f"This is what happens {says}")


def _offset(old: str, new: str, says: str) -> Mutant:
    return Mutant(
        {"offset_in_page": edited(offset_in_page, (old, new))}, f"This is what happens {says}"
    )


SPLIT = Exercise(
    id="01.1",
    title="Which frame, and where in it",
    minutes=5,
    dots=1,
    spec=(
        "A page has 4,096 bytes: two to the power of twelve. Split an address into the number of "
        "its frame and the offset in the page. Every address on the map has such an offset, so "
        "`offset_in_page` serves them all."
    ),
    answer=("gpa_to_gfn", "offset_in_page"),
    stub=SPLIT_STUB,
    reference=lambda: {"gpa_to_gfn": gpa_to_gfn, "offset_in_page": offset_in_page},
    cases=[
        call("gpa_to_gfn", 0x12_ABC, gives=Hex(0x12), because="the low twelve bits are the offset"),
        call("gpa_to_gfn", 0xFFF, gives=0, because="it is the last byte of frame 0"),
        call("gpa_to_gfn", 0x1000, gives=1, because="it is the first byte of frame 1"),
        call("gpa_to_gfn", 0x1234_5678_9ABC, gives=Hex(0x1_2345_6789)),
        call("offset_in_page", 0x12_ABC, gives=Hex(0xABC)),
        call("offset_in_page", 0x13_000, gives=0, because="it is the first byte of its page"),
        call("offset_in_page", 0x7F5A_A000_2FFF, gives=Hex(0xFFF), because="an hva has one, too"),
        Case(
            "both, put together again",
            lambda my: (my.gpa_to_gfn(0x12_ABC) << 12) + my.offset_in_page(0x12_ABC),
            0x12_ABC,
            "nothing of the address may be lost",
        ),
    ],
    mutants={
        "a float": _frame(
            ">> 12", "/ 4096", "when you divide with `/`: the number of a frame has no fraction."
        ),
        "the page's address": _frame(
            ">> 12",
            "& ~0xFFF",
            "when the offset is cleared and the rest is not shifted down: that is the address of "
            "the page, not its number.",
        ),
        "hex digits": _frame(
            ">> 12", ">> 3", "when you shift by three: hexadecimal digits have four bits each."
        ),
        "64 KiB": _frame(">> 12", ">> 16", "when you shift by sixteen: four digits, not three."),
        "rounds up": _frame(
            "gpa >> 12",
            "(gpa + 4095) >> 12",
            "when you round up: an address belongs to the page that it lies in.",
        ),
        "the size as a mask": _offset(
            "0xFFF", "0x1000", "when the mask is the size of a page, and not one less."
        ),
        "two digits": _offset(
            "0xFFF", "0xFF", "when the mask has two hexadecimal digits: that is 256 bytes."
        ),
        "a thousand": _offset("& 0xFFF", "% 1000", "when a page is taken for a thousand bytes."),
    },
    alternatives=[{"gpa_to_gfn": by_division, "offset_in_page": by_remainder}],
    hints=(
        "Write 0x12_abc in binary. Which bits say which byte of the page it is?",
        "Twelve bits are the offset. One function throws them away, the other keeps only them.",
        "The frame is the address shifted right by twelve. The offset is the address, and-ed with "
        "a number of twelve ones: one less than the size of a page.",
    ),
)

# -- 01.2 ------------------------------------------------------------------------------------------


def fits_in_page(gpa, length):
    """Tell whether `length` bytes from `gpa` on lie in one page."""
    return (gpa & 0xFFF) + length <= 0x1000


def by_what_is_left(gpa, length):
    """Ask how many bytes there are up to the end."""
    next_page = (gpa // 4096 + 1) * 4096
    return length <= next_page - gpa


def by_both_ends(gpa, length):
    """Compare the frames of the first and of the last byte."""
    if length == 0:
        return True
    return gpa >> 12 == (gpa + length - 1) >> 12


FITS_STUB = '''\
def fits_in_page(gpa, length):
    """Tell whether `length` bytes from `gpa` on lie in one page."""
    return ____
'''


def _fits(new: str, says: str) -> Mutant:
    wrong = edited(fits_in_page, ("(gpa & 0xFFF) + length <= 0x1000", new))
    return Mutant(wrong, f"This is what happens {says}")


FITS = Exercise(
    id="01.2",
    title="Does it fit the page?",
    minutes=6,
    dots=2,
    spec=(
        "Return True if all bytes of an access lie in one page, and False if not. You may call "
        "what you wrote in 01.1."
    ),
    answer="fits_in_page",
    stub=FITS_STUB,
    reference=lambda: fits_in_page,
    cases=[
        call("fits_in_page", 0x12_ABC, 8, gives=True),
        call("fits_in_page", 0x12_FF8, 8, gives=True, because="it ends with the page's last byte"),
        call("fits_in_page", 0x12_FF9, 8, gives=False, because="its last byte is in the next page"),
        call("fits_in_page", 0x12_FFC, 8, gives=False),
        call("fits_in_page", 0x12_FFF, 1, gives=True),
        call("fits_in_page", 0x12_000, 0x1000, gives=True, because="a whole page is one page"),
        call("fits_in_page", 0x12_000, 0x1001, gives=False),
        call("fits_in_page", 0x12_010, 0x1008, gives=False, because="it is longer than a page"),
        call("fits_in_page", 0x12_000, 0, gives=True, because="no byte of it is outside"),
        Case(
            "fits_in_page(…, 1) for every byte of a page",
            lambda my: all([my.fits_in_page(0x12_000 + byte, 1) for byte in range(0x1000)]),
            True,
            "one byte is always in one page",
        ),
    ],
    mutants={
        "strictly less": _fits(
            "(gpa & 0xFFF) + length < 0x1000",
            "when the page's last byte is taken for the next page's first.",
        ),
        "one too many": _fits(
            "(gpa & 0xFFF) + length - 1 <= 0x1000",
            "when the last byte is compared with the size: the last offset is one less.",
        ),
        "the length only": _fits("length <= 0x1000", "when you do not ask where it begins."),
        "the beginning only": _fits(
            "(gpa & 0xFFF) < 0x1000", "when you do not ask how long it is: every offset fits."
        ),
        "from the start of memory": _fits(
            "gpa + length <= 0x1000", "when the whole address is compared, and not its offset."
        ),
        "comes round": _fits(
            "(gpa & 0xFFF) <= ((gpa + length) & 0xFFF)",
            "when the offsets of both ends are compared: an offset begins again at every page.",
        ),
        "the last byte of nothing": _fits(
            "gpa >> 12 == (gpa + length - 1) >> 12",
            "when an access of no bytes is asked for its last byte.",
        ),
    },
    alternatives=[by_what_is_left, by_both_ends],
    hints=(
        "Look at the ruler: at which offset does an access end?",
        "Add the length to the offset at which it begins. How large may the sum be?",
        "Offset plus length is at most the size of a page. An access that ends with the page has "
        "exactly that sum.",
    ),
    kernel=(
        "`page_offset + len > PAGE_SIZE` in `kvm_gfn_to_pfn_cache_refresh()`, "
        "[virt/kvm/pfncache.c](https://github.com/torvalds/linux/blob/v5.17/virt/kvm/pfncache.c)."
    ),
)

# -- 01.3: one store, by hand ----------------------------------------------------------------------

STORE_GPA = 0x13_2A8


def the_way() -> Chain:
    """Return where the store of 01.3 goes."""
    return follow(memory_of(one_guest()), STORE_GPA)


def right() -> dict[str, int]:
    """Return the four addresses, from the machine."""
    way = the_way()
    addresses = {"gfn": way.gfn, "hva": way.hva, "pfn": way.pfn, "khva": way.khva}
    return {name: Hex(address) for name, address in addresses.items() if address is not None}


def check_store(answer: SimpleNamespace) -> Correct:
    """Judge the four addresses in the order of the way, then store there."""
    for name, truth in right().items():
        got = vars(answer)[name]
        if not isinstance(got, int):
            raise Incorrect(f"`{name}` should be a whole number; it is {short(got)}.")
        if got != truth:
            raise Incorrect(f"`{name}` is {written(got)}, which is not it. {_why(name, got)}")
    scenario = storing_at(answer.khva)
    run = replay(scenario, to_the_end(scenario))
    if run.bug is not None:
        raise Incorrect(run.verdict(), run)
    return Correct(f"{the_way()}. I stored there, and the guest found the byte.", run)


def storing_at(khva: int) -> Scenario:
    """Make the run that proves it: the kernel stores at `khva`, and userspace looks."""
    hva = right()["hva"]

    def kernel(vm):
        page = page_of(vm, hva)
        kmap(page)
        store(Khva(khva), b"\x01")
        kunmap(page)
        put_page(page)

    def arrived(vm):
        [page] = [p for p in vm.ram.pages.values() if p.pfn == right()["pfn"]]
        return bool(page.data[hva & 0xFFF] == 1)

    found = Condition("the guest finds the byte", arrived)
    there = partial(one_guest, 0x90_32A8)
    return Scenario("a store", there, {"kernel": kernel}, [found])


def _why(name: str, got: int) -> str:
    """Name the popular mistakes, and give no answer away."""
    way = the_way()
    offset = STORE_GPA & 0xFFF
    if str(got) == f"{right()[name]:x}":
        return "Those are the digits, and they are hexadecimal: they want 0x in front."
    if name == "gfn":
        if got == STORE_GPA:
            return "It is a frame's number that is asked for. What does `gpa_to_gfn` do?"
        return "Take the offset away from 0x13_2a8, and read what is left."
    if name == "hva":
        if got + offset == way.hva:
            return "That is the page's first byte. The offset goes with you, all the way."
        return "Find the row of your gfn on the map, and follow its line into the column hva."
    if name == "pfn":
        if got == way.gfn:
            return "That is the guest's number for it. The host has another."
        if got == 0x904:
            return "That frame is free. Follow the line from the hva, and not the row."
        return (
            "Follow the line from the hva into the column pfn. A number of a frame has no offset."
        )
    if got == DIRECT_MAP + STORE_GPA:
        return "That is what you get when the guest's frame number is taken for the host's."
    if way.khva is not None and got + offset == way.khva:
        return "That is the page's first byte. The offset goes with you, all the way."
    return "It is the address in the last column, beside your pfn, and then the offset."


STORE_STUB = """\
# The guest stores one byte at gpa 0x13_2a8.
gfn = ...
hva = ...
pfn = ...
khva = ...
"""

BY_HAND = Exercise(
    id="01.3",
    title="One store, by hand",
    minutes=8,
    dots=2,
    spec=(
        "A byte is to be stored at gpa 0x13_2a8. Write down its other four addresses: read the map "
        "from left to right, and take the offset along. Python lets you write 0x7f5a_a000_0000 as "
        "it stands there."
    ),
    answer=("gfn", "hva", "pfn", "khva"),
    stub=STORE_STUB,
    reference=right,
    check=check_store,
    mutants={
        "the gpa again": Mutant({"gfn": STORE_GPA}, "What does `gpa_to_gfn` do?"),
        "the page in the slot": Mutant({"gfn": 3}, "Take the offset away from 0x13_2a8"),
        "decimal": Mutant({"pfn": 903}, "they want 0x in front"),
        "text": Mutant({"gfn": "0x13"}, "`gfn` should be a whole number; it is '0x13'"),
        "hva without offset": Mutant(
            {"hva": FIRST_HVA + 3 * PAGE_SIZE}, "That is the page's first byte"
        ),
        "hva of the first page": Mutant({"hva": FIRST_HVA + 0x2A8}, "Find the row of your gfn"),
        "the guest's number": Mutant({"pfn": 0x13}, "The host has another"),
        "along the row": Mutant({"pfn": 0x904}, "That frame is free"),
        "an address": Mutant({"pfn": 0x90_32A8}, "A number of a frame has no offset"),
        "the gpa in the kernel": Mutant(
            {"khva": DIRECT_MAP + STORE_GPA}, "guest's frame number is taken for the host's"
        ),
        "khva without offset": Mutant(
            {"khva": DIRECT_MAP + (0x903 << PAGE_SHIFT)}, "That is the page's first byte"
        ),
        "another frame": Mutant(
            {"khva": DIRECT_MAP + (0x902 << PAGE_SHIFT) + 0x2A8}, "beside your pfn"
        ),
    },
    alternatives=[
        {
            "gfn": STORE_GPA // 4096,
            "khva": DIRECT_MAP + 0x903 * 4096 + STORE_GPA % 4096,
        }
    ],
    hints=(
        "Split the gpa first. One half chooses the row, the other stays the same to the end.",
        "From the gfn go along its line to the hva, and from there along the next line to the pfn. "
        "Lines may cross.",
        "The frame is the fourth of the guest, so the hva is in the fourth page of the process. "
        "Its line goes to the third frame of the host. Put the offset 0x2a8 into the hva and into "
        "the khva; gfn and pfn have none.",
    ),
)

# -- predictions -----------------------------------------------------------------------------------


def what_a_gpa_does() -> str:
    """Let the kernel store at the guest's address."""
    run = replay(AS_IT_STANDS, to_the_end(AS_IT_STANDS))
    return "the kernel oopses" if isinstance(run.bug, Oops) else "the guest sees it"


def what_arrives() -> str:
    """Let the kernel store across the end of a page."""
    run = replay(ACROSS, to_the_end(ACROSS))
    return "it oopses" if isinstance(run.bug, Oops) else "all eight arrive"


LESSON = Lesson(
    number=1,
    title="Five addresses",
    scenarios=[GUEST, AS_IT_STANDS, ACROSS],
    predictions=[
        Prediction(
            "as it stands",
            what_a_gpa_does,
            "The guest's addresses mean nothing in the kernel. Here nothing is at that place.",
        ),
        Prediction(
            "across",
            what_arrives,
            "One page was mapped. What comes behind its last byte is no part of it.",
        ),
    ],
    exercises=[SPLIT, FITS, BY_HAND],
)
