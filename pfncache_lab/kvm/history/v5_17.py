"""v5_17: the cache as it was merged. Mirrors virt/kvm/pfncache.c of commit 982ed0de4753.

Read it as its reviewers did: all of it looks right. The labels R0 to R7 are those of the course;
what is wrong stands in the modules beside this one, which mend one thing each.

What differs from today's cache (`kvm.pfncache`):

- The cache owns one reference to its page, from refresh to the next refresh.
- Nothing serialises two refreshes; `active` has no lock at all, and callers must take care.
- While refresh has dropped the lock, `valid` is True: a notifier that comes meanwhile is to clear
  it, and so to say that the translation is worth nothing any more.
- `dirty` remembers until the unmapping that the page has been written to.
"""

from __future__ import annotations

from typing import NamedTuple

from ...mm.highmem import kmap, kunmap, memremap, memunmap
from ...mm.page import pfn_to_page
from ...mm.types import EFAULT, EINVAL, NULL, PAGE_ALIGN_DOWN, PAGE_SIZE, offset_in_page
from ...sim import (
    WARN_ON_ONCE,
    RwLock,
    cond_resched,
    list_add,
    list_del,
    marked,
    rwlock_init,
    shared,
    smp_rmb,
)
from ..dirty import mark_page_dirty
from ..kvm_host import Kvm, KvmMemorySlot, KvmMemslots, KvmVcpu
from ..kvm_mm import KVM_MMU_READ_LOCK, KVM_MMU_READ_UNLOCK
from ..kvm_types import (
    KVM_HVA_ERR_BAD,
    KVM_PFN_ERR_FAULT,
    WithConstants,
    constant,
    gpa_to_gfn,
    is_error_noslot_pfn,
    kvm_is_error_hva,
    pfn_to_hpa,
)
from ..memslots import gfn_to_hva_memslot, kvm_memslots, search_memslots
from ..pfn import hva_to_pfn, kvm_release_pfn, mmu_notifier_retry_hva
from ..requests import KVM_REQ_GPC_INVALIDATE, KVM_REQUEST_WAIT, kvm_make_vcpus_request_mask


class GfnToPfnCache517(WithConstants):
    """struct gfn_to_pfn_cache of 5.17."""

    lock = RwLock()
    # gpc->lock
    generation = shared(0, guarded_by="lock")
    gpa = shared(0, guarded_by="lock")
    uhva = shared(KVM_HVA_ERR_BAD, guarded_by="lock")
    memslot: shared[KvmMemorySlot | None] = shared(None, guarded_by="lock")
    khva = shared[int](NULL, guarded_by="lock")
    pfn = shared(KVM_PFN_ERR_FAULT, guarded_by="lock")
    valid = shared(False, guarded_by="lock")
    dirty = shared(False, guarded_by="lock")
    # stored by init(), the same each time
    vcpu: constant[KvmVcpu | None] = constant()
    kernel_map = constant(False)
    guest_uses_pa = constant(False)
    # no lock at all: callers must not run init() and destroy() side by side
    active = marked(False)


class Old(NamedTuple):
    """What a cache held before a refresh, and has to give back."""

    gpa: int
    pfn: int
    khva: int
    uhva: int
    valid: bool
    dirty: bool


# -- the host takes a page back --------------------------------------------------------------------


def gfn_to_pfn_cache_invalidate_start(kvm: Kvm, start: int, end: int, may_block: bool) -> None:
    """Make the caches of the host addresses `start` to `end` (exclusive) invalid.

    Page and mapping stay: to give them back may sleep, and a vCPU may still write to them.
    """
    vcpus = 0
    kvm.gpc_lock.lock()
    for gpc in kvm.gpc_list:
        gpc.lock.write_lock_irq()
        if gpc.valid and not is_error_noslot_pfn(gpc.pfn) and start <= gpc.uhva < end:
            gpc.valid = False
            if gpc.guest_uses_pa and gpc.vcpu is not None:
                vcpus |= 1 << gpc.vcpu.vcpu_idx
        gpc.lock.write_unlock_irq()
    kvm.gpc_lock.unlock()
    if vcpus:
        request = KVM_REQ_GPC_INVALIDATE
        if not may_block:
            request &= ~KVM_REQUEST_WAIT
        called = kvm_make_vcpus_request_mask(kvm, request, vcpus)
        # A process that the OOM reaper has come for should have no vCPU in guest mode any more.
        WARN_ON_ONCE(called and not may_block, "a vCPU is in guest mode, and may not be waited for")


