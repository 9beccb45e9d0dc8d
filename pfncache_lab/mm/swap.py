"""swap.py: write a page to the swap device. A fault brings it back. Mirrors mm/vmscan.c."""

from __future__ import annotations

from ..sim import might_sleep
from .mm_struct import MmStruct
from .mmu_notifier import (
    MMU_NOTIFY_CLEAR,
    MmuNotifierRange,
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from .moving import set_swap_entry, write_to_swap
from .types import PAGE_ALIGN_DOWN, PAGE_SIZE


def swap_out(mm: MmStruct, hva: int) -> int:
    """Swap out the page of an address: first into the swap cache, then to the device.

    Returns 0, or -EAGAIN if there is none that can go, or if somebody has a reference to it. Then
    it stays in the swap cache, where a fault finds the same page.
    """
    might_sleep("swap out a page")
    start = PAGE_ALIGN_DOWN(hva)
    range = MmuNotifierRange(mm, start, start + PAGE_SIZE, MMU_NOTIFY_CLEAR)
    mmu_notifier_invalidate_range_start(range)
    ret = set_swap_entry(mm, start)
    mmu_notifier_invalidate_range_end(range)
    return ret or write_to_swap(mm, start)
