"""lockgraph.py: the order in which a run takes its locks, as a graph.

Each edge leads from a lock that a task holds to one that it wants. A circle is a deadlock that
waits for its schedule.
"""

from __future__ import annotations

from dataclasses import dataclass

import graphviz

from ..explore import Run
from .dot import BAD, INK, INSTALL_HINT, draw_dot
from .figure import Figure, Note
from .stepper import first_line, recorded

LETTERS = {"fontname": "monospace", "fontsize": "11", "fontcolor": INK}


@dataclass(frozen=True)
class Wish:
    """That a task has wanted `after` while it held `before`."""

    task: str
    before: str
    after: str
    waits: bool
    """Whether it still waits for it where the run stops."""

    def __str__(self) -> str:
        return f"{self.task} holds {self.before}, {'waits for' if self.waits else 'takes'} " + (
            self.after
        )


def lock_graph(run: Run) -> Figure:
    """Draw which locks were wanted while others were held; a circle is dashed and marked."""
    wishes = wishes_of(run)
    lines = [first_line(run), *(map(str, wishes) if wishes else ["Nobody held two locks at once."])]
    circle = in_circle(wishes)
    if circle:
        lines.append(f"✗ a circle: {', '.join(sorted(circle))}.")
    text = "\n".join(lines)
    picture = draw_dot(_graph(wishes, circle), "The order of locks in this run") if wishes else None
    if picture is None:
        return Note(f"{text}\n{INSTALL_HINT}" if wishes else text, code=True)
    return Figure([picture], text, label="Lock-order graph")


def wishes_of(run: Run) -> list[Wish]:
    """List what was wanted while something was held, by the steps of the run, in order."""
    trace = recorded(run)
    held: dict[str, list[str]] = {task: [] for task in trace.tasks}
    found: dict[Wish, None] = {}
    for event in trace.events:
        mine = held[event.task]
        if lock := _after("lock ", event.text):
            found.update((Wish(event.task, other, lock, False), None) for other in mine)
            mine.append(lock)
        elif (lock := _after("unlock ", event.text)) in mine:
            mine.remove(lock)
    for view in trace.frontier:
        if view.blocked and (lock := _after("lock ", view.next or "")):
            found.update((Wish(view.name, other, lock, True), None) for other in held[view.name])
    return list(found)


def _after(word: str, text: str) -> str:
    return text.removeprefix(word).split(" ")[0] if text.startswith(word) else ""


def in_circle(wishes: list[Wish]) -> set[str]:
    """Name the locks from which a way leads back to themselves."""
    reach = {wish.before: set[str]() for wish in wishes}
    for _ in reach:
        for wish in wishes:
            reach[wish.before] |= {wish.after} | reach.get(wish.after, set())
    return {lock for lock, others in reach.items() if lock in others}


def _graph(wishes: list[Wish], circle: set[str]) -> graphviz.Digraph:
    graph = graphviz.Digraph(
        graph_attr={"bgcolor": "transparent", "rankdir": "LR", "nodesep": "0.5"},
        node_attr={"shape": "box", "style": "rounded", "color": INK, **LETTERS},
        edge_attr={"color": INK, **LETTERS},
    )
    for wish in wishes:
        bad = wish.before in circle and wish.after in circle
        look = {"color": BAD, "fontcolor": BAD, "style": "bold,dashed"} if bad else {}
        verb = "waits" if wish.waits else "takes"
        graph.edge(wish.before, wish.after, label=f" {wish.task} {verb} ", **look)
    return graph
