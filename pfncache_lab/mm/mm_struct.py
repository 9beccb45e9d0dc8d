"""mm_struct.py: an address space: its areas, its page table and its lock.

    mmap_lock      held for reading, areas stay as they are; faults and get_user_pages hold it
    vmas           the areas, in the order of their addresses; written under mmap_lock held for
                   writing. Where there is none, there is nothing, and an access fails
    page table     one `Pte` for each page of hva that the scenario may use. A change of an entry is
                   one step, and needs no lock here: the lock of the page table is that step

Mirrors linux/mm_types.h and linux/mmap_lock.h.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from ..sim import ModelError, Struct, each, shared
from .frames import the_ram
from .pte_values import Pte
from .rwsem import RwSem
from .types import FIRST_HVA, PAGE_SHIFT, PAGE_SIZE, Hva, Pfn

if TYPE_CHECKING:
    from .mmu_notifier import MmuNotifier

PRIMITIVES = True

PROT_NONE, PROT_READ, PROT_WRITE = 0, 1, 2

VM_PFNMAP = 0x0400
"""Entries hold frame numbers for which there may be no struct page."""
VM_IO = 0x4000
"""The memory of a device."""


class Vma(NamedTuple):
    """struct vm_area_struct: the area of hva from `start` up to, not including, `end`."""

    start: Hva
    end: Hva
    prot: int
    flags: int = 0
    pfn: Pfn | None = None
    """With VM_PFNMAP: the frame of its first page."""

    def pfn_of(self, hva: int) -> int:
        """Return the frame that an address has in a VM_PFNMAP area."""
        assert self.pfn is not None
        return self.pfn + (hva - self.start >> PAGE_SHIFT)

    def __repr__(self) -> str:
        prot = ("r" if self.prot & PROT_READ else "-") + ("w" if self.prot & PROT_WRITE else "-")
        return f"<Vma {self.start:#_x} to {self.end:#_x}, {prot}>"


class MmStruct(Struct):
    """struct mm_struct. Make it in the set-up, with mmap() for its areas."""

    mmap_lock = RwSem()
    vmas: shared[tuple[Vma, ...]] = shared((), guarded_by="mmap_lock")

    def __init__(self, name: str = "mm", start: int = FIRST_HVA, pages: int = 4) -> None:
        """Make an empty one, with page-table entries for `pages` pages from `start` on."""
        super().__init__(name)
        the_ram()
        slots = range(start, start + pages * PAGE_SIZE, PAGE_SIZE)
        self.__dict__["_ptes"] = {hva: Pte(Hva(hva), name) for hva in slots}
        self.__dict__["_notifiers"] = ()

    @property
    def notifiers(self) -> tuple[MmuNotifier, ...]:
        """Who wants to know what becomes of the page table. It does not change during a run."""
        found: tuple[MmuNotifier, ...] = self.__dict__["_notifiers"]
        return found

    def pte(self, hva: int) -> Pte:
        """Find the page-table entry of an address. Raises ModelError if the set-up made none."""
        pte: Pte | None = self.__dict__["_ptes"].get(hva & -PAGE_SIZE)
        if pte is None:
            raise ModelError(
                f"{hva:#_x} has no page-table entry in this run. Give MmStruct() more pages."
            )
        return pte

    def has_pte(self, hva: int) -> bool:
        """Tell whether the set-up made an entry for an address."""
        return hva & -PAGE_SIZE in self.__dict__["_ptes"]

    def all_ptes(self) -> tuple[Pte, ...]:
        """Return the whole page table, for conditions and pictures."""
        return tuple(self.__dict__["_ptes"].values())

    def entries(self) -> dict[Hva, object]:
        """Copy the page table, for pictures and tests."""
        return {pte.hva: pte.value for pte in self.all_ptes() if pte.value is not None}

    def __repr__(self) -> str:
        return f"<MmStruct {self.mmap_lock.name.removesuffix('.mmap_lock')}>"


def pages_between(start: int, end: int) -> each[int]:
    """Walk over the pages from `start` up to, not including, `end`."""
    return each(range(start & -PAGE_SIZE, end, PAGE_SIZE))


def find_vma(mm: MmStruct, hva: int) -> Vma | None:
    """Return the area in which an address lies. Holding mmap_lock; no step.

    Unlike the kernel's, it does not return the next area where there is none.
    """
    return next((vma for vma in mm.vmas if vma.start <= hva < vma.end), None)


def without(vmas: Iterable[Vma], start: int, end: int) -> tuple[Vma, ...]:
    """Return the areas with a hole in them, splitting those that reach over its ends."""
    left: list[Vma] = []
    for vma in vmas:
        if vma.start < start:
            left.append(vma._replace(end=Hva(min(vma.end, start))))
        if vma.end > end:
            begins = Hva(max(vma.start, end))
            pfn = None if vma.pfn is None else Pfn(vma.pfn_of(begins))
            left.append(vma._replace(start=begins, pfn=pfn))
    return tuple(left)


def in_order(vmas: Iterable[Vma]) -> tuple[Vma, ...]:
    """Return the areas in the order of their addresses."""
    return tuple(sorted(vmas))


def with_prot(vmas: Iterable[Vma], prot: int) -> tuple[Vma, ...]:
    """Return the areas with another protection."""
    return tuple([vma._replace(prot=prot) for vma in vmas])


def within(vmas: Iterable[Vma], start: int, end: int) -> tuple[Vma, ...]:
    """Return the areas as far as they lie between two addresses."""
    return without(without(vmas, 0, start), end, 1 << 64)


def mmap_read_lock(mm: MmStruct) -> None:
    """Keep the areas as they are; sleeps."""
    mm.mmap_lock.read_lock()


def mmap_read_trylock(mm: MmStruct) -> bool:
    """Keep the areas as they are, if that can be had without sleeping."""
    return mm.mmap_lock.read_trylock()


def mmap_read_unlock(mm: MmStruct) -> None:
    """Let others change the areas again."""
    mm.mmap_lock.read_unlock()


def mmap_write_lock(mm: MmStruct) -> None:
    """Begin to change the areas; sleeps."""
    mm.mmap_lock.write_lock()


def mmap_write_lock_nested(mm: MmStruct, subclass: int) -> None:
    """Begin to change the areas of a second address space while those of another are held."""
    mm.mmap_lock.write_lock(subclass)


def mmap_write_unlock(mm: MmStruct) -> None:
    """End changing the areas."""
    mm.mmap_lock.write_unlock()
