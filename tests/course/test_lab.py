"""What a notebook says to the reader: outcomes, hints, predictions, progress."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from pfncache_lab import __version__
from pfncache_lab.course import setup
from pfncache_lab.course.lab import FOLDER, Lab, NotInLesson
from pfncache_lab.course.lessons.lesson_00 import LESSON
from pfncache_lab.course.progress import Progress


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(FOLDER)
    return tmp_path


@pytest.fixture
def lab(folder):
    return Lab(LESSON, {}, folder)


def open_lab(folder, **answers):
    return Lab(LESSON, answers, folder)


def test_the_first_cell_says_that_it_worked_and_what_is_next(folder, capsys):
    setup(lesson=0, namespace={})
    assert capsys.readouterr().out == (
        f"Setup complete: pfncache_lab {__version__}. 0 of 3 exercises passed; next: 00.1.\n"
    )


def test_looking_around_writes_nothing(folder, lab):
    lab.check("00.1")
    lab.progress()
    lab.reveal("counter")
    assert list(folder.iterdir()) == []


def test_an_outcome_reads_the_same_as_text_and_on_the_page(folder):
    outcome = open_lab(folder, lost_update="aabb").check("00.1")
    text, page = repr(outcome), outcome._repr_mimebundle_()
    assert text.startswith(
        "[incorrect] 00.1 Break counter += 1\n"
        "With aabb one task does all its work before the other begins, and nothing is lost. "
        "Switch tasks in between.\n\n"
        "step  a "
    )
    assert text.endswith('Stuck? Run lab.hint("00.1"): there are three hints.')
    assert page["text/plain"] == text
    assert "[incorrect] 00.1 Break counter += 1" in page["text/html"]
    assert r"\u003csvg" in page["text/html"]


def test_a_passed_check_shows_the_readers_own_run_as_a_film(folder):
    outcome = open_lab(folder, lost_update="baab").check("00.1")
    page = outcome._repr_mimebundle_()["text/html"]
    assert "[passed]" in page
    assert "schedule: baab" in repr(outcome)
    assert "Step 4 of 4: task b, store counter ← 1." in page
    assert "Stuck?" not in page


def test_what_has_passed_is_remembered_by_the_next_notebook(folder):
    open_lab(folder, lost_update="abba").check("00.1")
    later = open_lab(folder)
    assert later.so_far() == "1 of 3 exercises passed; next: 00.2."
    assert later.progress().text.splitlines()[:2] == [
        "✓ 00.1 Break counter += 1",
        "· 00.2 Break the flag",
    ]


def test_a_wrong_answer_later_takes_nothing_away(folder):
    open_lab(folder, lost_update="abba").check("00.1")
    outcome = open_lab(folder, lost_update="aabb").check("00.1")
    assert repr(outcome).endswith("You have passed this exercise before, and it counts.")
    assert open_lab(folder).so_far().startswith("1 of 3")


def test_two_notebooks_that_are_open_at_once_do_not_undo_each_other(folder):
    one, two = open_lab(folder, lost_update="abba"), open_lab(folder, no_lock="ababababab")
    one.check("00.1")
    two.check("00.2")
    assert open_lab(folder).so_far() == "2 of 3 exercises passed; next: 00.3."


def test_a_lesson_that_is_done_says_so(folder):
    answers = {e.answer: e.reference() for e in LESSON.exercises}
    lab = open_lab(folder, **answers)
    assert [lab.check(e.id).kind for e in LESSON.exercises] == ["passed"] * 3
    assert lab.so_far() == "All 3 exercises of this lesson passed."


def test_hints_come_one_at_a_time(lab):
    first, second, third, again = (lab.hint("00.2").text for _ in range(4))
    assert first == f"Hint 1 of 3: {LESSON.exercises[1].hints[0]}"
    assert second.splitlines()[1].startswith("Hint 2 of 3: ")
    assert third == again
    assert third.splitlines()[-1] == 'What is left is lab.solution("00.2").'


def test_the_solution_is_the_reference_itself(lab):
    assert lab.solution("00.1").text == "lost_update = 'abba'"
    assert lab.solution("00.3").text.startswith("def schedules(a, b):\n")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda lab: lab.check("00.9"), "This lesson has no exercise '00.9'. It has: 00.1, 00.2"),
        (lambda lab: lab.hint("1"), "This lesson has no exercise '1'."),
        (lambda lab: lab.scenario("x"), "This lesson has no program 'x'. It has: counter, flag."),
        (lambda lab: lab.predict("x", "?"), "This lesson has no prediction 'x'."),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(lab, call, sentence):
    with pytest.raises(NotInLesson) as unknown:
        call(lab)
    assert str(unknown.value).startswith(sentence)
    assert unknown.value._render_traceback_() == [str(unknown.value)]


def test_a_prediction_is_kept_and_held_against_the_machine(lab, folder):
    question = lab.predict("counter", "What?", "2", "1 or 2")
    question.choose("2")
    assert "Noted: 2." in question._status.value
    assert lab.reveal("counter").text.startswith("You predicted “2”. The machine says: 1 or 2.\n")
    question.choose("1 or 2")
    assert lab.reveal("counter").text.startswith("You predicted “1 or 2”, and so it is.\n")
    assert "Noted: 1 or 2." in open_lab(folder).predict("counter", "What?", "2")._status.value


def test_without_a_prediction_nothing_is_given_away(lab):
    assert lab.reveal("counter").text == (
        "You have made no prediction yet. (Choose above, and run this cell again.)"
    )


@pytest.mark.parametrize("prediction", LESSON.predictions, ids=lambda p: p.name)
def test_the_truth_of_a_prediction_is_one_of_its_options(prediction):
    """Goal: the right option can be chosen. Method: read the options from the notebook itself."""
    from tests.test_notebooks import NOTEBOOKS, code_cells

    calls = [c.source for c in code_cells(NOTEBOOKS[LESSON.number]) if "lab.predict(" in c.source]
    [asked] = [call for call in calls if f'"{prediction.name}"' in call.partition("?")[0]]
    assert f'"{prediction.answer()}"' in asked


# -- the file --------------------------------------------------------------------------------------


def test_the_record_can_be_read_by_a_person(folder):
    open_lab(folder, lost_update="abba").check("00.1")
    record = json.loads((folder / "progress.json").read_text())
    assert record == {"version": 1, "passed": ["00.1"], "predictions": {}, "hints": {}}
    assert {path.name for path in folder.iterdir()} <= {"progress.json", ".progress.json.lock"}


@pytest.mark.parametrize(
    "damage",
    [
        "{",
        "[]",
        "\0",
        "[" * 100_000,
        '{"version": 99}',
        '{"version": 1}',
        '{"version": 1, "passed": [3], "predictions": {}, "hints": {}}',
        '{"version": 1, "passed": [], "predictions": {}, "hints": {"00.1": "x"}}',
    ],
    ids=range(8),
)
def test_a_damaged_record_is_set_aside_and_said_so(folder, damage):
    (folder / "progress.json").write_text(damage)
    lab = open_lab(folder)
    assert "I kept it as progress.damaged.json and started a new one." in lab.so_far()
    assert (folder / "progress.damaged.json").read_text() == damage
    Progress(folder).add_passed("00.1")
    assert Progress(folder).passed() == ["00.1"]


def test_no_damaged_record_replaces_another(folder):
    for damage in ("first", "second"):
        (folder / "progress.json").write_text(damage)
        assert Progress(folder).passed() == []
    kept = {path.read_text() for path in folder.glob("progress.damaged*.json")}
    assert kept == {"first", "second"}


def test_a_record_that_cannot_be_read_just_now_is_left_where_it_is(folder, monkeypatch):
    def in_use(*args, **kwargs):
        raise PermissionError(13, "in use")

    Progress(folder).add_passed("00.1")
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.read_text", in_use)
        busy = Progress(folder)
        assert busy.passed() == []
        assert busy.notice == "progress.json cannot be read (in use): I start without it."
    assert Progress(folder).passed() == ["00.1"]


def test_two_processes_that_write_at_once_lose_no_update(folder):
    """Goal: the record of lesson 00 has no lost update. Method: two processes, 40 changes each."""
    code = (
        "import sys; from pathlib import Path; from pfncache_lab.course.progress import Progress\n"
        "for n in range(40): Progress(Path('.')).add_passed(f'{sys.argv[1]}.{n}')"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, name]) for name in "ab"]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert len(Progress(folder).passed()) == 80


def test_a_record_that_cannot_be_written_costs_only_the_memory(folder, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    lab = open_lab(folder, lost_update="abba", no_lock="ababababab")
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_text", full)
        outcome = lab.check("00.1")
        assert outcome.kind == "passed"
        assert "cannot be written (No space left on device): I remember only" in repr(outcome)
        question = lab.predict("counter", "What?", "2")
        question.choose("2")
        assert "I remember only while this is open" in question._status.value
        assert lab.so_far().startswith("1 of 3 exercises passed; next: 00.2.")
    assert "cannot be written" not in repr(lab.check("00.2"))
    assert open_lab(folder).so_far() == "2 of 3 exercises passed; next: 00.3."


def test_a_crash_in_the_middle_of_writing_leaves_the_old_record(folder, monkeypatch):
    Progress(folder).add_passed("00.1")

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        Progress(folder).add_passed("00.2")
    assert Progress(folder).passed() == ["00.1"]
