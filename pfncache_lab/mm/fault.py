"""fault.py: bring the page of an address into the page table. Mirrors mm/memory.c."""

from __future__ import annotations

from ..sim import lockdep_assert_held, might_sleep
from .mm_struct import PROT_READ, PROT_WRITE, MmStruct, find_vma
from .mmu_notifier import (
    MMU_NOTIFY_CLEAR,
    MmuNotifierRange,
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from .paging import MUST_COPY, copy_page_step, fault_step
from .types import EFAULT, PAGE_ALIGN_DOWN, PAGE_SIZE


def handle_mm_fault(mm: MmStruct, hva: int, write: bool) -> int:
    """Bring in the page of an address, holding mmap_lock; sleeps.

    A new page is one of zeroes; one that was swapped out comes back; a shared one is copied before
    it is written to; and while a page moves, the fault waits. Returns 0, -EFAULT where no area
    allows the access, -ENOMEM, or -EHWPOISON. 0 does not mean that the page is still there.
    """
    might_sleep("handle a page fault")
    lockdep_assert_held(mm.mmap_lock)
    vma = find_vma(mm, hva)
    if vma is None or not vma.prot & (PROT_WRITE if write else PROT_READ | PROT_WRITE):
        return -EFAULT
    ret = fault_step(mm, hva, vma, write)
    return wp_page_copy(mm, hva) if ret == MUST_COPY else ret


def wp_page_copy(mm: MmStruct, hva: int) -> int:
    """Break a copy-on-write: from now on this page table leads to a copy. 0 or -ENOMEM.

    Who has a reference to the old page keeps that, and sees nothing of what is written from now on.
    """
    start = PAGE_ALIGN_DOWN(hva)
    range = MmuNotifierRange(mm, start, start + PAGE_SIZE, MMU_NOTIFY_CLEAR)
    mmu_notifier_invalidate_range_start(range)
    ret = copy_page_step(mm, hva)
    mmu_notifier_invalidate_range_end(range)
    return ret
