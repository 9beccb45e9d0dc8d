"""timeline.py: a run as a picture: a column a task, time downwards.

`draw_timeline(trace, step)` is a pure function: the same trace gives the same bytes, and every step
of one trace puts the same thing in the same place. Steps that are still to come are pale.

A step is a box. What its task does after it, and before the next one, hangs below the box: accesses
to plain fields, and the line that ended the run. A line of code that does several of these things
in a row is written once, above the first.

A text that is too long for its column goes on in the next line; a line of code ends early, since
the table of the text twin has it whole. A wider picture would be drawn with letters too small.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from textwrap import wrap

from ..sim import Event, State, Trace
from ..sim.shown import shown
from ..sim.trace import Note
from .theme import CHAR, STYLE, task_color

MEMORY = ("load", "store", "change", "cmpxchg", "race", "spin")
"""Kinds of steps that are drawn with corners; locks and whatever else waits are round."""

STORES = ("store", "change")
"""Those that are filled; a cmpxchg is, where it has succeeded."""

NOW = 'style="stroke-width:3"'
ROW = 50
BOX = 36
NOTE = 32
LINE = 15
"""What a box grows by for each line that its text takes beyond the first."""
TOP = 40
GUTTER = 34
CHARS = 112
"""Characters that fit side by side where letters keep their size: all columns together."""
FEWEST = 40
"""A column has at least so many."""


def draw_timeline(trace: Trace, step: int | None = None, verdict: str = "") -> str:
    """Draw `trace` as it stands after `step` steps (None: all of them), as SVG.

    The pictures of two steps differ only in the classes of what carries a `data-step`: pale, now.

    `verdict` is written under the last step: '✗ …' in the color of errors, '✓ …' of success.
    """
    total = len(trace.events)
    at = total if step is None else step
    frame = _Frame(trace, verdict)
    label = f"Timeline, step {at} of {total}. " + (verdict if at == total else "")
    return frame.svg(label.strip(), frame.body(at, verdict))


class _Frame:
    """The places of things, which depend on the whole trace and never on the step."""

    def __init__(self, trace: Trace, verdict: str) -> None:
        self.trace = trace
        self.notes = [trace.notes, *(event.notes for event in trace.events)]
        self.chars = max(FEWEST, CHARS // len(trace.tasks))
        drawn: list[Event | Note] = [*trace.events]
        drawn += [note for notes in self.notes for note in notes]
        texts = [text for one in drawn for text in (self.code(one), *self.effect(one))]
        longest = max(map(len, texts), default=12)
        self.lane = max(180, int(longest * CHAR) + 30)
        self.state_x = GUTTER + self.lane * len(trace.tasks) + 24
        self.columns, end = self._columns(self.state_x)
        self.legend, legend_end = self._legend()
        state_end = max(end, self.state_x + int(14 * CHAR))
        self.width = max(state_end, int(len(verdict) * CHAR) + 40, legend_end + 14)
        self.tops = [TOP]
        for step, notes in enumerate(self.notes):
            hanging = sum(self.tall(step, i) for i in range(len(notes)))
            self.tops.append(self.tops[-1] + ROW + self.more(step) + hanging)
        self.height = self.tops[-1] + 72
        self.fatal = self._fatal(verdict)

    def _fatal(self, verdict: str) -> Note | None:
        """Find the line that ended the run between two steps: its note is the bug's name."""
        last = self.notes[-1][-1:]
        return last[0] if verdict[:1] == "✗" and last and last[0].text.isidentifier() else None

    def code(self, one: Event | Note) -> str:
        """Return the line of code, cut off where the column ends."""
        text = one.line.text
        return text if len(text) <= self.chars else text[: self.chars - 2] + " …"

    def effect(self, one: Event | Note) -> list[str]:
        """Return what it did, in as many lines as that takes."""
        return wrap(one.text, self.chars, subsequent_indent="  ") or [""]

    def more(self, step: int) -> int:
        """Return by how much the box of a step is taller than most."""
        return LINE * (len(self.effect(self.trace.events[step - 1])) - 1) if step else 0

    def goes_on(self, step: int, i: int) -> bool:
        """Whether a note is about the line of code that stands above it already."""
        note, notes = self.notes[step][i], self.notes[step]
        if i > 0:
            above: Event | Note = notes[i - 1]
        elif step > 0:
            above = self.trace.events[step - 1]
        else:
            return False
        return (above.task, above.line) == (note.task, note.line)

    def tall(self, step: int, i: int) -> int:
        """Return how much room a note takes."""
        lines = len(self.effect(self.notes[step][i]))
        return LINE * lines + 3 if self.goes_on(step, i) else NOTE + LINE * (lines - 1)

    def _columns(self, x: int) -> tuple[dict[str, int], int]:
        """Give each field of the shared state a place, wide enough for all that it will hold."""
        states = [self.trace.start, *(event.state for event in self.trace.events)]
        columns = {}
        for name in self.trace.start:
            columns[name] = x
            x += int((max(len(_field(name, state[name])) for state in states) + 2) * CHAR)
        return columns, x

    def svg(self, label: str, body: list[str]) -> str:
        return (
            f'<svg class="pfn-svg" xmlns="http://www.w3.org/2000/svg" role="img" '
            f'aria-label="{escape(label)}" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}">{STYLE}'
            f'<rect class="card" x="0.5" y="0.5" width="{self.width - 1}" '
            f'height="{self.height - 1}" rx="6"/>{"".join(body)}</svg>'
        )

    def body(self, at: int, verdict: str) -> list[str]:
        """Draw everything, as it stands after `at` steps."""
        return [
            *self.header(),
            *self.beginning(at),
            *(line for event in self.trace.events for line in self.event(event, at)),
            *self.verdict(verdict, at),
            f'<g transform="translate(0 {self.height - 16})">{"".join(self.legend)}</g>',
        ]

    def x(self, task: str) -> int:
        return GUTTER + self.trace.tasks.index(task) * self.lane + 6

    def y(self, step: int) -> int:
        return self.tops[step]

    def header(self) -> Iterator[str]:
        for task in self.trace.tasks:
            x, color = self.x(task), task_color(self.trace.tasks, task)
            yield f'<rect x="{x}" y="10" width="{self.lane - 12}" height="22" fill="{color}"/>'
            yield _text(x + 10, 26, f"task {task}", "head")
        yield _text(self.state_x, 26, "shared state", "quiet")

    def beginning(self, at: int) -> Iterator[str]:
        """Draw what there is before the first step."""
        yield from self.state_row(0, self.trace.start, set(), at)
        yield f"{_group(0, at)}{''.join(self.after(0))}</g>" if self.notes[0] else ""

    def after(self, step: int) -> Iterator[str]:
        """Draw what happens between a step and the next one."""
        y = self.y(step) + BOX + self.more(step) + 4
        for i, note in enumerate(self.notes[step]):
            x, tall = self.x(note.task), self.tall(step, i)
            color = task_color(self.trace.tasks, note.task)
            yield f'<rect x="{x + 8}" y="{y}" width="3" height="{tall - 4}" fill="{color}"/>'
            first = y + 11
            if not self.goes_on(step, i):
                yield _text(x + 18, first, self.code(note), "code")
                first += 14
            yield from self._effect(x + 18, first, note, "bad" if note is self.fatal else "effect")
            y += tall

    def event(self, event: Event, at: int) -> Iterator[str]:
        x, y = self.x(event.task), self.y(event.step)
        yield _group(event.step, at)
        yield from self._arrow(event)
        yield _text(GUTTER - 8, y + 22, str(event.step), "number")
        color = task_color(self.trace.tasks, event.task)
        dash = ' stroke-dasharray="4 3"' if event.kind == "spin" else ""
        changed = self.trace.changed(event)
        stores = event.kind in STORES or (event.kind == "cmpxchg" and _found_it(event))
        fill = f'fill="{color}" fill-opacity="0.4"' if stores else 'class="hollow"'
        round_ = 4 if event.kind in MEMORY else BOX // 2
        height = BOX + self.more(event.step)
        yield (
            f'<rect x="{x}" y="{y}" width="{self.lane - 12}" height="{height}" rx="{round_}" '
            f'{fill} stroke="{color}"{dash}/>'
        )
        yield _text(x + 8, y + 15, self.code(event), "code")
        yield from self._effect(x + 8, y + 30, event, "effect")
        yield from self.after(event.step)
        yield "</g>"
        yield from self.state_row(event.step, event.state, changed, at)

    def _effect(self, x: int, y: int, one: Event | Note, kind: str) -> Iterator[str]:
        for i, text in enumerate(self.effect(one)):
            yield _text(x, y + LINE * i, text, kind)

    def _arrow(self, event: Event) -> Iterator[str]:
        """Join this step to the one before it; a context switch bends, and is dashed."""
        if event.step == 1:
            return
        before = self.trace.events[event.step - 2].task
        x0, x1 = (self.x(task) + (self.lane - 12) // 2 for task in (before, event.task))
        y0, y1 = self.y(event.step) - (ROW - BOX), self.y(event.step)
        if before == event.task:
            yield f'<path class="line" d="M{x0} {y0}V{y1}"/>'
        else:
            yield f'<path class="switch" d="M{x0} {y0}L{x1} {y1}"/>'

    def state_row(self, step: int, state: State, changed: set[str], at: int) -> Iterator[str]:
        yield _group(step, at)
        for name, value in state.items():
            kind = "changed" if name in changed else "state"
            yield _text(self.columns[name], self.y(step) + 22, _field(name, value), kind)
        yield "</g>"

    def verdict(self, sentence: str, at: int) -> Iterator[str]:
        kind = {"✗": "bad", "✓": "good"}.get(sentence[:1], "quiet")
        total = len(self.trace.events)
        text = _text(GUTTER - 20, self.y(total + 1) + 16, sentence, kind)
        yield f"{_group(total, at)}{text}</g>"

    def _legend(self) -> tuple[list[str], int]:
        """Explain the signs that there are. Returns as well how far to the right that reaches."""
        signs, x = [], GUTTER - 20
        kinds = {event.kind for event in self.trace.events}
        boxes = [("hollow", "load", ""), ("solid", "store", "")]
        if "spin" in kinds:
            boxes.append(("hollow", "spin", ' stroke-dasharray="4 3"'))
        if kinds.difference(MEMORY):
            boxes.append(("hollow", "lock, wait, …", ' rx="6"'))
        for kind, name, more in boxes:
            box = f'<rect class="key {kind}" x="{x}" y="-10" width="22" height="12"{more}/>'
            signs += [box, _text(x + 28, 0, name, "quiet")]
            x += 44 + int(len(name) * CHAR)
        if any(self.notes):
            bar = f'<rect class="key solid" x="{x}" y="-12" width="3" height="16"/>'
            signs += [bar, _text(x + 9, 0, "no step of its own", "quiet")]
            x += 25 + int(18 * CHAR)
        signs += [
            f'<path class="switch" d="M{x} -10l22 11"/>',
            _text(x + 28, 0, "the scheduler switches", "quiet"),
        ]
        x += 44 + int(22 * CHAR)
        now = f'<rect class="key hollow" x="{x + 66}" y="-10" width="22" height="12" {NOW}/>'
        signs += [_text(x, 0, "changed", "changed"), now, _text(x + 94, 0, "now", "quiet")]
        return signs, x + 94 + int(3 * CHAR)


def _group(step: int, at: int) -> str:
    """Open a group of what belongs to `step`, in a picture of step `at`."""
    kind = "pale" if step > at else "now" if step == at else ""
    return f'<g class="{kind}" data-step="{step}">'


def _found_it(event: Event) -> bool:
    """Tell whether a cmpxchg has stored: what was there is what it expected.

    That a field has changed would not do: somebody else may have changed it since the last step.
    """
    what, _, was = event.text.rpartition(", was ")
    return what.rpartition(" → ")[0].endswith(f" {was}")


def _field(name: str, value: object) -> str:
    return f"{name} {shown(value)}"


def _text(x: int, y: int, text: str, kind: str) -> str:
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(text.replace("`", ""))}</text>'
