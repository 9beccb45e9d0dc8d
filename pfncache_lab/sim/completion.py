"""completion.py: one task waits until another one says "done". Mirrors linux/completion.h."""

# ruff: noqa: D102  # What the methods of an operation are for stands in op.py.
from __future__ import annotations

from collections.abc import Hashable

from . import machine
from .clock import Clock, join, joined
from .named import Named
from .op import OpOn
from .sleeping import might_sleep

ALL = 1 << 30
"""So often is it done after complete_all(), and stays so, however many wait."""


class Completion(Named):
    """It counts: a complete() that comes before the wait is not lost."""

    def __init__(self, name: str = "", order_class: str = "") -> None:
        """Make one that is not done."""
        super().__init__(name, order_class)
        self.done = 0
        self.clock: Clock | None = None

    def state(self) -> Hashable:
        """Return how often it is done."""
        return self.done

    def count(self, all: bool) -> None:
        """Be done once more, or for good."""
        self.done = ALL if all or self.done == ALL else self.done + 1

    def __repr__(self) -> str:
        times = "for everybody" if self.done == ALL else f"{self.done} times"
        return f"<Completion {self.name}, {f'done {times}' if self.done else 'not done'}>"


def complete(completion: Completion) -> None:
    """Let one task through that waits, now or later. May be called in an interrupt."""
    if running := completion._machine():
        running.step(_Complete(completion))
    else:
        completion.count(False)


def complete_all(completion: Completion) -> None:
    """Let everybody through, now and later."""
    if running := completion._machine():
        running.step(_Complete(completion, all=True))
    else:
        completion.count(True)


def wait_for_completion(completion: Completion) -> None:
    """Sleep until it is done."""
    might_sleep(f"wait for {completion.name}")
    if running := completion._machine():
        running.step(_Wait(completion))


def reinit_completion(completion: Completion) -> None:
    """Make it not done, for another round. Whatever was said before is forgotten."""
    if running := completion._machine():
        running.step(_Reinit(completion))
    else:
        completion.done = 0


class _Complete(OpOn[Completion]):
    __slots__ = ("all",)
    kind = "complete"
    releases = True

    def __init__(self, completion: Completion, all: bool = False) -> None:
        super().__init__(completion)
        self.all = all

    def effect(self) -> None:
        task, completion = machine.me(), self.on
        completion.count(self.all)
        completion.clock = joined(completion.clock, task.context.clock)
        task.context.clock[task.index] += 1


class _Wait(OpOn[Completion]):
    __slots__ = ()
    kind = "wait for"
    waits = True

    def enabled(self) -> bool:
        return self.on.done > 0

    def effect(self) -> None:
        completion = self.on
        if completion.done != ALL:
            completion.done -= 1
        if completion.clock is not None:
            join(machine.me().context.clock, completion.clock)

    def reason(self) -> str:
        return f"it sleeps until somebody completes {self.on.name}"


class _Reinit(OpOn[Completion]):
    __slots__ = ()
    kind = "reinitialise"

    def effect(self) -> None:
        self.on.done = 0
