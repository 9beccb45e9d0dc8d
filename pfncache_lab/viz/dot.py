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

INK = "#010203"
"""Stands for "the page's own text colour" in DOT source, which knows no CSS variables."""


def draw_dot(graph: graphviz.Digraph, label: str) -> str | None:
    """Lay out `graph` and return it as SVG, or None where no Graphviz can be run."""
    layout = find_layout()
    if layout is None:
        return None
    command = [str(layout), "-Kdot", "-Tsvg"]
    done = subprocess.run(command, input=graph.source, capture_output=True, encoding="utf-8")
    return _embed(done.stdout, label) if done.returncode == 0 else None


@cache
def find_layout() -> Path | None:
    """Find the program that lays out graphs: `dot`, or the one from graphviz-pure."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which("dot") or shutil.which("graphviz-pure", path=beside)
    found = found or shutil.which("graphviz-pure")
    return Path(found) if found else None


def _embed(document: str, label: str) -> str:
    """Cut the <svg> out of the document, name it for a screen reader, let it follow the theme."""
    svg = document[document.index("<svg") :].strip()
    ink = svg.replace(INK, "var(--jp-content-font-color1,#111)")
    return ink.replace("<svg", f'<svg role="img" aria-label="{label}" class="pfn-dot"', 1)
