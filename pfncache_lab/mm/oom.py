"""oom.py: an address space ends, or is emptied while it does. Mirrors mm/mmap.c, mm/oom_kill.c."""

from __future__ import annotations

from ..sim import each
from .mm_struct import (
    VM_IO,
    VM_PFNMAP,
    MmStruct,
    Vma,
    mmap_read_trylock,
    mmap_read_unlock,
    mmap_write_lock,
    mmap_write_unlock,
    pages_between,
)
from .mmu_notifier import (
    MMU_NOTIFY_CLEAR,
    MMU_NOTIFY_UNMAP,
    MmuNotifierRange,
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start_nonblock,
    mmu_notifier_release,
)
from .pte import zap_pte
from .vma import zap_range


def oom_reap_task_mm(mm: MmStruct) -> bool:
    """Free what can be freed without waiting for anybody; the memory of devices stays.

    Returns False if somebody else is changing the address space, or if a notifier would have to
    sleep: then the reaper comes back later.
    """
    if not mmap_read_trylock(mm):
        return False
    done = True
    for vma in each(mm.vmas):
        if not vma.flags & (VM_IO | VM_PFNMAP) and not reap_area(mm, vma):
            done = False
    mmap_read_unlock(mm)
    return done


def reap_area(mm: MmStruct, vma: Vma) -> bool:
    """Throw the contents of an area away. False if a notifier would have to sleep."""
    range = MmuNotifierRange(mm, vma.start, vma.end, MMU_NOTIFY_CLEAR, blockable=False)
    if mmu_notifier_invalidate_range_start_nonblock(range):
        return False
    for hva in pages_between(vma.start, vma.end):
        zap_pte(mm, hva)
    mmu_notifier_invalidate_range_end(range)
    return True


def exit_mmap(mm: MmStruct) -> None:
    """End an address space: tell everybody, and unmap everything."""
    mmu_notifier_release(mm)
    mmap_write_lock(mm)
    vmas = mm.vmas
    mm.vmas = ()
    for vma in each(vmas):
        zap_range(mm, vma.start, vma.end, MMU_NOTIFY_UNMAP)
    mmap_write_unlock(mm)
