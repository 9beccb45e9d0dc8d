"""rounds.py: whether a schedule that stops half-way has gone round, and could do so for ever.

A search finds such a round as a cycle in a graph of states (livelock.py). Whoever replays its
schedule has no graph, and should see the bug all the same: so the states on this one way are
compared.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..sim import Livelock
from .known import Known, State
from .live import Live
from .scenario import Scenario
from .values import CannotTell


def gone_round(scenario: Scenario, schedule: str) -> Livelock | None:
    """Tell whether the schedule ends in a state in which it was before, on a way that is fair.

    Fair: whoever could run all the time has had a turn. Without that, it is the scheduler's fault.
    """
    if scenario.memory_model != "sc":
        return None
    names, keys = list(scenario.tasks), list(scenario.keys.values())
    steps = [keys.index(key) for key in schedule]
    try:
        places, enabled = _way(scenario, steps)
    except CannotTell:
        return None
    end = len(steps)
    for start in range(end - 1, -1, -1):
        if places[start] != places[end]:
            continue
        movers = set(steps[start:])
        if frozenset.intersection(*enabled[start:]) <= movers:
            return endless([names[task] for task in sorted(movers)], start + 1, end)
    return None


def endless(going: Sequence[str], first: int, last: int) -> Livelock:
    """Tell of a round that these tasks can go for ever, from the first step to the last."""
    return Livelock(
        f"{' and '.join(going)} can go round for ever: after step {last} all is as it was before "
        f"step {first}, and whoever could run all the time has had a turn. Something must change "
        "on the way round, so that the next attempt is not the same as this one."
    )


def _way(scenario: Scenario, steps: Sequence[int]) -> tuple[list[State], list[frozenset[int]]]:
    """Follow a schedule; returns the states that it passes, and who can run in each of them."""
    known, spinners = Known(len(scenario.tasks)), -1
    while spinners < len(known.spinners):  # for one who spins, there is more to a state
        spinners = len(known.spinners)
        places, enabled = _places(scenario, steps, known)
    return places, enabled


def _places(
    scenario: Scenario, steps: Sequence[int], known: Known
) -> tuple[list[State], list[frozenset[int]]]:
    live = Live(scenario, known)
    try:
        places = [live.start()]
        for task in steps:
            after = live.step(places[-1], task)
            assert after is not None
            places.append(after)
    finally:
        live.close()
    return places, [known.runnable(state) for state in places]
