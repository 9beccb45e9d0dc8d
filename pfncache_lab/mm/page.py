"""page.py: hand out page frames, take references to them, and drop them.

Each function that changes something is one step. Mirrors mm/page_alloc.c and linux/mm.h.
"""

# ruff: noqa: D102  # What the methods of an operation are for stands in op.py.
from __future__ import annotations

from typing import Any

from ..sim import UseAfterFree
from .counting import allocate, drop, free_page_story, take
from .frames import DEVICE, Page, Ram, expect_page, the_ram
from .step import MmOp, mm_report, mm_step
from .types import Pfn

PRIMITIVES = True

__all__ = [
    "Page", "PageReserved", "Ram", "SetPageDirty", "alloc_page", "get_page", "page_count",
    "page_to_pfn", "pfn_to_page", "pfn_valid", "put_page", "ram",
]  # fmt: skip


def ram() -> Ram:
    """Return the memory of this run."""
    return the_ram()


def alloc_page() -> Page | None:
    """Hand out a page of zeroes, with one reference. None if all frames are in use."""
    page: Page | None = mm_step(_Alloc())
    return page


def get_page(page: Page) -> None:
    """Take a reference. UseAfterFree if the page is free."""
    mm_step(_Get(page))


def get_page_unless_zero(page: Page) -> bool:
    """Take a reference if the page is in use. Returns whether it is."""
    taken: bool = mm_step(_TryGet(page))
    return taken


def put_page(page: Page) -> None:
    """Drop a reference, and free the page with the last one. DoubleFree if it is free."""
    mm_step(_Put(page))


def page_count(page: Page) -> int:
    """Return how many references there are."""
    count: int = mm_step(_Count(page))
    return count


def SetPageDirty(page: Page) -> None:
    """Say that the page has changed since it was read from disk. UseAfterFree if it is free."""
    mm_step(_SetDirty(page))


def PageReserved(page: Page) -> bool:
    """Tell whether nobody counts references to it: so for the page of zeroes."""
    return not page.counted


def pfn_valid(pfn: int) -> bool:
    """Tell whether there is a struct page for this frame; there is none for a device's memory."""
    page = the_ram().pages.get(pfn)
    return page is not None and page.kind != DEVICE


def pfn_to_page(pfn: int) -> Page | None:
    """Return the struct page of a frame, whoever has it now; None if there is none."""
    return the_ram().pages[pfn] if pfn_valid(pfn) else None


def page_to_pfn(page: Page) -> Pfn:
    """Return which frame it is."""
    return page.pfn


class _Alloc(MmOp):
    __slots__ = ()
    kind = "alloc"

    @property
    def reads(self) -> tuple[int, ...]:  # type: ignore[override]
        return the_ram().alloc_reads()

    @property
    def writes(self) -> tuple[int, ...]:  # type: ignore[override]
        return the_ram().alloc_writes()

    def effect(self) -> Page | None:
        return allocate()

    def future(self) -> str:
        return "allocate a page"

    def past(self, result: Any) -> str:
        return f"allocate a page → {result.name if result else 'none is free'}"


class _OnPage(MmOp):
    __slots__ = ("page",)

    def __init__(self, page: Page) -> None:
        expect_page(page)
        self.page = page


class _Get(_OnPage):
    __slots__ = ()
    kind = "get"

    @property
    def reads(self) -> tuple[int, ...]:  # type: ignore[override]
        return (self.page.ref,)

    @property
    def writes(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.page.take_writes()

    def effect(self) -> None:
        take(self.page)

    def future(self) -> str:
        return f"take a reference to {self.page.name}"

    def past(self, result: Any) -> str:
        return f"{self.future()}, now {self.page.refcount}"


class _TryGet(_Get):
    __slots__ = ()

    def effect(self) -> bool:  # type: ignore[override]
        free = self.page.free
        if not free:
            take(self.page)
        return not free

    def past(self, result: Any) -> str:
        return f"{self.future()} → {result}"


class _Put(_OnPage):
    __slots__ = ()
    kind = "put"

    @property
    def writes(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.page.drop_ids()

    def effect(self) -> None:
        drop(self.page)

    def future(self) -> str:
        return f"drop a reference to {self.page.name}"

    def past(self, result: Any) -> str:
        now = f"now {self.page.refcount}" if self.page.refcount else "and free it"
        return f"{self.future()}, {now}"


class _Count(_OnPage):
    __slots__ = ()
    kind = "load"

    @property
    def writes(self) -> tuple[int, ...]:  # type: ignore[override]
        return (self.page.ref,)  # takers only read it, but the order counts here

    def effect(self) -> int:
        return self.page.refcount

    def future(self) -> str:
        return f"count the references to {self.page.name}"

    def past(self, result: Any) -> str:
        return f"{self.future()} → {result}"


class _SetDirty(_OnPage):
    __slots__ = ("reads",)
    kind = "store"

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self.reads = (page.map,)  # nobody takes the mark back while the page is in use

    def effect(self) -> None:
        if self.page.free:
            mm_report(UseAfterFree(free_page_story(self.page, "marks as dirty", "what was in")))
        self.page.dirty = True

    def future(self) -> str:
        return f"mark {self.page.name} dirty"
