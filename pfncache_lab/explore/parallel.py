"""parallel.py: divide the search of a large scenario among processes, or among machines.

The tree of schedules is expanded to its first branches, all of them at every place, each with the
tasks that sleep in it. What hangs from a branch is a job: small, picklable, and on its own, since
no race leads out of it to a choice that has not been made already. So any executor will do whose
`map` is that of concurrent.futures, and the counts add up to those of the search in one piece.

    from concurrent.futures import ProcessPoolExecutor
    with ProcessPoolExecutor() as executor:
        print(search_in_parallel(make_scenario, executor))

It does not pay for a search of a second: starting the processes takes as long.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from ..sim import Task, watched
from .dependency import Move, dependent, move_of
from .dpor import SourceDpor
from .scenario import Scenario, load

JOBS = 64
"""Branches to divide into. Some are a hundred times as large as others, so take more than there
are processes."""

FAILURES_KEPT = 10


@dataclass(frozen=True)
class Job:
    """One branch of the tree of schedules."""

    make: Callable[[], Scenario]
    """A function that can be pickled: of a module, or a `functools.partial` of one."""
    prefix: tuple[int, ...] = ()
    asleep: tuple[tuple[int, Move], ...] = ()


@dataclass(frozen=True)
class Part:
    """What the search of one branch has shown, or of several."""

    executions: int = 0
    redundant: int = 0
    failures: int = 0
    schedules: tuple[str, ...] = ()
    """The first few that go wrong."""


def search_in_parallel(make: Callable[[], Scenario], executor: Executor, jobs: int = JOBS) -> Part:
    """Search one schedule of each trace, with the processes of `executor`."""
    return merge(executor.map(search_branch, split(make, jobs)))


def search_branch(job: Job) -> Part:
    """Do one job. This is what runs in another process."""
    search = SourceDpor(job.make(), root=job.prefix, asleep=dict(job.asleep))
    executions, failures = 0, []
    with watched():  # once around all runs: starting the timer takes as long as a small run
        for run in search.runs():
            executions += 1
            if run.bug is not None:
                failures.append(run.schedule)
    kept = tuple(failures[:FAILURES_KEPT])
    return Part(executions, search.redundant, len(failures), kept)


def merge(parts: Iterable[Part]) -> Part:
    """Add up."""
    found = list(parts)
    schedules = [schedule for part in found for schedule in part.schedules]
    return Part(
        sum(part.executions for part in found),
        sum(part.redundant for part in found),
        sum(part.failures for part in found),
        tuple(schedules[:FAILURES_KEPT]),
    )


def split(make: Callable[[], Scenario], jobs: int = JOBS) -> list[Job]:
    """Divide the search into at least so many jobs, if the scenario has that many branches."""
    scenario = make()
    todo = deque([Job(make)])
    done: list[Job] = []
    while todo and len(todo) + len(done) < jobs:
        job = todo.popleft()
        branches = list(_branches(scenario, job))
        if branches:
            todo.extend(branches)
        else:
            done.append(job)  # the run is over here, or everybody who could run sleeps
    return [*done, *todo]


def _branches(scenario: Scenario, job: Job) -> Iterable[Job]:
    """Yield a job for each task that can run next and does not sleep."""
    moves = _moves_after(scenario, job.prefix)
    asleep = dict(job.asleep)
    for task, move in moves.items():
        if task in asleep:
            continue
        still = tuple((t, m) for t, m in asleep.items() if not dependent(m, move))
        yield Job(job.make, (*job.prefix, task), still)
        asleep[task] = move


def _moves_after(scenario: Scenario, prefix: Sequence[int]) -> dict[int, Move]:
    oracle = _Stop(bool(scenario.invariants))
    machine, _ = load(scenario, oracle, script=prefix)
    machine.run()
    return oracle.moves


class _Stop:
    """Stops where it is first asked, and keeps what could be done there."""

    def __init__(self, watched: bool) -> None:
        self.moves: dict[int, Move] = {}
        self._watched = watched

    def choose(self, runnable: Sequence[Task], current: Task | None) -> Task | None:
        """Look, and stop."""
        self.moves = {t.index: move_of(t.pending, self._watched) for t in runnable if t.pending}
        return None
