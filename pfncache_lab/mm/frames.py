"""frames.py: the page frames of a run, who refers to them, and what can be said about that.

A page frame is in use while its reference count is above zero. Then it goes to the end of a list of
free frames, filled with a pattern, and the frame at the front is the next to be handed out: so that
one that was freed is found to be free for as long as possible (KASAN's quarantine has that aim).

Each `Page` has four numbers, so that two steps that do not disturb each other commute:

    ref     its reference count: taking one reads, for takers commute; dropping one writes
    map     whether page tables lead to it, and whether it is free
    kmap    its mappings into the kernel
    data    its contents; this one is `id`

Mirrors struct page (linux/mm_types.h) and mm/page_poison.c.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import ClassVar

from ..sim import ModelError, Oops, machine
from ..sim.machine import new_id
from ..sim.shown import shown
from .step import Done, Trail, doer, done, here, mm_report, new_trail
from .types import (
    DIRECT_MAP,
    FIRST_DEVICE_PFN,
    FIRST_PFN,
    MEMREMAP_AREA,
    PAGE_SHIFT,
    PAGE_SIZE,
    ZERO_PFN,
    Khva,
    Pfn,
)

PRIMITIVES = True

PAGE_POISON = 0xAA
"""What fills a page that is free."""
POISONED = bytes([PAGE_POISON]) * PAGE_SIZE
ZEROES = bytes(PAGE_SIZE)

DEVICE, RESERVED = "device", "reserved"


class Page:
    """struct page, and the frame that it stands for.

    A frame of a device's memory is kept here as well, but the kernel has no struct page for it: see
    pfn_to_page(). The fields are for set-up, conditions and pictures; tasks use the functions.
    """

    __slots__ = (
        "pfn", "kind", "id", "ref", "map", "kmap", "version", "refcount", "mapcount", "kmaps",
        "stale", "data", "dirty", "hwpoison", "trail", "mappings", "unmapped", "freed",
    )  # fmt: skip

    def __init__(self, pfn: Pfn, kind: str = "") -> None:
        """Make a frame that is free, unless it is of a `kind` that nobody counts references to."""
        self.id = new_id(self, 4)
        self.ref, self.map, self.kmap = self.id + 1, self.id + 2, self.id + 3
        self.pfn = pfn
        self.kind = kind
        self.version = 0
        """How often its contents changed: what a task that spins on them waits for."""
        self.refcount = 1 if kind else 0
        self.mapcount: int | None = None
        """How many page-table entries lead to it, by migration or the swap cache as well; None as
        long as there has never been one."""
        self.kmaps = 0
        """How many mappings into the kernel there are."""
        self.stale = False
        """Whether those were made before the frame was last freed."""
        self.data = ZEROES if kind else POISONED
        self.dirty = False
        self.hwpoison = False
        self.trail: Trail = new_trail()
        """Who took and dropped references, the latest last."""
        self.mappings: Trail = new_trail()
        """Who mapped it into the kernel, and who unmapped it."""
        self.unmapped: Done | None = None
        """Who removed the last page-table entry."""
        self.freed: Done | None = None

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"page frame {self.pfn:#x}"

    @property
    def counted(self) -> bool:
        """Whether references to it are counted."""
        return not self.kind

    @property
    def free(self) -> bool:
        """Whether nobody has it."""
        return self.refcount == 0

    @property
    def lost(self) -> bool:
        """Whether it was mapped once, and no page table leads to it any more."""
        return self.mapcount == 0

    @property
    def khva(self) -> Khva:
        """Where the kernel sees it while it is mapped."""
        base = MEMREMAP_AREA if self.kind == DEVICE else DIRECT_MAP
        return Khva(base + (self.pfn << PAGE_SHIFT))

    def state(self) -> Hashable:
        """Return what later steps depend on."""
        if self.refcount == 0 and self.kmaps == 0:
            return self.hwpoison
        return (
            self.refcount, self.mapcount, self.kmaps, self.stale, self.dirty, self.hwpoison,
            self.data,
        )  # fmt: skip

    def drop_ids(self) -> tuple[int, ...]:
        """Name what dropping a reference writes. The last one frees, and so does more."""
        if self.kind:
            return ()
        if self.refcount == 1:
            return (self.ref, self.map, self.kmap, the_ram().tail)
        return (self.ref,)

    def take_writes(self) -> tuple[int, ...]:
        """Name what taking a reference writes. It reads `ref`."""
        return (self.kmap,) if self.stale else ()

    def put_data(self, offset: int, data: bytes) -> None:
        """Change the contents from byte `offset` on."""
        self.data = self.data[:offset] + data + self.data[offset + len(data) :]
        self.version += 1

    @property
    def map_ids(self) -> tuple[int, ...]:
        """Name what is written when a page-table entry leads to it, or does so no longer."""
        return () if self.kind == RESERVED else (self.map,)

    def add_mapping(self) -> None:
        """Note that one more page-table entry leads to it."""
        if self.kind == RESERVED:
            return
        self.mapcount = (self.mapcount or 0) + 1

    def remove_mapping(self, hva: int, how: str = "unmapped it from") -> None:
        """Note that a page-table entry does not lead to it any more."""
        if self.kind == RESERVED:
            return
        assert self.mapcount
        self.mapcount -= 1
        if not self.mapcount:
            self.unmapped = done(f"{how} hva {hva:#_x}")

    def __repr__(self) -> str:
        if self.kind:
            return f"<Page {self.pfn:#x}, {self.kind}>"
        return f"<Page {self.pfn:#x}, {'free' if self.free else f'{self.refcount} references'}>"


class Ram:
    """The physical memory of a run: make one first in the set-up. It is the run's memory then."""

    current: ClassVar[Ram | None] = None

    def __init__(
        self,
        frames: int = 8,
        device_frames: int = 0,
        first_pfn: int = FIRST_PFN,
        memremap_fails: bool = False,
    ) -> None:
        """Make `frames` free page frames, and as many frames of a device as wanted.

        With few frames, one that is freed is soon handed out again: the same pfn, another page.
        """
        self.memremap_fails = memremap_fails
        self.head = new_id(self, 2)
        self.tail = self.head + 1
        """Handing out writes the front of the free list, freeing the other end. They meet where
        the list is empty."""
        self._world = machine.world
        pfns = range(first_pfn, first_pfn + frames)
        self.zero_page = Page(ZERO_PFN, RESERVED)
        self.pages = {pfn: Page(Pfn(pfn)) for pfn in pfns}
        self.pages[ZERO_PFN] = self.zero_page
        for pfn in range(FIRST_DEVICE_PFN, FIRST_DEVICE_PFN + device_frames):
            self.pages[pfn] = Page(Pfn(pfn), DEVICE)
        self.free = deque(self.pages[pfn] for pfn in pfns)
        Ram.current = self

    def state(self) -> Hashable:
        """Return the free list, in the order in which the frames will be handed out."""
        return tuple([page.pfn for page in self.free])

    def next_page(self) -> Page | None:
        """Return the frame that is handed out next."""
        return self.free[0] if self.free else None

    def alloc_reads(self) -> tuple[int, ...]:
        """Name what an allocation reads: with an empty list it fails unless something is freed."""
        return () if self.free else (self.tail,)

    def alloc_writes(self) -> tuple[int, ...]:
        """Name what an allocation writes."""
        page = self.next_page()
        return (self.head,) if page is None else (self.head, page.ref, page.map, page.id)

    def snapshot(self) -> dict[str, object]:
        """Copy what pictures show: the references and contents of all frames in use."""
        used = [page for page in self.pages.values() if page.counted and not page.free]
        counts: dict[str, object] = {f"page {page.pfn:#x}": page.refcount for page in used}
        return counts | {"free": self.state()}

    def __repr__(self) -> str:
        return f"<Ram, {len(self.free)} of {len(self.pages) - 1} page frames free>"


def expect_page(page: object) -> None:
    """Stop a task that hands over what a lookup has returned, and has not looked whether it failed.

    The kernel would take the number for an address, and find out later.
    """
    if not isinstance(page, Page):
        mm_report(
            Oops(
                f"{doer()} hands over {shown(page)} where a page is wanted ({here()}). A lookup "
                "that fails returns None, or a negative error: look before you use it."
            )
        )


def the_ram() -> Ram:
    """Return the memory of this run. Raises ModelError if the set-up has made none."""
    ram = Ram.current
    if ram is None or ram._world is not machine.world:
        raise ModelError("This run has no memory. Begin the set-up with `Ram()`.")
    return ram
