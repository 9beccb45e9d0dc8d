"""kvm_main.py: a machine is made, and hears of every page that its process is about to lose.

Mirrors virt/kvm/kvm_main.c, v5.17 with the names of v6.1. The order is the subject of the course:

    start   mn_active_invalidate_count++   from here on no memslot update publishes anything
            caches made invalid            from here on nobody begins to use a cached page
            mmu_invalidate_in_progress++   from here on no fault maps the page; the guest's own
                                           mapping is taken away
    end     mmu_invalidate_seq++           who has looked the page up before will look again
            mmu_invalidate_in_progress--
            mn_active_invalidate_count--

The middle two lines of the start and the first two of the end happen only if the range overlaps
with a memslot: for another one, mmu_lock is not even taken, and the sequence stays.
"""

from __future__ import annotations

from ..mm import (
    PAGE_SHIFT,
    PAGE_SIZE,
    MmStruct,
    MmuNotifier,
    MmuNotifierRange,
    mmu_notifier_range_blockable,
    mmu_notifier_register,
)
from ..sim import (
    BUG_ON,
    WARN_ON_ONCE,
    atomic_dec_and_test,
    atomic_inc,
    each,
    rcuwait_wake_up,
    smp_wmb,
    srcu_read_lock,
    srcu_read_unlock,
)
from .ipi import Cpu
from .kvm_host import Kvm, KvmMemorySlot, KvmVcpu
from .kvm_mm import KVM_MMU_LOCK, KVM_MMU_UNLOCK
from .memslots import (
    __kvm_memslots,
    hva_to_gfn_memslot,
    kvm_unmap_gfns,
    memslots_in_hva_range,
)
from .pfncache import gfn_to_pfn_cache_invalidate_start
from .requests import kvm_flush_remote_tlbs

# -- the notifier ----------------------------------------------------------------------------------


def kvm_mmu_notifier_invalidate_range_start(mn: MmuNotifier, range_: MmuNotifierRange) -> int:
    """Stop using the pages of a range, before they go. Sleeps only if the range is blockable.

    Returns 0: KVM never refuses, not even where it must not sleep.
    """
    kvm: Kvm = mn.owner
    kvm.mn_invalidate_lock.lock()
    atomic_inc(kvm, "mn_active_invalidate_count")
    kvm.mn_invalidate_lock.unlock()

    # Before mmu_invalidate_in_progress rises: a refresh that trusts that one misses us. And not
    # under mmu_lock: to evict a vCPU is to wait for it.
    may_block = mmu_notifier_range_blockable(range_)
    gfn_to_pfn_cache_invalidate_start(kvm, range_.start, range_.end, may_block)

    kvm_handle_hva_range(kvm, range_.start, range_.end, True)
    return 0


def kvm_mmu_notifier_invalidate_range_end(mn: MmuNotifier, range_: MmuNotifierRange) -> None:
    """Let the pages of a range be used again: those that are there now."""
    kvm: Kvm = mn.owner
    kvm_handle_hva_range(kvm, range_.start, range_.end, False)

    kvm.mn_invalidate_lock.lock()
    wake = atomic_dec_and_test(kvm, "mn_active_invalidate_count")
    kvm.mn_invalidate_lock.unlock()
    # There is one place, for it is slots_lock that the sleeper holds.
    if wake:
        rcuwait_wake_up(kvm.mn_memslots_update_rcuwait)


def kvm_handle_hva_range(kvm: Kvm, start: int, end: int, begins: bool) -> None:
    """Begin or end an invalidation of user addresses [start, end), as far as memslots go.

    mmu_lock is taken at the first memslot that overlaps, and not at all if there is none. Mirrors
    __kvm_handle_hva_range(), which is handed the functions that differ.
    """
    locked = flush = False
    idx = srcu_read_lock(kvm.srcu)
    for as_id in each(range(kvm.nr_as_ids)):
        for slot in each(memslots_in_hva_range(__kvm_memslots(kvm, as_id), start, end)):
            if not locked:
                locked = True
                KVM_MMU_LOCK(kvm)
                if begins:
                    kvm_mmu_invalidate_begin(kvm, start, end)
                else:
                    kvm_mmu_invalidate_end(kvm)
            if begins and kvm_unmap_hva_range(kvm, slot, start, end):
                flush = True
    if flush:
        kvm_flush_remote_tlbs(kvm)
    if locked:
        KVM_MMU_UNLOCK(kvm)
    srcu_read_unlock(kvm.srcu, idx)


