"""dot.py: graphs, laid out by Graphviz wherever there is one.

`dot` on the PATH is used where it is found; else the executable that the PyPI package
graphviz-pure carries; else the reader gets the text twin and a line that says what to install.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import graphviz

INSTALL_HINT = "(The picture needs Graphviz: `pip install graphviz-pure` brings one.)"

SECONDS = 10
"""No graph of the course takes a tenth of a second."""

INK = "#010203"
BAD = "#010204"
"""Stand for the page's own colors of text and of errors in DOT source, which knows no variables."""


def draw_dot(graph: graphviz.Digraph, label: str) -> str | None:
    """Lay out `graph` and return it as SVG, or None where no Graphviz can be run."""
    layout = find_layout()
    document = _run(layout, graph.source) if layout else None
    return _embed(document, label) if document else None


@cache
def find_layout() -> Path | None:
    """Find a program that lays out graphs and works: `dot`, or the one from graphviz-pure."""
    beside = str(Path(sys.executable).parent)
    found = (
        shutil.which("dot"),
        shutil.which("graphviz-pure", path=beside),
        shutil.which("graphviz-pure"),
    )
    return next((Path(f) for f in found if f and _run(Path(f), "digraph{a->b}")), None)


def _run(layout: Path, source: str) -> str | None:
    """Return the SVG document, or None when this `dot` is broken, or hangs."""
    command = [str(layout), "-Kdot", "-Tsvg"]
    try:
        done = subprocess.run(
            command, input=source, capture_output=True, encoding="utf-8", timeout=SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 and "<svg" in done.stdout else None


def _embed(document: str, label: str) -> str:
    """Cut the <svg> out of the document, name it for a screen reader, let it follow the theme."""
    svg = document[document.index("<svg") :].strip()
    svg = svg.replace(INK, "var(--jp-content-font-color1,#111)")
    svg = svg.replace(BAD, "var(--jp-error-color1,#b00020)")
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}" class="pfn-dot"', 1)
