"""lockbars.py: who holds a lock, as a bar beside the task's steps.

A lock of the machine says when it is taken. Of the reader's own making the machine does not know
that it is a lock. There the bars go by what the word shows: a task holds it from the step that sets
it to the step that clears it. Two bars side by side are two holders, which no lock may have.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from ..explore import Run
from ..sim import Event, State, Trace
from .figure import Figure
from .stepper import captions, first_line, recorded, text_of
from .theme import task_color
from .timeline import BOX, GUTTER, _Frame

WIDTH = 7
"""Pixels: a bar fits between two columns."""


@dataclass(frozen=True)
class Hold:
    """That a task holds the word: from one step to another, or to the end of the run."""

    task: str
    first: int
    last: int
    given_back: bool

    def __str__(self) -> str:
        if self.given_back:
            return f"{self.task} from step {self.first} to {self.last}"
        return f"{self.task} from step {self.first} on"


class LockBars(Figure):
    """A run as a film, with a bar for each task that holds the word `field`."""

    def __init__(self, run: Run, field: str = "locked") -> None:
        """Make a film of `run`; `field` names the lock, or the word that is one."""
        trace = recorded(run)
        found = holds(trace, field)
        super().__init__(
            [draw_lock_bars(trace, field, 0, first_line(run))],
            f"{text_of(run)}\n{told(found, field)}",
            label=f"Who holds {field} in this run",
            captions=captions(run),
            stops=trace.switches,
        )


def holds(trace: Trace, field: str) -> list[Hold]:
    """List who holds the word `field` when, in the order in which they took it."""
    open_: dict[str, int] = {}
    found = []
    for event in trace.events:
        before = trace.start if event.step == 1 else trace.events[event.step - 2].state
        takes = _takes(event, field, before)
        if takes:
            open_.setdefault(event.task, event.step)
        elif takes is False and event.task in open_:
            found.append(Hold(event.task, open_.pop(event.task), event.step, True))
    end = len(trace.events)
    found += [Hold(task, first, end, False) for task, first in open_.items()]
    return sorted(found, key=lambda hold: hold.first)


def _takes(event: Event, field: str, before: State) -> bool | None:
    """Tell whether this step takes the lock (True), gives it back (False), or does neither.

    A store to a word always does. What looks and sets in one step has taken a word that was clear.
    """
    if event.kind in ("lock", "unlock"):
        return event.kind == "lock" if event.text == f"{event.kind} {field}" else None
    if f" {field} " not in event.text or event.kind not in ("store", "change", "cmpxchg"):
        return None
    changes = event.kind == "store" or before[field] != event.state[field]
    return bool(event.state[field]) if changes else None


def both(found: list[Hold]) -> list[tuple[int, int]]:
    """List the steps, from and to, during which two tasks hold the word at once."""
    pairs = [(a, b) for i, a in enumerate(found) for b in found[i + 1 :] if a.task != b.task]
    overlaps = [(max(a.first, b.first), min(a.last, b.last)) for a, b in pairs]
    return sorted({(first, last) for first, last in overlaps if first <= last})


def told(found: list[Hold], field: str) -> str:
    """Say the same in a line or two."""
    said = [f"{field} is held by {', '.join(map(str, found)) or 'nobody'}."]
    said += [f"Two hold it from step {a} to {b}." for a, b in both(found)]
    return "\n".join(said)


def draw_lock_bars(trace: Trace, field: str, step: int | None = None, verdict: str = "") -> str:
    """Draw `trace` as a timeline with lock bars, as it stands after `step` steps, as SVG."""
    total = len(trace.events)
    at = total if step is None else step
    places = _Frame(trace, verdict)
    found = holds(trace, field)
    places.height += 20
    body = [*places.body(at, verdict), *_bars(places, found, at), *_legend(places, found, field)]
    label = (
        f"Lock bars, step {at} of {total}. {told(found, field)} {verdict if at == total else ''}"
    )
    return places.svg(label.strip(), body)


def _bars(places: _Frame, found: list[Hold], at: int) -> Iterator[str]:
    overlaps = both(found)
    for hold in found:
        x = places.x(hold.task) - WIDTH - 2
        color = task_color(places.trace.tasks, hold.task)
        for step in range(hold.first, hold.last + 1):
            height = BOX if step == hold.last else places.y(step + 1) - places.y(step)
            twice = any(first <= step <= last for first, last in overlaps)
            edge = ' class="lock-twice" stroke-dasharray="2 2"' if twice else ' class="lock"'
            yield (
                f'<g class="{"pale" if step > at else ""}" data-step="{step}"><rect{edge} x="{x}" '
                f'y="{places.y(step)}" width="{WIDTH}" height="{height}" fill="{color}"/></g>'
            )


def _legend(places: _Frame, found: list[Hold], field: str) -> Iterator[str]:
    y = places.height - 36
    sentence = f"holds {field}"
    if overlaps := both(found):
        sentence += f"   ✗ two holders from step {overlaps[0][0]} to {overlaps[0][1]}"
    x = GUTTER - 20
    kind = "bad" if overlaps else "quiet"
    yield f'<rect class="key solid" x="{x}" y="{y - 12}" width="{WIDTH}" height="16"/>'
    yield f'<text x="{x + 28}" y="{y}" class="{kind}">{escape(sentence)}</text>'
