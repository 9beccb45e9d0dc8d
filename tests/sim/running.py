"""Run small programs under every schedule: a brute force for these tests, without verdicts."""

from collections.abc import Iterator
from itertools import count
from typing import Any

from pfncache_lab.explore import DepthFirst, Scenario
from pfncache_lab.explore.scenario import load
from pfncache_lab.sim import KernelBug, LockDep


def runs(setup, bound=None, lockdep=None, limit=5000, record=False, **tasks) -> Iterator[Any]:
    """Yield a machine for each schedule; `setup` makes what each of the tasks is called with."""
    oracle, scenario = DepthFirst(bound), Scenario("test", setup, tasks)
    for _ in range(limit):
        machine, shared = load(scenario, oracle, record=record, lockdep=lockdep)
        machine.run()
        machine.shared = shared  # type: ignore[attr-defined]
        yield machine
        if not oracle.backtrack():
            return
    raise AssertionError(f"more than {limit} schedules")


def bugs(setup, **how) -> list[KernelBug | None]:
    """List what each schedule ends with."""
    return [machine.bug for machine in runs(setup, **how)]


def find(setup, lockdep=None, **tasks) -> tuple[int, KernelBug]:
    """Find the first bug, and the fewest preemptions that it takes."""
    for bound in count():
        for machine in runs(setup, bound=bound, lockdep=lockdep, **tasks):
            if machine.bug is not None:
                return bound, machine.bug
        assert bound < 3, "no bug"
    raise AssertionError("unreachable")


def new_lockdep() -> LockDep:
    return LockDep()