# -- readers ---------------------------------------------------------------------------------------


def kvm_gfn_to_pfn_cache_check(kvm: Kvm, gpc: GfnToPfnCache517, gpa: int, length: int) -> bool:
    """Tell whether `length` bytes at `gpa` may be used through the cache now.

    The caller holds gpc->lock for read, until it is done, and kvm->srcu.
    """
    if offset_in_page(gpa) + length > PAGE_SIZE:
        return False
    if gpc.gpa != gpa or gpc.generation != kvm_memslots(kvm).generation:
        return False
    if kvm_is_error_hva(gpc.uhva):
        return False
    return gpc.valid


# -- refresh ---------------------------------------------------------------------------------------


def __release_gpc(kvm: Kvm, pfn: int, khva: int, gpa: int, dirty: bool) -> None:
    """Give back a mapping and the reference to its page; may sleep."""
    if is_error_noslot_pfn(pfn):
        return
    if khva != NULL:
        page = pfn_to_page(pfn)
        if page is not None:  # pfn_valid()
            kunmap(page)
        else:
            memunmap(khva)
    kvm_release_pfn(pfn, dirty)
    if dirty:
        mark_page_dirty(kvm, gpa)  # as it was merged: a gpa, where a gfn is asked for (H3)


def hva_to_pfn_retry(kvm: Kvm, uhva: int) -> int:
    """Translate, until no invalidation has come in between. Takes a reference to the page."""
    while True:
        mmu_seq = kvm.mmu_invalidate_seq
        smp_rmb()
        new_pfn = hva_to_pfn(kvm, uhva, atomic=False, write_fault=True)
        if is_error_noslot_pfn(new_pfn):
            return new_pfn
        KVM_MMU_READ_LOCK(kvm)
        retry = mmu_notifier_retry_hva(kvm, mmu_seq, uhva)
        KVM_MMU_READ_UNLOCK(kvm)
        if not retry:
            return new_pfn
        cond_resched()


def kvm_gfn_to_pfn_cache_refresh(
    kvm: Kvm, gpc: GfnToPfnCache517, gpa: int, length: int, dirty: bool
) -> int:
    """Make the cache valid for `gpa`; may sleep. Returns 0, -EINVAL or -EFAULT.

    The caller holds kvm->srcu. 0 promises nothing: lock, and check again.
    """
    slots = kvm_memslots(kvm)  # R0
    if offset_in_page(gpa) + length > PAGE_SIZE:
        return -EINVAL
    gpc.lock.write_lock_irq()  # R1
    old = snapshot(gpc)  # R2
    error = set_address(gpc, slots, gpa)  # R3
    keep = False
    if not error:
        if old.valid and old.uhva == gpc.uhva:  # R5: the same page after all
            keep = True
        else:
            error, keep = translate(kvm, gpc, old)  # R4
    gpc.dirty = dirty and not error  # R6
    gpc.lock.write_unlock_irq()  # R7
    if not keep:
        __release_gpc(kvm, old.pfn, old.khva, old.gpa, old.dirty)
    return error


def snapshot(gpc: GfnToPfnCache517) -> Old:
    """Copy what the cache holds."""
    return Old(gpc.gpa, gpc.pfn, PAGE_ALIGN_DOWN(gpc.khva), gpc.uhva, gpc.valid, gpc.dirty)


def set_address(gpc: GfnToPfnCache517, slots: KvmMemslots, gpa: int) -> int:
    """R3: look the host address up, if the guest's or the slots have changed. 0 or -EFAULT."""
    generation = slots.generation
    if gpc.gpa != gpa or gpc.generation != generation or kvm_is_error_hva(gpc.uhva):
        gfn = gpa_to_gfn(gpa)
        gpc.dirty = False
        gpc.gpa = gpa
        gpc.generation = generation
        gpc.memslot = search_memslots(slots, gfn)
        gpc.uhva = gfn_to_hva_memslot(gpc.memslot, gfn)
        if kvm_is_error_hva(gpc.uhva):
            return -EFAULT
        gpc.uhva += offset_in_page(gpa)
    return 0


