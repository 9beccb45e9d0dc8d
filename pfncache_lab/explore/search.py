"""search.py: run every schedule of a scenario, and say honestly what that has shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice

from ..sim import LockDep, Trace
from .oracles import DepthFirst, Replay
from .scenario import Run, Scenario, finish, load, run
from .schedule import BadSchedule, digest, digest_of

SCHEDULE_LIMIT = 20_000
"""Schedules in one search. A second or two; the course's programs have a few hundred."""


@dataclass(frozen=True, repr=False)
class Result:
    """What a search has shown."""

    scenario: Scenario
    runs: tuple[Run, ...]
    complete: bool
    """Whether these are all schedules there are. False when the limit was reached."""

    @property
    def failures(self) -> tuple[Run, ...]:
        """The runs that went wrong."""
        return tuple(r for r in self.runs if r.bug is not None)

    def __repr__(self) -> str:
        return f"<Result of {self.scenario.name!r}. {self}>"

    def __str__(self) -> str:
        schedules, failures = len(self.runs), len(self.failures)
        scope = "" if self.complete else f" The search stopped at its limit of {SCHEDULE_LIMIT}."
        if failures:
            return f"FAIL: {failures} of {schedules} schedules go wrong.{scope}"
        if not self.complete:
            return f"NO VERDICT: {schedules} schedules are fine.{scope}"
        return f"PASS: all {schedules} schedules are fine."


def every_schedule(scenario: Scenario, bound: int | None = None) -> Iterator[Run]:
    """Yield one run for each schedule with at most `bound` preemptions; without a bound, for each.

    Two schedules are different when any step is another task's. The runs carry no trace.
    """
    oracle = DepthFirst(bound)
    while True:
        yield run(scenario, oracle)
        if not oracle.backtrack():
            return


def explore(scenario: Scenario) -> Result:
    """Run every schedule of a small scenario, up to SCHEDULE_LIMIT of them."""
    runs = list(islice(every_schedule(scenario), SCHEDULE_LIMIT + 1))
    return Result(scenario, tuple(runs[:SCHEDULE_LIMIT]), len(runs) <= SCHEDULE_LIMIT)


def find_bug(scenario: Scenario) -> Run | None:
    """Find a schedule that goes wrong, with the fewest preemptions there can be; recorded.

    Returns None when no schedule goes wrong, or none of the first SCHEDULE_LIMIT does.
    """
    tried = 0
    for bound in count():
        oracle = DepthFirst(bound)
        while tried < SCHEDULE_LIMIT:
            tried += 1
            found = run(scenario, oracle)
            if found.bug is not None:
                return replay(scenario, found.schedule)
            if not oracle.backtrack():
                break
        if not oracle.cut or tried >= SCHEDULE_LIMIT:
            return None
    raise AssertionError("unreachable: count() does not end")


def replay(scenario: Scenario, schedule: str) -> Run:
    """Run exactly this schedule and record it. It may stop before the program does.

    Raises BadSchedule when it asks for what this program cannot do, or when it is a token with a
    digest and the steps do not do what they did.
    """
    result = followed(scenario, schedule)
    known = digest_of(schedule)
    if known and result.trace and digest(result.trace) != known:
        raise BadSchedule(
            "The program has changed since this schedule was found: its steps can still be taken, "
            f"but do not do what they did. Without the part from # on, I run {result.schedule!r}."
        )
    return result


def followed(scenario: Scenario, schedule: str, lockdep: LockDep | None = None) -> Run:
    """Run exactly this schedule and record it, whatever its steps do."""
    oracle = Replay(schedule, scenario.keys)
    machine, shared = load(scenario, oracle, record=True, lockdep=lockdep or LockDep())
    machine.run()
    result = finish(scenario, machine, shared)
    if oracle.unused and result.trace:
        raise BadSchedule(_refusal(oracle.unused, result, result.trace))
    return result


def _refusal(unused: str, result: Run, trace: Trace) -> str:
    """Say why the schedule could not go on, in the words of the task that it asks for."""
    done = result.schedule
    if result.finished or result.bug:
        return f"The run is over after {done!r}, and the schedule goes on with {unused!r}."
    wanted = next(name for name, key in result.scenario.keys.items() if key == unused[0])
    view = next(view for view in trace.frontier if view.name == wanted)
    why = "has finished" if view.next is None else f"cannot run: {view.blocked}"
    others = " or ".join(view.name for view in trace.frontier if view.runnable)
    return f"Step {len(done) + 1} asks for {wanted}, but {wanted} {why}. Here {others} can run."
