"""vma.py: what a process does to its own address space. Mirrors mm/mmap.c and its neighbors.

Each change runs start of the notifiers → page table, TLB and references → end, under mmap_lock.
"""

from __future__ import annotations

from typing import NamedTuple

from ..sim import ModelError
from .mm_struct import (
    PROT_READ,
    PROT_WRITE,
    MmStruct,
    Vma,
    in_order,
    mmap_read_lock,
    mmap_read_unlock,
    mmap_write_lock,
    mmap_write_unlock,
    pages_between,
    with_prot,
    within,
    without,
)
from .mmu_notifier import (
    MMU_NOTIFY_CLEAR,
    MMU_NOTIFY_PROTECTION_VMA,
    MMU_NOTIFY_UNMAP,
    Event,
    MmuNotifierRange,
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from .page import pfn_valid
from .pte import change_protection_of, move_pte, zap_pte
from .types import EEXIST, EFAULT, EINVAL, ENOMEM, PAGE_ALIGN, PAGE_SIZE, Hva, Pfn, offset_in_page


class Area(NamedTuple):
    """Whole pages of hva, or nothing: what a system call has been given."""

    start: Hva
    end: Hva


def area(hva: int, length: int) -> Area | None:
    """Return the pages that a system call means, or None if that makes no sense."""
    if offset_in_page(hva) or length <= 0:
        return None
    return Area(Hva(hva), Hva(PAGE_ALIGN(hva + length)))


def mmap(
    mm: MmStruct,
    hva: int,
    length: int,
    prot: int = PROT_READ | PROT_WRITE,
    flags: int = 0,
    pfn: int | None = None,
) -> int:
    """Make an area of zeroes, or with VM_PFNMAP of the frames from `pfn` on, mapped by faults.

    Returns 0; -EINVAL for an address within a page; -EEXIST where there is something already.
    """
    new = area(hva, length)
    if new is None:
        return -EINVAL
    must_be_possible(mm, new, pfn)
    mmap_write_lock(mm)
    ret = -EEXIST if within(mm.vmas, new.start, new.end) else 0
    if not ret:
        first = None if pfn is None else Pfn(pfn)
        mm.vmas = in_order((*mm.vmas, Vma(new.start, new.end, prot, flags, first)))
    mmap_write_unlock(mm)
    return ret


def must_be_possible(mm: MmStruct, new: Area, pfn: int | None) -> None:
    """Raise ModelError for an area that the set-up has not provided for."""
    for hva in range(new.start, new.end, PAGE_SIZE):
        mm.pte(hva)
    if pfn is not None and pfn_valid(pfn):
        raise ModelError(f"Only the frames of a device can be mapped so, and {pfn:#x} is not one.")


def munmap(mm: MmStruct, hva: int, length: int) -> int:
    """Remove what is mapped there. Returns 0 or -EINVAL."""
    gone = area(hva, length)
    if gone is None:
        return -EINVAL
    mmap_write_lock(mm)
    unmap_vmas(mm, gone)
    mmap_write_unlock(mm)
    return 0


def unmap_vmas(mm: MmStruct, gone: Area) -> None:
    """Remove areas and their pages, holding mmap_lock for writing."""
    old = within(mm.vmas, gone.start, gone.end)
    mm.vmas = without(mm.vmas, gone.start, gone.end)
    if old:
        zap_range(mm, old[0].start, old[-1].end, MMU_NOTIFY_UNMAP)


def zap_range(mm: MmStruct, start: int, end: int, event: Event) -> None:
    """Clear the page table between two addresses, and tell everybody before and after."""
    range = MmuNotifierRange(mm, start, end, event)
    mmu_notifier_invalidate_range_start(range)
    for hva in pages_between(start, end):
        zap_pte(mm, hva)
    mmu_notifier_invalidate_range_end(range)


def madvise_dontneed(mm: MmStruct, hva: int, length: int) -> int:
    """Throw the contents away: whoever comes next finds zeroes. 0, -EINVAL or -ENOMEM."""
    gone = area(hva, length)
    if gone is None:
        return -EINVAL
    mmap_read_lock(mm)
    ret = 0 if within(mm.vmas, gone.start, gone.end) else -ENOMEM
    if not ret:
        zap_range(mm, gone.start, gone.end, MMU_NOTIFY_CLEAR)
    mmap_read_unlock(mm)
    return ret


def mprotect(mm: MmStruct, hva: int, length: int, prot: int) -> int:
    """Allow no more than `prot`. Returns 0, -EINVAL, or -ENOMEM where nothing is mapped."""
    changed = area(hva, length)
    if changed is None:
        return -EINVAL
    mmap_write_lock(mm)
    old = within(mm.vmas, changed.start, changed.end)
    if old:
        rest = without(mm.vmas, changed.start, changed.end)
        mm.vmas = in_order((*rest, *with_prot(old, prot)))
        range = MmuNotifierRange(mm, changed.start, changed.end, MMU_NOTIFY_PROTECTION_VMA)
        mmu_notifier_invalidate_range_start(range)
        for page in pages_between(changed.start, changed.end):
            change_protection_of(mm, page, prot)
        mmu_notifier_invalidate_range_end(range)
    mmap_write_unlock(mm)
    return 0 if old else -ENOMEM


def mremap(mm: MmStruct, old: int, length: int, new: int) -> int:
    """Move an area with its pages to another address, and unmap what is there.

    Returns 0; -EINVAL if the two overlap; -EFAULT if the old one is not one area.
    """
    here, there = area(old, length), area(new, length)
    if here is None or there is None or (here.start < there.end and there.start < here.end):
        return -EINVAL
    mmap_write_lock(mm)
    vmas = within(mm.vmas, here.start, here.end)
    ret = 0 if [(vma.start, vma.end) for vma in vmas] == [here] else -EFAULT
    if not ret:
        unmap_vmas(mm, there)
        moved = vmas[0]._replace(start=there.start, end=there.end)
        left = without(mm.vmas, here.start, here.end)
        mm.vmas = in_order((*left, moved))
        move_range(mm, here, there)
    mmap_write_unlock(mm)
    return ret


def move_range(mm: MmStruct, here: Area, there: Area) -> None:
    """Move the entries of the page table: move_page_tables()."""
    range = MmuNotifierRange(mm, here.start, here.end, MMU_NOTIFY_UNMAP)
    mmu_notifier_invalidate_range_start(range)
    for hva in pages_between(here.start, here.end):
        move_pte(mm, hva, hva - here.start + there.start)
    mmu_notifier_invalidate_range_end(range)
