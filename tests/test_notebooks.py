"""The notebooks: clean files, solved and wrong variants, and a kernel that survives its reader.

That each notebook runs as committed, with the outputs that it holds, is nbval's part of the run.
The variants are made in memory: the cell tagged `exercise-00.1` gets another source.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from pfncache_lab.course.exercise import Lesson
from pfncache_lab.course.lab import FOLDER, answer_source, reference_source
from pfncache_lab.notebooks import WIDGET, execute, normalize

ROOT = Path(__file__).resolve().parent.parent
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NOTEBOOKS = [nbformat.read(path, as_version=4) for path in PATHS]


def lesson_of(path: Path) -> Lesson:
    number = path.name[:2]
    return importlib.import_module(f"pfncache_lab.course.lessons.lesson_{number}").LESSON


each_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def variant(path: Path, answers: dict[str, str]) -> Any:
    """Fill the exercises of a notebook with these sources."""
    notebook = nbformat.read(path, as_version=4)
    for exercise, source in answers.items():
        [cell] = [c for c in notebook.cells if f"exercise-{exercise}" in c.metadata.get("tags", [])]
        cell.source = source
    return notebook


def verdicts(notebook: Any, folder: Path) -> dict[str, str]:
    """Run a notebook in `folder`, and return what each check said."""
    execute(notebook, folder)
    said = {}
    for cell in code_cells(notebook):
        if asked := re.fullmatch(r'lab\.check\("(.+)"\)', cell.source):
            [output] = cell.outputs
            said[asked[1]] = output.data["text/plain"]
    return said


@pytest.fixture(autouse=True)
def _record_in_the_working_directory(monkeypatch):
    monkeypatch.delenv(FOLDER)


# -- the files -------------------------------------------------------------------------------------


def test_there_is_a_notebook_for_each_lesson_and_a_lesson_for_each_notebook():
    lessons = sorted((ROOT / "pfncache_lab/course/lessons").glob("lesson_*.py"))
    assert [path.name[:2] for path in PATHS] == [path.stem[-2:] for path in lessons]


@each_notebook
def test_a_notebook_holds_nothing_that_changes_by_itself(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.nbformat == 4
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags"}
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", cell.id), "a cell's id is words"
        assert not any(WIDGET in output.get("data", {}) for output in cell.get("outputs", []))


@each_notebook
def test_a_notebook_was_stored_after_a_run_from_top_to_bottom(path):
    counts = [cell.execution_count for cell in code_cells(nbformat.read(path, as_version=4))]
    assert counts == list(range(1, len(counts) + 1))


@each_notebook
def test_running_a_notebook_again_changes_nothing_that_is_stored(path, tmp_path):
    """Goal: outputs are deterministic. Method: run it, normalize it, and compare to the letter."""
    stored, again = (nbformat.read(path, as_version=4) for _ in range(2))
    execute(again, tmp_path)
    normalize(again)
    for cell in [*stored.cells, *again.cells]:
        for output in cell.get("outputs", []):
            if "pfn-dot" in str(output):  # dot's own places differ from one version to the next
                output.data.pop("text/html")
    assert again == stored


@each_notebook
def test_a_notebook_says_how_long_and_how_hard_an_exercise_is(path):
    cells = nbformat.read(path, as_version=4).cells
    for exercise in lesson_of(path).exercises:
        [at] = [
            i
            for i, c in enumerate(cells)
            if f"exercise-{exercise.id}" in c.metadata.get("tags", [])
        ]
        dots = "●" * exercise.dots + "○" * (5 - exercise.dots)
        assert cells[at - 1].source.startswith(f"### Exercise {exercise.id} · {exercise.title}\n")
        assert f"{dots}, {exercise.minutes} min." in cells[at - 1].source


@each_notebook
def test_no_cell_is_too_long_for_a_tired_reader(path):
    for cell in nbformat.read(path, as_version=4).cells:
        lines, words = len(cell.source.splitlines()), len(cell.source.split())
        if cell.cell_type == "code":
            assert lines <= 24, cell.id
        elif "<details>" not in cell.source:
            assert words <= 90, cell.id


# -- solved and wrong --------------------------------------------------------------------------


@each_notebook
def test_a_solved_notebook_passes_every_check(path, tmp_path):
    exercises = lesson_of(path).exercises
    solved = variant(path, {e.id: reference_source(e) for e in exercises})
    said = verdicts(solved, tmp_path)
    assert {e: text.split("]")[0] for e, text in said.items()} == {
        e.id: "[passed" for e in exercises
    }
    assert f"All {len(exercises)} exercises" in str(code_cells(solved)[-1].outputs)


def rounds() -> list[Any]:
    """Each mutant once, several exercises at a time: a round needs a kernel of its own."""
    found = []
    for path in PATHS:
        exercises = lesson_of(path).exercises
        longest = max(len(e.mutants) for e in exercises)
        for number in range(longest):
            chosen = {e.id: list(e.mutants.values())[number % len(e.mutants)] for e in exercises}
            marks = [pytest.mark.slow] if number else []
            name = f"{path.stem}-{number}"
            found.append(pytest.param(path, chosen, marks=marks, id=name))
    return found


@pytest.mark.parametrize(("path", "chosen"), rounds())
def test_a_wrong_notebook_is_turned_down_in_its_own_words(path, chosen, tmp_path):
    exercises = {e.id: e for e in lesson_of(path).exercises}
    sources = {i: answer_source(exercises[i], mutant.answer) for i, mutant in chosen.items()}
    said = verdicts(variant(path, sources), tmp_path)
    for exercise, mutant in chosen.items():
        assert said[exercise].startswith("[incorrect]")
        assert mutant.says in said[exercise]
    assert not (tmp_path / "progress.json").exists()


@pytest.mark.slow
def test_the_kernel_survives_its_reader_and_the_next_check_works(tmp_path):
    """Goal: no answer takes the kernel along. Method: one kernel, one horror after the other."""
    horrors = [
        "def schedules(a, b):\n    while True: pass",
        "def schedules(a, b):\n    return schedules(a, b)",
        "def schedules(a, b):\n    import sys; sys.exit(1)",
        "def schedules(a, b):\n    raise KeyError(a)",
        "def schedules(a, b):\n    exit()",
        "def schedules(a, b):\n    return input()",
        "def schedules(a, b):\n    while True: yield 'a'",
        "def schedules(a, b):\n    return [0] * 10**15",
        "def schedules(a",
        "schedules = 3",
        "schedules = print",
        "del schedules",
    ]
    solved = variant(PATHS[0], {e.id: reference_source(e) for e in lesson_of(PATHS[0]).exercises})
    last = next(
        i for i, c in enumerate(solved.cells) if "exercise-00.3" in c.metadata.get("tags", [])
    )
    answer, check = solved.cells[last : last + 2]
    cells = [*solved.cells[: last + 2]]
    for number, horror in enumerate(horrors):
        tags = {"tags": ["raises-exception"]}
        cells.append(nbformat.v4.new_code_cell(horror, id=f"horror-{number}", metadata=tags))
        cells.append(nbformat.v4.new_code_cell(check.source, id=f"check-{number}"))
    cells.append(nbformat.v4.new_code_cell(answer.source, id="answer-again"))
    cells.append(nbformat.v4.new_code_cell(check.source, id="check-again"))
    solved.cells = cells
    execute(solved, tmp_path)
    heads = [
        cell.outputs[-1].data["text/plain"].split("]")[0][1:]
        for cell in solved.cells
        if cell.cell_type == "code" and cell.source == check.source
    ]
    broken_cell_keeps_the_answer_before_it = "incorrect"
    assert heads == [
        "passed",
        *["incorrect"] * 8,
        broken_cell_keeps_the_answer_before_it,
        *["incorrect"] * 2,
        "not attempted",
        "passed",
    ]
