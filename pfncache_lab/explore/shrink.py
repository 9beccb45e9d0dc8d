"""shrink.py: make a schedule that goes wrong one that a person can read.

What tires a reader are switches. So a schedule is taken as a list of blocks, each one task's turn;
blocks are taken out or moved together, the program is run again, and what still shows the same kind
of bug with less to read is kept, until nothing helps any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from ..sim import LockDep, Task
from .scenario import Run, Scenario, finish, load

Cost = tuple[int, int, int]
"""Preemptions, switches, steps: what comes first matters most."""

SHRINK_LIMIT = 300
"""Runs spent on one schedule. Most need fewer than twenty."""


class Guided:
    """Follows a list of turns where it can, and otherwise switches as seldom as it can."""

    def __init__(self, turns: Sequence[str]) -> None:
        self._turns = list(turns)
        self._last: Task | None = None
        self.preemptions = 0
        self.switches = 0

    def choose(self, runnable: Sequence[Task], current: Task | None) -> Task | None:
        """Choose the next task on the list that can run; without one, let the last go on."""
        chosen = self._wanted(runnable)
        if self._last is not None and chosen is not self._last:
            self.switches += 1
            self.preemptions += self._last in runnable
        self._last = chosen
        return chosen

    def _wanted(self, runnable: Sequence[Task]) -> Task:
        while self._turns:
            name = self._turns.pop(0)
            for task in runnable:
                if task.name == name:
                    return task
        return self._last if self._last in runnable and self._last else runnable[0]


def shrink(scenario: Scenario, found: Run, lockdep: LockDep) -> Run:
    """Return a run that goes wrong in the same way, with no smaller neighbor that does.

    `found` must go wrong each time it is run.
    """
    best, cost = _attempt(scenario, _names(found), lockdep)
    tried, left = {found.schedule}, SHRINK_LIMIT
    better = True
    while better and left > 0:
        better = False
        for turns in _smaller(_names(best)):
            if (key := ".".join(turns)) in tried:
                continue
            tried.add(key)
            left -= 1
            run, price = _attempt(scenario, turns, lockdep)
            if price < cost and type(run.bug) is type(found.bug):
                best, cost, better = run, price, True
                break
            if left <= 0:
                break
    return best


def preemptions(run: Run) -> int:
    """Count the switches of a run away from a task that could have gone on."""
    _, cost = _attempt(run.scenario, _names(run), LockDep())
    return cost[0]


def _attempt(scenario: Scenario, turns: Sequence[str], lockdep: LockDep) -> tuple[Run, Cost]:
    oracle = Guided(turns)
    machine, shared = load(scenario, oracle, lockdep=lockdep.copy())
    machine.run()
    run = finish(scenario, machine, shared)
    return run, (oracle.preemptions, oracle.switches, len(run.schedule))


def _names(run: Run) -> list[str]:
    names = {key: name for name, key in run.scenario.keys.items()}
    return [names[key] for key in run.schedule]


def _smaller(turns: Sequence[str]) -> Iterator[list[str]]:
    """Propose schedules with fewer switches: leave a block out, or join it to one of its task."""
    blocks = [list(group) for _, group in groupby(turns)]
    for i in range(len(blocks)):
        rest = blocks[:i] + blocks[i + 1 :]
        yield sum(rest, [])
        for j in range(len(rest)):
            if rest[j][0] == blocks[i][0]:
                yield sum([*rest[:j], rest[j] + blocks[i], *rest[j + 1 :]], [])
