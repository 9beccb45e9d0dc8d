"""photograph.py: the host's memory as it was at one moment, as plain data, for pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # a picture of the memory comes after the memory
    from ..mm import MmStruct, Page, Pte, Ram

TABLES, OTHERS = "■", "●"


class Frame(NamedTuple):
    """A page frame, as it was at one moment."""

    pfn: int
    refs: str
    """A sign for each reference: '■●' is one of a page table and one of somebody else."""
    text: str
    """Its first bytes, if somebody has it."""
    kmaps: int

    def __str__(self) -> str:
        if not self.refs and not self.kmaps:
            return f"{self.pfn:#x} free"
        mapped = " kmap" * (self.kmaps > 0)
        return f"{self.pfn:#x} {self.refs or 'free'}{mapped} {self.text}".rstrip()


class Entry(NamedTuple):
    """A page-table entry, as it was at one moment."""

    mm: str
    hva: int
    what: str
    pfn: int | None
    """Which frame it leads to, if only by way of migration or the swap cache."""

    def __str__(self) -> str:
        to = f" {self.pfn:#x}" if self.pfn else ""
        return f"{self.name}: {self.what}{to}"

    @property
    def name(self) -> str:
        """Whose address it is, and which."""
        return f"{self.mm} {self.hva:#_x}"


class Kept(NamedTuple):
    """A pfn that somebody has written down, and the address for which it was looked up."""

    name: str
    pfn: int
    stale: bool
    """Whether the address has another frame by now, or none."""

    def __str__(self) -> str:
        return f"{self.name} = {self.pfn:#x}{' (stale)' * self.stale}"


class Memory(NamedTuple):
    """The memory of a run at one moment."""

    frames: tuple[Frame, ...]
    entries: tuple[Entry, ...]
    kept: tuple[Kept, ...] = ()

    def __repr__(self) -> str:
        return " | ".join(map(str, (*self.frames, *self.kept)))


def photograph(ram: Ram, *mms: MmStruct, kept: Mapping[str, tuple[int, int]]) -> Memory:
    """Copy what there is to see of a run's memory, and of its address spaces.

    `kept` has, by name, the pfn that somebody has written down, and the hva it was looked up for:
    an address of the first address space.
    """
    from ..mm import PAGE_MASK

    entries = tuple([_entry(_name(mm), pte) for mm in mms for pte in mm.all_ptes()])
    shared = {entry.pfn for entry in entries}
    pages = [page for page in ram.pages.values() if page.counted or page.pfn in shared]
    now = {entry.hva: entry.pfn for entry in entries if entry.mm == _name(mms[0])}
    there = tuple(
        [
            Kept(name, pfn, now.get(hva & PAGE_MASK) != pfn)
            for name, (pfn, hva) in kept.items()
            if pfn in ram.pages
        ]
    )
    return Memory(tuple([_frame(page) for page in pages]), entries, there)


def _frame(page: Page) -> Frame:
    if not page.counted:
        return Frame(page.pfn, "not counted", "zeroes", page.kmaps)
    tables = 0 if page.free else page.mapcount or 0
    text = "" if page.free else page.data[:14].rstrip(b"\0").decode("ascii", "replace")
    return Frame(page.pfn, TABLES * tables + OTHERS * (page.refcount - tables), text, page.kmaps)


def _name(mm: MmStruct) -> str:
    return mm.mmap_lock.name.removesuffix(".mmap_lock")


def _entry(mm: str, pte: Pte) -> Entry:
    from ..mm import Migration, Present, Swap

    hva, value = pte.hva, pte.value
    if isinstance(value, Present):
        return Entry(mm, hva, f"present, {'rw' if value.writable else 'r-'}", value.pfn)
    if isinstance(value, Migration):
        return Entry(mm, hva, "moving", value.page.pfn)
    if isinstance(value, Swap) and value.page is not None:
        return Entry(mm, hva, "swap cache", value.page.pfn)
    return Entry(mm, hva, "nothing" if value is None else "on the swap device", None)
