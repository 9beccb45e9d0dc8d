"""What the reader has built: saved, supplied to later lessons, switched off, exported."""

from __future__ import annotations

import pytest

from pfncache_lab import cli
from pfncache_lab.course import catalog
from pfncache_lab.course.authoring import made_all
from pfncache_lab.course.export import check_file, exported
from pfncache_lab.course.lab import Lab, NotInLesson, reference_source
from pfncache_lab.course.sources import remember
from pfncache_lab.course.work import CannotKeep, Work, standing_alone
from tests.course.sample import COURSE, FIRST, FITS, LOCK, SECOND

NOTEBOOK = '''
import math
from math import floor as down
from pfncache_lab.sim import Struct, WRITE_ONCE, cmpxchg, cpu_relax, marked

SHIFT = 12


def page_size():
    """Compute it."""
    return 1 << SHIFT


def gpa_to_gfn(gpa):
    """Return the number of the guest's page that holds this address."""
    return down(gpa // page_size())


def offset_in_page(gpa):
    """Return how far into its page this address is."""
    return gpa % page_size()


class Word(Struct):
    """The memory of a lock."""

    locked = marked(0)


class SpinLock:
    """My own lock."""

    def __init__(self):
        self.word = Word()

    def lock(self):
        """Take it."""
        while cmpxchg(self.word, "locked", 0, 1):
            cpu_relax()

    def unlock(self):
        """Give it back."""
        WRITE_ONCE(self.word, "locked", 0)
'''


def notebook(source: str) -> dict:
    """What the cells of a notebook leave behind."""
    return made_all(source, "<cell>", {"__name__": "__main__"})


def run_cell(source: str, names: dict) -> None:
    """Run a cell in the notebook whose names these are."""
    remember(file := f"<cell {len(names)}>", source)
    exec(compile(source, file, "exec"), names)


def lab(lesson, namespace, folder) -> Lab:
    return Lab(lesson, namespace, folder, COURSE)


@pytest.fixture
def built(tmp_path):
    """A reader who has passed the first two exercises."""
    first = lab(FIRST, notebook(NOTEBOOK), tmp_path)
    outcomes = [first.check("90.1"), first.check("90.2")]
    assert [(o.kind, "not save" in o.notice) for o in outcomes] == [("passed", False)] * 2
    return tmp_path


def test_what_has_passed_is_kept_with_what_it_uses(built):
    assert Work(built).text(FIRST.exercises[0]) == (
        '"""Exercise 90.1, Which page, and where in it: my answer, as it passed."""\n'
        "\n"
        "from math import floor as down\n"
        "\n\n"
        "SHIFT = 12\n"
        "\n\n"
        "def page_size():\n"
        '    """Compute it."""\n'
        "    return 1 << SHIFT\n"
        "\n\n"
        "def gpa_to_gfn(gpa):\n"
        '    """Return the number of the guest\'s page that holds this address."""\n'
        "    return down(gpa // page_size())\n"
        "\n\n"
        "def offset_in_page(gpa):\n"
        '    """Return how far into its page this address is."""\n'
        "    return gpa % page_size()\n"
    )
    assert "class Word(Struct):" in Work(built).text(LOCK)
    assert "from pfncache_lab.sim import WRITE_ONCE\n" in Work(built).text(LOCK)


def test_a_later_lesson_uses_what_the_reader_has_built_and_says_so(built):
    namespace: dict = {}
    second = lab(SECOND, namespace, built)
    assert second.whose() == "Yours: gpa_to_gfn, offset_in_page, SpinLock."
    assert namespace["gpa_to_gfn"](0x10_080) == 0x10
    assert namespace["gpa_to_gfn"].__globals__["SHIFT"] == 12
    assert namespace["SpinLock"].__doc__ == "My own lock."


def test_what_is_not_built_yet_comes_from_the_reference(tmp_path):
    namespace: dict = {}
    assert lab(SECOND, namespace, tmp_path).whose() == (
        "Reference: gpa_to_gfn, offset_in_page, SpinLock."
    )
    assert namespace["SpinLock"] is LOCK.reference()


