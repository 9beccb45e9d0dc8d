"""viz: pictures of what was recorded, and thin widgets on top of them. Nothing below imports it.

timeline   a run: a column a task, time downwards
program    the code of the tasks, with the place where each of them stands
tree       every schedule of a program, and which of them go wrong
stepper    a run as a film
game       the reader is the scheduler
figure     how a picture reaches the page, with its text twin
dot        Graphviz, wherever there is one
theme      colors and letters
"""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING, Any

from ..explore import Report, Result, Run, Scenario
from .figure import Figure, Note, prose
from .program import program_figure
from .stepper import TraceStepper, report_figure, run_figure
from .timeline import draw_timeline

if TYPE_CHECKING:
    from .game import SchedulerGame as SchedulerGame


@singledispatch
def show(thing: object) -> Figure:
    """Draw a scenario, a run or what a search has found; returns the picture."""
    raise TypeError(f"I can draw a scenario, a run or a result, not a {type(thing).__name__}.")


show.register(Scenario, program_figure)
show.register(Run, run_figure)
show.register(Report, report_figure)


@show.register
def _(result: Result) -> Figure:
    from .tree import tree_figure

    return tree_figure(result)


def __getattr__(name: str) -> Any:
    """Import what needs ipywidgets only when it is asked for: a check in CI has no use for it."""
    if name == "SchedulerGame":
        from .game import SchedulerGame

        return SchedulerGame
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["Figure", "Note", "SchedulerGame", "TraceStepper", "draw_timeline", "prose", "show"]
