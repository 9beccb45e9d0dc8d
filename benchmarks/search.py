"""How fast the searches are: `python -m benchmarks.search`, on a machine that does nothing else.

Each number is the median of several runs in this process. The baseline switches greenlets and does
nothing else, so that two machines, or a machine on two days, can be compared.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from multiprocessing import get_context
from statistics import median
from time import perf_counter

from greenlet import getcurrent, greenlet

from benchmarks.gpc import gpc
from pfncache_lab.explore import Scenario
from pfncache_lab.explore.dpor import SourceDpor
from pfncache_lab.explore.parallel import search_branch, search_in_parallel, split
from pfncache_lab.explore.visited import VisitedStates

ROWS = {
    "1 vCPU, 1 mm": gpc(),
    "1 vCPU, 1 mm, 1 refresher": gpc(refreshers=1),
    "2 vCPU, 1 mm": gpc(vcpus=2),
    "1 vCPU, 2 mm": gpc(mms=2),
    "2 vCPU, 1 mm, 1 refresher": gpc(vcpus=2, refreshers=1),
    "1 vCPU, 1 mm, 2 rounds": gpc(rounds=2),
}


def timed(work: Callable[[], object], times: int = 3) -> float:
    """Measure a piece of work in seconds."""
    return median(_once(work) for _ in range(times))


def _once(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


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


def traces_per_second() -> None:
    """Source-DPOR, over runs of about 49 operations."""
    runs = list(SourceDpor(gpc()).runs())
    length = sum(len(run.schedule) for run in runs) / len(runs)
    seconds = timed(lambda: list(SourceDpor(gpc()).runs()), 7)
    bare = timed(lambda: baseline(len(runs)), 7)
    print(f"source-DPOR        {len(runs) / seconds:7.0f} executions/s of {length:.0f} operations")
    print(f"greenlets alone    {len(runs) / bare:7.0f} executions/s of 49 switches")


def by_states(name: str, scenario: Scenario) -> None:
    """The visited-state search, and how far source-DPOR gets in 3000 runs."""
    search = VisitedStates(scenario)
    seconds = timed(lambda: list(VisitedStates(scenario).runs()))
    runs = len(list(search.runs())) + search.redundant
    start = perf_counter()
    traces = len(list(islice(SourceDpor(scenario).runs(), 3000)))
    spent = perf_counter() - start
    cut = " and more" if traces == 3000 else ""
    print(
        f"{name:28}{search.states:6} states, {runs:5} runs, {seconds:6.2f} s;"
        f"  {traces:5} traces{cut}, {spent:5.2f} s"
    )


def two_processes() -> None:
    """The same search in one process, and divided among two."""
    make = partial(gpc, refreshers=1)
    jobs = split(make)
    with ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as executor:
        list(executor.map(search_branch, jobs[:2]))  # start the processes
        start = perf_counter()
        together = search_in_parallel(make, executor)
        divided = perf_counter() - start
    start = perf_counter()
    alone = sum(1 for _ in SourceDpor(make()).runs())
    whole = perf_counter() - start
    assert together.executions == alone
    print(f"two processes      {alone} traces: {whole:.2f} s alone, {divided:.2f} s divided")


def import_time() -> None:
    """Importing the package, and starting Python without it."""
    command = [sys.executable, "-c"]
    with_it = timed(lambda: subprocess.run([*command, "import pfncache_lab"], check=True), 7)
    without = timed(lambda: subprocess.run([*command, ""], check=True), 7)
    print(f"import             {(with_it - without) * 1000:.0f} ms")


if __name__ == "__main__":
    traces_per_second()
    for row, scenario in ROWS.items():
        by_states(row, scenario)
    two_processes()
    import_time()