def test_what_is_broken_comes_from_the_reference_and_the_reason_is_said(built):
    Work(built).path(LOCK).write_text("class SpinLock")
    namespace: dict = {}
    said = lab(SECOND, namespace, built).whose()
    assert said.startswith("Yours: gpa_to_gfn, offset_in_page. Reference: SpinLock. I could not")
    assert "90.2_SpinLock.py: SyntaxError" in said
    assert namespace["SpinLock"] is LOCK.reference()


def test_the_reader_may_switch_to_the_reference_and_back(built):
    namespace: dict = {}
    second = lab(SECOND, namespace, built)
    assert second.use_reference("SpinLock").text == (
        "Yours: gpa_to_gfn, offset_in_page. Reference: SpinLock."
    )
    assert namespace["SpinLock"] is LOCK.reference()
    assert lab(SECOND, {}, built).whose().endswith("Reference: SpinLock.")
    assert second.use_mine("SpinLock").text == "Yours: gpa_to_gfn, offset_in_page, SpinLock."
    assert namespace["SpinLock"].__doc__ == "My own lock."
    with pytest.raises(NotInLesson, match="It uses: gpa_to_gfn, offset_in_page, SpinLock"):
        second.use_reference("refresh")


def test_a_function_of_the_kernel_is_judged_with_what_the_reader_has_built(built):
    second = lab(SECOND, names := {"__name__": "__main__"}, built)
    answer = "def page_fits(gpa, length):\n    return offset_in_page(gpa) + length <= 1 << 12\n"
    names.update(made_all(answer, "<cell 2>", names))
    assert second.check("91.1").kind == "passed"
    kept = Work(built).text(FITS)
    assert kept == (f'"""Exercise 91.1, {FITS.title}: my answer, as it passed."""\n\n{answer}'), (
        "what is supplied is not kept twice"
    )


def test_an_earlier_answer_that_is_to_blame_is_named(built):
    """Goal: nobody looks for the mistake in the wrong lesson. Method: spoil what had passed."""
    path = Work(built).path(FIRST.exercises[0])
    path.write_text(path.read_text().replace("% page_size()", "// 3"))
    second = lab(SECOND, names := {"__name__": "__main__"}, built)
    run_cell("def end(gpa, length):\n    return offset_in_page(gpa) + length\n", names)
    run_cell("def page_fits(gpa, length):\n    return end(gpa, length) <= 4096\n", names)
    spoiled = names["offset_in_page"]
    said = second.check("91.1").message
    assert said.startswith("kvm_gpc_check(0x10_ff8, 8) → -22. Expected 0")
    assert said.endswith(
        "But with the course's version of what you have built before, it passes. So look there; or "
        'go on with ours: lab.use_reference("gpa_to_gfn", "offset_in_page", "SpinLock")'
    )
    assert names["offset_in_page"] is spoiled
    second.use_reference("offset_in_page")
    assert second.check("91.1").kind == "passed"


def test_an_answer_that_cannot_stand_alone_passes_and_is_not_saved(tmp_path):
    names = notebook(
        "table = {'shift': 12}\n"
        "def gpa_to_gfn(gpa):\n    return gpa >> table['shift']\n"
        "def offset_in_page(gpa):\n    return gpa & 0xfff\n"
    )
    outcome = lab(FIRST, names, tmp_path).check("90.1")
    assert outcome.kind == "passed"
    assert outcome.notice.startswith(
        "I could not save it for later lessons, so they use the reference: it uses `table`, a dict "
        "that only this notebook has."
    )


def test_what_an_answer_calls_its_own_is_not_looked_for_in_the_notebook():
    """Goal: another cell's `one` does not matter. Method: it holds what cannot be saved."""
    source = "def twice(n):\n    one = n\n    return [one for n in range(2)]\n"
    names = made_all(source, "<own names>", {"one": object(), "n": object()})
    assert standing_alone({"twice": names["twice"]}, []) == source


def test_source_that_is_gone_is_said():
    names: dict = {"__name__": "__main__"}
    exec(compile("def f():\n    return 1", "<nowhere>", "exec"), names)
    with pytest.raises(CannotKeep, match="the source of `f` cannot be found"):
        standing_alone({"f": names["f"]}, [])


