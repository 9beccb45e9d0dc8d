"""spinning.py: loops that wait for another task."""

# ruff: noqa: D102  # What the methods of an operation are for stands in op.py.
from __future__ import annotations

from . import machine, weak
from .machine import Task
from .op import Op
from .sleeping import might_sleep


def cpu_relax() -> None:
    """Say "I am spinning": belongs in the body of every loop that waits for another task.

    An iteration that has stored nothing can only repeat itself until somebody changes what it has
    loaded. So the task is not chosen again before that: the loop stays as it is in the kernel,
    and the number of schedules stays finite. Mirrors cpu_relax() (asm/processor.h).

    A loop that gives up after some rounds (`for _ in range(3)`) does not need it, and must do
    without: here it would wait for a change, and be a livelock where nobody is left to make one.
    """
    if machine.running is not None:
        machine.running.step(Spin(machine.running.executing()))


def cond_resched() -> None:
    """Let others run, in a loop that may take long; like cpu_relax(), but it may sleep."""
    might_sleep("call cond_resched()")
    cpu_relax()


class Spin(Op):
    """Wait until something changes that the task has loaded since it last spun."""

    __slots__ = ("task", "reads")
    kind = "spin"
    waits = True

    def __init__(self, task: Task) -> None:
        self.task = task
        # A plain field changes without a step; the step that tells is one on its lock. Who has
        # stored something waits for nobody: this step is enabled whatever the others do, and it
        # changes only the task's own notes, so it commutes with everything.
        watched = () if task.stored else (*[thing.id for thing in task.seen], *task.context.taken)
        self.reads = watched

    @property
    def wants_change(self) -> bool:  # type: ignore[override]
        return not self.task.stored

    def enabled(self) -> bool:
        if self.task.stored:  # its own store is progress: the next iteration may differ
            return True
        return any(thing.version != version for thing, version in self.task.seen.items())

    def effect(self) -> None:
        weak.catch_up(self.task)
        self.task.seen.clear()
        self.task.context.taken.clear()
        self.task.stored = False

    def future(self) -> str:
        return "spin"

    def past(self, result: object) -> str:
        return "spin once more"

    def reason(self) -> str:
        names = sorted({thing.name for thing in self.task.seen})
        return f"it spins until {' or '.join(names) or 'something'} changes"
