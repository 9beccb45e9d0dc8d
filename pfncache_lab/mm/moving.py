"""moving.py: the steps by which a page gets another frame, or none: migration, swap, merging.

A page whose reference count says that somebody else uses it stays where it is. Looking at the count
and changing the entry is one step, as it is in the kernel, which freezes the count for it. Mirrors
mm/migrate.c, mm/vmscan.c, mm/ksm.c, mm/memory-failure.c.
"""

# ruff: noqa: D102  # What the methods of an operation are for stands in op.py.
from __future__ import annotations

from typing import Any

from .counting import allocate, take
from .frames import Page, the_ram
from .mm_struct import MmStruct
from .pte import PteOp, leave, leave_ids, saw
from .pte_values import HwPoison, Migration, Present, Pte, Swap
from .step import mm_step
from .types import EAGAIN, ENOMEM

PRIMITIVES = True


def set_migration_entry(mm: MmStruct, hva: int) -> int:
    """Take a page out of the page table, to move it. 0, or -EAGAIN if it cannot be moved."""
    ret: int = mm_step(_Detach(mm.pte(hva), "to move it"))
    return ret


def move_to_new_page(mm: MmStruct, hva: int) -> int:
    """Copy a page that was taken out, and put the copy in. 0, -EAGAIN or -ENOMEM.

    With an error, the old page is back where it was.
    """
    ret: int = mm_step(_MoveToNew(mm.pte(hva)))
    return ret


def set_swap_entry(mm: MmStruct, hva: int) -> int:
    """Put a page into the swap cache. 0, or -EAGAIN."""
    ret: int = mm_step(_Detach(mm.pte(hva), "to swap it out"))
    return ret


def write_to_swap(mm: MmStruct, hva: int) -> int:
    """Write a page from the swap cache to the device, and free it. 0, or -EAGAIN."""
    ret: int = mm_step(_WriteOut(mm.pte(hva)))
    return ret


def merge_ptes(mm: MmStruct, hva: int, other: int) -> int:
    """Let two entries lead to one page, if their pages hold the same. 0, or -EAGAIN."""
    ret: int = mm_step(_Merge(mm.pte(hva), mm.pte(other)))
    return ret


def set_hwpoison_entry(mm: MmStruct, hva: int) -> bool:
    """Unmap a page for ever: its memory is broken. False if there is none."""
    broken: bool = mm_step(_Poison(mm.pte(hva)))
    return broken


def movable(pte: Pte) -> Present | None:
    """Return an entry whose page counts its references and belongs to this entry alone."""
    value = pte.value
    if not isinstance(value, Present) or not value.page.counted or value.page.mapcount != 1:
        return None
    return value


class _Detach(PteOp):
    __slots__ = ("why",)
    kind = "unmap"

    def __init__(self, pte: Pte, why: str) -> None:
        super().__init__(pte)
        self.why = why

    @property
    def reads(self) -> tuple[int, ...]:  # type: ignore[override]
        page = self.pte.page
        return () if page is None else page.map_ids

    def effect(self) -> int:
        value = movable(self.pte)
        saw(self.pte)
        if value is None:
            return -EAGAIN
        moving = self.why == "to move it"
        self.pte.set(Migration(value.page, value.writable) if moving else Swap(value.page))
        return 0

    def future(self) -> str:
        return f"unmap {self.where()} {self.why}"

    def past(self, result: Any) -> str:
        return f"{self.future()} → {'done' if result == 0 else 'not possible'}"


class _MoveToNew(PteOp):
    __slots__ = ()
    kind = "move"

    @property
    def reads(self) -> tuple[int, ...]:  # type: ignore[override]
        page = self.pte.page
        return () if page is None else (page.id, *the_ram().alloc_reads())

    @property
    def writes(self) -> tuple[int, ...]:  # type: ignore[override]
        page, value = self.pte.page, self.pte.value
        if not isinstance(value, Migration) or page is None:
            return (self.pte.id,)
        if page.refcount > 1:
            return (self.pte.id, page.ref)
        return (self.pte.id, *leave_ids(page), *the_ram().alloc_writes())

    def effect(self) -> int:
        pte, value = self.pte, self.pte.value
        if not isinstance(value, Migration):
            return -EAGAIN  # somebody has unmapped it meanwhile
        pinned = value.page.refcount > 1
        new = None if pinned else allocate(value.page.data)
        if new is None:
            pte.set(Present(value.page, value.writable))
            return -EAGAIN if pinned else -ENOMEM
        new.add_mapping()
        pte.set(Present(new, value.writable))
        leave(value.page, pte.hva, f"moved it to {new.name}, away from")
        return 0

    def future(self) -> str:
        return f"move the page at {self.where()} to another frame"

    def past(self, result: Any) -> str:
        if result or self.pte.page is None:
            return f"{self.future()} → {'pinned, so it stays' if result == -EAGAIN else result}"
        return f"{self.future()} → {self.pte.page.name}"


