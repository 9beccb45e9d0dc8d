"""How fast the searches are: `python -m benchmarks.search`, on a machine that does nothing else.

Prints a table in Markdown. Each time is the median of several, and stands next to a baseline of the
same minute, which switches greenlets and does nothing else. So compare the last column: two
machines, or a machine on two days, differ less in it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from greenlet import getcurrent, greenlet

from benchmarks.gpc import gpc
from pfncache_lab.explore import Scenario, check
from pfncache_lab.explore.dpor import SourceDpor
from pfncache_lab.explore.known_traces import KnownTraces
from pfncache_lab.explore.parallel import search_branch, search_in_parallel, split
from pfncache_lab.explore.visited import VisitedStates
from pfncache_lab.sim import watched
from tests.sim.classics import CLASSICS

ROWS = {
    "1 vCPU, 1 mm": partial(gpc),
    "1 vCPU, 1 mm, 1 refresher": partial(gpc, refreshers=1),
    "2 vCPU, 1 mm": partial(gpc, vcpus=2),
    "1 vCPU, 2 mm": partial(gpc, mms=2),
    "2 vCPU, 1 mm, 1 refresher": partial(gpc, vcpus=2, refreshers=1),
    "1 vCPU, 2 mm, 1 refresher": partial(gpc, mms=2, refreshers=1),
    "2 vCPU, 2 mm": partial(gpc, vcpus=2, mms=2),
    "1 vCPU, 1 mm, 2 rounds": partial(gpc, rounds=2),
}
DIVIDED = "2 vCPU, 1 mm"
"""Searched by traces in one process and in two: more than 20 000 executions."""

TIMES = 5


def timed(work: Callable[[], object], times: int = TIMES) -> float:
    """Measure a piece of work in seconds."""
    return median(_once(work) for _ in range(times))


def _once(work: Callable[[], object]) -> float:
    start = perf_counter()
    with watched():  # one watch for all runs, as check() has it
        work()
    return perf_counter() - start


def row(what: str, found: str, seconds: float, ratio: str) -> None:
    """Print one row of the table."""
    print(f"| {what} | {found} | {seconds:.3f} s | {ratio} |", flush=True)


def baseline(executions: int, operations: int = 49, tasks: int = 3) -> None:
    """Start three greenlets an execution, and switch between them once for each operation."""
    hub = getcurrent()

    def body() -> None:
        while True:
            hub.switch()

    for _ in range(executions):
        greenlets = [greenlet(body) for _ in range(tasks)]
        for i in range(operations):
            greenlets[i % tasks].switch()


def bare(runs: int, length: float) -> float:
    """Measure how long greenlets alone take for so many runs of so many steps."""
    return timed(lambda: baseline(runs, round(length)))


def one_of_each_trace(kind: type[SourceDpor], how: str, name: str, scenario: Scenario) -> None:
    """Source-DPOR: how many executions a second."""
    runs = list(kind(scenario).runs())
    length = sum(len(run.schedule) for run in runs) / len(runs)
    seconds = timed(lambda: list(kind(scenario).runs()))
    rate = f"{len(runs)} executions of {length:.0f} operations, {len(runs) / seconds:.0f}/s"
    row(f"source-DPOR, {how}, {name}", rate, seconds, f"{seconds / bare(len(runs), length):.1f}")


def by_states(name: str, scenario: Scenario) -> None:
    """The visited-state search."""
    search = VisitedStates(scenario)
    ways = len(list(search.runs())) + search.redundant
    seconds = timed(lambda: list(VisitedStates(scenario).runs()))
    ratio = f"{seconds / bare(ways, 49):.1f}"
    row(f"states, {name}", f"{search.states} states on {ways} ways", seconds, ratio)


def two_processes(name: str, make: Callable[[], Scenario]) -> None:
    """The same search in one process, and divided among two that have been started before."""
    with ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as executor:
        list(executor.map(search_branch, split(make)[:2]))
        parts: list[int] = []
        divided = timed(lambda: parts.append(search_in_parallel(make, executor).executions), 3)
    counts: list[int] = []
    whole = timed(lambda: counts.append(sum(1 for _ in SourceDpor(make()).runs())), 3)
    assert set(parts) == set(counts)
    found = f"{counts[0]} executions, {whole / divided:.2f} times as fast as in one"
    row(f"two processes, {name}", found, divided, "")


def mistake(name: str, scenario: Scenario) -> None:
    """A whole check: what it has found is made small, run three times more and recorded."""
    failure = check(scenario).failure
    assert failure is not None
    seconds = timed(lambda: check(scenario))
    row(f"mistake, {name}", type(failure.bug).__name__, seconds, "")


def import_time() -> None:
    """Importing the package, and starting Python without it."""
    with TemporaryDirectory() as compiled:  # nobody compiles it anew each time
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": compiled}
        run = partial(subprocess.run, check=True, env=environment)
        with_it, without = [sys.executable, "-c", "import pfncache_lab"], [sys.executable, "-c", ""]
        run(with_it)
        seconds = timed(lambda: run(with_it), 7) - timed(lambda: run(without), 7)
    row("import pfncache_lab", "compiled; beyond the start of Python", seconds, "")


if __name__ == "__main__":
    print("| what | found | time | × greenlets alone |\n|---|---|---|---|")
    for scenario_name in list(ROWS)[:2]:
        one_of_each_trace(KnownTraces, "known steps", scenario_name, ROWS[scenario_name]())
        one_of_each_trace(SourceDpor, "every step run", scenario_name, ROWS[scenario_name]())
    for scenario_name, make_scenario in ROWS.items():
        by_states(scenario_name, make_scenario())
    for mistake_name, (wrong, _, _) in CLASSICS.items():
        mistake(mistake_name, wrong)
    two_processes(DIVIDED, ROWS[DIVIDED])
    import_time()
