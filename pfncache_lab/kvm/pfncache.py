"""pfncache.py: one page of the guest, translated once and kept. Mirrors virt/kvm/pfncache.c.

This is the cache as it stands since Linux 6.9, with one thing that was taken out there and that the
course needs: a vCPU may use the pfn while it runs the guest, and is then evicted (5.18 to 6.8).
`history.v5_17` is the cache as it was merged, and what came in between.

    gpa ──slots──▶ uhva ──host page table──▶ pfn ──kmap──▶ khva

Each arrow can change under the cache's feet. The first says so by its generation, which readers
compare. The second is the host's, and it calls gfn_to_pfn_cache_invalidate_start() before it
changes anything. The cache holds no reference to the page: it may be gone the moment that function
has returned, and only `valid` keeps readers from using it.

    gpc->lock       readers of the mapping read, whoever changes the struct writes. Never sleep here
    refresh_lock    who may build a new mapping. Held across sleeping; the notifier never takes it
    kvm->gpc_lock   the list of active caches

    kvm->srcu → refresh_lock → gpc->lock        kvm->gpc_lock → gpc->lock
"""

from __future__ import annotations

from ..mm.highmem import kmap, kunmap, memremap, memunmap
from ..mm.page import pfn_to_page
from ..mm.types import EFAULT, EINVAL, EIO, NULL, PAGE_ALIGN_DOWN, PAGE_SIZE, offset_in_page
from ..mm.uaccess import access_ok
from ..sim import (
    WARN_ON_ONCE,
    cond_resched,
    list_add,
    list_del,
    lockdep_assert_held,
    lockdep_assert_held_write,
    smp_rmb,
)
from .kvm_host import Kvm, KvmVcpu
from .kvm_types import (
    INVALID_GPA,
    KVM_GUEST_USES_PFN,
    KVM_HOST_USES_PFN,
    KVM_HVA_ERR_BAD,
    KVM_PFN_ERR_FAULT,
    GfnToPfnCache,
    gpa_to_gfn,
    is_error_noslot_pfn,
    kvm_is_error_gpa,
    kvm_is_error_hva,
    pfn_to_hpa,
)
from .memslots import gfn_to_hva_memslot, kvm_memslots, search_memslots
from .pfn import hva_to_pfn, kvm_release_pfn_clean
from .requests import (
    KVM_BUG_ON,
    KVM_REQ_OUTSIDE_GUEST_MODE,
    KVM_REQUEST_WAIT,
    kvm_make_vcpus_request_mask,
)

# -- the host takes a page back --------------------------------------------------------------------


def gfn_to_pfn_cache_invalidate_start(kvm: Kvm, start: int, end: int, may_block: bool) -> None:
    """Make the caches of the host addresses `start` to `end` (exclusive) invalid.

    When this returns, nobody uses their pages any more: the write lock has waited for the readers,
    and a vCPU that may use one in guest mode has left it. Nothing is unmapped: that may sleep, and
    so it is left to the next refresh. Mirrors gfn_to_pfn_cache_invalidate_start().
    """
    evict = 0
    kvm.gpc_lock.lock()
    for gpc in kvm.gpc_list:
        # The read lock first. Most invalidations concern none of the caches, and must not make
        # the readers of all of them wait (9fa336e343b2).
        gpc.lock.read_lock_irq()
        concerned = maps_any_of(gpc, start, end)
        gpc.lock.read_unlock_irq()
        if concerned:
            evict |= invalidate(gpc, start, end)
    kvm.gpc_lock.unlock()
    if evict:
        evict_vcpus(kvm, evict, may_block)


def invalidate(gpc: GfnToPfnCache, start: int, end: int) -> int:
    """Make one cache invalid; returns the bit of the vCPU that has to leave guest mode, or 0."""
    bit = 0
    gpc.lock.write_lock_irq()
    # Look again: with no lock held in between, a refresh may have moved the cache elsewhere. It
    # cannot have made it valid for this range, for it has seen mn_active_invalidate_count.
    if maps_any_of(gpc, start, end):
        gpc.valid = False
        if gpc.usage & KVM_GUEST_USES_PFN and gpc.vcpu is not None:
            bit = 1 << gpc.vcpu.vcpu_idx
    gpc.lock.write_unlock_irq()
    return bit


def maps_any_of(gpc: GfnToPfnCache, start: int, end: int) -> bool:
    """Tell whether the cache is valid for a page of this range. A cache never spans two pages."""
    return gpc.valid and not is_error_noslot_pfn(gpc.pfn) and start <= gpc.uhva < end


