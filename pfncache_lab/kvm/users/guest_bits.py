"""guest_bits.py: bits in a page that the guest, other vCPUs and interrupts change at the same time.

What locked instructions do with a word of the guest's memory, through a mapping of the kernel's:
load, change and store in one step. Two ports whose bits share a word would lose each other's
otherwise: gpc->lock is held for reading only, and the guest does not hold it at all.
"""

# ruff: noqa: D102  # What the methods of an operation are for stands in sim/op.py.
from __future__ import annotations

from ...mm import load
from ...mm.access import at_khva, read_from, write_to
from ...mm.mapped import page_at
from ...mm.step import MmOp, mm_step

PRIMITIVES = True

WORD = 8
"""Bytes in a word."""


def guest_test_bit(khva: int, number: int) -> bool:
    """Return whether this bit is set, counted from the word at `khva` on. One step."""
    word = load(khva + number // 64 * WORD, WORD)
    return bool(int.from_bytes(word, "little") >> number % 64 & 1)


def guest_test_and_set_bit(khva: int, number: int) -> bool:
    """Set a bit, and return whether it was set already. One step."""
    bit = 1 << number % 64
    return bool(guest_or(khva + number // 64 * WORD, bit) & bit)


def guest_or(khva: int, bits: int) -> int:
    """Set `bits` in the word at `khva`, and return the word as it was before. One step."""
    old: int = mm_step(_Or(khva, bits))
    return old


class _Or(MmOp):
    """Load, or, and store, with nobody in between."""

    __slots__ = ("page", "khva", "bits", "reads", "writes")
    kind = "change"

    def __init__(self, khva: int, bits: int) -> None:
        self.page = page = page_at(khva)
        self.khva = khva
        self.bits = bits
        self.reads = (page.map, page.kmap) if page is not None else ()
        self.writes = (page.id,) if page is not None else ()

    def effect(self) -> int:
        old = int.from_bytes(read_from(self.page, self.khva, WORD, False), "little")
        write_to(self.page, self.khva, (old | self.bits).to_bytes(WORD, "little"), False)
        return old

    def future(self) -> str:
        return f"set bits {self.bits:#x} at {at_khva(self.khva)}"

    def past(self, result: object) -> str:
        return f"{self.future()}, was {result:#x}"
