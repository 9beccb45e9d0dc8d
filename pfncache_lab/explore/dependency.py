"""dependency.py: which two operations commute.

Two schedules that differ only in the order of neighbors that commute show the same thing, so one of
them is enough (Mazurkiewicz, 1977). Such a class of schedules is called a trace.
"""

from __future__ import annotations

from copy import copy

from ..sim import Op

EVERYTHING = -1
"""The number of an object that every step writes when an invariant watches every state.

Between two steps that commute lies a state that only one of their orders passes through. An
invariant looks at that state, so for its sake nothing commutes.
"""


class Move:
    """A pending operation as the search keeps it: what it would touch if it ran in this state.

    The operation itself belongs to a run that will be over when the search comes back here.
    """

    __slots__ = (
        "reads", "writes", "waits", "acquires", "releases", "wants_change", "accesses", "settled",
    )  # fmt: skip

    def __init__(self, op: Op, watched: bool = False) -> None:
        self.writes = (*op.writes, EVERYTHING) if watched else op.writes
        self.reads = op.reads
        self.waits = op.waits
        self.acquires = op.acquires
        self.releases = op.releases
        self.wants_change = op.wants_change
        only_read = [thing for thing in self.reads if thing not in self.writes]
        self.accesses: tuple[tuple[int, bool], ...] = (
            *[(thing, True) for thing in self.writes],
            *[(thing, False) for thing in only_read],
        )
        """Each object it touches, and whether it writes it."""
        asked = (type(op).reads, type(op).writes, type(op).wants_change)
        self.settled = not any([isinstance(what, property) for what in asked])
        """Whether it stays the same for as long as the operation is pending."""


def move_of(op: Op, watched: bool = False) -> Move:
    """Return the move of `op` in this state; equal moves of one kind of operation are one object.

    A search asks at every step about every task that can run. Most of them have waited there for a
    while, and all have been there in an earlier run. But the move must not be kept with the task:
    what a trylock or a cmpxchg touches depends on the state, and can change while it is pending.
    """
    key = type(op), op.writes, op.reads, op.wants_change, watched
    move = _moves.get(key)
    if move is None:
        if len(_moves) >= MOVES_KEPT:
            _moves.clear()
        move = _moves[key] = Move(op, watched)
    return move


MOVES_KEPT = 10_000
"""A scenario has a few dozen, but a process may search many scenarios."""

_moves: dict[tuple[object, ...], Move] = {}


def both(a: Move, b: Move) -> Move:
    """Return the move that consists of these two."""
    move = copy(a)
    move.reads, move.writes = (*a.reads, *b.reads), (*a.writes, *b.writes)
    move.accesses = (*a.accesses, *b.accesses)
    return move


def dependent(a: Move, b: Move) -> bool:
    """Tell whether one of them writes what the other touches."""
    writes, reads = b.writes, b.reads
    for thing in a.writes:
        if thing in writes or thing in reads:
            return True
    if writes:
        for thing in a.reads:
            if thing in writes:
                return True
    return False
