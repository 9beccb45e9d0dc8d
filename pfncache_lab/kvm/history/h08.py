"""H8: three ways in which a refresh and a notifier miss each other.

a. The refresh asks whether the notifier is in progress by the counter that the notifier raises
   *after* it has been through the caches. In between, the cache has been passed over already, and
   the counter says that nobody is there.
b. While it translates, the cache says that it is valid. There is nothing in it yet, and a reader
   who asks is told to go on.
c. The refresh asks before it takes the lock again, and leaves it to the notifier to take `valid`
   back from there on. But the notifier passes over a cache whose pfn is an error, and that is what
   the placeholder has.

Sean Christopherson mended all three in 58cd407ca4c6. He never saw (a) happen: he read the code.
Each stands here in today's cache, alone.
"""

from __future__ import annotations

from functools import partial

from ...mm.types import EFAULT, NULL, PAGE_ALIGN_DOWN, offset_in_page
from ...sim import cond_resched, smp_rmb
from ..kvm_host import Kvm
from ..kvm_mm import KVM_MMU_READ_LOCK, KVM_MMU_READ_UNLOCK
from ..kvm_types import KVM_PFN_ERR_FAULT, GfnToPfnCache, is_error_noslot_pfn
from ..pfn import hva_to_pfn, kvm_release_pfn_clean
from ..pfncache import gpc_map, gpc_unmap, mmu_notifier_retry_cache
from .bug import Bug
from .invariants import I2
from .scene import all_but, scene


def retry_by_the_later_counter(kvm: Kvm, mmu_seq: int) -> bool:
    """H8a: ask by the counter that goes up after the caches."""
    KVM_MMU_READ_LOCK(kvm)
    in_progress = kvm.mmu_invalidate_in_progress
    KVM_MMU_READ_UNLOCK(kvm)
    return bool(in_progress) or kvm.mmu_invalidate_seq != mmu_seq


def valid_all_along(gpc: GfnToPfnCache) -> int:
    """H8b: hva_to_pfn_retry(), with a placeholder that says that it is valid."""
    kvm = gpc.kvm
    old_pfn, old_khva = gpc.pfn, PAGE_ALIGN_DOWN(gpc.khva)
    placeholder(gpc)
    while True:
        mmu_seq = kvm.mmu_invalidate_seq
        smp_rmb()
        gpc.lock.write_unlock_irq()
        new_pfn = hva_to_pfn(kvm, gpc.uhva, atomic=False, write_fault=True)
        if is_error_noslot_pfn(new_pfn):
            gpc.lock.write_lock_irq()
            return -EFAULT
        new_khva = old_khva if new_pfn == old_pfn else gpc_map(new_pfn)
        gpc.lock.write_lock_irq()
        if not mmu_notifier_retry_cache(kvm, mmu_seq):
            break
        gpc.lock.write_unlock_irq()
        give_back(new_pfn, new_khva, old_khva)
        gpc.lock.write_lock_irq()
    gpc.valid = True
    gpc.pfn = new_pfn
    gpc.khva = new_khva + offset_in_page(gpc.uhva)
    kvm_release_pfn_clean(new_pfn)
    return 0


def asks_too_early(gpc: GfnToPfnCache) -> int:
    """H8c: hva_to_pfn_retry(), which asks before it locks and leaves the rest to the notifier."""
    kvm = gpc.kvm
    old_pfn, old_khva = gpc.pfn, PAGE_ALIGN_DOWN(gpc.khva)
    placeholder(gpc)
    gpc.lock.write_unlock_irq()
    while True:
        mmu_seq = kvm.mmu_invalidate_seq
        smp_rmb()
        new_pfn = hva_to_pfn(kvm, gpc.uhva, atomic=False, write_fault=True)
        if is_error_noslot_pfn(new_pfn):
            gpc.lock.write_lock_irq()
            return -EFAULT
        new_khva = old_khva if new_pfn == old_pfn else gpc_map(new_pfn)
        if not mmu_notifier_retry_cache(kvm, mmu_seq):
            break
        give_back(new_pfn, new_khva, old_khva)
    gpc.lock.write_lock_irq()
    gpc.pfn = new_pfn
    gpc.khva = new_khva + offset_in_page(gpc.uhva)
    kvm_release_pfn_clean(new_pfn)
    return 0


def placeholder(gpc: GfnToPfnCache) -> None:
    """Say "valid" of a cache with nothing in it."""
    gpc.valid = True
    gpc.pfn = KVM_PFN_ERR_FAULT
    gpc.khva = NULL


def give_back(pfn: int, khva: int, old_khva: int) -> None:
    """Undo a translation that was in vain."""
    if khva != old_khva:
        gpc_unmap(pfn, khva)
    kvm_release_pfn_clean(pfn)
    cond_resched()


bug = partial(Bug, commit="58cd407ca4c6", introduced="5.17", fixed="5.19")
TASKS = {"refresher": "refresh_here", "host": "unmap_the_page"}

BUG_A = bug(
    label="H8a",
    title="a notifier is asked for by a counter that goes up too late",
    invariant="I1",
    broken={"mmu_notifier_retry_cache": retry_by_the_later_counter},
    scene=scene("the page is unmapped during a refresh", "touched_cache", TASKS),
)
BUG_B = bug(
    label="H8b",
    title="a cache says that it is valid while there is nothing in it",
    invariant="I2",
    broken={"hva_to_pfn_retry": valid_all_along},
    scene=scene("a refresh is seen half-way", "invalid_cache", {"refresher": "refresh_here"}),
)
BUG_C = bug(
    label="H8c",
    title="the notifier passes over the placeholder that waits for it",
    invariant="I1",
    broken={"hva_to_pfn_retry": asks_too_early},
    # Without I2: there is no H8c without the placeholder, and that is H8b.
    scene=scene("the page is unmapped after the question", "touched_cache", TASKS, all_but(I2)),
)
