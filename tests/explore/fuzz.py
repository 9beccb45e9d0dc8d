"""Differential fuzz: random small programs, on which all searches must agree.

    python -m tests.explore.fuzz 5000 [first seed]

For each program every schedule is run. How they end, what goes wrong in them, the orders in which
locks are taken and the traces that can be told apart are the truth; programs with too many
schedules are left out. Then each search is asked:

    traces    finds the same endings, violations and orders of locks, in one run a trace
    states    the same endings, violations and orders, with its reductions and without
    bounded   runs exactly the schedules with at most 0, 1, 2 and any number of preemptions
    check()   says FAIL where any schedule goes wrong, and PASS elsewhere
    yielding  ends as the program does in which cpu_relax() waits for nobody, but for livelocks

A violation ends its run, and with it what would have come after. Where a program has two of them,
a search may see only one, in two cases, and must see one:

    traces    one is a data race. Plain accesses are no steps, so two steps that commute do so only
              where no race comes between the accesses after them; once one is there, all bets are
              off, and check() stops anyway.
    states    with reductions: a release is taken to hold nobody up, and is done at once. The
              program may go wrong there, and somebody else's mistake comes too late.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Hashable, Iterator
from itertools import islice
from random import Random
from typing import Any, NamedTuple
from unittest.mock import patch

from pfncache_lab.explore import DepthFirst, Scenario, check
from pfncache_lab.explore.dpor import SourceDpor
from pfncache_lab.explore.known_traces import KnownTraces
from pfncache_lab.explore.scenario import finish, load
from pfncache_lab.explore.values import Values
from pfncache_lab.explore.visited import CannotTell, VisitedStates
from pfncache_lab.sim import (
    DataRace,
    Deadlock,
    KernelBug,
    Livelock,
    LockDep,
    NotHeld,
    Op,
    StepLimit,
    Task,
    spinning,
    watched,
)
from pfncache_lab.sim import machine as running
from tests.explore.brute import all_runs
from tests.explore.random_programs import program

LIMIT = 1000
"""Schedules of one program. More would tell no more, and take long."""

BOUNDS = (0, 1, 2, 1000)


class Ending(NamedTuple):
    """How a run ends: what went wrong, and the shared state if nobody could go on from it."""

    said: str
    state: Hashable

    @property
    def early(self) -> bool:
        """Whether a violation has stopped the tasks wherever they happened to be."""
        return self.state is None


class Found(NamedTuple):
    """What a search has found."""

    endings: set[Ending]
    orders: frozenset[Hashable]
    runs: int
    """Traces, or runs."""
    bad_order: bool = False
    schedules: dict[str, int] = {}  # noqa: RUF012
    """Each with its number of preemptions."""

    @property
    def wrong(self) -> bool:
        """Whether any schedule goes wrong."""
        return self.bad_order or any(ending.said for ending in self.endings)

    @property
    def early(self) -> set[str]:
        return {ending.said for ending in self.endings if ending.early}


class Quiet(LockDep):
    """Learns the orders of locks, and lets every run go on to an end that is its own."""

    bad = False

    def wants(self, task: Task, wish: Any, unqueued: bool) -> None:
        self.bad = super().wants(task, wish, unqueued) is not None or self.bad

    def takes(self, task: Task, wish: Any) -> None:
        self.bad = super().takes(task, wish) is not None or self.bad

    @property
    def orders(self) -> frozenset[Hashable]:
        """All that has been seen, without the stories."""
        return frozenset([*self._known, *self._in_irq, *(("on", *key) for key in self._irqs_on)])


# -- how a run ends --------------------------------------------------------------------------------

DEPENDS = re.compile(
    r" (since|at|after) step \d+"
    r"| \(line \d+ of \w+\(\)(: `[^`]*`)?\)"  # of a lock: a state says who has it, not since where
    r"| It was last released by \w+ at step \d+\."
)
"""What may differ between two schedules of one trace, or two ways to one state."""

KIND_ONLY = (DataRace, Deadlock, Livelock, NotHeld)
"""Their sentences tell of other tasks, wherever these are: which of two accesses came first."""


def said(bug: KernelBug | None) -> str:
    """Name a violation in words that are the same in every schedule that shows it."""
    if bug is None:
        return ""
    kind = next((kind for kind in KIND_ONLY if isinstance(bug, kind)), type(bug)).__name__
    return kind if isinstance(bug, KIND_ONLY) else f"{kind}: {DEPENDS.sub('', str(bug))}"


def ending(machine: Any) -> Ending:
    """Tell how a machine has ended."""
    bug, things = machine.bug, running.world.things
    if bug is not None and not isinstance(bug, Deadlock | Livelock):
        return Ending(said(bug), None)
    values = Values({id(thing): number for number, thing in things.items()})
    state = [(number, values.key(thing.state())) for number, thing in sorted(things.items())]
    finished = [task.pending is None for task in machine.tasks]
    return Ending(said(bug), (tuple(finished), tuple(state)))


# -- what each search finds ------------------------------------------------------------------------


def searched(search: Any, scenario: Scenario, **options: Any) -> Found:
    """Run a search to its end. May raise CannotTell."""
    endings: set[Ending] = set()
    lockdep = Quiet()
    made = search(scenario, lambda machine, _: endings.add(ending(machine)), lockdep, **options)
    count = sum(1 for _ in made.runs())
    return Found(endings, lockdep.orders, count, lockdep.bad)


def truth(scenario: Scenario, limit: int = LIMIT) -> Found | None:
    """Run every schedule; None if there are more than `limit`, or one has no end."""
    if about_how_many(scenario) > 3 * limit:
        return None
    lockdep = Quiet()
    endings, traces, schedules = set(), set(), {}
    for seen in islice(all_runs(scenario, lockdep=lockdep), limit + 1):
        if isinstance(seen.machine.bug, StepLimit):
            return None
        endings.add(ending(seen.machine))
        traces.add(seen.trace)
        schedules[seen.run.schedule] = seen.preemptions
    if len(schedules) > limit:
        return None
    return Found(endings, lockdep.orders, len(traces), lockdep.bad, schedules)


class _Dice:
    """Chooses at random, and multiplies how many there were to choose from."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.product = 1

    def choose(self, runnable: Any, current: Any) -> Task:
        self.product *= len(runnable)
        return self.random.choice(runnable)


