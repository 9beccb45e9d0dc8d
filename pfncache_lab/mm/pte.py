"""pte.py: the steps on one page-table entry that nobody has to wait for.

What happens in the kernel under the lock of the page table, with the flush of the TLB and the
references that the entry holds, is one step here. Mirrors mm/memory.c, mm/rmap.c, mm/mprotect.c.
"""

# ruff: noqa: D102  # What the methods of an operation are for stands in op.py.
from __future__ import annotations

from typing import Any

from ..sim import machine
from .counting import drop, take
from .frames import Page
from .mm_struct import PROT_READ, PROT_WRITE, MmStruct
from .pte_values import HwPoison, Migration, Present, Pte, Swap, Value
from .step import MmOp, mm_step

PRIMITIVES = True

__all__ = [
    "HwPoison", "Migration", "Present", "Pte", "Swap", "Value", "change_protection_of",
    "move_pte", "ptep_get", "share_pte", "zap_pte",
]  # fmt: skip


def ptep_get(mm: MmStruct, hva: int) -> Value:
    """Look at the entry of an address."""
    value: Value = mm_step(_Look(mm.pte(hva)))
    return value


def zap_pte(mm: MmStruct, hva: int) -> None:
    """Clear an entry, flush the TLB, and drop the page table's reference."""
    mm_step(_Zap(mm.pte(hva)))


def change_protection_of(mm: MmStruct, hva: int, prot: int) -> None:
    """Let the hardware allow no more than `prot`. What it allows more, faults find out."""
    mm_step(_Protect(mm.pte(hva), prot))


def move_pte(mm: MmStruct, old: int, new: int) -> None:
    """Move an entry to another address, where there is none."""
    mm_step(_Move(mm.pte(old), mm.pte(new)))


def share_pte(mm: MmStruct, child: MmStruct, hva: int) -> None:
    """Copy an entry to another page table; from now on both may only read the page."""
    mm_step(_Share(mm.pte(hva), child.pte(hva)))


class PteOp(MmOp):
    """A step that changes an entry."""

    __slots__ = ("pte",)

    def __init__(self, pte: Pte) -> None:
        self.pte = pte

    @property
    def writes(self) -> tuple[int, ...]:  # type: ignore[override]
        return (self.pte.id,)

    def where(self) -> str:
        """Name the entry."""
        return f"{self.pte.hva:#_x}"


def saw(pte: Pte) -> None:
    """Note that the task has looked at the entry: if it spins, a change of it is news."""
    if machine.running is not None:
        machine.me().seen.setdefault(pte, pte.version)


def leave_ids(page: Page) -> tuple[int, ...]:
    """Name what is written when an entry leaves a page and drops its reference."""
    return (*page.map_ids, *page.drop_ids())


def leave(page: Page, hva: int, how: str = "unmapped it from") -> None:
    """Make an entry leave a page, and drop its reference."""
    page.remove_mapping(hva, how)
    drop(page)


class _Look(MmOp):
    __slots__ = ("pte", "reads")
    kind = "load"

    def __init__(self, pte: Pte) -> None:
        self.pte = pte
        self.reads = (pte.id,)

    def effect(self) -> Value:
        saw(self.pte)
        return self.pte.value

    def future(self) -> str:
        return f"look up {self.pte.hva:#_x} in the page table"

    def past(self, result: Any) -> str:
        return f"{self.future()} → {result}"


class _Zap(PteOp):
    __slots__ = ("gone",)
    kind = "zap"

    def __init__(self, pte: Pte) -> None:
        super().__init__(pte)
        self.gone = ""

    @property
    def reads(self) -> tuple[int, ...]:  # type: ignore[override]
        return () if self.writes else (self.pte.id,)

    @property
    def writes(self) -> tuple[int, ...]:  # type: ignore[override]
        pte = self.pte
        if pte.value is None:
            return ()
        return (pte.id,) if pte.page is None else (pte.id, *leave_ids(pte.page))

    def effect(self) -> None:
        pte = self.pte
        page, before = pte.page, pte.value
        if before is not None:
            pte.set(None)
        if page is not None:
            self.gone = page.name
            leave(page, pte.hva)

    def future(self) -> str:
        return f"unmap {self.where()}"

    def past(self, result: Any) -> str:
        return f"{self.future()} → {self.gone or 'nothing was there'}"


class _Protect(PteOp):
    __slots__ = ("readable", "writable")
    kind = "protect"

    def __init__(self, pte: Pte, prot: int) -> None:
        super().__init__(pte)
        self.readable = bool(prot & (PROT_READ | PROT_WRITE))
        self.writable = bool(prot & PROT_WRITE)

    def effect(self) -> None:
        value = self.pte.value
        if isinstance(value, Present):
            writable = value.writable and self.writable
            self.pte.set(value._replace(writable=writable, readable=self.readable))
        elif isinstance(value, Migration):
            self.pte.set(value._replace(writable=value.writable and self.writable))

    def future(self) -> str:
        allowed = "reads and writes" if self.writable else "reads" if self.readable else "nothing"
        return f"allow {allowed} at {self.where()}"


class _Settled(PteOp):
    """A step that has to wait until the page has come to where it moves."""

    __slots__ = ()
    waits = True

    def enabled(self) -> bool:
        return not isinstance(self.pte.value, Migration)

    def reason(self) -> str:
        return f"it waits until the page at {self.where()} has moved"


class _Move(_Settled):
    __slots__ = ("new",)
    kind = "move"

    def __init__(self, pte: Pte, new: Pte) -> None:
        super().__init__(pte)
        self.new = new

    @property
    def writes(self) -> tuple[int, ...]:  # type: ignore[override]
        return (self.pte.id, self.new.id)

    def effect(self) -> None:
        self.new.set(self.pte.value)
        self.pte.set(None)

    def future(self) -> str:
        return f"move the page at {self.where()} to {self.new.hva:#_x}"


class _Share(_Settled):
    __slots__ = ("child",)
    kind = "share"

    def __init__(self, pte: Pte, child: Pte) -> None:
        super().__init__(pte)
        self.child = child

    @property
    def reads(self) -> tuple[int, ...]:  # type: ignore[override]
        page = self.pte.page
        return (page.ref,) if page is not None else ()

    @property
    def writes(self) -> tuple[int, ...]:  # type: ignore[override]
        page = self.pte.page
        ids = (self.pte.id, self.child.id)
        return ids if page is None else (*ids, *page.map_ids, *page.take_writes())

    def effect(self) -> None:
        value, page = self.pte.value, self.pte.page
        if page is not None:  # one in the swap cache comes back: it is still there
            readable = value.readable if isinstance(value, Present) else True
            value = Present(page, False, readable)
            self.pte.set(value)
            page.add_mapping()
            take(page)
        self.child.set(value)

    def future(self) -> str:
        return f"share the page at {self.where()}, read-only"
