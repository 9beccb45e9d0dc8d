"""mm: the host's memory. Page frames, page tables, faults, get_user_pages, MMU notifiers.

Functions carry the kernel's names and take its arguments in its order; results are the kernel's: a
negative errno, 0, or False or None where there is nothing. A *step* is a place at which another
task can come in between; what is not a step costs a search nothing.

    types          Hva, Pfn, Khva, Hpa; PAGE_SHIFT, PAGE_SIZE, PAGE_MASK; offset_in_page(),
                   PAGE_ALIGN_DOWN(), PAGE_ALIGN(), PFN_PHYS(), PHYS_PFN(); EFAULT and the others
    page           Ram(frames=8, device_frames=0, first_pfn=…, memremap_fails=False): first in the
                   set-up; ram(), Page (struct page)
                   alloc_page() → Page | None, get_page(page), get_page_unless_zero(page) → bool,
                   put_page(page), SetPageDirty(page), page_count(page) → int   a step each
                   pfn_valid(pfn) → bool, pfn_to_page(pfn) → Page | None, page_to_pfn(page) → Pfn,
                   PageReserved(page) → bool                                 no step
    highmem        kmap(page) → Khva, kunmap(page), memremap(hpa, size) → Khva (NULL on failure),
                   memunmap(khva)                                            a step each; may sleep
                   load(khva, length) → bytes, store(khva, data)             a step each, anywhere
                   load_phys(hpa, length) → bytes, store_phys(hpa, data)     a step each: a guest
    mm_struct      MmStruct(name="mm", start=FIRST_HVA, pages=4), Vma,
                   find_vma(mm, hva) → Vma | None, under mmap_lock           no step
                   mmap_read_lock(mm), mmap_read_trylock(mm) → bool, mmap_read_unlock(mm),
                   mmap_write_lock(mm), mmap_write_unlock(mm)                a step each
    rwsem          RwSem, the sleeping lock of many readers or one writer
    pte_values     Present(page, writable), Migration, Swap, HwPoison: what an entry holds.
                   mm.entries() shows the page table to conditions and pictures
    gup            get_user_page_fast_only(mm, hva, write=False) → Page | None    a step, anywhere
                   get_user_pages_unlocked(mm, hva, write=False) → Page | -errno  may sleep
                   follow_pte(mm, hva) → Present | -EINVAL               a step, under mmap_lock
                   fixup_user_fault(mm, hva, write=False) → 0 | -errno   under mmap_lock; sleeps
    fault          handle_mm_fault(mm, hva, write) → 0 | -errno          under mmap_lock; sleeps
    uaccess        copy_to_user(mm, hva, data) → bytes not copied, copy_from_user(mm, hva, length)
                   → bytes | -EFAULT          a step where no fault is needed; may sleep
                   access_ok(hva, length) → bool                             no step
    mmu_notifier   MmuNotifier(invalidate_range_start, invalidate_range_end, release=None,
                   owner=None), mmu_notifier_register(mn, mm) in the set-up. The functions get
                   (mn, range), and start returns 0 or -EAGAIN
                   MmuNotifierRange(mm, start, end, event=MMU_NOTIFY_UNMAP, blockable=True)
                   mmu_notifier_range_blockable(range), mmu_notifier_invalidate_range_start(range),
                   mmu_notifier_invalidate_range_start_nonblock(range) → 0 | -EAGAIN,
                   mmu_notifier_invalidate_range_end(range)              no steps of their own
    vma            mmap(mm, hva, length, prot=PROT_READ | PROT_WRITE, flags=0, pfn=None),
                   munmap(mm, hva, length), mremap(mm, old, length, new),
                   mprotect(mm, hva, length, prot), madvise_dontneed(mm, hva, length): 0 | -errno
    migrate        migrate_page(mm, hva) → 0 | -EAGAIN | -ENOMEM
    swap           swap_out(mm, hva) → 0 | -EAGAIN; a fault swaps in
    ksm            ksm_merge(mm, hva, other) → 0 | -EAGAIN | -EINVAL
    fork           fork_cow(mm, child, hva, length) → 0 | -EFAULT
    hwpoison       memory_failure(mm, hva) → 0 | -EFAULT
    oom            oom_reap_task_mm(mm) → bool, exit_mmap(mm)
    checks         check_page_refs(ram, expected={pfn: count}), check_kernel_mappings(ram,
                   expected={pfn: count}): True, or raise PageLeak; for the conditions at the end
    errors         LostWrite, SharedWrite
    modules        MODULES, for sim.link
    fidelity       what is modelled, what is simplified, what is left out

The rest are parts: step, frames, counting, mapped, access (within a step), pte, paging, usermem,
moving (the steps on page-table entries). An event costs, besides its locks and notifiers, a step a
page, and migration and swap two.
"""

