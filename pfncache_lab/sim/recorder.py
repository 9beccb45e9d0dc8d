"""recorder.py: keeps the trace of a run. A search of thousands of runs goes without."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING, Any

from .op import Op
from .site import program_frame
from .trace import Event, Line, Note, State, TaskView, Trace

if TYPE_CHECKING:
    from .task import Task


class Recorder:
    """Writes down what happens, and what the shared state was after each step."""

    def __init__(self, snapshot: Callable[[], State]) -> None:
        """Begin with the state before the first step."""
        self._snapshot = snapshot
        self._start = snapshot()
        self._events: list[Event] = []
        self._notes: list[list[Note]] = [[]]  # before the first event, after it, and so on
        self._in_step = False

    def do(self, task: Task, op: Op) -> Any:
        """Let `op` take effect, and write it down. What ends the run is written down as well."""
        self._in_step = True
        try:
            result = op.effect()
            text = op.past(result)
        except Exception as error:
            text = f"{_intended(op)} → {type(error).__name__}"
            raise
        finally:
            self._in_step = False
            step, line, callers = len(self._events) + 1, _line(task.frame), _callers(task.frame)
            state = self._snapshot()
            self._events.append(Event(step, task.name, op.kind, text, line, state, callers))
            self._notes.append([])
        return result

    def note(self, task: Task, text: str) -> None:
        """Write down what a task does between two steps."""
        if not self._in_step:
            frame = program_frame()
            self._notes[-1].append(Note(task.name, text, _line(frame), _callers(frame)))

    def trace(self, tasks: Sequence[Task]) -> Trace:
        """Return what has been written down."""
        names = tuple(task.name for task in tasks)
        before, *after = map(tuple, self._notes)
        pairs = zip(self._events, after, strict=True)
        events = tuple(replace(event, notes=notes) for event, notes in pairs)
        return Trace(names, self._start, events, tuple(map(_view, tasks)), before)


def _intended(op: Op) -> str:
    """Say what an operation was about to do; of one on something else than it is for, its kind.

    Had that no answer, what is wrong with the operation would be lost for what is wrong with this.
    """
    try:
        return op.future()
    except Exception:
        return op.kind


def _view(task: Task) -> TaskView:
    if task.pending is None:
        return TaskView(task.name, None, None, None)
    blocked = None if task.pending.enabled() else task.pending.reason()
    return TaskView(task.name, task.pending.future(), _line(task.frame), blocked)


def _callers(frame: FrameType | None) -> tuple[Line, ...]:
    lines = []
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
        lines.append(_line(frame))
    return tuple(lines)


def _line(frame: FrameType | None) -> Line:
    if frame is None:
        return Line("", 0, "")
    file, number = frame.f_code.co_filename, frame.f_lineno
    return Line(file, number, linecache.getline(file, number).strip())