def evict_vcpus(kvm: Kvm, vcpus: int, may_block: bool) -> None:
    """Make these vCPUs leave guest mode, and wait until they have."""
    request = KVM_REQ_OUTSIDE_GUEST_MODE
    if not may_block:
        request &= ~KVM_REQUEST_WAIT
    called = kvm_make_vcpus_request_mask(kvm, request, vcpus)
    # The OOM reaper must not wait. It comes for a process whose vCPUs should all have left.
    WARN_ON_ONCE(
        called and not may_block, "a vCPU was still in guest mode, and may not be waited for"
    )


# -- readers ---------------------------------------------------------------------------------------


def kvm_gpc_check(gpc: GfnToPfnCache, length: int) -> bool:
    """Tell whether the `length` bytes at the cache's address may be used now.

    The caller holds gpc->lock for read, until it is done with khva, and kvm->srcu. Mirrors
    kvm_gpc_check().
    """
    if not gpc.active:
        return False
    # A moved slot changes no cache. It changes the generation, and this is who looks.
    by_gpa = not kvm_is_error_gpa(gpc.gpa)
    if by_gpa and gpc.generation != kvm_memslots(gpc.kvm).generation:
        return False
    if kvm_is_error_hva(gpc.uhva):
        return False
    if not kvm_gpc_is_valid_len(gpc.gpa, gpc.uhva, length):
        return False
    return gpc.valid


def kvm_gpc_is_valid_len(gpa: int, uhva: int, length: int) -> bool:
    """Tell whether `length` bytes from there stay within one page. One of the two is given."""
    offset = offset_in_page(uhva if kvm_is_error_gpa(gpa) else gpa)
    return offset + length <= PAGE_SIZE


# -- mapping ---------------------------------------------------------------------------------------


def gpc_map(pfn: int) -> int:
    """Map the page frame into the kernel; may sleep. Returns NULL if that fails."""
    page = pfn_to_page(pfn)
    if page is not None:  # pfn_valid()
        return kmap(page)
    return memremap(pfn_to_hpa(pfn), PAGE_SIZE)


def gpc_unmap(pfn: int, khva: int) -> None:
    """Take back what gpc_map() has returned; may sleep. Nothing to do for an error or NULL."""
    if is_error_noslot_pfn(pfn) or khva == NULL:
        return
    page = pfn_to_page(pfn)
    if page is not None:
        kunmap(page)
    else:
        memunmap(khva)


# -- refresh ---------------------------------------------------------------------------------------


def mmu_notifier_retry_cache(kvm: Kvm, mmu_seq: int) -> bool:
    """Tell whether an invalidation is under way, or has ended since `mmu_seq` was read.

    mn_active_invalidate_count goes up before the notifier looks at the caches and comes down after
    mmu_invalidate_seq has gone up. So either it shows here, or the notifier comes to this cache
    later, waits for gpc->lock, and finds it valid. mmu_invalidate_in_progress would not do: it goes
    up after the caches were looked at (H8).
    """
    if kvm.mn_active_invalidate_count:
        return True
    smp_rmb()  # the count before the seq, as invalidate_range_end() changes them the other way
    return kvm.mmu_invalidate_seq != mmu_seq


def hva_to_pfn_retry(gpc: GfnToPfnCache) -> int:
    """Translate uhva and map the page, until no invalidation has come in between.

    Enters and leaves with gpc->lock held for writing, and drops it to sleep; refresh_lock is held
    throughout. Returns 0, with the cache valid, or -EFAULT. Mirrors hva_to_pfn_retry().
    """
    kvm, old_khva = gpc.kvm, PAGE_ALIGN_DOWN(gpc.khva)
    new_pfn, new_khva = KVM_PFN_ERR_FAULT, int(NULL)
    lockdep_assert_held(gpc.refresh_lock)
    lockdep_assert_held_write(gpc.lock)
    # Before the lock is dropped: from there on a notifier looks at `valid` to see whether it has
    # anything to do, and a reader to see whether he may go on (H8b, H8c).
    gpc.valid = False
    while True:
        mmu_seq = kvm.mmu_invalidate_seq
        smp_rmb()  # the seq before the page table
        gpc.lock.write_unlock_irq()
        if not is_error_noslot_pfn(new_pfn):  # the last turn was in vain
            give_back(new_pfn, NULL if new_khva == old_khva else new_khva)
            cond_resched()
        new_pfn = hva_to_pfn(kvm, gpc.uhva, atomic=False, write_fault=True)
        if is_error_noslot_pfn(new_pfn):
            gpc.lock.write_lock_irq()
            return -EFAULT
        # The same frame as before is mapped already, and stays so if this turn is in vain.
        new_khva = old_khva if new_pfn == gpc.pfn else gpc_map(new_pfn)
        if new_khva == NULL:
            kvm_release_pfn_clean(new_pfn)
            gpc.lock.write_lock_irq()
            return -EFAULT
        gpc.lock.write_lock_irq()
        WARN_ON_ONCE(gpc.valid, "somebody else has made the cache valid")
        if not mmu_notifier_retry_cache(kvm, mmu_seq):
            break

    gpc.valid, gpc.pfn = True, new_pfn
    gpc.khva = new_khva + offset_in_page(gpc.uhva)
    # The page may go now. Who takes it finds the cache valid, and waits for the lock held here.
    kvm_release_pfn_clean(new_pfn)
    return 0


