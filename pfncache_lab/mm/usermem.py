"""usermem.py: what a user's own instructions do, through the page table.

Each function is one step. There is no TLB that could know better than the page table: whoever
changes an entry flushes it in the same step.
"""

# ruff: noqa: D102  # What the methods of an operation are for stands in op.py.
from __future__ import annotations

from typing import Any

from ..sim import machine
from .access import change
from .frames import Page
from .mm_struct import MmStruct
from .pte import saw
from .pte_values import Present, Pte
from .step import MmOp, mm_step
from .types import offset_in_page

PRIMITIVES = True


def user_load(mm: MmStruct, hva: int, length: int) -> bytes | None:
    """Load as a user's instruction does; None means that it faults."""
    data: bytes | None = mm_step(_UserLoad(mm.pte(hva), hva, length))
    return data


def user_store(mm: MmStruct, hva: int, data: bytes) -> bool:
    """Store as a user's instruction does; False means that it faults."""
    done: bool = mm_step(_UserStore(mm.pte(hva), hva, data))
    return done


class _UserOp(MmOp):
    __slots__ = ("pte", "hva")
    write = False

    def __init__(self, pte: Pte, hva: int) -> None:
        self.pte = pte
        self.hva = hva

    def found(self) -> Page | None:
        """Return the page that the hardware finds."""
        value = self.pte.value
        return value.page if isinstance(value, Present) and value.allows(self.write) else None


class _UserLoad(_UserOp):
    __slots__ = ("length",)
    kind = "load"

    def __init__(self, pte: Pte, hva: int, length: int) -> None:
        super().__init__(pte, hva)
        self.length = length

    @property
    def reads(self) -> tuple[int, ...]:  # type: ignore[override]
        page = self.found()
        return (self.pte.id,) if page is None else (self.pte.id, page.id)

    def effect(self) -> bytes | None:
        saw(self.pte)
        page, offset = self.found(), offset_in_page(self.hva)
        if page is None:
            return None
        if machine.running is not None:
            machine.me().seen.setdefault(page, page.version)
        return page.data[offset : offset + self.length]

    def future(self) -> str:
        return f"load {self.length} bytes at hva {self.hva:#_x}"

    def past(self, result: Any) -> str:
        return f"{self.future()} → {'fault' if result is None else result.hex()}"


class _UserStore(_UserOp):
    __slots__ = ("data",)
    kind = "store"
    write = True

    def __init__(self, pte: Pte, hva: int, data: bytes) -> None:
        super().__init__(pte, hva)
        self.data = bytes(data)

    @property
    def reads(self) -> tuple[int, ...]:  # type: ignore[override]
        return (self.pte.id,)

    @property
    def writes(self) -> tuple[int, ...]:  # type: ignore[override]
        page = self.found()
        return () if page is None else (page.id,)

    def effect(self) -> bool:
        saw(self.pte)
        page = self.found()
        if page is not None:
            change(page, self.hva, self.data)
        return page is not None

    def future(self) -> str:
        return f"store {self.data.hex()} at hva {self.hva:#_x}"

    def past(self, result: Any) -> str:
        return self.future() if result else f"{self.future()} → fault"
