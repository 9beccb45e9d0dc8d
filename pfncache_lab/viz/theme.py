"""theme.py: the colors and letters of all pictures.

A picture takes the page's own colors where there are any (`--jp-…` is JupyterLab's), and brings a
light card with dark letters where there are none. Colour is never the only sign: a task is a column
and a name as well, a store is filled, a verdict has its cross or tick.
"""

from __future__ import annotations

from collections.abc import Sequence

CHAR = 7.3
"""Pixels a character of the monospaced letters is wide, rounded up a little."""

_TASKS = ("#0072b2", "#b35900", "#00785a", "#9b4f80")

NEUTRAL = "#5f6368"


def task_color(tasks: Sequence[str], task: str) -> str:
    """Return the color of a task, from a palette that color-blind people can tell apart."""
    return _TASKS[list(tasks).index(task) % len(_TASKS)]


STYLE = """<style>
.pfn-svg{max-width:100%;height:auto;font-size:12px}
.pfn-svg{font-family:var(--jp-code-font-family,ui-monospace,Menlo,Consolas,monospace)}
.pfn-svg text{fill:var(--jp-content-font-color1,#111)}
.pfn-svg .card{fill:var(--jp-layout-color0,#fff);stroke:var(--jp-border-color1,#bbb)}
.pfn-svg .hollow{fill:var(--jp-layout-color0,#fff)}
.pfn-svg .key{stroke:var(--jp-content-font-color1,#111);stroke-width:1.2}
.pfn-svg .solid{fill:var(--jp-content-font-color1,#111);fill-opacity:0.3}
.pfn-svg text.head{fill:#fff;font-weight:bold}
.pfn-svg text.code{font-weight:bold}
.pfn-svg text.number{text-anchor:end}
.pfn-svg text.changed{font-weight:bold;text-decoration:underline}
.pfn-svg text.bad{fill:var(--jp-error-color1,#b00020);font-weight:bold}
.pfn-svg text.good{fill:var(--jp-success-color0,#1b5e20);font-weight:bold}
.pfn-svg .line{stroke:var(--jp-content-font-color1,#111);stroke-width:2;fill:none}
.pfn-svg .switch{stroke:var(--jp-content-font-color1,#111);stroke-width:1.5;fill:none}
.pfn-svg .switch{stroke-dasharray:3 3}
.pfn-svg g rect{stroke-width:1.5}
.pfn-svg g.now rect{stroke-width:3}
.pfn-svg .pale{opacity:0.35}
</style>"""
