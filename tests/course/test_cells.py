"""Which names a cell defines: read from its text, for a broken cell has nothing else."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pfncache_lab.course.cells import Cells


def run(
    cells: Cells, namespace: dict, source: str, error: Exception | None = None, cell="", **names
):
    """Pretend that a cell has run."""
    cells.begins(None)
    namespace.update(names)
    info = SimpleNamespace(raw_cell=source, cell_id=cell or None)
    cells.ends(SimpleNamespace(info=info, error_before_exec=error, error_in_exec=None))


@pytest.fixture
def namespace():
    return {"answer": 1}


@pytest.fixture
def cells(namespace):
    return Cells(namespace, ["answer", "Lock"])


@pytest.mark.parametrize(
    "source",
    ["answer = (", "answer: int = (", "def answer(", "class answer(:", "x = 1\nanswer=(\n"],
)
def test_a_cell_that_fails_before_it_defines_its_name_is_remembered(cells, namespace, source):
    run(cells, namespace, source, SyntaxError("never closed"))
    assert cells.trouble("answer") == (
        "The cell that defines `answer` ended with SyntaxError: never closed, so `answer` is still "
        "what it was before. Repair that cell, run it, and check again."
    )
    run(cells, namespace, "answer = 1")
    assert cells.trouble("answer") is None


@pytest.mark.parametrize(
    "source",
    ["answer == (", "print(answer", "def f():\n    answer = (", "answers = (", "call(answer=("],
)
def test_a_cell_that_only_uses_the_name_is_not(cells, namespace, source):
    run(cells, namespace, source, SyntaxError())
    assert cells.trouble("answer") is None


def test_a_cell_that_fails_after_it_has_defined_its_name_is_not(cells, namespace):
    run(cells, namespace, "answer = 2\n1 / 0", ZeroDivisionError(), answer=2)
    assert cells.trouble("answer") is None


def test_a_name_that_never_was_is_said_to_be_missing(cells, namespace):
    run(cells, namespace, "class Lock:\n    x = ____", NameError("name '____' is not defined"))
    assert "so `Lock` is not there" in cells.trouble("Lock")


def test_only_names_of_the_course_are_missed(cells, namespace, capsys):
    from pfncache_lab import show

    namespace.update(show=show, mine=3)
    run(cells, namespace, "mine = show = 4", show=4, mine=4, answer=4)
    assert capsys.readouterr().out == (
        "Careful: `show` was the course's, and is now 4. Later cells use it. To get it back, run "
        "the first cell of this notebook again.\n"
    )


def test_what_a_lesson_needs_may_be_built_anew_but_not_lost(namespace, capsys):
    cells = Cells(namespace, ["answer"], ["earlier"])
    namespace["earlier"] = len
    run(cells, namespace, "def earlier(): ...", earlier=max)
    assert capsys.readouterr().out == ""
    run(cells, namespace, "earlier = 3", earlier=3)
    assert "Careful: `earlier` was the course's, and is now 3." in capsys.readouterr().out


def test_a_name_of_pythons_that_is_overwritten_is_said_once(cells, namespace, capsys):
    run(cells, namespace, "print = 3", print=3, mine=print)
    assert capsys.readouterr().out == (
        "Careful: `print` was Python's own, and is now 3. To get it back, run `del print` in a "
        "cell.\n"
    )
    run(cells, namespace, "2 + 2")
    run(cells, namespace, "def len(x): ...", len=lambda x: 3)
    assert capsys.readouterr().out == ""


def test_a_slip_in_the_name_of_an_answer_is_seen(cells, namespace):
    """Goal: what an earlier run has left is not judged. Method: one cell, run with another name."""
    run(cells, namespace, "answer = 1", cell="one", answer=1)
    run(cells, namespace, "anwser = 2", cell="one", anwser=2)
    assert cells.trouble("answer") == (
        "The cell that had `answer` now defines `anwser`. Give it its name back, run the cell, and "
        "check again."
    )
    run(cells, namespace, "answer = 2", cell="one", answer=2)
    assert cells.trouble("answer") is None


@pytest.mark.parametrize(
    ("source", "cell"), [("print(answer)", "one"), ("other = 2", "one"), ("anwser = 2", "two")]
)
def test_what_is_no_slip_is_let_be(cells, namespace, source, cell):
    run(cells, namespace, "answer = 1", cell="one", answer=1)
    run(cells, namespace, source, cell=cell)
    assert cells.trouble("answer") is None
