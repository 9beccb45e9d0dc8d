"""notebooks.py: run a notebook and keep its outputs in a form that does not change by itself.

What is stored is the same on every machine and at every time: no timings, no widget state, no
version of Python, and nothing of a cell that shows a live widget.
"""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from .course.catalog import lesson
from .course.exercise import Lesson

WIDGET = "application/vnd.jupyter.widget-view+json"
LIVE = "nbval-ignore-output"


def run_and_store(path: Path) -> None:
    """Bring the exercises of the notebook at `path` up to date, run it, and store the outcome.

    It runs in an empty folder: whoever works on a notebook may have solved it in its own.
    """
    notebook = nbformat.read(path, as_version=4)
    write_exercises(notebook, lesson(int(path.name[:2])))
    with tempfile.TemporaryDirectory() as folder:
        execute(notebook, Path(folder))
    normalize(notebook)
    nbformat.write(notebook, path)


def write_exercises(notebook: Any, one: Lesson) -> None:
    """Put the text and the stub of each exercise where the notebook has it.

    That is the cell with the tag `exercise-00.1`, and the one above it.
    """
    for exercise in one.exercises:
        for above, cell in pairwise(notebook.cells):
            if f"exercise-{exercise.id}" in cell.metadata.get("tags", []):
                above.source, cell.source = exercise.text(), exercise.stub.rstrip("\n")


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
