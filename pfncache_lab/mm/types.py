"""types.py: the addresses of the host, and the arithmetic on them.

    Hva    host virtual address: what the user of a process sees, e.g. 0x7f5a_a000_0080
    Pfn    page frame number: which page of physical memory, e.g. 2305 (0x901)
    Hpa    host physical address, in bytes: PFN_PHYS(pfn) plus an offset
    Khva   kernel virtual address, e.g. 0xffff_8880_0090_1080

They never coincide, so that a number in a message can be only one of them. Mirrors linux/pfn.h,
asm/page.h and linux/mm.h.
"""

from __future__ import annotations

from errno import EAGAIN, EBUSY, EEXIST, EFAULT, EINVAL, EIO, ENOMEM, EPERM
from typing import NewType

__all__ = [
    "EAGAIN", "EBUSY", "EEXIST", "EFAULT", "EHWPOISON", "EINVAL", "EIO", "ENOMEM", "EPERM",
    "FIRST_DEVICE_PFN", "FIRST_HVA", "FIRST_PFN", "NULL", "PAGE_MASK", "PAGE_SHIFT", "PAGE_SIZE",
    "DIRECT_MAP", "MEMREMAP_AREA", "ZERO_PFN", "Hpa", "Hva", "Khva", "Pfn",
    "PAGE_ALIGN", "PAGE_ALIGN_DOWN", "PFN_PHYS", "PHYS_PFN", "offset_in_page",
]  # fmt: skip

Hva = NewType("Hva", int)
Pfn = NewType("Pfn", int)
Hpa = NewType("Hpa", int)
Khva = NewType("Khva", int)

EHWPOISON = 133
"""Not in Python's errno."""

PAGE_SHIFT = 12
PAGE_SIZE = 1 << PAGE_SHIFT
PAGE_MASK = ~(PAGE_SIZE - 1)

FIRST_PFN = Pfn(0x901)
"""The first page frame of a run; no gfn is that large."""
ZERO_PFN = Pfn(0x8FF)
"""The page that all share who have read and never written."""
FIRST_DEVICE_PFN = Pfn(0xFD00)
"""The first frame of a device's memory, for which there is no struct page."""
FIRST_HVA = Hva(0x7F5A_A000_0000)
"""Where a process's memory begins, if it does not say otherwise."""
DIRECT_MAP = 0xFFFF_8880_0000_0000
"""Where the kernel sees all page frames: what kmap() returns on a 64-bit machine."""
MEMREMAP_AREA = 0xFFFF_C900_0000_0000
"""Where the kernel sees what has been given to memremap()."""
NULL = Khva(0)


def PAGE_ALIGN_DOWN(address: int) -> int:
    """Return the address of the page's first byte."""
    return address & PAGE_MASK


def PAGE_ALIGN(address: int) -> int:
    """Return the address of the first page that begins there or later."""
    return (address + PAGE_SIZE - 1) & PAGE_MASK


def offset_in_page(address: int) -> int:
    """Return how many bytes into its page an address is."""
    return address & ~PAGE_MASK


def PFN_PHYS(pfn: int) -> Hpa:
    """Return the physical address of a page frame's first byte."""
    return Hpa(pfn << PAGE_SHIFT)


def PHYS_PFN(hpa: int) -> Pfn:
    """Return the number of the frame in which a physical address lies."""
    return Pfn(hpa >> PAGE_SHIFT)
