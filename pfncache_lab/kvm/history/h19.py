"""H19: a refresh reuses a mapping that is taken down at the same time.

A refresh finds the frame it had before, and means to go on using its mapping. It has dropped
gpc->lock to translate; deactivation takes that lock, and unmaps. The refresh comes back, and makes
the cache valid with a mapping that is gone. (In 6.2 unmapping had lost the mutex that kept
refreshes out; 5.19 to 6.1 still had it.)

What is seen first is that the cache is valid though it is not active (I3). Until it is activated
again nobody uses it; whoever does so then stores to an address that is mapped no more (I5).

David Woodhouse mended it in 6addfcf27139: whoever tears down takes the lock of whoever builds up.
In production, oopses on such a khva were seen although the callers' own locks should have kept the
two apart. Why, nobody has found out.
"""

from __future__ import annotations

from ...mm.types import EFAULT, NULL, PAGE_ALIGN_DOWN, offset_in_page
from ...sim import cond_resched, list_del, shared, smp_rmb
from ..kvm_host import Kvm, KvmMemorySlot
from ..kvm_types import (
    INVALID_GPA,
    KVM_HVA_ERR_BAD,
    KVM_PFN_ERR_FAULT,
    GfnToPfnCache,
    is_error_noslot_pfn,
)
from ..pfn import hva_to_pfn, kvm_release_pfn_clean
from ..pfncache import __kvm_gpc_refresh, gpc_map, gpc_unmap, kvm_gpc_init, mmu_notifier_retry_cache
from .bug import Bug
from .scene import scene


class GuardedByLock(GfnToPfnCache):
    """The cache whose fields were gpc->lock's alone, as it was from 6.2 to 6.8."""

    generation = shared(0, guarded_by="lock")
    gpa = shared(INVALID_GPA, guarded_by="lock")
    uhva = shared(KVM_HVA_ERR_BAD, guarded_by="lock")
    memslot: shared[KvmMemorySlot | None] = shared(None, guarded_by="lock")
    khva = shared[int](NULL, guarded_by="lock")
    pfn = shared(KVM_PFN_ERR_FAULT, guarded_by="lock")
    active = shared(False, guarded_by="lock")


def make_cache(kvm: Kvm, name: str) -> GuardedByLock:
    """Make a cache that is not active."""
    gpc = GuardedByLock(name)
    kvm_gpc_init(gpc, kvm)
    return gpc


def refresh(kvm: Kvm, gpc: GuardedByLock, gpa: int, length: int) -> int:
    """Make the cache valid again."""
    with gpc.refresh_lock:
        error = __kvm_gpc_refresh(gpc, gpa, KVM_HVA_ERR_BAD)
    return error


def kvm_gpc_deactivate(gpc: GuardedByLock) -> None:
    """Give the cache up, without refresh_lock."""
    kvm = gpc.kvm
    gpc.lock.write_lock_irq()
    was_active = gpc.active
    gpc.active = gpc.valid = False
    old_khva, old_pfn = PAGE_ALIGN_DOWN(gpc.khva), gpc.pfn
    gpc.khva = NULL
    gpc.pfn = KVM_PFN_ERR_FAULT
    gpc.lock.write_unlock_irq()
    if was_active:
        kvm.gpc_lock.lock()
        kvm.gpc_list = list_del(gpc, kvm.gpc_list)
        kvm.gpc_lock.unlock()
        gpc_unmap(old_pfn, old_khva)


def hva_to_pfn_retry(gpc: GuardedByLock) -> int:
    """Translate as today. What the kernel reads without gpc->lock is read before it is dropped."""
    kvm = gpc.kvm
    old_pfn, old_khva, uhva = gpc.pfn, PAGE_ALIGN_DOWN(gpc.khva), gpc.uhva
    gpc.valid = False
    while True:
        mmu_seq = kvm.mmu_invalidate_seq
        smp_rmb()
        gpc.lock.write_unlock_irq()
        new_pfn = hva_to_pfn(kvm, uhva, atomic=False, write_fault=True)
        if is_error_noslot_pfn(new_pfn):
            gpc.lock.write_lock_irq()
            return -EFAULT
        new_khva = old_khva if new_pfn == old_pfn else gpc_map(new_pfn)
        gpc.lock.write_lock_irq()
        if not mmu_notifier_retry_cache(kvm, mmu_seq):
            break
        gpc.lock.write_unlock_irq()
        if new_khva != old_khva:
            gpc_unmap(new_pfn, new_khva)
        kvm_release_pfn_clean(new_pfn)
        cond_resched()
        gpc.lock.write_lock_irq()
    gpc.valid = True
    gpc.pfn = new_pfn
    gpc.khva = new_khva + offset_in_page(uhva)
    kvm_release_pfn_clean(new_pfn)
    return 0


BUG = Bug(
    label="H19",
    title="a refresh reuses the mapping that deactivation takes down",
    commit="6addfcf27139",
    introduced="6.2",
    fixed="6.9",
    invariant="I3",
    broken={
        "make_cache": make_cache,
        "refresh": refresh,
        "kvm_gpc_deactivate": kvm_gpc_deactivate,
        "hva_to_pfn_retry": hva_to_pfn_retry,
    },
    scene=scene(
        "a refresh and the end of the cache",
        "touched_cache",
        {"refresher": "refresh_here", "vmm": "deactivate_here"},
    ),
)