def about_how_many(scenario: Scenario, samples: int = 5) -> float:
    """Guess how many schedules there are, from a few (Knuth, "Backtrack Programs", 1975)."""
    dice = [_Dice(seed) for seed in range(samples)]
    for one in dice:
        machine, _ = load(scenario, one)
        machine.run()
    return sum(one.product for one in dice) / samples


def bounded(scenario: Scenario, bound: int) -> Iterator[str]:
    """Yield the schedules of the search with bounded preemptions."""
    oracle = DepthFirst(bound)
    while True:
        machine, shared = load(scenario, oracle)
        machine.run()
        yield finish(scenario, machine, shared).schedule
        if not oracle.backtrack():
            return


# -- what must agree -------------------------------------------------------------------------------


def must_agree(name: str, found: Found, known: Found, same: bool) -> Iterator[str]:
    """Say where `found` differs from the truth.

    Unless it must be the `same`, it may lack endings, but it must not invent any, and it must have
    a violation where there is one.
    """
    missed, invented = known.endings - found.endings, found.endings - known.endings
    if invented or (missed and same):
        some = [ending.said for ending in sorted(missed | invented, key=str)[:2]]
        yield f"{name}: {len(missed)} endings missed, {len(invented)} invented, such as {some}"
    if bool(found.early) != bool(known.early):
        yield f"{name}: no violation, and there is {known.early}"
    if found.orders - known.orders or (same and found.orders != known.orders):
        yield f"{name}: the orders of locks differ in {found.orders ^ known.orders}"