def give_back(pfn: int, khva: int) -> None:
    """Undo a translation that was in vain, and its mapping, if it has one of its own."""
    gpc_unmap(pfn, khva)
    kvm_release_pfn_clean(pfn)


def __kvm_gpc_refresh(gpc: GfnToPfnCache, gpa: int, uhva: int) -> int:
    """Make the cache valid for `gpa` or, if that is INVALID_GPA, for the host address `uhva`.

    Returns 0, -EINVAL (not active, or not exactly one address) or -EFAULT (no slot, no page). Even
    0 promises nothing to a reader, who must take the lock and check again. Mirrors
    __kvm_gpc_refresh(); refresh_lock is held.
    """
    if WARN_ON_ONCE(kvm_is_error_gpa(gpa) == kvm_is_error_hva(uhva), "both addresses or none"):
        return -EINVAL
    lockdep_assert_held(gpc.refresh_lock)

    gpc.lock.write_lock_irq()
    if not gpc.active:
        gpc.lock.write_unlock_irq()
        return -EINVAL
    old_pfn, old_khva = gpc.pfn, PAGE_ALIGN_DOWN(gpc.khva)
    old_uhva = PAGE_ALIGN_DOWN(gpc.uhva)
    error = set_address(gpc, gpa, uhva)
    if not error:
        if not gpc.valid or PAGE_ALIGN_DOWN(gpc.uhva) != old_uhva:
            error = hva_to_pfn_retry(gpc)
        else:  # the same page; the offset in it may have changed (H12)
            gpc.khva = old_khva + offset_in_page(gpc.uhva)
    if error:
        gpc.valid = False
        gpc.pfn = KVM_PFN_ERR_FAULT
        gpc.khva = NULL
    unmap_old = old_pfn != gpc.pfn  # decided under the lock
    gpc.lock.write_unlock_irq()

    if unmap_old:
        gpc_unmap(old_pfn, old_khva)
    return error


def set_address(gpc: GfnToPfnCache, gpa: int, uhva: int) -> int:
    """Store what the cache is to translate, and look up its slot. Returns 0 or -EFAULT."""
    if kvm_is_error_gpa(gpa):
        gpc.gpa = INVALID_GPA
        gpc.memslot = None
        gpc.uhva = uhva
        return 0
    slots = kvm_memslots(gpc.kvm)
    generation = slots.generation
    if gpc.gpa != gpa or gpc.generation != generation or kvm_is_error_hva(gpc.uhva):
        gfn = gpa_to_gfn(gpa)
        gpc.gpa = gpa
        gpc.generation = generation
        gpc.memslot = search_memslots(slots, gfn)
        gpc.uhva = gfn_to_hva_memslot(gpc.memslot, gfn)
        if kvm_is_error_hva(gpc.uhva):
            return -EFAULT
        gpc.uhva += offset_in_page(gpa)
    return 0


def kvm_gpc_refresh(gpc: GfnToPfnCache, length: int) -> int:
    """Make the cache valid again for the address it has; may sleep.

    The caller holds kvm->srcu, and not gpc->lock. Returns 0, -EINVAL (`length` bytes reach beyond
    the page, or the cache is not active) or -EFAULT. Mirrors kvm_gpc_refresh().
    """
    with gpc.refresh_lock:
        if not kvm_gpc_is_valid_len(gpc.gpa, gpc.uhva, length):
            return -EINVAL
        # The address that was given counts. The other one is what came of it.
        uhva = gpc.uhva if kvm_is_error_gpa(gpc.gpa) else KVM_HVA_ERR_BAD
        error = __kvm_gpc_refresh(gpc, gpc.gpa, uhva)
    return error


