"""dependency.py: which two operations commute.

Two schedules that differ only in the order of neighbors that commute show the same thing, so one of
them is enough (Mazurkiewicz, 1977). Such a class of schedules is called a trace.
"""

from __future__ import annotations

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

    __slots__ = ("reads", "writes", "waits", "acquires", "releases", "wants_change")

    def __init__(self, op: Op, watched: bool = False) -> None:
        self.writes = (*op.writes, EVERYTHING) if watched else op.writes
        self.reads = op.reads
        self.waits = op.waits
        self.acquires = op.acquires
        self.releases = op.releases
        self.wants_change = op.wants_change

    def accesses(self) -> list[tuple[int, bool]]:
        """List each object it touches, and whether it writes it."""
        found = [(thing, True) for thing in self.writes]
        if self.reads:
            found += [(thing, False) for thing in self.reads if thing not in self.writes]
        return found


def dependent(a: Move, b: Move) -> bool:
    """Tell whether one of them writes what the other touches."""
    for thing in a.writes:
        if thing in b.writes or thing in b.reads:
            return True
    return any(thing in b.writes for thing in a.reads)