from .checks import check_kernel_mappings, check_page_refs
from .errors import LostWrite, SharedWrite
from .fault import handle_mm_fault
from .fork import fork_cow
from .frames import PAGE_POISON
from .gup import fixup_user_fault, follow_pte, get_user_page_fast_only, get_user_pages_unlocked
from .highmem import kmap, kunmap, load, load_phys, memremap, memunmap, store, store_phys
from .hwpoison import memory_failure
from .ksm import ksm_merge
from .migrate import migrate_page
from .mm_struct import (
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
    VM_IO,
    VM_PFNMAP,
    MmStruct,
    Vma,
    find_vma,
    mmap_read_lock,
    mmap_read_trylock,
    mmap_read_unlock,
    mmap_write_lock,
    mmap_write_unlock,
)
from .mmu_notifier import (
    MMU_NOTIFY_CLEAR,
    MMU_NOTIFY_PROTECTION_PAGE,
    MMU_NOTIFY_PROTECTION_VMA,
    MMU_NOTIFY_UNMAP,
    MmuNotifier,
    MmuNotifierRange,
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
    mmu_notifier_invalidate_range_start_nonblock,
    mmu_notifier_range_blockable,
    mmu_notifier_register,
)
from .oom import exit_mmap, oom_reap_task_mm
from .page import (
    Page,
    PageReserved,
    Ram,
    SetPageDirty,
    alloc_page,
    get_page,
    get_page_unless_zero,
    page_count,
    page_to_pfn,
    pfn_to_page,
    pfn_valid,
    put_page,
    ram,
)
from .pte_values import HwPoison, Migration, Present, Pte, Swap
from .rwsem import RwSem
from .swap import swap_out
from .types import *  # noqa: F403  # the arithmetic, and the errno constants
from .types import __all__ as _types
from .uaccess import access_ok, copy_from_user, copy_to_user
from .vma import madvise_dontneed, mmap, mprotect, mremap, munmap

__all__ = [
    "MMU_NOTIFY_CLEAR", "MMU_NOTIFY_PROTECTION_PAGE", "MMU_NOTIFY_PROTECTION_VMA",
    "MMU_NOTIFY_UNMAP", "PAGE_POISON", "PROT_NONE", "PROT_READ", "PROT_WRITE", "VM_IO",
    "VM_PFNMAP", "HwPoison", "LostWrite", "Migration", "MmStruct", "MmuNotifier",
    "MmuNotifierRange", "Page", "PageReserved", "Present", "Pte", "Ram", "RwSem", "SetPageDirty",
    "SharedWrite", "Swap", "Vma", "access_ok", "alloc_page", "check_kernel_mappings",
    "check_page_refs", "copy_from_user", "copy_to_user", "exit_mmap", "find_vma",
    "fixup_user_fault", "follow_pte", "fork_cow", "get_page", "get_page_unless_zero",
    "get_user_page_fast_only", "get_user_pages_unlocked", "handle_mm_fault", "kmap", "ksm_merge",
    "kunmap", "load", "load_phys", "madvise_dontneed", "memory_failure", "memremap", "memunmap",
    "migrate_page", "mmap", "mmap_read_lock", "mmap_read_trylock", "mmap_read_unlock",
    "mmap_write_lock", "mmap_write_unlock", "mmu_notifier_invalidate_range_end",
    "mmu_notifier_invalidate_range_start", "mmu_notifier_invalidate_range_start_nonblock",
    "mmu_notifier_range_blockable", "mmu_notifier_register", "mprotect", "mremap", "munmap",
    "oom_reap_task_mm", "page_count", "page_to_pfn", "pfn_to_page", "pfn_valid", "put_page", "ram",
    "store", "store_phys", "swap_out",
]  # fmt: skip
__all__ += _types
