"""spinning.py: loops that wait for another task."""

# ruff: noqa: D102  # What the methods of an operation are for stands in op.py.
from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import takewhile
from types import FrameType
from typing import NamedTuple

from . import machine, weak
from .cell import Cell
from .lock import Lock
from .machine import Task
from .op import Op
from .sleeping import might_sleep


def cpu_relax() -> None:
    """Say "I am spinning": belongs in the body of every loop that waits for another task.

    An iteration that has changed nothing, neither shared fields nor the loop's own variables, can
    only repeat itself until somebody changes what it has loaded. So the task is not chosen again
    before that: the loop stays as it is in the kernel, and the number of schedules stays finite.
    Mirrors cpu_relax() (asm/processor.h).

    A loop that gives up after some rounds (`for _ in range(3)`) does not need it, and must do
    without: here its first round would wait for a change, and be a livelock where nobody is left to
    make one.
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
        self.moved_on = self.turn.differs_from(task.turn)
        self.progress = task.stored or self.moved_on
        """Whether the task has changed anything since it last spun: a field, or its variables."""
        self.wants_change = not self.progress
        # Who has made progress waits for nobody: this step is enabled whatever the others do. It
        # changes only the task's own notes, so it commutes with everything.
        self.reads = self.writes = ()
        if not self.progress:
            # A plain field changes without a step; the step that tells is one on its lock.
            self.reads = (*[thing.id for thing in task.seen], *task.context.taken)
            # Readers commute and count as having only looked; but one that leaves wakes this task.
            self.writes = tuple([t.id for t in task.seen if isinstance(t, Lock) and t.shareable])

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
    """What the variables of a task were when it spun: those of its loop are among them.

    A retry loop carries what it has loaded over to the next iteration. That one can succeed where
    nobody has changed anything since, for it begins with newer values.
    """

    frames: tuple[FrameType, ...]
    """The calls that it was in, the outermost first."""
    places: tuple[int, ...]
    """Where each of them was in its code."""
    values: tuple[tuple[object, ...], ...]
    """The numbers and texts in its variables. Other values are shared, or made anew each time."""

    @classmethod
    def of_this_task(cls) -> Turn:
        """Look at the calls that the task is in now."""
        frames: list[FrameType] = []
        frame: FrameType | None = sys._getframe(2)
        while frame is not None:
            if frame.f_globals.get("__package__") != __package__:
                frames.append(frame)
            frame = frame.f_back
        frames.reverse()
        return cls(tuple(frames), tuple([f.f_lasti for f in frames]), tuple(map(_values, frames)))

    def in_common_with(self, frames: Sequence[FrameType]) -> int:
        """Count the calls that have not returned since, of those in `frames`."""
        pairs = zip(self.frames, frames, strict=False)
        return len(list(takewhile(lambda pair: pair[0] is pair[1], pairs)))

    def differs_from(self, before: Turn | None) -> bool:
        """Tell whether a variable has changed since, in a loop that is at the same place again."""
        common = 0 if before is None else self.in_common_with(before.frames)
        if before is None or not common or self.places[common - 1] != before.places[common - 1]:
            return False
        return self.values[:common] != before.values[:common]

    def so_far(self, frames: Sequence[FrameType]) -> Turn | None:
        """Forget the calls that have returned: they cannot be compared with any more."""
        common = self.in_common_with(frames)
        if not common:
            return None
        return Turn(self.frames[:common], self.places[:common], self.values[:common])


def _values(frame: FrameType) -> tuple[object, ...]:
    variables = frame.f_locals
    values = [variables.get(name, _UNBOUND) for name in frame.f_code.co_varnames]
    return tuple([value for value in values if isinstance(value, _COMPARED)])


_COMPARED = (int, str, type(None))
_UNBOUND = object()


def _news(thing: Cell | Lock) -> str:
    return f"{thing.name} {'has changed' if isinstance(thing, Cell) else 'was released'}"
