"""notebooks.py: run a notebook and keep its outputs in a form that does not change by itself.

What is stored is the same on every machine and at every time: no timings, no widget state, no
version of Python, and nothing of a cell that shows a live widget.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from .course.lessons.lesson_00 import COUNTER
from .explore import replay
from .viz.stepper import first_line
from .viz.timeline import draw_timeline

WIDGET = "application/vnd.jupyter.widget-view+json"
LIVE = "nbval-ignore-output"


def run_and_store(path: Path) -> None:
    """Run the notebook at `path`, and replace it with the outcome.

    It runs in an empty folder: whoever works on a notebook may have solved it in its own.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        execute(notebook, Path(folder))
    normalize(notebook)
    nbformat.write(notebook, path)


def readme_picture() -> str:
    """Draw the run that README shows: a real one, of lesson 00."""
    run = replay(COUNTER, "abba")
    assert run.trace is not None
    return draw_timeline(run.trace, None, first_line(run)) + "\n"


def execute(notebook: Any, folder: Path) -> None:
    """Run all cells in a fresh kernel, with `folder` as the working directory."""
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        coalesce_streams=True,  # Else two prints are one output or two, as the clock will have it.
        timeout=60,
    )
    client.execute()


def normalize(notebook: Any) -> None:
    """Drop from an executed notebook whatever would differ the next time."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [] if _is_live(cell) else cell.outputs
            cell.metadata.pop("execution", None)


def _is_live(cell: Any) -> bool:
    return LIVE in cell.metadata.get("tags", []) or any(
        WIDGET in output.get("data", {}) for output in cell.outputs
    )
