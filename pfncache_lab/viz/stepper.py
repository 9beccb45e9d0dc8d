"""stepper.py: a run as a film: first, back, play, forward, last, next switch."""

from __future__ import annotations

import re
from textwrap import shorten

from ..explore import Report, Run
from ..sim import Trace
from .figure import Figure, Note
from .timeline import draw_timeline

LONGEST = 120
"""Characters of the verdict in a picture."""

WIDEST = 80
"""Characters of a table: a terminal has as many."""


class TraceStepper(Figure):
    """Time travel through a recorded run. It needs no kernel once it is on the page."""

    def __init__(self, run: Run) -> None:
        """Make a film of `run`, which must have been recorded, as those of `replay` are."""
        trace = recorded(run)
        super().__init__(
            [draw_timeline(trace, 0, first_line(run))],
            text_of(run),
            label="Time travel through this run",
            captions=captions(run),
            stops=trace.switches,
        )


def captions(run: Run) -> list[str]:
    """Say in a sentence for each step of a film what happens there."""
    trace = recorded(run)
    return [_caption(run, trace, step) for step in range(len(trace.events) + 1)]


def run_figure(run: Run) -> Figure:
    """Draw a whole run as one picture, with its two-CPU table as the text twin."""
    picture = draw_timeline(recorded(run), None, first_line(run))
    return Figure([picture], text_of(run), label="Timeline of this run")


def report_figure(report: Report) -> Figure:
    """Draw what a check has found; a check that has found nothing is a sentence."""
    if report.failure is None:
        return Note(str(report))
    picture = draw_timeline(recorded(report.failure), None, first_line(report.failure))
    return Figure([picture], str(report), label="Timeline of the schedule that goes wrong")


def text_of(run: Run) -> str:
    """Render a run as text: the two-CPU table, the verdict, and the schedule to replay."""
    return (
        f"{recorded(run).table(WIDEST)}\n\n{headline(run)}\nschedule: {run.schedule}  ({run.token})"
    )


def headline(run: Run) -> str:
    """Say how a run ended, with a cross or a tick in front; without either while it goes on."""
    mark = "✗ " if run.bug else "✓ " if run.finished else ""
    return mark + run.verdict()


def first_line(run: Run) -> str:
    """Say it in one line, for a picture: who holds what since when is for the text.

    What is too long for a line of the page ends early: a wide picture is drawn with tiny letters.
    So it is not told again on which line of the code it happened, which stands above.
    """
    said = re.sub(r" \(line \d+ of [^`()]*\(\): `[^`]*`\)", "", headline(run).splitlines()[0])
    return shorten(said, LONGEST, placeholder=" …")


def recorded(run: Run) -> Trace:
    """Return the trace of a run. Raises ValueError when the run was not recorded."""
    if run.trace is None:
        raise ValueError("This run carries no trace; replay(scenario, run.schedule) gives it one.")
    return run.trace


def _caption(run: Run, trace: Trace, step: int) -> str:
    total = len(trace.events)
    if step == 0:
        return f"Before the first of {total} steps. Click Forward, or click here and press →."
    event = trace.events[step - 1]
    end = f" {first_line(run)}" if step == total else ""
    return f"Step {step} of {total}: task {event.task}, {event.text}.{end}"
