"""migrate.py: move a page to another frame, as compaction and NUMA balancing do.

Mirrors mm/migrate.c.
"""

from __future__ import annotations

from ..sim import might_sleep
from .mm_struct import MmStruct
from .mmu_notifier import (
    MMU_NOTIFY_CLEAR,
    MmuNotifierRange,
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from .moving import move_to_new_page, set_migration_entry
from .types import PAGE_ALIGN_DOWN, PAGE_SIZE


def migrate_page(mm: MmStruct, hva: int) -> int:
    """Move the page of an address to another frame; once, where the kernel tries ten times.

    Returns 0; -EAGAIN if there is none that can be moved, or if somebody has a reference to it;
    -ENOMEM. While it moves, whoever faults there waits.
    """
    might_sleep("migrate a page")
    start = PAGE_ALIGN_DOWN(hva)
    range = MmuNotifierRange(mm, start, start + PAGE_SIZE, MMU_NOTIFY_CLEAR)
    mmu_notifier_invalidate_range_start(range)
    ret = set_migration_entry(mm, start)
    mmu_notifier_invalidate_range_end(range)
    return ret or move_to_new_page(mm, start)
