"""check.py: one call that says whether any schedule of a scenario goes wrong.

The searches come in the order in which they pay:

    1. schedules with 0, 1 and 2 preemptions. Most mistakes show there, in milliseconds, and in a
       schedule with as few preemptions as possible (Musuvathi and Qadeer, PLDI 2007)
    2. every schedule: by the states that can be reached, where they can be told apart
       (stateful.py), and otherwise by traces (dpor.py)
    3. only if that is more than the budget allows: random schedules

The budget is counted in runs and steps (budget.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from ..sim import LockDep, ModelError, Oracle, watched
from ..sim.errors import NOT_DETERMINED, StackOverflow
from .budget import Budget, OverBudget
from .dpor import SourceDpor
from .known_traces import KnownTraces
from .livelock import Graph
from .oracles import DepthFirst
from .report import Report, Stats, Verdict
from .rounds import endless
from .sampling import PartialOrderSampling
from .scenario import Run, Scenario, finish, load
from .schedule import BadSchedule
from .search import followed, shown_again
from .shrink import shrink
from .visited import CannotTell, VisitedStates

BUDGET = 20_000
"""Runs in one check: some seconds for the programs of the course."""

BOUNDS = (0, 1, 2)
"""Preemptions, tried first."""
SAMPLES = 1000
"""Random schedules when there are too many to try them all."""
REPEATS = 3
"""Times that a failure is run again before it is shown."""

Strategy = Literal["auto", "states", "traces", "bounded", "sampling"]


def check(
    scenario: Scenario,
    strategy: Strategy = "auto",
    *,
    budget: int = BUDGET,
    max_preemptions: int | None = None,
    seed: int = 0,
) -> Report:
    """Search `scenario` for a schedule that goes wrong, and say what that has shown.

    With `max_preemptions`, schedules with more are not tried, and the best verdict is
    PASS_BOUNDED. `strategy` asks for one search alone.
    """
    if max_preemptions is not None:
        strategy = "bounded"
    with watched():  # once around all runs: starting the timer takes as long as a small run
        return _Check(scenario, budget, max_preemptions, seed).by(strategy)


@dataclass
class _Check:
    scenario: Scenario
    budget: int
    max_preemptions: int | None
    seed: int
    stats: Stats = field(default_factory=Stats)
    notes: list[str] = field(default_factory=list)
    lockdep: LockDep = field(default_factory=LockDep)
    """The order of locks, as all runs so far have shown it."""
    known: LockDep = field(default_factory=LockDep)
    """The same, as it was before the last of them."""

    def by(self, strategy: Strategy) -> Report:
        """Search by this strategy: one search after the other, until one has a verdict."""
        # What commutes, and what a state is, is known for the ordinary memory only.
        sc = self.scenario.memory_model == "sc"
        by_states = self._every_state if sc else self._every_schedule
        by_traces = self._every_trace if sc else self._every_schedule
        searches: dict[Strategy, list[Callable[[], Report | None]]] = {
            "auto": [self._few_preemptions, by_states, self._sample],
            "states": [by_states],
            "traces": [by_traces],
            "bounded": [self._few_preemptions],
            "sampling": [self._sample],
        }
        for search in searches[strategy]:
            try:
                report = search()
            except OverBudget:
                self.notes.append(
                    f"The search stopped at its budget: {self.budget} runs, or steps."
                )
                continue
            if report is not None:
                return report
        return self._as_far_as_it_went()

    # -- the searches --------------------------------------------------------------------------

    def _few_preemptions(self) -> Report | None:
        most = self.max_preemptions
        budget = Budget.of(self.budget // 4 if most is None else self.budget)
        for bound in BOUNDS if most is None else range(most + 1):
            oracle = DepthFirst(bound)
            if found := self._first_bug(self._depth_first(oracle, budget)):
                return self._failure(found)
            self.stats.preemption_bound = bound
            if not oracle.cut:
                return self._report(Verdict("PASS"), "schedules")
        return None if most is None else self._report(Verdict("PASS_BOUNDED", most), "schedules")

    def _depth_first(self, oracle: DepthFirst, budget: Budget) -> Iterator[Run]:
        while True:
            run = self._run(oracle)
            budget.spend(len(run.schedule))
            yield run
            if not oracle.backtrack():
                return

    def _every_state(self) -> Report:
        search = VisitedStates(self.scenario, lockdep=self.lockdep, budget=self._rest())
        try:
            found = self._first_bug(search.runs(), search)
        except CannotTell as what:
            self.notes.append(f"Searched by traces, for states cannot be told apart: {what}.")
            return self._traces_by(SourceDpor)
        finally:
            self.stats.states = search.states
        if found:
            return self._failure(found)
        return (search.cyclic and self._livelock()) or self._report(Verdict("PASS"), "states")

    def _livelock(self) -> Report | None:
        """Search once more, for tasks that go round for ever: now every step counts."""
        graph = Graph()
        budget = Budget.of(self.budget)
        search = VisitedStates(self.scenario, reduce=False, graph=graph, budget=budget)
        found = self._first_bug(search.runs(), search)
        if found:
            return self._failure(found)
        found_round = graph.livelock()
        if found_round is None:
            return None
        lead_in, round_trip = found_round
        keys = list(self.scenario.keys.values())
        schedule = "".join(keys[task] for task in [*lead_in, *round_trip])
        run = followed(self.scenario, schedule)
        names = list(self.scenario.tasks)
        going = [names[task] for task in sorted(set(round_trip))]
        bug = run.bug or endless(going, len(lead_in) + 1, len(lead_in) + len(round_trip))
        return self._report(Verdict("FAIL"), "", replace(run, bug=bug))

    def _every_schedule(self) -> Report:
        if found := self._first_bug(self._depth_first(DepthFirst(), self._rest())):
            return self._failure(found)
        return self._report(Verdict("PASS"), "schedules")

    def _every_trace(self) -> Report:
        before = replace(self.stats)
        try:
            return self._traces_by(KnownTraces)
        except CannotTell:
            self.stats = before
            return self._traces_by(SourceDpor)

    def _traces_by(self, kind: type[SourceDpor]) -> Report:
        search = kind(self.scenario, lockdep=self.lockdep, budget=self._rest())
        if found := self._first_bug(search.runs(), search):
            return self._failure(found)
        return self._report(Verdict("PASS"), "traces")

    def _sample(self) -> Report:
        runs = (self._run(PartialOrderSampling(self.seed + i)) for i in range(SAMPLES))
        if found := self._first_bug(runs):
            return self._failure(found)
        return self._report(Verdict("SAMPLED", SAMPLES), "random schedules")

    def _rest(self) -> Budget:
        """Return what the searches before have left of the budget, in runs."""
        return Budget.of(self.budget - self.stats.runs)

    def _run(self, oracle: Oracle) -> Run:
        machine, shared = load(self.scenario, oracle, lockdep=self.lockdep)
        machine.run()
        return finish(self.scenario, machine, shared)

    def _first_bug(
        self, runs: Iterator[Run], search: SourceDpor | VisitedStates | None = None
    ) -> Run | None:
        """Go through `runs` to the first that goes wrong. Raises OverBudget."""
        before = self.stats.redundant
        for run in runs:
            self.stats.executions += 1
            if search is not None:
                self.stats.redundant = before + search.redundant
            if run.bug is not None:
                return run
            self.known = self.lockdep.copy()
        if search is not None:  # ways given up since the last run that was new
            self.stats.redundant = before + search.redundant
        return None

    # -- what is shown -------------------------------------------------------------------------

    def _failure(self, found: Run) -> Report:
        """Make the failure small, and show it only if it can be shown again and again."""
        if isinstance(found.bug, StackOverflow):  # it is as short as it can be
            return self._report(Verdict("FAIL"), "", shown_again(found, found.bug))
        known = LockDep()
        if not self._again(found, known):
            known = self.known  # the order it breaks was established in another run
            self.notes.append("The other order of these locks was taken in another schedule.")
        small = shrink(self.scenario, found, known) if self._again(found, known) else found
        shown = [self._again(small, known) for _ in range(REPEATS)]
        if not all(shown):
            raise ModelError(
                f"The schedule {small.schedule!r} went wrong once, and is fine when it is run "
                f"again. {NOT_DETERMINED}"
            )
        return self._report(Verdict("FAIL"), "", shown[0])

    def _again(self, run: Run, known: LockDep) -> Run | None:
        """Run a schedule again, with all that is needed to show it; None if it ends otherwise."""
        try:
            again = followed(self.scenario, run.schedule, known.copy())
        except BadSchedule:
            return None
        same = type(again.bug) is type(run.bug) and str(again.bug) == str(run.bug)
        return again if same else None

    def _as_far_as_it_went(self) -> Report:
        """Say what holds when a search was cut short. It is never PASS."""
        bound = self.stats.preemption_bound
        if bound is not None:
            return self._report(Verdict("PASS_BOUNDED", bound), "schedules")
        return self._report(Verdict("SAMPLED", self.stats.executions), "schedules")

    def _report(self, verdict: Verdict, counted: str, failure: Run | None = None) -> Report:
        return Report(self.scenario, verdict, counted, failure, self.stats, tuple(self.notes))
