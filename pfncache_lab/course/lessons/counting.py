"""counting.py: tasks that count, without a lock, with a bad one, or with the reader's own."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from ...explore import Condition, Scenario, run
from ...sim import Struct, cmpxchg, cpu_relax, marked, shared, smp_store_release
from ...viz import Figure, LockBars, Note
from ..exercise import Built
from ..sources import blank_line
from ..trial import TakingTurns

# -- the programs ----------------------------------------------------------------------------------


class Marked(Struct):
    """A counter whose every access is a step, and a word beside it."""

    locked = marked(0)
    count = marked(0)


class Plain(Struct):
    """A counter that nobody has marked, and a word beside it."""

    locked = marked(0)
    count = shared(0)


class Unlocked(Struct):
    """A counter that nobody has marked, and nothing else."""

    count = shared(0)


def increment(shared):
    """Add one."""
    shared.count += 1


def one_instruction(shared):
    """Look and set in one step; add one; give it back."""
    while cmpxchg(shared, "locked", 0, 1) != 0:
        cpu_relax()
    shared.count += 1
    smp_store_release(shared, "locked", 0)


def patient(shared):
    """Wait politely for whoever holds it, then take it."""
    if cmpxchg(shared, "locked", 0, 1) != 0:
        while shared.locked:
            cpu_relax()
        shared.locked = 1
    shared.count += 1
    shared.locked = 0


def twice(shared):
    """Give it back at the end, and once more on the way out."""
    while cmpxchg(shared, "locked", 0, 1) != 0:
        cpu_relax()
    shared.count += 1
    smp_store_release(shared, "locked", 0)
    smp_store_release(shared, "locked", 0)


def all_counted(tasks: str) -> Condition:
    """Say that no increment is lost."""
    total = len(tasks)
    return Condition(f"count == {total}", lambda shared: shared.count == total)


DATA_RACE = Scenario("plain", Unlocked, dict.fromkeys("ab", increment), [all_counted("ab")])
LOCKED = Scenario("locked", Plain, dict.fromkeys("ab", one_instruction), [all_counted("ab")])
PATIENT = Scenario("patient", Marked, dict.fromkeys("abc", patient), [all_counted("abc")])
TWICE = Scenario(
    "twice",
    Plain,
    {"a": twice, "b": one_instruction, "c": one_instruction},
    [all_counted("abc")],
)

# -- with the reader's lock ------------------------------------------------------------------------


class Counted(Struct):
    """A plain counter, and the reader's lock, which has to protect it."""

    count = shared(0)

    def __init__(self, lock: Any) -> None:
        """Set up with a new lock."""
        super().__init__()
        self.lock = lock

    def snapshot(self) -> dict[str, Any]:
        """Show the word of the lock as well."""
        return {**self.lock.snapshot(), **super().snapshot()}


def add_one(shared):
    """Add one, under the lock."""
    shared.lock.lock()
    shared.count += 1
    shared.lock.unlock()


def add_two(shared):
    """Come twice."""
    for _ in range(2):
        shared.lock.lock()
        shared.count += 1
        shared.lock.unlock()


def counting(
    name: str, tasks: str, body: Callable[[Any], None], total: int
) -> Callable[[Built], Scenario]:
    """Make the program in which each task counts, with the reader's lock."""

    def make(my: Built) -> Scenario:
        done = Condition(f"count == {total}", lambda shared: shared.count == total)
        return Scenario(name, lambda: Counted(my.SpinLock()), dict.fromkeys(tasks, body), [done])

    return make


def meeting(lock: Any) -> Figure:
    """Run two tasks that meet at this lock, and show who holds it when."""
    if (line := blank_line(lock)) is not None:
        return Note(f"A blank is left in SpinLock (line {line}). Your own run will stand here.")

    make = counting("meeting", "ab", add_one, 2)
    try:
        return LockBars(run(make(SimpleNamespace(SpinLock=lock)), TakingTurns(), record=True))
    except Exception as problem:
        return Note(f"I could not draw this run: {type(problem).__name__}: {problem}")
