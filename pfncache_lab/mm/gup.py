"""gup.py: get_user_pages: find the page of a user's address, and take a reference to it.

    get_user_page_fast_only()     one look at the page table; anywhere, also in an interrupt
    get_user_pages_unlocked()     with faults, so it sleeps
    follow_pte()                  without a reference: for areas whose frames nobody counts

Mirrors mm/gup.c and mm/memory.c.
"""

from __future__ import annotations

from ..sim import lockdep_assert_held, might_sleep
from .fault import handle_mm_fault
from .frames import Page
from .mm_struct import (
    PROT_WRITE,
    VM_IO,
    VM_PFNMAP,
    MmStruct,
    find_vma,
    mmap_read_lock,
    mmap_read_unlock,
)
from .paging import get_user_page_fast_only
from .pte import ptep_get
from .pte_values import Present
from .types import EFAULT, EINVAL

__all__ = [
    "fixup_user_fault",
    "follow_pte",
    "get_user_page_fast_only",
    "get_user_pages_unlocked",
]


def get_user_pages_unlocked(mm: MmStruct, hva: int, write: bool = False) -> Page | int:
    """Return the page of an address, with a reference; faults it in, and so may sleep.

    -EFAULT where no area allows the access, and for the memory of devices; -ENOMEM; -EHWPOISON.
    """
    might_sleep("call get_user_pages_unlocked()")
    mmap_read_lock(mm)
    page = get_user_page(mm, hva, write)
    mmap_read_unlock(mm)
    return page


def get_user_page(mm: MmStruct, hva: int, write: bool) -> Page | int:
    """Return the page of an address, or -errno, holding mmap_lock: __get_user_pages()."""
    vma = find_vma(mm, hva)
    if vma is None or vma.flags & (VM_IO | VM_PFNMAP) or (write and not vma.prot & PROT_WRITE):
        return -EFAULT
    while True:
        page = get_user_page_fast_only(mm, hva, write)
        if page is not None:
            return page
        ret = handle_mm_fault(mm, hva, write)
        if ret:
            return ret


def follow_pte(mm: MmStruct, hva: int) -> Present | int:
    """Return the entry of an address, holding mmap_lock; takes no reference. -EINVAL if none."""
    lockdep_assert_held(mm.mmap_lock)
    entry = ptep_get(mm, hva)
    return entry if isinstance(entry, Present) else -EINVAL


def fixup_user_fault(mm: MmStruct, hva: int, write: bool = False) -> int:
    """Fault as the user would, holding mmap_lock. Returns 0 or -errno."""
    return handle_mm_fault(mm, hva, write)
