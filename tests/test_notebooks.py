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
each_notebook_in_time = pytest.mark.parametrize(
    "path",
    [PATHS[0], *[pytest.param(path, marks=pytest.mark.slow) for path in PATHS[1:]]],
    ids=lambda path: path.stem,
)
"""For what starts a kernel: the first notebook at once, the others with the slow tests."""


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


@each_notebook_in_time
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
def test_an_exercise_stands_in_the_notebook_as_the_lesson_has_it(path):
    cells = nbformat.read(path, as_version=4).cells
    for exercise in lesson_of(path).exercises:
        [at] = [
            i
            for i, c in enumerate(cells)
            if f"exercise-{exercise.id}" in c.metadata.get("tags", [])
        ]
        asked = "run `pfncache-lab refresh`"
        assert cells[at - 1].source == exercise.text(), asked
        assert cells[at].source == exercise.stub.rstrip("\n"), asked
        assert cells[at + 1].source == f'lab.check("{exercise.id}")'


@each_notebook
def test_no_cell_is_too_long_for_a_tired_reader(path):
    for cell in nbformat.read(path, as_version=4).cells:
        lines, words = len(cell.source.splitlines()), len(cell.source.split())
        if cell.cell_type == "code":
            assert lines <= 24, cell.id
        elif "<details>" not in cell.source:
            assert words <= 90, cell.id


# -- solved and wrong --------------------------------------------------------------------------


@each_notebook_in_time
def test_a_solved_notebook_passes_every_check(path, tmp_path):
    exercises = lesson_of(path).exercises
    solved = variant(path, {e.id: reference_source(e) for e in exercises})
    said = verdicts(solved, tmp_path)
    assert {e: text.split("]")[0] for e, text in said.items()} == {
        e.id: "[passed" for e in exercises
    }
    assert f"All {len(exercises)} exercises" in str(code_cells(solved)[-1].outputs)


ROUNDS = 3
"""Of wrong answers, for each notebook. Without a kernel, test_exercises.py tries every one."""


def rounds() -> list[Any]:
    """Mutants of all exercises at a time: a round needs a kernel of its own."""
    found = []
    for path in PATHS:
        exercises = lesson_of(path).exercises
        for number in range(ROUNDS):
            chosen = {e.id: list(e.mutants.values())[number % len(e.mutants)] for e in exercises}
            marks = [pytest.mark.slow] if number or path != PATHS[0] else []
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
        assert " ".join(mutant.says.split()) in " ".join(said[exercise].split())
    assert not (tmp_path / "progress.json").exists()


@pytest.mark.slow
def test_the_kernel_survives_its_reader_and_the_next_check_works(tmp_path):
    """Goal: no answer takes the kernel along. Method: one kernel, one horror after the other."""
    horrors = {
        "def schedules(a, b):\n    while True: pass": "incorrect",
        "def schedules(a, b):\n    return schedules(a, b)": "incorrect",
        "def schedules(a, b):\n    import sys; sys.exit(1)": "incorrect",
        "def schedules(a, b):\n    import os; os._exit(1)": "incorrect",
        "def schedules(a, b):\n    raise KeyError(a)": "incorrect",
        "def schedules(a, b):\n    exit()": "incorrect",
        "def schedules(a, b):\n    return input()": "incorrect",
        "def schedules(a, b):\n    while True: yield 'a'": "incorrect",
        "def schedules(a, b):\n    return [0] * 10**15": "incorrect",
        "def schedules(a, b):\n    return sum(iter(int, 1))": "incorrect",
        "def schedules(a, b):\n    print('x\\n' * 10**7); return []": "incorrect",
        "def schedules(a, b):\n    raise KeyboardInterrupt": "incorrect",
        "def schedules(a, b):\n    import ctypes; ctypes.string_at(0)": "incorrect",
        "def schedules(a, b):\n    import os; os.execv('/bin/sleep', ['sleep', '9'])": "incorrect",
        "def schedules(a, b):\n    import sys; sys.stdout.close(); return []": "incorrect",
        "def schedules(a, b):\n    display(3); return [lab.check('00.1')]": "incorrect",
        "def schedules(a": "incorrect",
        "schedules = 3": "incorrect",
        "schedules = print": "incorrect",
        "del schedules": "not attempted",
        "check = list = sorted = 3\ndef schedules(a, b):\n    return ['a']": "incorrect",
        "from pfncache_lab.course.lessons.lesson_00 import schedules": "not attempted",
        "import functools; schedules = functools.partial(schedules)": "not attempted",
    }
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
    assert heads == ["passed", *horrors.values(), "passed"]


