"""selfcheck.py: run schedules twice, and compare what they did.

All of this rests on one promise: what a run does is determined by its schedule. A primitive that
keeps something from one run to the next, or a program that asks the clock, breaks it without a
sound. Here it would be heard.
"""

from __future__ import annotations

from itertools import islice

from ..sim import ModelError, State, Trace, watched
from ..sim.errors import NOT_DETERMINED
from ..sim.shown import shown
from .scenario import Run, Scenario
from .search import every_schedule, followed


def selfcheck(scenario: Scenario, limit: int = 1000) -> int:
    """Run each schedule, then record it twice, and compare; the first `limit` schedules only.

    Returns how many have been compared. Raises ModelError at the first that differs.
    """
    compared = 0
    with watched():
        for run in islice(every_schedule(scenario), limit):
            first, second = (followed(scenario, run.schedule) for _ in range(2))
            for again in (first, second):
                _must_agree(run, _ending(run), _ending(again))
            _must_agree(run, _story(first.trace), _story(second.trace))
            compared += 1
    return compared


def _must_agree(run: Run, one: list[str], other: list[str]) -> None:
    if one == other:
        return
    pairs = zip([*one, "the end"], [*other, "the end"], strict=False)
    differ = next(f"{a}, and then {b}" for a, b in pairs if a != b)
    raise ModelError(
        f"The schedule {run.schedule!r} has done two things: {differ}. {NOT_DETERMINED}"
    )


def _ending(run: Run) -> list[str]:
    return [run.schedule, f"finished: {run.finished}", run.verdict()]


def _story(trace: Trace | None) -> list[str]:
    """Write down all that a trace holds: steps, lines, states, and where each task stands."""
    assert trace is not None
    lines = [f"start: {_state(trace.start)}", *map(str, trace.notes)]
    for event in trace.events:
        lines.append(f"step {event.step}: {event.task} {event.text}, line {event.line.number}")
        lines += [_state(event.state), *map(str, event.notes)]
    return [*lines, *map(str, trace.frontier)]


def _state(state: State) -> str:
    return ", ".join(f"{name} is {shown(value)}" for name, value in state.items())