def disagreements(scenario: Scenario, totals: Counter[str], limit: int = LIMIT) -> Iterator[str]:
    """Say where a search differs from brute force."""
    known = truth(scenario, limit)
    if known is None:
        totals["too large"] += 1
        return
    totals.update(programs=1, schedules=len(known.schedules), traces=known.runs)
    totals.update(endings=len(known.endings), wrong=known.wrong, early=bool(known.early))
    yield from by_traces(scenario, known)
    yield from by_bound(scenario, known)
    yield from by_states(scenario, known, totals)
    yield from by_one_call(scenario, known)
    yield from by_yielding(scenario, known)


def by_traces(scenario: Scenario, known: Found) -> Iterator[str]:
    for search in (SourceDpor, KnownTraces):
        try:
            found = searched(search, scenario)
        except CannotTell:
            return
        name = search.__name__
        yield from must_agree(name, found, known, same="DataRace" not in known.early)
        if found.runs != known.runs and not known.early:
            yield f"{name}: {found.runs} of {known.runs}"


def by_bound(scenario: Scenario, known: Found) -> Iterator[str]:
    for bound in BOUNDS:
        ran = Counter(bounded(scenario, bound))
        if ran != Counter([s for s, used in known.schedules.items() if used <= bound]):
            yield f"bound {bound}: {len(ran)} schedules, and not those of brute force"


def by_states(scenario: Scenario, known: Found, totals: Counter[str]) -> Iterator[str]:
    for reduce in (False, True):
        try:
            found = searched(VisitedStates, scenario, reduce=reduce)
        except CannotTell:
            totals["not to be told apart"] += 1
            return
        same = not (reduce and known.early)
        yield from must_agree(f"states, reduce={reduce}", found, known, same)
    totals["by states"] += 1


def by_one_call(scenario: Scenario, known: Found) -> Iterator[str]:
    report = check(scenario)
    if str(report.verdict) != ("FAIL" if known.wrong else "PASS"):
        yield f"check: {report}, and the truth is {known.wrong}"
    elif report.failure:
        bug = said(report.failure.bug)
        if bug not in {ending.said for ending in known.endings} and "LockOrder" not in bug:
            yield f"check: invented {bug}"


class _Yield(Op):
    """A spin that only lets others run, as it does in the kernel."""

    __slots__ = ()
    kind = "yield"
    reads = writes = ()

    def __init__(self, task: Task) -> None:
        pass

    def effect(self) -> None:
        pass

    def future(self) -> str:
        return "yield"


def by_yielding(scenario: Scenario, known: Found) -> Iterator[str]:
    """Search the program in which no spin waits: it goes round as often as it likes."""
    with patch.object(spinning, "Spin", _Yield):
        try:
            found = searched(VisitedStates, scenario, reduce=False)
        except CannotTell:
            return
    for_ever = ("Livelock", "StepLimit")
    ours, theirs = (
        {ending for ending in some.endings if not ending.said.startswith(for_ever)}
        for some in (known, found)
    )
    if ours != theirs:
        yield f"yielding: {len(theirs - ours)} endings missed, {len(ours - theirs)} invented"


def fuzz(seeds: range, limit: int = LIMIT) -> tuple[list[str], Counter[str]]:
    """Try these seeds; returns what differs, and what has been tried."""
    totals: Counter[str] = Counter()
    found = []
    with watched():  # once around all runs: starting the timer takes as long as a small run
        for seed in seeds:
            try:
                differ = disagreements(program(seed), totals, limit)
                found += [f"seed {seed}: {text}" for text in differ]
            except Exception as error:
                found.append(f"seed {seed}: {type(error).__name__}: {error}")
    return found, totals


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    differences, tried = fuzz(range(first, first + count))
    print("\n".join(differences))
    print(f"{len(differences)} disagreements;", ", ".join(f"{n} {k}" for k, n in tried.items()))
    sys.exit(bool(differences))
