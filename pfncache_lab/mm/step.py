"""step.py: how a primitive of this floor does its one step, and says what went wrong in it."""

from __future__ import annotations

from collections import deque
from types import CodeType, FrameType
from typing import Any, NamedTuple, NoReturn

from ..sim import KernelBug, Op, machine
from ..sim.site import Site, program_frame

PRIMITIVES = True

REMEMBERED = 8
"""How many events of a page its messages can tell of."""


class MmOp(Op):
    """A step on memory. In the set-up, where there is nobody else, it is done at once."""

    __slots__ = ()


def mm_step(op: MmOp) -> Any:
    """Do `op` when this task's turn has come."""
    return machine.running.step(op) if machine.running is not None else op.effect()


def mm_report(bug: KernelBug) -> NoReturn:
    """End the run with this verdict."""
    if machine.running is None:
        raise bug
    machine.running.report(bug)


def caller() -> FrameType:
    """Return the innermost frame that is not of this floor: who has called munmap(), say."""
    frame = first = program_frame(2)
    while frame.f_globals.get("__package__") == __package__:
        if frame.f_back is None:
            return first  # a task that consists of one of our functions
        frame = frame.f_back
    return frame


def here() -> Site:
    """Return the line of the program that has called this floor."""
    frame = caller()
    return Site(frame.f_code, frame.f_lasti)


def doer() -> str:
    """Name the task that executes."""
    running = machine.running
    return running.current.name if running is not None and running.current else "the set-up"


class Done(NamedTuple):
    """Who did something, when, and where. It is for messages alone, and never part of a state."""

    task: str
    step: int
    code: CodeType
    offset: int
    what: str

    @property
    def when(self) -> str:
        """Say 'at step 14 (line 12 of refresh(): ...)'."""
        at = f"at step {self.step}" if self.step else "before the first step"
        return f"{at} ({Site(self.code, self.offset)})"

    def line(self) -> str:
        """Say it as a line of a list."""
        step = f"step {self.step}: " if self.step else ""
        return f"  {step}{self.task} {self.what} ({Site(self.code, self.offset)})"

    def __str__(self) -> str:
        return f"{self.task} {self.what} {self.when}"


def done(what: str) -> Done:
    """Note that this task does `what`, now and here."""
    running = machine.running
    frame = caller()
    step = len(running.schedule) if running is not None else 0
    return Done(doer(), step, frame.f_code, frame.f_lasti, what)


Trail = deque[Done]


def new_trail() -> Trail:
    """Begin to remember."""
    return deque(maxlen=REMEMBERED)
