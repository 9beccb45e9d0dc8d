"""ksm.py: let two addresses with equal contents share one page. Mirrors mm/ksm.c."""

from __future__ import annotations

from .mm_struct import MmStruct, mmap_read_lock, mmap_read_unlock
from .mmu_notifier import (
    MMU_NOTIFY_CLEAR,
    MmuNotifierRange,
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from .moving import merge_ptes
from .types import EINVAL, PAGE_ALIGN_DOWN, PAGE_SIZE


def ksm_merge(mm: MmStruct, hva: int, other: int) -> int:
    """Let `other` share the page of `hva`, read-only. The next write to either copies it again.

    Returns 0; -EAGAIN if their contents differ, or if somebody has a reference to one of the pages;
    -EINVAL if they are one.
    """
    first, second = PAGE_ALIGN_DOWN(hva), PAGE_ALIGN_DOWN(other)
    if first == second:
        return -EINVAL
    mmap_read_lock(mm)
    kept = MmuNotifierRange(mm, first, first + PAGE_SIZE, MMU_NOTIFY_CLEAR)
    gone = MmuNotifierRange(mm, second, second + PAGE_SIZE, MMU_NOTIFY_CLEAR)
    mmu_notifier_invalidate_range_start(kept)
    mmu_notifier_invalidate_range_start(gone)
    ret = merge_ptes(mm, first, second)
    mmu_notifier_invalidate_range_end(gone)
    mmu_notifier_invalidate_range_end(kept)
    mmap_read_unlock(mm)
    return ret