def test_a_folder_that_cannot_be_written_costs_only_the_saving(tmp_path, monkeypatch):
    (tmp_path / "my_work").write_text("in the way")
    outcome = lab(FIRST, notebook(NOTEBOOK), tmp_path).check("90.1")
    assert outcome.kind == "passed"
    assert "my_work cannot be written (File exists)" in outcome.notice


def test_reset_begins_again_and_throws_nothing_away(built):
    names = notebook(NOTEBOOK)
    first = lab(FIRST, names, built)
    first.hint("90.1")
    assert first.reset("90.1").text == FIRST.exercises[0].stub
    assert "gpa_to_gfn" not in names
    assert first.so_far() == "1 of 4 exercises passed; next: 90.1."
    assert first.hint("90.1").text.startswith("Hint 1 of 3")
    assert first.check("90.1").kind == "not attempted"
    first._namespace.update(notebook(NOTEBOOK))
    assert first.check("90.1").kind == "passed"
    first.reset("90.1")
    kept = sorted(path.name for path in (built / "my_work").glob("90.1*"))
    assert kept == ["90.1_gpa_to_gfn.old", "90.1_gpa_to_gfn.old1"]


def test_the_readers_own_module_passes_the_same_checks(built):
    """Goal: `my_pfncache.py` is worth as much as ours. Method: write it, run it, judge it."""
    second = lab(SECOND, names := {"__name__": "__main__"}, built)
    names.update(made_all(reference_source(FITS), "<cell 3>", names))
    assert second.check("91.1").kind == "passed"
    path = built / "my_pfncache.py"
    path.write_text(exported(COURSE, Work(built)))
    assert path.read_text().count("def offset_in_page") == 1
    assert [(o.exercise.id, o.kind) for o in check_file(COURSE, path)] == [
        ("90.1", "passed"),
        ("90.2", "passed"),
        ("91.1", "passed"),
    ]


@pytest.mark.slow
def test_the_whole_course_as_one_module_passes(tmp_path):
    """Goal: no two lessons are in each other's way. Method: all solutions, kept and exported."""
    course, work = catalog.lessons(), Work(tmp_path)
    code = [(one, e) for one in course for e in one.exercises if e.is_code]
    for lesson, exercise in code:
        work.keep(exercise, exercise.named(exercise.reference()), lesson.needs)
    path = tmp_path / "my_pfncache.py"
    path.write_text(exported(course, work))
    said = {o.exercise.id: (o.kind, o.message) for o in check_file(course, path)}
    assert list(said) == [exercise.id for _, exercise in code]
    assert {i: message for i, (kind, message) in said.items() if kind != "passed"} == {}


def test_what_the_module_needs_of_ours_it_imports(tmp_path):
    second = lab(SECOND, names := {"__name__": "__main__"}, tmp_path)
    names.update(made_all(reference_source(FITS), "<cell 4>", names))
    assert second.check("91.1").kind == "passed"
    text = exported(COURSE, Work(tmp_path))
    assert "from tests.course.sample import offset_in_page\n" in text
    assert "gpa_to_gfn" not in text


def test_what_an_answer_imports_is_not_what_another_one_has_built(built):
    """Goal: two things of one name stay two. Method: a later answer uses the kernel's SpinLock."""
    Work(built).path(FITS).write_text(
        '"""Exercise 91.1"""\n'
        "from pfncache_lab import sim\n"
        "from pfncache_lab.sim import SpinLock\n\n\n"
        "def page_fits(gpa, length):\n"
        "    'SpinLock'\n"
        "    assert SpinLock is sim.SpinLock  # SpinLock\n"
        "    return (gpa & 0xFFF) + length <= 4096\n"
    )
    path = built / "my_pfncache.py"
    path.write_text(exported(COURSE, Work(built)))
    assert "import SpinLock as imported_SpinLock\n" in path.read_text()
    assert "    assert imported_SpinLock is sim.SpinLock  # SpinLock\n" in path.read_text()
    assert "    'SpinLock'\n" in path.read_text()
    assert [o.kind for o in check_file(COURSE, path)] == ["passed"] * 3