def said_by(cells: list[tuple[str, str]], folder: Path) -> list[str]:
    """Run these cells after the set-up cell of lesson 00; return what each of them said."""
    notebook = variant(PATHS[0], {})
    first = [next(c for c in code_cells(notebook) if "setup(" in c.source)]
    tags = {"tags": ["raises-exception"]}
    notebook.cells = first + [
        nbformat.v4.new_code_cell(source, id=name, metadata=tags) for name, source in cells
    ]
    execute(notebook, folder)
    return ["\n".join(map(text_of, cell.outputs)) for cell in notebook.cells]


def text_of(output: Any) -> str:
    return output.get("text") or output.get("data", {}).get("text/plain") or output.get("ename")


def test_what_a_failed_cell_leaves_behind_is_not_judged(tmp_path):
    """Goal: the old answer is not taken for the new. Method: a right one, then a broken cell."""
    said = said_by(
        [
            ("right", 'lost_update = "abba"'),
            ("check-right", 'lab.check("00.1")'),
            ("broken", 'lost_update = "ab'),
            ("check-broken", 'lab.check("00.1")'),
            ("crashed", 'lost_update = "a" + 3'),
            ("check-crashed", 'lab.check("00.1")'),
            ("defined-first", 'lost_update = "aabb"\n1 / 0'),
            ("check-defined", 'lab.check("00.1")'),
            ("blank", "lost_update = ____"),
            ("check-blank", 'lab.check("00.1")'),
            ("right-again", 'lost_update = "abab"'),
            ("check-again", 'lab.check("00.1")'),
        ],
        tmp_path,
    )
    assert [text.split("]")[0][1:] for text in said[2::2]] == [
        "passed",
        "incorrect",
        "incorrect",
        "incorrect",
        "not attempted",
        "passed",
    ]
    assert "The cell that defines `lost_update` ended with SyntaxError" in said[4]
    assert "The cell that defines `lost_update` ended with TypeError" in said[6]
    assert "With aabb one task does all its work" in said[8]


def test_a_name_of_ours_that_is_overwritten_is_said_and_comes_back(tmp_path):
    said = said_by(
        [
            ("overwritten", "show, lab, print = 3, 4, 5"),
            ("broken", 'lab.check("00.1")'),
            ("again", "from pfncache_lab import setup, show\nlab = setup(0, globals())"),
            ("check", 'lab.check("00.1")'),
            ("quiet", "answer = 3"),
        ],
        tmp_path,
    )
    assert "Careful: `show` was the course's, and is now 3." in said[1]
    assert "Careful: `lab` was the course's, and is now 4." in said[1]
    assert "run the first cell of this notebook again" in said[1]
    assert "Careful: `print` was Python's own, and is now 5." in said[1]
    assert said[2] == "AttributeError"
    assert "Careful" not in said[3]
    assert said[4].startswith("[not attempted]")
    assert said[5] == ""


def test_cells_that_are_run_upside_down_twice_or_not_at_all_are_answered(tmp_path):
    setup = "lab = setup(lesson=0, namespace=globals())"
    said = said_by(
        [
            ("check-first", 'lab.check("00.1")'),
            ("answer", 'lost_update = "abba"'),
            ("setup-again", setup),
            ("setup-thrice", setup),
            ("check", 'lab.check("00.1")'),
            ("deleted", "del lost_update"),
            ("check-deleted", 'lab.check("00.1")'),
        ],
        tmp_path,
    )
    assert "There is no `lost_update` yet. Run the cell of the exercise first." in said[1]
    assert "1 of 3" not in said[4]
    assert said[5].startswith("[passed]")
    assert "You have passed this exercise before, and it counts." in said[7]