class _WriteOut(PteOp):
    __slots__ = ()
    kind = "write out"

    def cached(self) -> Page | None:
        """Return the page while it is in the swap cache."""
        value = self.pte.value
        return value.page if isinstance(value, Swap) else None

    @property
    def reads(self) -> tuple[int, ...]:  # type: ignore[override]
        page = self.cached()
        return (self.pte.id,) if page is None else (page.id,)

    @property
    def writes(self) -> tuple[int, ...]:  # type: ignore[override]
        page = self.cached()
        if page is None:
            return ()
        return (self.pte.id, page.ref) if page.refcount > 1 else (self.pte.id, *leave_ids(page))

    def effect(self) -> int:
        page = self.cached()
        saw(self.pte)
        if page is None or page.refcount > 1:
            return -EAGAIN
        self.pte.set(Swap(None, page.data))
        leave(page, self.pte.hva, "swapped it out from")
        return 0

    def future(self) -> str:
        return f"write the page at {self.where()} to swap"

    def past(self, result: Any) -> str:
        return f"{self.future()} → {'done' if result == 0 else 'in use, so it stays'}"


class _Merge(PteOp):
    __slots__ = ("other",)
    kind = "merge"

    def __init__(self, pte: Pte, other: Pte) -> None:
        super().__init__(pte)
        self.other = other

    def pair(self) -> tuple[Page, Page] | None:
        """Return two pages that nobody else uses and that hold the same."""
        kept, gone = self.pte.value, self.other.value
        if not (isinstance(kept, Present) and isinstance(gone, Present)):
            return None
        alike = kept.page is not gone.page and kept.page.data == gone.page.data
        quiet = [page.counted and page.refcount == page.mapcount for page in (kept.page, gone.page)]
        return (kept.page, gone.page) if alike and all(quiet) else None

    @property
    def reads(self) -> tuple[int, ...]:  # type: ignore[override]
        return tuple([pte.page.id for pte in (self.pte, self.other) if pte.page is not None])

    @property
    def writes(self) -> tuple[int, ...]:  # type: ignore[override]
        ids: tuple[int, ...] = (self.pte.id, self.other.id)
        for pte in (self.pte, self.other):  # the counts decide, so the order with takers matters
            if pte.page is not None:
                ids += (pte.page.ref, *pte.page.map_ids, *pte.page.take_writes())
        return ids if self.other.page is None else ids + self.other.page.drop_ids()

    def effect(self) -> int:
        pair = self.pair()
        if pair is None:
            return -EAGAIN
        kept, gone = pair
        for pte in (self.pte, self.other):
            assert isinstance(pte.value, Present)
            pte.set(Present(kept, False, pte.value.readable))
        kept.add_mapping()
        take(kept)
        leave(gone, self.other.hva, f"merged it with {kept.name}, away from")
        return 0

    def future(self) -> str:
        return f"merge the pages at {self.where()} and {self.other.hva:#_x}"

    def past(self, result: Any) -> str:
        return f"{self.future()} → {'done' if result == 0 else 'not possible'}"


class _Poison(PteOp):
    __slots__ = ()
    kind = "poison"

    def broken(self) -> Page | None:
        """Return the page that can be taken away."""
        value = self.pte.value
        return value.page if isinstance(value, Present) and value.page.counted else None

    @property
    def writes(self) -> tuple[int, ...]:  # type: ignore[override]
        page = self.broken()
        ids = (self.pte.id,)
        return ids if page is None else (*ids, page.id, *leave_ids(page))

    def effect(self) -> bool:
        page = self.broken()
        if page is None:
            return False
        page.hwpoison = True
        self.pte.set(HwPoison(page.pfn))
        leave(page, self.pte.hva, "found its memory broken, and unmapped it from")
        return True

    def future(self) -> str:
        return f"take the broken page at {self.where()} out of use"
