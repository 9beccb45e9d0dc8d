"""branch.py: a state to which the search by states comes back, and who sleeps in it."""

from __future__ import annotations

from .dependency import Move, dependent
from .known import State

Moves = dict[int, Move]
"""What some tasks would do next, by the task's number."""

NOBODY: Moves = {}

Step = tuple[int, Move, bool]
"""Whose it is, what it touches, and whether it is an acquisition with which the next step goes."""


class Branch:
    """A state in which more than one choice was left."""

    __slots__ = ("state", "depth", "left", "moves", "asleep", "taken")

    def __init__(
        self, state: State, depth: int, left: list[int], moves: Moves, asleep: Moves, taken: int
    ) -> None:
        self.state = state
        self.depth = depth
        self.left = left
        self.moves = moves
        self.asleep = asleep
        self.taken = taken


def asleep_after(step: Step, asleep: Moves) -> Moves:
    """Tell who sleeps on: those whose move does not depend on the one that is made."""
    task, move, _ = step
    return {t: m for t, m in asleep.items() if t != task and not dependent(m, move)}
