"""world.py: every simulated object has a number, and it is the same number in every run.

A search compares steps of different runs, so it cannot know objects by their addresses. Set-up runs
before any choice is made: there, creation order will do. A task makes objects at a time that
depends on the schedule, so each task numbers its own.
"""

from __future__ import annotations

from collections.abc import Hashable
from itertools import count
from typing import Protocol

SETUP = -1
"""Who makes the objects that are there before the first step."""

STRIDE = 1_000_000
"""Numbers that one maker can give before it would use another's."""


class HasState(Protocol):
    """What has a number has a state as well."""

    def state(self) -> Hashable:
        """Return all that the future of the run can depend on, and nothing else, as a value.

        Values are equal where states are equal. A pointer to another simulated object is that
        object itself.
        """


_serials = count()


class World:
    """The simulated objects of one run."""

    __slots__ = ("things", "parts", "serial", "_next")

    def __init__(self) -> None:
        self.serial = next(_serials)
        self.things: dict[int, HasState] = {}
        self.parts: dict[int, int] = {}
        """Of a thing that has several numbers: the first of them, by the others."""
        self._next: dict[int, int] = {}

    def add(self, thing: HasState, count: int, maker: int) -> int:
        """Give `thing` the next `count` numbers of `maker`; returns the first of them."""
        first = self._next.get(maker, (maker + 1) * STRIDE)
        self._next[maker] = first + count
        self.things[first] = thing
        if count > 1:
            self.parts.update(dict.fromkeys(range(first + 1, first + count), first))
        return first
