"""frames.py: the host's memory as a picture: page table, page frames, and who has kept a pfn.

A scenario puts a photograph of its memory into the snapshot of its shared state, under the name
`memory`; so each step of a recorded run has one.
`draw_frames(trace, step)` is a pure function of that: every thing has its place for the whole run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from ..explore import Run
from ..sim import Trace
from .figure import Figure
from .photograph import OTHERS, TABLES, Memory
from .stepper import first_line, headline, recorded
from .theme import CHAR, STYLE

MEMORY = "memory"
"""The name in the shared state under which the pictures look for the memory."""


def has_frames(run: Run) -> bool:
    """Whether the shared state of this run has a picture of the memory in it."""
    return run.trace is not None and isinstance(run.trace.start.get(MEMORY), Memory)


class FrameStepper(Figure):
    """Time travel through a run, looking at the memory. It needs no kernel once it is there."""

    def __init__(self, run: Run) -> None:
        """Make a film of `run`, whose shared state has a `memory`."""
        trace = recorded(run)
        steps = range(len(trace.events) + 1)
        super().__init__(
            [draw_frames(trace, step, first_line(run)) for step in steps],
            memory_table(run),
            label="Time travel through the memory of this run",
            captions=[caption(trace, step) for step in steps],
            stops=trace.switches,
        )


def frames_figure(run: Run, step: int | None = None) -> Figure:
    """Draw the memory of a run after `step` steps, or after all of them, as one picture."""
    trace = recorded(run)
    at = len(trace.events) if step is None else step
    memory = _memory(trace, at)
    lines = [caption(trace, at), *map(str, memory.entries), *map(str, memory.frames)]
    lines += [str(kept) for kept in memory.kept]
    picture = draw_frames(trace, at, first_line(run))
    return Figure([picture], "\n".join(lines), label=f"The memory at step {at}")


def caption(trace: Trace, step: int) -> str:
    """Say what has happened in a step."""
    if step == 0:
        return (
            f"Before the first of {len(trace.events)} steps." if trace.events else "At the start."
        )
    event = trace.events[step - 1]
    return f"Step {step} of {len(trace.events)}: {event.task}, {event.text}."


def memory_table(run: Run) -> str:
    """Render the film as text: each step, and below it the memory wherever it has changed."""
    trace = recorded(run)
    lines = list[str]()
    before: Memory | None = None
    for step in range(len(trace.events) + 1):
        lines.append(caption(trace, step))
        memory = _memory(trace, step)
        if before is None or memory.entries != before.entries:
            known = before.entries if before else ()
            lines += [f"      {entry}" for entry in memory.entries if entry not in known]
        if memory != before:
            lines.append(f"      {memory!r}")
        before = memory
    legend = f"{TABLES} reference of a page table, {OTHERS} reference of somebody else"
    return "\n".join([*lines, f"({legend})", "", headline(run), f"schedule: {run.schedule}"])


def _memory(trace: Trace, step: int) -> Memory:
    state = trace.events[step - 1].state if step else trace.start
    memory = state.get(MEMORY)
    if not isinstance(memory, Memory):
        raise ValueError("The shared state of this run has no `memory` to draw.")
    return memory


ROW, BOX, TOP = 60, 46, 64
ENTRIES, FRAMES, KEPT = 14, 300, 640
WIDE = {ENTRIES: 206, FRAMES: 260, KEPT: 190}


def draw_frames(trace: Trace, step: int, verdict: str = "") -> str:
    """Draw the memory after `step` steps as SVG. `verdict` is written under the last one."""
    places = _places(trace)
    rows = max(len(places), len(_memory(trace, 0).entries))
    memory, before = _memory(trace, step), _memory(trace, max(step - 1, 0))
    height, width = TOP + rows * ROW + 74, KEPT + WIDE[KEPT] + 14
    said = verdict if step == len(trace.events) and verdict[:1] in "✗✓" else ""
    width = max(width, int(len(said) * CHAR) + 30)
    body = [
        _text(ENTRIES, 24, caption(trace, step), "code"),
        _text(ENTRIES, 50, "page table", "quiet"),
        _text(FRAMES, 50, "page frames", "quiet"),
        *_entries(memory, before, places),
        *_frames(memory, before, places),
        *_kept(memory, places),
        _text(ENTRIES, height - 48, said, {"✗": "bad", "✓": "good"}.get(said[:1], "quiet")),
        *_legend(height - 18),
    ]
    label = f"Memory. {caption(trace, step)} {memory!r} {said}".strip()
    return (
        f'<svg class="pfn-svg" xmlns="http://www.w3.org/2000/svg" role="img" '
        f'aria-label="{escape(label)}" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">{STYLE}'
        f'<rect class="card" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="6"/>'
        f"{''.join(body)}</svg>"
    )


def _places(trace: Trace) -> dict[int, int]:
    """Give each frame of the whole run its place."""
    memories = [_memory(trace, step) for step in range(len(trace.events) + 1)]
    pfns = sorted({frame.pfn for memory in memories for frame in memory.frames})
    return {pfn: TOP + i * ROW for i, pfn in enumerate(pfns)}


def _entries(memory: Memory, before: Memory, places: Mapping[int, int]) -> Iterator[str]:
    for i, entry in enumerate(memory.entries):
        y = TOP + i * ROW
        yield _box(ENTRIES, y, entry not in before.entries)
        yield _text(ENTRIES + 10, y + 19, entry.name, "code")
        yield _text(ENTRIES + 10, y + 36, entry.what, "state")
        if entry.pfn:
            solid = "line" if entry.what.startswith("present") else "switch"
            yield _arrow(ENTRIES + WIDE[ENTRIES], y + 23, FRAMES, places[entry.pfn] + 23, solid)


def _frames(memory: Memory, before: Memory, places: Mapping[int, int]) -> Iterator[str]:
    for frame in memory.frames:
        y = places[frame.pfn]
        free = not frame.refs
        yield _box(FRAMES, y, frame not in before.frames, _hatching(y) if free else "")
        yield _text(FRAMES + 10, y + 19, f"{frame.pfn:#x}{' free' * free}", "code")
        yield from _dots(frame.refs, y + 15)
        yield _text(FRAMES + 10, y + 37, frame.text, "state")
        if frame.kmaps:
            yield _text(FRAMES + 150, y + 37, f"kmap ×{frame.kmaps}", "state")


def _dots(refs: str, y: int) -> Iterator[str]:
    """Draw a sign for each reference."""
    if refs.strip(TABLES + OTHERS):
        yield _text(FRAMES + 150, y + 4, refs, "quiet")
        return
    for i, sign in enumerate(refs):
        yield _dot(FRAMES + 156 + i * 20, y, sign)


def _dot(x: int, y: int, sign: str) -> str:
    if sign == TABLES:
        return f'<rect class="key hollow" x="{x - 6}" y="{y - 6}" width="12" height="12"/>'
    return f'<circle cx="{x}" cy="{y}" r="6.5" fill="#b35900"/>'


def _kept(memory: Memory, places: Mapping[int, int]) -> Iterator[str]:
    if memory.kept:
        yield _text(KEPT, 50, "kept by a task", "quiet")
    for i, kept in enumerate(memory.kept):
        y = TOP + i * ROW
        yield _box(KEPT, y, False)
        yield _text(KEPT + 10, y + 19, f"{kept.name} = {kept.pfn:#x}", "code")
        words = ("✗ stale", "bad") if kept.stale else ("the page of its hva", "state")
        yield _text(KEPT + 10, y + 36, *words)
        style = "switch" if kept.stale else "line"
        yield _arrow(KEPT, y + 23, FRAMES + WIDE[FRAMES], places[kept.pfn] + 23, style)


def _box(x: int, y: int, now: bool, inside: str = "") -> str:
    kind = "now" if now else ""
    return (
        f'<g class="{kind}"><rect class="hollow key" x="{x}" y="{y}" width="{WIDE[x]}" '
        f'height="{BOX}" rx="3"/>{inside}</g>'
    )


def _hatching(y: int) -> str:
    """Fill a frame that is free, but for the place of its name."""
    lines = [f"M{x} {y + BOX}l24 -{BOX}" for x in range(FRAMES + 92, FRAMES + 232, 12)]
    return f'<path class="line" style="stroke-width:1" d="{"".join(lines)}"/>'


def _arrow(x0: int, y0: int, x1: int, y1: int, kind: str) -> str:
    back = 8 if x0 < x1 else -8
    return (
        f'<path class="{kind}" d="M{x0} {y0}L{x1 - back} {y1}"/>'
        f'<path class="key solid" style="fill-opacity:1" '
        f'd="M{x1} {y1}l{-back} -5v10z"/>'
    )


def _legend(y: int) -> Iterator[str]:
    """Explain the signs."""
    yield _dot(22, y - 4, TABLES)
    yield _text(34, y, "reference of a page table", "quiet")
    yield _dot(240, y - 4, OTHERS)
    yield _text(252, y, "reference of somebody else", "quiet")
    yield f'<path class="line" style="stroke-width:1" d="M466 {y + 2}l7 -13M474 {y + 2}l7 -13"/>'
    yield _text(488, y, "free", "quiet")
    yield f'<path class="switch" d="M540 {y - 4}h24"/>'
    yield _text(572, y, "moving, in swap; stale", "quiet")
    yield '<g class="now">'
    yield f'<rect class="key hollow" x="746" y="{y - 11}" width="20" height="13"/></g>'
    yield _text(774, y, "changed", "quiet")


def _text(x: int, y: int, text: str, kind: str) -> str:
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(text)}</text>' if text else ""
