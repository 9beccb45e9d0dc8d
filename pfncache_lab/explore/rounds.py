"""rounds.py: whether a schedule that stops half-way has gone round, and could do so for ever.

A search finds such a round as a cycle in a graph of states (livelock.py). Whoever replays its
schedule has no graph, and should see the bug all the same: so the states on this one way are
compared.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..sim import Livelock, Task
from .oracles import Replay
from .scenario import Scenario, load
from .states import States
from .visited import CannotTell, VisitedStates


def gone_round(scenario: Scenario, schedule: str) -> Livelock | None:
    """Tell whether the schedule ends in a state in which it was before, on a way that is fair.

    Fair: whoever could run all the time has had a turn. Without that, it is the scheduler's fault.
    """
    if scenario.memory_model != "sc":
        return None
    way = _Way(scenario, schedule)
    try:
        steps = way.follow()
    except CannotTell:
        return None
    end = len(steps)
    for start in range(end - 1, -1, -1):
        if way.places[start] != way.places[end]:
            continue
        movers = set(steps[start:])
        if frozenset.intersection(*way.enabled[start:]) <= movers:
            names = list(scenario.tasks)
            return endless([names[task] for task in sorted(movers)], start + 1, end)
    return None


def endless(going: Sequence[str], first: int, last: int) -> Livelock:
    """Tell of a round that these tasks can go for ever, from the first step to the last."""
    return Livelock(
        f"{' and '.join(going)} can go round for ever: after step {last} all is as it was before "
        f"step {first}, and whoever could run all the time has had a turn. Something must change "
        "on the way round, so that the next attempt is not the same as this one."
    )


class _Way(VisitedStates):
    """Follows one schedule, and keeps the states on the way."""

    def __init__(self, scenario: Scenario, schedule: str) -> None:
        super().__init__(scenario, reduce=False)
        self._replay = Replay(schedule, scenario.keys)
        self.places: list[int] = []
        self.enabled: list[frozenset[int]] = []

    def follow(self) -> list[int]:
        """Return the tasks in the order of their steps."""
        machine, _ = load(self.scenario, self)
        self._machine, self._of_run = machine, States(machine)
        machine.run()
        return [task.index for task in machine.schedule]

    def choose(self, runnable: Sequence[Task], current: Task | None) -> Task | None:
        """Take the state down, and go on as the schedule says."""
        self._take_keys(current)
        self.places.append(self._state())
        self.enabled.append(frozenset([task.index for task in runnable]))
        return self._replay.choose(runnable, current)