def test_a_module_in_which_something_is_wrong_is_turned_down(built):
    path = built / "my_pfncache.py"
    path.write_text(exported(COURSE, Work(built)).replace("SHIFT = 12", "SHIFT = 11"))
    first, *_ = check_file(COURSE, path)
    assert (first.exercise.id, first.kind) == ("90.1", "incorrect")


def test_helpers_of_one_name_that_differ_are_noticed(built, monkeypatch, capsys):
    monkeypatch.setattr(catalog, "lessons", lambda: COURSE)
    path = Work(built).path(LOCK)
    path.write_text(path.read_text() + "\n\ndef page_size():\n    return 2\n")
    assert cli.main(["export", str(built)]) == 1
    assert "it is [incorrect] 90.1" in capsys.readouterr().err


def test_the_commands_export_and_check(built, monkeypatch, capsys):
    monkeypatch.setattr(catalog, "lessons", lambda: COURSE)
    assert cli.main(["export", str(built)]) == 0
    assert cli.main(["check", str(built / "my_pfncache.py")]) == 0
    said = capsys.readouterr().out
    assert "[passed] 90.1" in said
    assert said.splitlines()[-1] == "2 of 2 passed."


def test_what_a_module_has_imported_from_the_course_is_not_judged(tmp_path, monkeypatch, capsys):
    """Goal: who skips lessons can export. Method: an answer that uses all of an earlier one."""
    second = lab(SECOND, names := {"__name__": "__main__"}, tmp_path)
    run_cell(
        "def page_fits(gpa, length):\n"
        "    first = gpa_to_gfn(gpa)\n"
        "    return length == 0 or first == gpa_to_gfn(gpa + length - 1 + 0 * offset_in_page(0))\n",
        names,
    )
    assert second.check("91.1").kind == "passed"
    monkeypatch.setattr(catalog, "lessons", lambda: COURSE)
    assert cli.main(["export", str(tmp_path)]) == 0
    assert cli.main(["check", str(tmp_path / "my_pfncache.py")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 of 1 passed."


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("def f(", "mine.py raised SyntaxError: '(' was never closed"),
        ("import sys; sys.exit(0)", "mine.py raised SystemExit: 0"),
        ("while True: pass", "mine.py did not come back, so I stopped it."),
        ("1 / 0", "mine.py raised ZeroDivisionError: division by zero"),
        ("x = 3", "mine.py defines nothing that an exercise asks for."),
        ("\udcff", "mine.py cannot be read: 'utf-8' codec can't decode"),
    ],
)
def test_a_module_that_cannot_be_judged_is_a_sentence(source, sentence, tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(source, errors="surrogateescape")
    assert cli.main(["check", str(path)]) == 1
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["export", "."], "There is nothing of yours in .: no answer has passed yet."),
        (["export", "nowhere"], "There is no folder nowhere."),
        (["check", "nowhere.py"], "nowhere.py cannot be read: No such file or directory."),
        (["check", "."], ". cannot be read: Is a directory."),
        (["refresh"], "There is no notebooks/ here."),
    ],
)
def test_a_command_that_has_nothing_to_work_on_says_so(
    arguments, sentence, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 1
    assert sentence in capsys.readouterr().err


def test_one_notebook_can_be_stored_alone(tmp_path, monkeypatch, capsys):
    stored: list = []
    (tmp_path / "notebooks").mkdir()
    for name in ("00_one.ipynb", "01_two.ipynb"):
        (tmp_path / "notebooks" / name).touch()
    monkeypatch.setattr("pfncache_lab.notebooks.run_and_store", stored.append)
    monkeypatch.setattr("pfncache_lab.documents.write", lambda checkout: None)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["refresh", "01"]) == 0
    assert [path.name for path in stored] == ["01_two.ipynb"]
    assert cli.main(["refresh", "1"]) == 1
    assert "There is no notebook of lesson 1." in capsys.readouterr().err


def test_each_command_says_what_it_does(capsys):
    assert cli.main([]) == 2
    said = capsys.readouterr().out
    commands = ("doctor", "export", "check", "refresh")
    assert all(f"\n    {command} " in said for command in commands)
    for command in commands:
        with pytest.raises(SystemExit):
            cli.main([command, "--help"])
        assert len(capsys.readouterr().out.split("\n\n")[1]) > 80, "a description"
