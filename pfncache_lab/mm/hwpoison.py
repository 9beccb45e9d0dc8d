"""hwpoison.py: memory that is broken is taken out of use. Mirrors mm/memory-failure.c."""

from __future__ import annotations

from ..sim import might_sleep
from .mm_struct import MmStruct
from .mmu_notifier import (
    MMU_NOTIFY_CLEAR,
    MmuNotifierRange,
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from .moving import set_hwpoison_entry
from .types import EFAULT, PAGE_ALIGN_DOWN, PAGE_SIZE


def memory_failure(mm: MmStruct, hva: int) -> int:
    """Unmap the page of an address for ever; its frame will never be handed out again.

    Whoever faults there gets -EHWPOISON. Returns 0, or -EFAULT if there is no page.
    """
    might_sleep("call memory_failure()")
    start = PAGE_ALIGN_DOWN(hva)
    range = MmuNotifierRange(mm, start, start + PAGE_SIZE, MMU_NOTIFY_CLEAR)
    mmu_notifier_invalidate_range_start(range)
    broken = set_hwpoison_entry(mm, start)
    mmu_notifier_invalidate_range_end(range)
    return 0 if broken else -EFAULT
