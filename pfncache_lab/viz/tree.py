"""tree.py: the tree of schedules: each branch one choice of the scheduler, each leaf one run."""

from __future__ import annotations

import graphviz

from ..explore import Result, Run
from .dot import BAD, INK, INSTALL_HINT, draw_dot
from .figure import Figure, Note
from .theme import task_color

MAX_LEAVES = 40
"""A tree with more leaves than this is no picture that anybody can read."""

LETTERS = {"fontname": "monospace", "fontsize": "10", "fontcolor": INK}

LISTED = 12
"""So many schedules of a larger search are listed instead."""


def tree_figure(result: Result) -> Figure:
    """Show every schedule that a search has run, and which of them go wrong."""
    lines = [result.headline, *map(_line, result.runs)]
    if len(result.runs) > MAX_LEAVES:
        more = len(result.runs) - LISTED
        return Note("\n".join([*lines[: LISTED + 1], f"… and {more} more."]), code=True)
    text = "\n".join(lines)
    picture = draw_dot(_graph(result), f"The tree of {len(result.runs)} schedules")
    if picture is None:
        return Note(f"{text}\n{INSTALL_HINT}", code=True)
    return Figure([picture], text, label="Tree of schedules")


def _graph(result: Result) -> graphviz.Digraph:
    graph = graphviz.Digraph(
        graph_attr={"bgcolor": "transparent", "ranksep": "0.25", "nodesep": "0.12"},
        node_attr={"shape": "point", "color": INK, **LETTERS},
        edge_attr={"arrowsize": "0.6", **LETTERS},
    )
    drawn: set[str] = set()
    keys = list(result.scenario.keys.values())
    for run in result.runs:
        for depth, key in enumerate(run.schedule):
            here = run.schedule[: depth + 1]
            if here not in drawn:
                drawn.add(here)
                color = task_color(keys, key)
                graph.edge(run.schedule[:depth] or "start", here, label=f" {key}", color=color)
        graph.node(run.schedule, label=_leaf(run), shape="box", height="0.3", **_look(run))
    return graph


def _leaf(run: Run) -> str:
    return f"{'✗' if run.bug else '✓'} {run.schedule}"


def _look(run: Run) -> dict[str, str]:
    if run.bug:
        return {"style": "bold,dashed", "color": BAD, "fontcolor": BAD}
    return {"style": "rounded"}


def _line(run: Run) -> str:
    return f"{_leaf(run)}  {run.bug or ''}".rstrip()
