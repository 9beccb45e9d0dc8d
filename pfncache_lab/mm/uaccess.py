"""uaccess.py: copy between the kernel and a user's address. Mirrors linux/uaccess.h."""

from __future__ import annotations

from ..sim import might_sleep
from .fault import handle_mm_fault
from .mm_struct import MmStruct, find_vma, mmap_read_lock, mmap_read_unlock
from .types import EFAULT, PAGE_SIZE, offset_in_page
from .usermem import user_load, user_store

TASK_SIZE_MAX = (1 << 47) - PAGE_SIZE
"""The user addresses are those below it."""


def access_ok(hva: int, length: int) -> bool:
    """Tell whether all of these can be user addresses; not whether anything is there. No step."""
    return hva + length <= TASK_SIZE_MAX


def copy_to_user(mm: MmStruct, hva: int, data: bytes) -> int:
    """Store as the user would, faulting pages in. Returns how many bytes were not copied."""
    might_sleep("call copy_to_user()")
    while data:
        part = data[: PAGE_SIZE - offset_in_page(hva)]
        if has_area(mm, hva) and user_store(mm, hva, part):
            hva, data = hva + len(part), data[len(part) :]
        elif fault_in_user(mm, hva, True):
            return len(data)
    return 0


def copy_from_user(mm: MmStruct, hva: int, length: int) -> bytes | int:
    """Load as the user would, faulting pages in. Returns the bytes, or -EFAULT."""
    might_sleep("call copy_from_user()")
    data = b""
    while len(data) < length:
        here, part = hva + len(data), length - len(data)
        if part > PAGE_SIZE - offset_in_page(here):
            part = PAGE_SIZE - offset_in_page(here)
        found = user_load(mm, here, part) if has_area(mm, here) else None
        if found is not None:
            data += found
        elif fault_in_user(mm, here, False):
            return -EFAULT
    return data


def has_area(mm: MmStruct, hva: int) -> bool:
    """Tell whether the set-up has provided for this address; another one only faults."""
    return mm.has_pte(hva)


def fault_in_user(mm: MmStruct, hva: int, write: bool) -> int:
    """Fault as a user's instruction does. Returns 0 or -errno."""
    mmap_read_lock(mm)
    vma = find_vma(mm, hva)
    ret = -EFAULT if vma is None else handle_mm_fault(mm, hva, write)
    mmap_read_unlock(mm)
    return ret
