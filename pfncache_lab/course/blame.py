"""blame.py: the first wrong step of a run: the one after which nobody can save it any more."""

from __future__ import annotations

from ..explore import DepthFirst, Run, Scenario
from ..explore.scenario import finish, load
from ..sim import SoftLockup

RUNS = 200
"""Schedules that are tried from one step on."""

LONGEST = 100
"""Steps of a run. In a longer one somebody goes round and round, and no step is to blame."""


def first_wrong_step(failure: Run) -> str:
    """Name the step before which some schedule still ends well, and after which none does.

    Returns nothing where that cannot be told, or tells nothing: where it is the last step.
    """
    scenario, steps = failure.scenario, len(failure.schedule)
    endless = isinstance(
        failure.bug, SoftLockup
    )  # Each run of it would cost a quarter of a second.
    if failure.trace is None or endless or not 0 < steps <= LONGEST:
        return ""
    if (saved := _can_end_well(scenario, failure.schedule[:0])) is not True:
        return "No schedule of this program goes well." if saved is False else ""
    good, bad = 0, steps  # Once it is too late it stays so; so halve what is in between.
    while bad - good > 1:
        middle = (good + bad) // 2
        saved = _can_end_well(scenario, failure.schedule[:middle])
        if saved is None:
            return ""
        good, bad = (middle, bad) if saved else (good, middle)
    event = failure.trace.events[bad - 1]
    return (
        f"Step {bad} is the first wrong one: until then some schedule ends well, from there on "
        f"none does. There {event.task} did: {event.text}, in `{event.line.text}`."
    )


def _can_end_well(scenario: Scenario, start: str) -> bool | None:
    """Tell whether some schedule that begins with `start` goes well; None if there are too many."""
    numbers = {key: number for number, key in enumerate(scenario.keys.values())}
    script = [numbers[key] for key in start]
    oracle = DepthFirst()
    for _ in range(RUNS):
        machine, shared = load(scenario, oracle, script=script)
        machine.run()
        run = finish(scenario, machine, shared)
        if run.bug is None and run.finished:
            return True
        if not oracle.backtrack():
            return False
    return None
