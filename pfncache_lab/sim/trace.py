"""trace.py: what one run leaves behind, and its text form, the two-CPU table.

A trace is plain data: no task, no greenlet and no shared object is reachable from it, so it can be
kept, drawn at any step and compared long after the run is gone.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

State = Mapping[str, Any]
Row = tuple[str, str, str, str]
"""Of a table: step, task, line, and what was done."""

LANE = 24
"""Characters from one task to the next in a table whose columns overlap."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of somebody's source code."""

    file: str
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """What a task did between two steps: an access to a plain field, or what ended the run."""

    task: str
    text: str
    line: Line
    callers: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """One step: which task did what, on which line, and what the shared state was afterwards."""

    step: int
    """Counted from 1."""
    task: str
    kind: str
    """'load', 'store' or 'spin'."""
    text: str
    """What it did, with what came of it: 'load counter → 0'."""
    line: Line
    state: State
    callers: tuple[Line, ...] = ()
    """From which lines that one was called, the nearest first."""
    notes: tuple[Note, ...] = ()
    """What happened after it and before the next one."""


E = TypeVar("E", Event, Note)


@dataclass(frozen=True, slots=True)
class TaskView:
    """Where a task stands when the run stops."""

    name: str
    next: str | None
    """What it will do when it is chosen, or None once it has finished."""
    line: Line | None
    blocked: str | None
    """Why it cannot be chosen, as a sentence, or None if it can."""

    @property
    def runnable(self) -> bool:
        """Whether it can be chosen."""
        return self.next is not None and self.blocked is None


@dataclass(frozen=True, slots=True, repr=False)
class Trace:
    """One run, from the state before its first step to the place where each task stands."""

    tasks: tuple[str, ...]
    start: State
    events: tuple[Event, ...]
    frontier: tuple[TaskView, ...]
    notes: tuple[Note, ...] = ()
    """What happened before the first step."""

    @property
    def end(self) -> State:
        """The shared state after the last step."""
        return self.events[-1].state if self.events else self.start

    @property
    def switches(self) -> list[int]:
        """The steps at which another task runs than in the step before."""
        pairs = zip(self.events, self.events[1:], strict=False)
        return [after.step for before, after in pairs if before.task != after.task]

    def changed(self, event: Event) -> set[str]:
        """Name the fields whose value this event changed."""
        before = self.start if event.step == 1 else self.events[event.step - 2].state
        return {name for name, value in event.state.items() if before[name] != value}

    def on_lines_of(self, files: Container[str]) -> Trace:
        """Tell it by the lines of these files: what happens in a call happens on the calling line.

        A step that no line of theirs has led to keeps its own.
        """

        def told(what: E) -> E:
            lines = (line for line in (what.line, *what.callers) if line.file in files)
            return replace(what, line=next(lines, what.line))

        events = [replace(told(e), notes=tuple(map(told, e.notes))) for e in self.events]
        return replace(self, events=tuple(events), notes=tuple(map(told, self.notes)))

    def __repr__(self) -> str:
        return f"<Trace of {len(self.events)} steps by {', '.join(self.tasks)}>"

    def table(self, widest: int | None = None) -> str:
        """Render the two-CPU table: a column a task, a row a step, and what each step did.

        What happens between two steps has a row without a number. A table that would be wider than
        `widest` has what a step did below it, and its columns overlap: no line is cut.
        """
        rows = [("", note.task, note.line.text, note.text) for note in self.notes]
        for event in self.events:
            rows.append((str(event.step), event.task, event.line.text, event.text))
            rows += [("", note.task, note.line.text, note.text) for note in event.notes]
        table = self._side_by_side(rows)
        if widest is None or max(map(len, table)) <= widest:
            return "\n".join(table)
        return "\n".join(self._overlapping(rows))

    def _side_by_side(self, rows: list[Row]) -> list[str]:
        width = max([len(line) for _, _, line, _ in rows] + [len(t) for t in self.tasks]) + 2
        lanes = {name: " " * width * i for i, name in enumerate(self.tasks)}
        head = "".join(name.ljust(width) for name in self.tasks)
        table = [f"step  {head}effect".rstrip()]
        for step, task, line, text in rows:
            lane = (lanes[task] + line).ljust(width * len(self.tasks))
            table.append(f"{step:>4}  {lane}{text}".rstrip())
        return table

    def _overlapping(self, rows: list[Row]) -> list[str]:
        width = max([LANE, *(len(task) + 2 for task in self.tasks)])
        lanes = {name: " " * width * i for i, name in enumerate(self.tasks)}
        table = ["step  " + "".join(name.ljust(width) for name in self.tasks).rstrip()]
        for step, task, line, text in rows:
            table.append(f"{step:>4}  {lanes[task]}{line}".rstrip())
            table.append(f"      {lanes[task]}    {text}".rstrip())
        return table
