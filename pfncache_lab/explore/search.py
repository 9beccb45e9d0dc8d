"""search.py: run every schedule of a scenario, and say honestly what that has shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count

from ..sim import KernelBug, LockDep, ModelError, SoftLockup, StepLimit, Trace, watched
from ..sim.errors import NOT_DETERMINED, StackOverflow
from .oracles import DepthFirst, Replay
from .rounds import gone_round
from .scenario import Run, Scenario, finish, load, run
from .schedule import BadSchedule, digest, digest_of
from .shrink import Guided

SCHEDULE_LIMIT = 20_000
"""Schedules in one search. A second or two; the course's programs have a few hundred."""

SEARCH_STEPS = 800_000
"""Steps in one search: what bounds its time where each schedule is long."""

LONGEST = 60
"""Letters of a schedule that a sentence quotes."""

ENDLESS = (StepLimit, SoftLockup)
"""One run that does not end says as much as a thousand of them, and costs as much."""


@dataclass(frozen=True, repr=False)
class Result:
    """What a search has shown."""

    scenario: Scenario
    runs: tuple[Run, ...]
    complete: bool
    """Whether these are all schedules there are. False when the search was stopped."""
    stopped: str = ""
    """Where it was stopped: 'at its limit of 20000 schedules'."""

    @property
    def failures(self) -> tuple[Run, ...]:
        """The runs that went wrong."""
        return tuple(r for r in self.runs if r.bug is not None)

    def __repr__(self) -> str:
        return f"<Result of {self.scenario.name!r}. {self.headline}>"

    def __str__(self) -> str:
        if not self.failures:
            return self.headline
        first = self.failures[0]
        what = first.verdict().splitlines()[0]
        return f"{self.headline}\nThe first is {_short(first.schedule)}: {what}"

    @property
    def headline(self) -> str:
        """The verdict in one line."""
        schedules, failures = len(self.runs), len(self.failures)
        scope = f" The search stopped {self.stopped}." if self.stopped else ""
        if failures:
            return f"FAIL: {failures} of {schedules} schedules go wrong.{scope}"
        if not self.complete:
            return f"NO VERDICT: {schedules} schedules are fine.{scope}"
        return f"PASS: all {schedules} schedules are fine."


class GaveUp(Exception):
    """No schedule that was tried goes wrong, and there are more: that is no verdict."""


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
    """Run every schedule of a small scenario, up to SCHEDULE_LIMIT and SEARCH_STEPS.

    It stops at the first run that does not end, too.
    """
    budget, runs, stopped = _Budget(), list[Run](), ""
    with watched():  # once around all runs: starting the timer takes as long as a small run
        for one in every_schedule(scenario):
            if stopped := budget.used_up():
                break
            budget.take(one)
            runs.append(one)
            if isinstance(one.bug, ENDLESS):
                stopped = "at the first that does not end"
                break
    return Result(scenario, tuple(runs), not stopped, stopped)


def find_bug(scenario: Scenario) -> Run | None:
    """Find a schedule that goes wrong, with the fewest preemptions there can be; recorded.

    Returns None when no schedule goes wrong. Raises GaveUp when none does among the first ones,
    up to SCHEDULE_LIMIT and SEARCH_STEPS, and there are more.
    """
    budget = _Budget()
    with watched():
        for bound in count():
            oracle = DepthFirst(bound)
            while True:
                found = run(scenario, oracle)
                budget.take(found)
                if found.bug is not None:
                    return shown_again(found, found.bug)
                if not oracle.backtrack():
                    break
                budget.give_up()
            if not oracle.cut:
                return None
            budget.give_up()
    raise AssertionError("unreachable: count() does not end")


@dataclass
class _Budget:
    """What a search has run so far."""

    schedules: int = 0
    steps: int = 0

    def take(self, one: Run) -> None:
        self.schedules += 1
        self.steps += len(one.schedule)

    def used_up(self) -> str:
        """Name the limit that has been reached; empty while there is none."""
        if self.schedules >= SCHEDULE_LIMIT:
            return f"at its limit of {SCHEDULE_LIMIT} schedules"
        if self.steps >= SEARCH_STEPS:
            return f"at its limit of {SEARCH_STEPS} steps"
        return ""

    def give_up(self) -> None:
        """Raise GaveUp at a limit."""
        if stopped := self.used_up():
            raise GaveUp(
                f"I found no schedule that breaks this program. I tried {self.schedules} and "
                f"stopped {stopped}; there are more."
            )


def shown_again(found: Run, bug: KernelBug) -> Run:
    """Record a run that has gone wrong. Raises ModelError when it goes otherwise this time."""
    if isinstance(bug, StackOverflow):
        # How deep the stack is differs with what lies below the task: a step more, or one less.
        names = {key: name for name, key in found.scenario.keys.items()}
        return run(found.scenario, Guided([names[key] for key in found.schedule]), record=True)
    try:
        again = replay(found.scenario, found.schedule)
    except BadSchedule:
        again = found
    if again is found or type(again.bug) is not type(bug):
        raise ModelError(
            f"The schedule {_short(found.schedule)} went wrong once, and goes otherwise when it is "
            f"run again. {NOT_DETERMINED}"
        )
    return again


def _short(schedule: str) -> str:
    """Write a schedule so that it fits into a sentence."""
    if len(schedule) <= LONGEST:
        return schedule or "over before its first step"
    return f"{schedule[:LONGEST]}... ({len(schedule)} steps)"


def replay(scenario: Scenario, schedule: str) -> Run:
    """Run exactly this schedule and record it. It may stop before the program does.

    One that stops where all is as it was before, so that it could go on for ever, is a livelock.
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
    if not result.finished and result.bug is None:
        return replace(result, bug=gone_round(scenario, result.schedule))
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
