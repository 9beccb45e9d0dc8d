"""What a notebook says to the reader: outcomes, hints, predictions, progress."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from pfncache_lab import __version__
from pfncache_lab.course import catalog, lessons, setup
from pfncache_lab.course.authoring import made_all
from pfncache_lab.course.lab import FOLDER, Lab, NotInLesson, reference_source
from pfncache_lab.course.lessons.lesson_00 import LESSON
from pfncache_lab.course.outcome import Outcome
from pfncache_lab.course.progress import Progress
from pfncache_lab.explore import replay
from pfncache_lab.sim import cmpxchg, cpu_relax
from tests.course.sample import COURSE, FIRST, SECOND, Word


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(FOLDER)
    return tmp_path


@pytest.fixture
def lab(folder):
    return Lab(LESSON, {}, folder)


def solved(lesson) -> dict:
    """The answers of a reader who has read all solutions, and typed them."""
    sources = "\n\n".join(map(reference_source, lesson.exercises))
    known = {"Word": Word, "cmpxchg": cmpxchg, "cpu_relax": cpu_relax}
    return made_all(sources, "<a notebook>", known)


def unfilled(outcome) -> str:
    """What is printed, in one line."""
    return " ".join(repr(outcome).split())


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
        "With aabb one task does all its work before the other begins, and nothing is\n"
        "lost. Switch tasks in between.\n\n"
        "step  a "
    )
    assert text.endswith('Stuck? Run lab.hint("00.1"): there are three hints.')
    assert page["text/plain"] == text
    assert "[incorrect] 00.1 Break counter += 1" in page["text/html"]
    assert r"\u003csvg" in page["text/html"]


def test_an_outcome_fits_a_terminal_and_what_is_to_be_copied_stays_whole():
    """Goal: 80 columns, no call in two lines. Method: a long sentence with both."""
    call = 'lab.replay("90.2", "v1:a.b", "a program with a long name that would be broken")'
    said = "This is what happens when a task looks first and takes the lock later. " * 2
    outcome = Outcome(FIRST.exercises[0], "incorrect", f"{said}\nTo see it again: {call}")
    assert call in repr(outcome)
    assert all(len(line) <= 80 for line in repr(outcome).splitlines() if call not in line)
    assert " ".join(said.split()) in unfilled(outcome)


def test_a_passed_check_shows_the_readers_own_run_as_a_film(folder):
    outcome = open_lab(folder, lost_update="baab").check("00.1")
    page = outcome._repr_mimebundle_()["text/html"]
    assert "[passed]" in page
    assert "schedule: baab" in repr(outcome)
    assert repr(outcome).endswith("\n\nNext step: 00.2 Break the flag, 8 min.")
    assert "Step 4 of 4: task b, store counter ← 1." in page
    assert "Stuck?" not in page


def test_what_has_passed_is_remembered_by_the_next_notebook(folder):
    open_lab(folder, lost_update="abba").check("00.1")
    later = open_lab(folder)
    assert later.so_far() == "1 of 3 exercises passed; next: 00.2."
    assert "   ✓ 00.1 Break counter += 1\n   · 00.2 Break the flag\n" in later.progress().text


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
    lab = open_lab(folder, **solved(LESSON))
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


def test_a_run_stands_above_what_was_predicted_of_it(lab):
    lab.predict("counter", "What?", "2", "1 or 2").choose("2")
    revealed = lab.reveal("counter", replay(lab.scenario("counter"), "abab"))
    run, words = revealed.text.split("\n\nYou predicted “2”. ")
    assert run.startswith("step  a")
    assert words.startswith("The machine says: 1 or 2.")
    assert revealed.html().index("Timeline of this run") < revealed.html().index("You predicted")


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


# -- the course ----------------------------------------------------------------------------------


def test_a_new_module_is_a_new_lesson_and_nothing_else_has_to_change(folder, monkeypatch, capsys):
    """Goal: one file a lesson. Method: put one beside the others, and open it."""
    (folder / "lesson_77.py").write_text(
        '"""Lesson 77."""\n'
        "from pfncache_lab.course.exercise import Lesson\n"
        "LESSON = Lesson(77, 'Nothing yet', [], needs=('schedules',))\n"
    )
    monkeypatch.setattr(lessons, "__path__", [*lessons.__path__, str(folder)])
    catalog.lessons.cache_clear()
    try:
        namespace: dict = {}
        lab = setup(lesson=77, namespace=namespace)
        assert "Reference: schedules." in capsys.readouterr().out
        assert namespace["schedules"](1, 1) == ["ab", "ba"]
        assert "\n77 Nothing yet" in lab.progress().text
    finally:
        sys.modules.pop(f"{lessons.__name__}.lesson_77", None)
        catalog.lessons.cache_clear()


def test_the_map_shows_every_lesson_and_where_to_go(folder):
    names = solved(FIRST)
    first = Lab(FIRST, names, folder, COURSE)
    assert first.progress().text == (
        "90 A sample      ····  ← you are here\n"
        "   · 90.1 Which page, and where in it\n"
        "   · 90.2 A lock\n"
        "   · 90.3 Make them equal\n"
        "   · 90.4 How many?\n"
        "91 On top of it  ·\n"
        "\n"
        "0 of 4 exercises passed; next: 90.1.\n"
        "Next step: 90.1 Which page, and where in it, 5 min."
    )
    assert [first.check(e.id).kind for e in FIRST.exercises] == ["passed"] * 4
    assert first.progress().text.splitlines()[-2:] == [
        "All 4 exercises of this lesson passed.",
        "Next step: 91.1 Does it fit?, in lesson 91, 5 min.",
    ]


def test_the_certificate_counts_what_has_passed_and_nothing_else(folder):
    """Goal: nobody is praised for running cells. Method: hints, predictions; then every check."""
    lab = Lab(SECOND, solved(FIRST), folder, COURSE)
    lab.hint("91.1")
    lab.check("91.1")
    assert lab.certificate().text == (
        "0 of 5 checks have passed. The certificate waits for: 90.1, 90.2, 90.3, 90.4, 91.1."
    )
    for exercise in [*FIRST.exercises, *SECOND.exercises]:
        Progress(folder).add_passed(exercise.id)
    assert lab.certificate().text.startswith("CERTIFICATE\n\nAll 5 checks of 2 lessons")
    assert "Every exercise of the course has passed" in lab.progress().text


# -- the file --------------------------------------------------------------------------------------


def test_the_record_can_be_read_by_a_person(folder):
    open_lab(folder, lost_update="abba").check("00.1")
    record = json.loads((folder / "progress.json").read_text())
    assert record == {
        "version": 2,
        "passed": ["00.1"],
        "predictions": {},
        "hints": {},
        "reference": [],
    }
    assert {path.name for path in folder.iterdir()} <= {"progress.json", ".progress.json.lock"}


@pytest.mark.parametrize(
    "damage",
    [
        "{",
        "[]",
        "\0",
        "[" * 100_000,
        '{"version": "2"}',
        '{"version": 1}',
        '{"version": 2, "passed": [], "predictions": {}, "hints": {}, "reference": 3}',
        '{"version": 1, "passed": [3], "predictions": {}, "hints": {}}',
        '{"version": 1, "passed": [], "predictions": {}, "hints": {"00.1": "x"}}',
    ],
    ids=range(9),
)
def test_a_damaged_record_is_set_aside_and_said_so(folder, damage):
    (folder / "progress.json").write_text(damage)
    lab = open_lab(folder)
    assert "I kept it as progress.damaged.json and started a new one." in lab.so_far()
    assert (folder / "progress.damaged.json").read_text() == damage
    Progress(folder).add_passed("00.1")
    assert Progress(folder).passed() == ["00.1"]


def test_a_record_of_the_first_version_is_read(folder):
    old = '{"version": 1, "passed": ["00.1"], "predictions": {"x": "y"}, "hints": {"00.2": 2}}'
    (folder / "progress.json").write_text(old)
    record = Progress(folder)
    assert (record.passed(), record.prediction("x"), record.hints("00.2")) == (["00.1"], "y", 2)
    assert (record.reference(), record.news()) == ([], "")


def test_no_damaged_record_replaces_another(folder):
    for damage in ("first", "second"):
        (folder / "progress.json").write_text(damage)
        assert Progress(folder).passed() == []
    kept = {path.read_text() for path in folder.glob("progress.damaged*.json")}
    assert kept == {"first", "second"}


def test_damage_that_is_met_on_the_way_is_said_with_the_check(folder):
    """Goal: no silence. Method: damage the file while the notebook is open, and pass a check."""
    lab = open_lab(folder, lost_update="abba")
    (folder / "progress.json").write_text("{")
    assert "was damaged; I kept it as progress.damaged.json" in unfilled(lab.check("00.1"))
    assert "damaged" not in repr(lab.check("00.1")), "once is enough"
    assert Progress(folder).passed() == ["00.1"]


def test_a_new_record_is_not_set_aside_in_the_place_of_the_damaged_one(folder, monkeypatch):
    """Goal: no race between two notebooks that see the same damage. Method: the other is faster."""
    (folder / "progress.json").write_text("{")
    slow, fast = Progress(folder), Progress(folder)
    load = slow._load

    def looks_before_the_other_acts():
        seen = load()
        monkeypatch.setattr(slow, "_load", load)
        fast.add_passed("00.1")
        return seen

    monkeypatch.setattr(slow, "_load", looks_before_the_other_acts)
    assert slow.passed() == ["00.1"]
    assert [path.read_text() for path in folder.glob("progress.damaged*")] == ["{"]


def test_a_record_of_a_newer_version_is_left_alone(folder):
    newer = '{"version": 99, "passed": ["20.3"]}'
    (folder / "progress.json").write_text(newer)
    lab = open_lab(folder, lost_update="abba")
    said = (
        "progress.json is from a newer pfncache_lab (it has version 99, I know 2): I remember only "
        "while this is open."
    )
    assert lab.so_far().endswith(said)
    assert unfilled(lab.check("00.1")).endswith(said)
    assert lab.so_far().startswith("1 of 3 exercises passed")
    assert (folder / "progress.json").read_text() == newer
    assert not list(folder.glob("progress.damaged*"))


def test_a_record_that_cannot_be_read_just_now_is_left_where_it_is(folder, monkeypatch):
    def in_use(*args, **kwargs):
        raise PermissionError(13, "in use")

    Progress(folder).add_passed("00.1")
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.read_text", in_use)
        busy = Progress(folder)
        busy.add_passed("00.2")
        assert busy.passed() == ["00.2"]
        assert busy.news() == (
            "progress.json cannot be read (in use): I remember only while this is open."
        )
    assert Progress(folder).passed() == ["00.1"]
    busy.add_passed("00.3")
    assert Progress(folder).passed() == ["00.1", "00.2", "00.3"]


def test_what_another_notebook_writes_meanwhile_stays(folder, monkeypatch):
    """Goal: no lost update by way of what could not be written. Method: full disk, for one."""

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    one, two = Progress(folder), Progress(folder)
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_text", full)
        one.add_passed("00.1")
    two.add_passed("00.2")
    one.add_passed("00.2")
    assert one.passed() == ["00.2", "00.1"]
    one.add_passed("00.3")
    assert Progress(folder).passed() == ["00.2", "00.1", "00.3"]


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
        assert "cannot be written (No space left on device): I remember only" in unfilled(outcome)
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