def kvm_mmu_invalidate_begin(kvm: Kvm, start: int, end: int) -> None:
    """Count an invalidation that begins, under mmu_lock. No step.

    Of several at once, one range is kept in which all of them lie. It shrinks when all have ended.
    """
    kvm.mmu_invalidate_in_progress += 1
    if kvm.mmu_invalidate_in_progress > 1:
        start = min(start, kvm.mmu_invalidate_range_start)
        end = max(end, kvm.mmu_invalidate_range_end)
    kvm.mmu_invalidate_range_start = start
    kvm.mmu_invalidate_range_end = end


def kvm_mmu_invalidate_end(kvm: Kvm) -> None:
    """Count an invalidation that ends, under mmu_lock. One step.

    The sequence first: who sees that nothing is in progress must see that something was.
    """
    atomic_inc(kvm, "mmu_invalidate_seq")
    smp_wmb()
    kvm.mmu_invalidate_in_progress -= 1
    BUG_ON(kvm.mmu_invalidate_in_progress < 0, "more invalidations have ended than begun")


def kvm_unmap_hva_range(kvm: Kvm, slot: KvmMemorySlot, start: int, end: int) -> bool:
    """Take the user addresses [start, end) away from the guest, as far as they are in `slot`.

    Returns whether the guest had mapped one of them.
    """
    first = max(start, slot.userspace_addr)
    last = min(end, slot.userspace_addr + (slot.npages << PAGE_SHIFT))
    gfn = hva_to_gfn_memslot(first, slot)
    return kvm_unmap_gfns(kvm, gfn, hva_to_gfn_memslot(last + PAGE_SIZE - 1, slot))


def kvm_mmu_notifier_release(mn: MmuNotifier, mm: MmStruct) -> None:
    """Take everything away from the guest: the process ends."""
    kvm: Kvm = mn.owner
    idx = srcu_read_lock(kvm.srcu)
    KVM_MMU_LOCK(kvm)
    kvm.sptes = ()
    KVM_MMU_UNLOCK(kvm)
    srcu_read_unlock(kvm.srcu, idx)


# -- a machine begins and ends ---------------------------------------------------------------------


def kvm_create_vm(
    mm: MmStruct,
    nr_vcpus: int = 1,
    *,
    mmu_rwlock: bool = True,
    nr_as_ids: int = 1,
    dirty_ring_size: int = 0,
) -> Kvm:
    """Make a machine for the process `mm`, with its vCPUs and without memory. For set-ups.

    vCPU number n has run on CPU n of the host before, and does not at present.
    """
    kvm = Kvm(mmu_rwlock=mmu_rwlock)
    kvm.mm = mm
    kvm.nr_as_ids = nr_as_ids
    kvm.dirty_ring_size = dirty_ring_size
    kvm.vcpus = tuple([kvm_create_vcpu(kvm, idx) for idx in range(nr_vcpus)])
    mn = MmuNotifier(
        kvm_mmu_notifier_invalidate_range_start,
        kvm_mmu_notifier_invalidate_range_end,
        kvm_mmu_notifier_release,
        kvm,
    )
    mmu_notifier_register(mn, mm)
    return kvm


def kvm_create_vcpu(kvm: Kvm, idx: int) -> KvmVcpu:
    """Make vCPU number `idx`. For set-ups."""
    vcpu = KvmVcpu(f"vcpu{idx}")
    vcpu.kvm = kvm
    vcpu.vcpu_id = vcpu.vcpu_idx = idx
    vcpu.host_cpu = Cpu(idx)
    vcpu.cpu = idx
    return vcpu


def kvm_destroy_vm(kvm: Kvm) -> None:
    """Look whether anybody has left something undone. The memory goes with the run.

    Between a notifier's start and its end the process may end, so its count need not be zero.
    """
    WARN_ON_ONCE(kvm.mn_memslots_update_rcuwait.task, "a memslot update still waits")
    KVM_MMU_LOCK(kvm)
    in_progress = kvm.mmu_invalidate_in_progress
    KVM_MMU_UNLOCK(kvm)
    active = kvm.mn_active_invalidate_count
    WARN_ON_ONCE(in_progress and not active, "an invalidation has not ended, and none is active")
