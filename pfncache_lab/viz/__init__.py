"""viz: pictures of what was recorded, and thin widgets on top of them. Nothing below imports it.

timeline   a run: a column a task, time downwards
lockbars   the same, with a bar for who holds a lock that the reader has built
lockgraph  the order in which a run takes its locks
program    the code of the tasks, with the place where each of them stands
tree       every schedule of a program, and which of them go wrong
search     how a search walks through that tree, run by run
stepper    a run as a film
frames     the same, looking at the host's memory
photograph the host's memory at one moment, for such a film
game       the reader is the scheduler
memory     a machine's memory at one moment, and where one address leads
memory_map    five columns of addresses, and the way of one through them
address_field  the same, with a field to type an address into
page_ruler    accesses near the end of a page
addresses  which address leads to which
generations   the sets of memslots that an update publishes
figure     how a picture reaches the page, with its text twin
dot        Graphviz, wherever there is one
theme      colors and letters
"""

from __future__ import annotations

from functools import singledispatch
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..explore import Followed, Report, Result, Run, Scenario, Search
from .figure import Album, Figure, Note, prose
from .frames import FrameStepper, frames_figure, has_frames
from .lockbars import LockBars, draw_lock_bars
from .photograph import photograph
from .program import program_figure
from .stepper import TraceStepper, report_figure, run_figure
from .timeline import draw_timeline

if TYPE_CHECKING:
    from .address_field import AddressField as AddressField
    from .addresses import address_graph as address_graph
    from .game import SchedulerGame as SchedulerGame
    from .generations import generation_graph as generation_graph
    from .memory_map import MemoryMap as MemoryMap
    from .page_ruler import PageRuler as PageRuler


@singledispatch
def show(thing: object) -> Figure:
    """Draw a scenario, a run, what a search has found, or a machine; returns the picture."""
    from ..kvm.vm import Vm

    if isinstance(thing, Vm):
        from .memory_map import MemoryMap

        return MemoryMap(thing)
    raise TypeError(f"I can draw a scenario, a run or a result, not a {type(thing).__name__}.")


def film(run: Run) -> Figure:
    """Make a film of a run: of its memory, where the run shows any, else of its steps."""
    return FrameStepper(run) if has_frames(run) else TraceStepper(run)


show.register(Scenario, program_figure)
show.register(Run, run_figure)
show.register(Report, report_figure)


@show.register
def _(result: Result) -> Figure:
    from .tree import tree_figure

    return tree_figure(result)


@show.register
def _(search: Search) -> Figure:
    from .search import search_film

    return search_film(search)


@show.register
def _(followed: Followed) -> Figure:
    from .search import path_figure

    return path_figure(followed)


def show_search(scenario: Scenario) -> Figure:
    """Show a search through every schedule of a small scenario, run by run, as a film."""
    from .search import walk

    return walk(scenario)


_ON_REQUEST = {
    "SchedulerGame": "game",
    "AddressField": "address_field",
    "MemoryMap": "memory_map",
    "PageRuler": "page_ruler",
    "address_graph": "addresses",
    "generation_graph": "generations",
}
"""What needs ipywidgets, Graphviz or the simulated kernel: most checks need none of them."""


def __getattr__(name: str) -> Any:
    """Import what is dear only when it is asked for."""
    if name not in _ON_REQUEST:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_ON_REQUEST[name]}", __name__), name)


__all__ = [
    "AddressField",
    "Album",
    "Figure",
    "FrameStepper",
    "LockBars",
    "MemoryMap",
    "Note",
    "PageRuler",
    "SchedulerGame",
    "TraceStepper",
    "address_graph",
    "draw_lock_bars",
    "draw_timeline",
    "film",
    "frames_figure",
    "generation_graph",
    "photograph",
    "prose",
    "show",
    "show_search",
]