# -- birth and death -------------------------------------------------------------------------------


def kvm_gpc_init(
    gpc: GfnToPfnCache, kvm: Kvm, vcpu: KvmVcpu | None = None, usage: int = KVM_HOST_USES_PFN
) -> None:
    """Make an inactive cache of `kvm`, once: when the VM or the vCPU that owns it is created.

    Its locks live from here on; to initialise them again while a reader holds one would let a
    writer in beside it (H10). Mirrors kvm_gpc_init().
    """
    gpc.kvm, gpc.vcpu, gpc.usage = kvm, vcpu, usage
    gpc.pfn = KVM_PFN_ERR_FAULT
    gpc.gpa = INVALID_GPA
    gpc.uhva = KVM_HVA_ERR_BAD
    gpc.khva = NULL
    gpc.active = gpc.valid = False


def __kvm_gpc_activate(gpc: GfnToPfnCache, gpa: int, uhva: int, length: int) -> int:
    """Put the cache on the list, and translate. The common part of both activations."""
    kvm = gpc.kvm
    if not kvm_gpc_is_valid_len(gpa, uhva, length):  # before anything has changed (H21)
        return -EINVAL
    with gpc.refresh_lock:
        if not gpc.active:
            # On the list first. A cache that is active and that no notifier can find is stale
            # the next time the host takes its page (H11d).
            kvm.gpc_lock.lock()
            kvm.gpc_list = list_add(gpc, kvm.gpc_list)
            kvm.gpc_lock.unlock()
            gpc.lock.write_lock_irq()
            # The kernel looks before it lists the cache, and without the lock: a data race here.
            broken = KVM_BUG_ON(gpc.valid, kvm, "an inactive cache is valid")
            gpc.active = not broken
            gpc.lock.write_unlock_irq()
            if broken:
                return -EIO
        error = __kvm_gpc_refresh(gpc, gpa, uhva)
    return error


def kvm_gpc_activate(gpc: GfnToPfnCache, gpa: int, length: int) -> int:
    """Cache the guest page of `gpa`, or turn an active cache to another address; may sleep.

    Returns 0, -EINVAL (`length` bytes reach beyond the page, or no address), -EIO (the VM is
    broken) or -EFAULT; with -EFAULT the cache is active and not valid. Mirrors kvm_gpc_activate().
    """
    if WARN_ON_ONCE(kvm_is_error_gpa(gpa), "INVALID_GPA is no address"):
        return -EINVAL
    return __kvm_gpc_activate(gpc, gpa, KVM_HVA_ERR_BAD, length)


def kvm_gpc_activate_hva(gpc: GfnToPfnCache, uhva: int, length: int) -> int:
    """Cache the page at a host address. It has no slot, so that moving slots does not concern it.

    Returns as kvm_gpc_activate() does. Mirrors kvm_gpc_activate_hva().
    """
    if not access_ok(uhva, length):
        return -EINVAL
    return __kvm_gpc_activate(gpc, INVALID_GPA, uhva, length)


def kvm_gpc_deactivate(gpc: GfnToPfnCache) -> None:
    """Give up the mapping and leave the list; may sleep."""
    kvm = gpc.kvm
    # A refresh may be about to reuse the mapping that is unmapped below (H19).
    with gpc.refresh_lock:
        if not gpc.active:
            return
        # Unusable first. The other way round, a reader could still be let in after the last
        # notifier that would have told it (H11c).
        gpc.lock.write_lock_irq()
        gpc.active = gpc.valid = False
        old_khva, old_pfn = PAGE_ALIGN_DOWN(gpc.khva), gpc.pfn
        gpc.khva = NULL
        gpc.pfn = KVM_PFN_ERR_FAULT
        gpc.lock.write_unlock_irq()
        kvm.gpc_lock.lock()
        kvm.gpc_list = list_del(gpc, kvm.gpc_list)
        kvm.gpc_lock.unlock()
        gpc_unmap(old_pfn, old_khva)


def kvm_gpc_is_gpa_active(gpc: GfnToPfnCache) -> bool:
    """Tell whether the cache is active for a guest address."""
    return gpc.active and not kvm_is_error_gpa(gpc.gpa)


def kvm_gpc_is_hva_active(gpc: GfnToPfnCache) -> bool:
    """Tell whether the cache is active for a host address."""
    return gpc.active and kvm_is_error_gpa(gpc.gpa)
