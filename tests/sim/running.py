"""Run small programs under every schedule, on the machine alone: a brute force for these tests."""

from collections.abc import Iterator
from functools import partial
from itertools import count
from typing import Any

from pfncache_lab.explore import DepthFirst
from pfncache_lab.sim import KernelBug, LockDep, Machine, new_world


def runs(setup, bound=None, lockdep=None, limit=5000, record=False, **tasks) -> Iterator[Any]:
    """Yield a machine for each schedule; `setup` makes what each of the tasks is called with."""
    oracle = DepthFirst(bound)
    for _ in range(limit):
        new_world()
        shared = setup()
        machine = Machine(oracle, shared.snapshot if record else None, lockdep=lockdep)
        for name, task in tasks.items():
            machine.spawn(name, partial(task, shared))
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
