"""pte_values.py: what a page-table entry can hold. The steps on it are in pte.py and paging.py.

    None         nothing; a fault finds out what belongs there
    Present      a frame, and what the hardware allows
    Migration    a frame that is on its way to another; faults wait
    Swap         a page that was swapped out, and may still be in the swap cache
    HwPoison     memory that is broken: whoever touches it is killed

Mirrors linux/swapops.h.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from ..sim.machine import new_id
from .frames import Page
from .types import Hva, Pfn

PRIMITIVES = True


class Present(NamedTuple):
    """The hardware finds a page here."""

    page: Page
    writable: bool
    """Whether it may be written to; if not, but the area allows it, then it is shared."""
    readable: bool = True
    """Not with PROT_NONE."""

    @property
    def pfn(self) -> Pfn:
        """The number of the frame."""
        return self.page.pfn

    def allows(self, write: bool) -> bool:
        """Tell whether an access goes through without a fault."""
        return self.readable and (self.writable or not write)


class Migration(NamedTuple):
    """The page is about to move."""

    page: Page
    writable: bool


class Swap(NamedTuple):
    """The page was swapped out."""

    page: Page | None
    """The page in the swap cache: a fault finds it there, and nothing was lost."""
    data: bytes = b""
    """What the swap device holds, once the page has left the cache."""


class HwPoison(NamedTuple):
    """The memory is broken."""

    pfn: Pfn


Value = Present | Migration | Swap | HwPoison | None


class Pte:
    """One page-table entry."""

    __slots__ = ("id", "hva", "name", "value", "version")

    def __init__(self, hva: Hva, mm: str) -> None:
        """Make one that is empty."""
        self.id = new_id(self)
        self.hva = hva
        self.name = f"the page-table entry of {hva:#_x} in {mm}"
        self.value: Value = None
        self.version = 0
        """How often it was changed: what a task that spins on it waits for."""

    def state(self) -> Hashable:
        """Return what it holds, with frames by their numbers."""
        value = self.value
        if value is None:
            return None
        kind, first = type(value).__name__, value[0]
        return (kind, first.pfn if isinstance(first, Page) else first, *value[1:])

    def set(self, value: Value) -> None:
        """Change it."""
        self.value = value
        self.version += 1

    @property
    def page(self) -> Page | None:
        """The frame that it leads to, also by way of migration or the swap cache."""
        value = self.value
        return value.page if isinstance(value, Present | Migration | Swap) else None

    def __repr__(self) -> str:
        return f"<Pte {self.hva:#_x}, {self.value}>"
