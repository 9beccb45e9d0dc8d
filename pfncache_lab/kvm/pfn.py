"""pfn.py: the page frame behind a user address, and a reference to its page.

Mirrors hva_to_pfn() and kvm_release_pfn_*() of virt/kvm/kvm_main.c, v5.17, and
mmu_notifier_retry_hva() of include/linux/kvm_host.h. They have a module of their own because the
notifier, which is in kvm_main too, calls the cache, and the cache calls these.
"""

from __future__ import annotations

from ..mm import (
    EHWPOISON,
    VM_IO,
    VM_PFNMAP,
    Page,
    PageReserved,
    SetPageDirty,
    find_vma,
    fixup_user_fault,
    follow_pte,
    get_page_unless_zero,
    get_user_page_fast_only,
    get_user_pages_unlocked,
    mmap_read_lock,
    mmap_read_unlock,
    page_to_pfn,
    pfn_to_page,
    put_page,
)
from ..sim import lockdep_assert_held, might_sleep
from .kvm_host import Kvm
from .kvm_types import (
    KVM_PFN_ERR_FAULT,
    KVM_PFN_ERR_HWPOISON,
    KVM_PFN_ERR_RO_FAULT,
    is_error_noslot_pfn,
)


def hva_to_pfn(kvm: Kvm, addr: int, atomic: bool, write_fault: bool) -> int:
    """Return the pfn behind a user address, with a reference to its page, or KVM_PFN_ERR_*.

    Faults the page in, and may sleep, unless `atomic`. With `write_fault` the page can be written
    to. A frame without a struct page has no references. `kvm` says whose address it is; the kernel
    takes it to be one of the current process. One step if the page is there.
    """
    pfn = hva_to_pfn_fast(kvm, addr, write_fault)
    if pfn != KVM_PFN_ERR_FAULT:
        return pfn
    if atomic:
        return KVM_PFN_ERR_FAULT
    return hva_to_pfn_slow(kvm, addr, write_fault)


def hva_to_pfn_fast(kvm: Kvm, addr: int, write_fault: bool) -> int:
    """Look the page up without a fault, in any context; KVM_PFN_ERR_FAULT if that is not enough.

    Only for writing: a page that can be written to serves for reading as well.
    """
    if not write_fault:
        return KVM_PFN_ERR_FAULT
    page = get_user_page_fast_only(kvm.mm, addr, True)
    return page_to_pfn(page) if page else KVM_PFN_ERR_FAULT


def hva_to_pfn_slow(kvm: Kvm, addr: int, write_fault: bool) -> int:
    """Fault the page in, or find the frame of a device that is mapped there. May sleep."""
    might_sleep("fault a page in")
    page = get_user_pages_unlocked(kvm.mm, addr, write_fault)
    if isinstance(page, Page):
        return page_to_pfn(page)
    mmap_read_lock(kvm.mm)
    if page == -EHWPOISON:
        pfn = KVM_PFN_ERR_HWPOISON
    else:
        pfn = hva_to_pfn_remapped(kvm, addr, write_fault)
    mmap_read_unlock(kvm.mm)
    return pfn


def hva_to_pfn_remapped(kvm: Kvm, addr: int, write_fault: bool) -> int:
    """Find what a driver has mapped there: a frame that may have no struct page. mmap_lock held."""
    lockdep_assert_held(kvm.mm.mmap_lock)
    vma = find_vma(kvm.mm, addr)
    if vma is None or not vma.flags & (VM_IO | VM_PFNMAP):
        return KVM_PFN_ERR_FAULT
    pte = follow_pte(kvm.mm, addr)
    if isinstance(pte, int):
        if fixup_user_fault(kvm.mm, addr, write_fault):
            return KVM_PFN_ERR_FAULT
        pte = follow_pte(kvm.mm, addr)
        if isinstance(pte, int):
            return KVM_PFN_ERR_FAULT
    if write_fault and not pte.writable:
        return KVM_PFN_ERR_RO_FAULT
    page = kvm_pfn_to_refcounted_page(pte.pfn)
    if page and not get_page_unless_zero(page):
        return KVM_PFN_ERR_FAULT
    return pte.pfn


def kvm_pfn_to_refcounted_page(pfn: int) -> Page | None:
    """Return the page of a frame to which references are counted, and else None. No step.

    None for an error, for the memory of a device and for the page of zeroes. Mirrors v6.1.
    """
    if is_error_noslot_pfn(pfn):
        return None
    page = pfn_to_page(pfn)
    return None if page is None or PageReserved(page) else page


def kvm_release_pfn_clean(pfn: int) -> None:
    """Drop a reference that hva_to_pfn() has taken; nothing if none was taken."""
    if page := kvm_pfn_to_refcounted_page(pfn):
        put_page(page)


def kvm_release_pfn_dirty(pfn: int) -> None:
    """Drop a reference to a page that has been written to."""
    kvm_set_pfn_dirty(pfn)
    kvm_release_pfn_clean(pfn)


def kvm_set_pfn_dirty(pfn: int) -> None:
    """Say that the page has been written to, so that it is not dropped without being saved."""
    if page := kvm_pfn_to_refcounted_page(pfn):
        SetPageDirty(page)


def kvm_release_pfn(pfn: int, dirty: bool) -> None:
    """Drop a reference; nothing for pfn 0, which is what a cache held that held none."""
    if pfn == 0:
        return
    if dirty:
        kvm_release_pfn_dirty(pfn)
    else:
        kvm_release_pfn_clean(pfn)


def mmu_notifier_retry_hva(kvm: Kvm, mmu_seq: int, hva: int) -> bool:
    """Whether what was looked up at `hva` may be out of date by now. Under mmu_lock; a step.

    `mmu_seq` is mmu_invalidate_seq from before the look. An invalidation that has ended meanwhile
    shows in the sequence, and one that has not ended in the range.
    """
    lockdep_assert_held(kvm.mmu_lock)
    if (
        kvm.mmu_invalidate_in_progress
        and kvm.mmu_invalidate_range_start <= hva < kvm.mmu_invalidate_range_end
    ):
        return True
    return kvm.mmu_invalidate_seq != mmu_seq
