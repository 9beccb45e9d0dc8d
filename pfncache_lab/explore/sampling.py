"""sampling.py: random schedules. They show bugs, and never their absence.

POS gives a random priority to each pending operation and lets the highest run; then it draws anew
for those whose operation depends on what has just run. So the order of each race is a coin toss,
however many steps lie around it (Yuan, Yang, Gu, "Partial Order Aware Concurrency Sampling",
CAV 2018). Choosing a task at random at each step, instead, hardly ever lets one run far ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from ..sim import Task
from .dependency import Move, dependent


class PartialOrderSampling:
    """One random schedule; the same for the same `seed`."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._priority: dict[int, float] = {}

    def choose(self, runnable: Sequence[Task], current: Task | None) -> Task | None:
        """Take the operation of the highest priority."""
        priority = self._priority
        for task in runnable:
            priority.setdefault(task.index, self._random.random())
        chosen = max(runnable, key=lambda task: priority[task.index])
        assert chosen.pending is not None
        move = Move(chosen.pending)
        del priority[chosen.index]
        for task in runnable:
            if task is not chosen and task.pending and dependent(Move(task.pending), move):
                del priority[task.index]
        return chosen
