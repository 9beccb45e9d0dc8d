"""spinning.py: loops that wait for another task."""

# ruff: noqa: D102  # What the methods of an operation are for stands in op.py.
from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType
from typing import NamedTuple

from . import machine, weak
from .cell import Cell
from .lock import Lock
from .machine import Task
from .memory import Struct
from .named import Named
from .op import Op
from .sleeping import might_sleep
from .variables import variables_of


def cpu_relax() -> None:
    """Say "I am spinning": belongs in the body of every loop that waits for another task.

    An iteration that has changed nothing, neither shared fields nor the variables with which the
    next one begins, can only repeat itself until somebody changes what it has loaded. So the task
    is not chosen again before that: the loop stays as it is in the kernel, and the number of
    schedules stays finite.
    Mirrors cpu_relax() (asm/processor.h).

    A loop that gives up after some rounds (`for _ in range(3)`) waits for nobody: there it only
    lets others run.
    """
    if machine.running is not None:
        machine.running.step(Spin(machine.running.executing()))


def cond_resched() -> None:
    """Let others run, in a loop that may take long; like cpu_relax(), but it may sleep."""
    might_sleep("call cond_resched()")
    cpu_relax()


class Spin(Op):
    """Wait until something changes that the task has loaded since it last spun."""

    __slots__ = ("task", "turn", "moved_on", "progress", "wants_change", "reads", "writes", "woken")
    kind = "spin"
    waits = True

    def __init__(self, task: Task) -> None:
        self.task = task
        self.turn = Turn.of_this_task()
        self.moved_on = self.turn is not None and self.turn.is_news_after(task.turn)
        if self.turn is not None and _gives_up():
            self.turn, self.moved_on = None, True
        self.progress = task.stored or self.moved_on
        """Whether the task has changed anything since it last spun: a field, or its variables."""
        self.wants_change = not self.progress
        # Who has made progress waits for nobody: this step is enabled whatever the others do. It
        # changes only the task's own notes, so it commutes with everything.
        self.reads = self.writes = ()
        if not self.progress:
            # A plain field changes without a step; the step that tells is one on its lock.
            seen = [thing.id for thing in task.seen]
            self.reads = tuple(sorted({*seen, *task.context.taken}))
            # Readers commute and count as having only looked; but one that leaves wakes this task.
            shareable = [t.id for t in task.seen if isinstance(t, Lock) and t.shareable]
            self.writes = tuple(sorted(shareable))

    def enabled(self) -> bool:
        if self.progress:  # the next iteration may differ
            return True
        return any(thing.version != version for thing, version in self.task.seen.items())

    def effect(self) -> None:
        task = self.task
        weak.catch_up(task)
        # Why it goes on, for `past`: what it had seen, and whether it waited at all. A search never
        # asks, so the sentence is not made here.
        self.woken = None if self.progress else task.seen
        task.turn = self.turn
        task.seen = {}
        task.context.taken.clear()
        task.stored = False

    def future(self) -> str:
        return "spin"

    def past(self, result: object) -> str:
        if self.moved_on:
            return "spin → no wait, for the next round may differ"
        if self.woken is None:
            return "spin → no wait, after progress of its own"
        changed = [
            _news(thing) for thing, version in self.woken.items() if thing.version != version
        ]
        return f"spin → {' and '.join(sorted(changed))}"

    def reason(self) -> str:
        names = sorted({thing.name for thing in self.task.seen})
        return f"it spins until {' or '.join(names) or 'something'} changes"


class Turn(NamedTuple):
    """What the variables of a loop were when it spun: those with which the next iteration begins.

    A retry loop carries what it has loaded over to the next iteration. That one can succeed where
    nobody has changed anything since, for it begins with newer values. So what carries something
    over goes round once more, and waits only when it begins as it did the last time.
    """

    frame: FrameType
    """The call that the loop is in."""
    offset: int
    """Where that is in its code."""
    values: tuple[object, ...]
    """The numbers, texts and simulated objects in the variables; of a walk along a list that is how
    far it has come. Other values may be made anew each time and mean the same."""
    counts: bool
    """Whether it is a `for`: what it carries over is only how far it has come."""

    @classmethod
    def of_this_task(cls) -> Turn | None:
        """Look at the innermost loop that the task is in now; None if it carries nothing over."""
        for frame in _frames_of_the_program():
            loop = variables_of(frame.f_code).loop(frame.f_lasti)
            if loop is not None:
                break
        else:
            return None
        if not loop.carries:
            return None
        variables = frame.f_locals
        values = [variables.get(name) for name in loop.carries]
        compared = [value if isinstance(value, _COMPARED) else None for value in values]
        return cls(frame, frame.f_lasti, tuple(compared), loop.counts)

    def is_news_after(self, before: Turn | None) -> bool:
        """Tell whether the next iteration may differ, though nobody has changed a field."""
        if before is None or before.frame is not self.frame or before.offset != self.offset:
            return not self.counts
        return before.values != self.values


_COMPARED = (int, str, Struct, Named)


def _gives_up() -> bool:
    """Whether all loops that the task is in end by themselves, for lack of items."""
    frames = _frames_of_the_program()
    return all([variables_of(frame.f_code).ends_by_itself(frame.f_lasti) for frame in frames])


def _frames_of_the_program() -> Iterator[FrameType]:
    """Yield the calls that the task is in, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__package__") != __package__:
            yield frame
        frame = frame.f_back


def _news(thing: Cell | Lock) -> str:
    return f"{thing.name} {'has changed' if isinstance(thing, Cell) else 'was released'}"
