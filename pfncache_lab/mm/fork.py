"""fork.py: a child shares the pages of its parent until one of them writes. Mirrors mm/memory.c."""

from __future__ import annotations

from .mm_struct import (
    MmStruct,
    in_order,
    mmap_write_lock,
    mmap_write_lock_nested,
    mmap_write_unlock,
    pages_between,
    within,
)
from .mmu_notifier import (
    MMU_NOTIFY_PROTECTION_PAGE,
    MmuNotifierRange,
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from .pte import share_pte
from .types import EFAULT


def fork_cow(mm: MmStruct, child: MmStruct, hva: int, length: int) -> int:
    """Copy areas and page table to `child`, where it must have nothing yet.

    From now on both may only read the pages, and whoever writes first gets a copy. Returns 0, or
    -EFAULT where there is nothing to copy, or something in the child.
    """
    end = hva + length
    mmap_write_lock(mm)
    mmap_write_lock_nested(child, 1)
    vmas = within(mm.vmas, hva, end)
    ret = 0 if vmas and not within(child.vmas, hva, end) else -EFAULT
    if not ret:
        child.vmas = in_order((*child.vmas, *vmas))
        copy_page_range(mm, child, hva, end)
    mmap_write_unlock(child)
    mmap_write_unlock(mm)
    return ret


def copy_page_range(mm: MmStruct, child: MmStruct, start: int, end: int) -> None:
    """Copy the page table between two addresses."""
    range = MmuNotifierRange(mm, start, end, MMU_NOTIFY_PROTECTION_PAGE)
    mmu_notifier_invalidate_range_start(range)
    for hva in pages_between(start, end):
        share_pte(mm, child, hva)
    mmu_notifier_invalidate_range_end(range)