def translate(kvm: Kvm, gpc: GfnToPfnCache517, old: Old) -> tuple[int, bool]:
    """R4: drop the lock, translate and map. Returns an error, and whether `old` is still used."""
    uhva = gpc.uhva
    # Valid, with nothing in it yet: a notifier that comes while the lock is dropped is to clear it.
    gpc.pfn = KVM_PFN_ERR_FAULT
    gpc.khva = NULL
    gpc.valid = True
    gpc.lock.write_unlock_irq()

    new_pfn = hva_to_pfn_retry(kvm, uhva)
    new_khva: int = NULL
    keep = False
    error = -EFAULT if is_error_noslot_pfn(new_pfn) else 0
    if gpc.kernel_map and not error:
        keep = new_pfn == old.pfn  # mapped already
        new_khva = old.khva if keep else gpc_map(new_pfn)
        if new_khva == NULL:
            error = -EFAULT
        else:
            new_khva += offset_in_page(uhva)

    gpc.lock.write_lock_irq()
    if error:
        gpc.valid = False
        gpc.pfn = KVM_PFN_ERR_FAULT
        gpc.khva = NULL
    else:  # `valid` is not stored: an invalidation may have cleared it
        gpc.pfn = new_pfn
        gpc.khva = new_khva
    return error, keep


def gpc_map(pfn: int) -> int:
    """Map the page frame into the kernel; may sleep. Returns NULL if that fails."""
    page = pfn_to_page(pfn)
    if page is not None:  # pfn_valid()
        return kmap(page)
    return memremap(pfn_to_hpa(pfn), PAGE_SIZE)


def kvm_gfn_to_pfn_cache_unmap(kvm: Kvm, gpc: GfnToPfnCache517) -> None:
    """Give up page and mapping, and stay on the list; may sleep."""
    gpc.lock.write_lock_irq()
    gpc.valid = False
    old = snapshot(gpc)
    gpc.khva = NULL
    gpc.pfn = KVM_PFN_ERR_FAULT
    gpc.lock.write_unlock_irq()
    __release_gpc(kvm, old.pfn, old.khva, old.gpa, old.dirty)


# -- birth and death -------------------------------------------------------------------------------


def kvm_gfn_to_pfn_cache_init(
    kvm: Kvm,
    gpc: GfnToPfnCache517,
    vcpu: KvmVcpu | None,
    guest_uses_pa: bool,
    kernel_map: bool,
    gpa: int,
    length: int,
    dirty: bool,
) -> int:
    """Make the cache active and translate `gpa`; may sleep. Returns what refresh returns.

    If that fails, the cache is active all the same. An active cache gets another address.
    """
    if not gpc.active:
        rwlock_init(gpc.lock)
        # The kernel needs no lock for these: callers see to it that nobody else is here. The model
        # takes the new one, which nobody else can hold, in the place of that promise.
        gpc.lock.write_lock_irq()
        gpc.khva = NULL
        gpc.pfn = KVM_PFN_ERR_FAULT
        gpc.uhva = KVM_HVA_ERR_BAD
        gpc.valid = False
        gpc.lock.write_unlock_irq()
        gpc.vcpu, gpc.kernel_map, gpc.guest_uses_pa = vcpu, kernel_map, guest_uses_pa
        gpc.active = True
        kvm.gpc_lock.lock()
        kvm.gpc_list = list_add(gpc, kvm.gpc_list)
        kvm.gpc_lock.unlock()
    return kvm_gfn_to_pfn_cache_refresh(kvm, gpc, gpa, length, dirty)


def kvm_gfn_to_pfn_cache_destroy(kvm: Kvm, gpc: GfnToPfnCache517) -> None:
    """Take the cache off the list, and give up page and mapping; may sleep."""
    if gpc.active:
        kvm.gpc_lock.lock()
        kvm.gpc_list = list_del(gpc, kvm.gpc_list)
        kvm.gpc_lock.unlock()
        kvm_gfn_to_pfn_cache_unmap(kvm, gpc)
        gpc.active = False
