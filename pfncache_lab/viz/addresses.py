"""addresses.py: which address leads to which, as a graph."""

from __future__ import annotations

import graphviz

from .dot import INK, INSTALL_HINT, draw_dot
from .figure import Figure, Note

ADDRESSES = {
    "gpa": "guest physical address\nthe guest's: it believes this is its RAM",
    "gfn": "guest frame number\nthe guest's: gpa without its last 12 bits",
    "hva": "host virtual address\nuserspace's: an address in the process",
    "pfn": "page frame number\nthe host's: a real page of RAM",
    "khva": "kernel host virtual address\nthe kernel's: where its code can store",
}

TRANSLATIONS = (
    ("gpa", "gfn", "arithmetic", "never changes"),
    ("gfn", "hva", "memslots", "userspace changes them"),
    ("hva", "pfn", "page table", "the host changes it"),
    ("pfn", "khva", "kernel mapping", "kmap() makes it"),
)


def address_graph() -> Figure:
    """Draw the five addresses, and what leads from one to the next."""
    lines = [f"{name}: {text.replace(chr(10), ', ')}" for name, text in ADDRESSES.items()]
    lines += [f"{a} → {b}: {table}, {who}" for a, b, table, who in TRANSLATIONS]
    text = "\n".join(lines)
    graph = boxes()
    for name, what in ADDRESSES.items():
        graph.node(name, f"{name}\n{what}")
    for a, b, table, who in TRANSLATIONS:
        graph.edge(a, b, f" {table}: {who}", style="solid" if a == "gpa" else "bold")
    return boxes_figure(graph, text, "The five addresses, and what leads from one to the next")


def boxes() -> graphviz.Digraph:
    """Begin a graph of boxes, from top to bottom, in the letters of the page."""
    letters = {"fontname": "monospace", "fontsize": "11", "fontcolor": INK, "color": INK}
    return graphviz.Digraph(
        graph_attr={"bgcolor": "transparent", "ranksep": "0.25"},
        node_attr={"shape": "box", "style": "rounded", **letters},
        edge_attr=letters,
    )


def boxes_figure(graph: graphviz.Digraph, text: str, label: str) -> Figure:
    """Lay the graph out; without Graphviz its text twin says how to get one."""
    picture = draw_dot(graph, label)
    if picture is None:
        return Note(f"{text}\n{INSTALL_HINT}", code=True)
    return Figure([picture], text, label=label)
