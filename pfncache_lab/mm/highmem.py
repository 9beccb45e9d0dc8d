"""highmem.py: map page frames into the kernel, and use them there.

    khva = kmap(page)               page frames
    khva = memremap(hpa, size)      anything, also a device's memory
    store(khva + 8, b"...")         *khva = ..., one step
    load(khva, 8)
    store_phys(hpa, b"...")         what a guest does, without any mapping of the kernel's

Mappings are counted, as on a machine with HIGHMEM: what is used after the last kunmap() is found,
though on a 64-bit machine the address would still work. Mirrors mm/highmem.c, kernel/iomem.c.
"""

# ruff: noqa: D102  # What the methods of an operation are for stands in op.py.
from __future__ import annotations

from typing import Any

from ..sim import might_sleep
from .access import at_khva, at_phys, read_from, write_to
from .frames import Page, expect_page, the_ram
from .mapped import add_kernel_mapping, page_at, remove_kernel_mapping
from .step import MmOp, mm_step
from .types import NULL, PAGE_SIZE, PHYS_PFN, Khva, offset_in_page

PRIMITIVES = True


def kmap(page: Page) -> Khva:
    """Map a page into the kernel; returns the address of its first byte. May sleep."""
    expect_page(page)
    might_sleep("call kmap()")
    khva: Khva = mm_step(_Map(page))
    return khva


def kunmap(page: Page) -> None:
    """Undo one kmap() of this page. May sleep. Oops if there is none to undo."""
    expect_page(page)
    might_sleep("call kunmap()")
    mm_step(_Unmap(page, page.khva))


def memremap(hpa: int, size: int) -> Khva:
    """Map `size` bytes of physical memory, in one page. May sleep.

    NULL if nothing is there, or if the run's Ram says that it fails.
    """
    might_sleep("call memremap()")
    page = the_ram().pages.get(PHYS_PFN(hpa))
    if page is None or the_ram().memremap_fails or not 0 < size <= PAGE_SIZE - offset_in_page(hpa):
        return NULL
    return Khva(mm_step(_Map(page)) + offset_in_page(hpa))


def memunmap(khva: int) -> None:
    """Undo one memremap(). May sleep. Oops if there is none to undo."""
    might_sleep("call memunmap()")
    mm_step(_Unmap(page_at(khva), khva))


def load(khva: int, length: int) -> bytes:
    """Load `length` bytes through a mapping. Oops where nothing is mapped; UseAfterFree."""
    data: bytes = mm_step(_Load(page_at(khva), khva, length, False))
    return data


def store(khva: int, data: bytes) -> None:
    """Store through a mapping. Oops, UseAfterFree, or LostWrite if no page table leads there."""
    mm_step(_Store(page_at(khva), khva, data, False))


def load_phys(hpa: int, length: int) -> bytes:
    """Load what is at a physical address: so does a guest, whose own page table holds the pfn."""
    page = the_ram().pages.get(PHYS_PFN(hpa))
    data: bytes = mm_step(_Load(page, hpa, length, True))
    return data


def store_phys(hpa: int, data: bytes) -> None:
    """Store to a physical address, as a guest does. UseAfterFree, or LostWrite."""
    mm_step(_Store(the_ram().pages.get(PHYS_PFN(hpa)), hpa, data, True))


class _Map(MmOp):
    __slots__ = ("page", "reads")
    kind = "map"

    def __init__(self, page: Page) -> None:
        self.page = page
        self.reads = (page.kmap, page.map)  # those who map commute

    @property
    def writes(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.page.take_writes()

    def effect(self) -> Khva:
        add_kernel_mapping(self.page)
        return self.page.khva

    def future(self) -> str:
        return f"map {self.page.name} into the kernel"

    def past(self, result: Any) -> str:
        return f"{self.future()} at {result:#_x}"


class _Unmap(MmOp):
    __slots__ = ("page", "khva", "writes")
    kind = "unmap"

    def __init__(self, page: Page | None, khva: int) -> None:
        self.page = page
        self.khva = khva
        self.writes = (page.kmap,) if page is not None else ()

    def effect(self) -> None:
        remove_kernel_mapping(self.page, self.khva)

    def future(self) -> str:
        return f"unmap {self.khva:#_x} from the kernel"


class _Access(MmOp):
    __slots__ = ("page", "address", "physical", "reads", "writes")

    def __init__(self, page: Page | None, address: int, physical: bool) -> None:
        self.page = page
        self.address = address
        self.physical = physical
        self.reads = self.writes = ()
        if page is not None:
            self.reads = (page.map,) if physical else (page.map, page.kmap)

    def where(self) -> str:
        """Name the address."""
        return at_phys(self.address) if self.physical else at_khva(self.address)


class _Load(_Access):
    __slots__ = ("length",)
    kind = "load"

    def __init__(self, page: Page | None, address: int, length: int, physical: bool) -> None:
        super().__init__(page, address, physical)
        self.length = length
        self.reads += (page.id,) if page is not None else ()

    def effect(self) -> bytes:
        return read_from(self.page, self.address, self.length, self.physical)

    def future(self) -> str:
        return f"load {self.length} bytes at {self.where()}"

    def past(self, result: Any) -> str:
        return f"{self.future()} → {result.hex()}"


class _Store(_Access):
    __slots__ = ("data",)
    kind = "store"

    def __init__(self, page: Page | None, address: int, data: bytes, physical: bool) -> None:
        super().__init__(page, address, physical)
        self.data = bytes(data)
        self.writes = (page.id,) if page is not None else ()

    def effect(self) -> None:
        write_to(self.page, self.address, self.data, self.physical)

    def future(self) -> str:
        return f"store {self.data.hex()} at {self.where()}"
