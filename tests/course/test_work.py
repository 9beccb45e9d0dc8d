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
    exec("def f():\n    return 1", names)
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
    assert [path.name for path in (built / "my_work").glob("90.1*")] == ["90.1_gpa_to_gfn.old"]


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


def test_what_the_module_needs_of_ours_it_imports(tmp_path):
    second = lab(SECOND, names := {"__name__": "__main__"}, tmp_path)
    names.update(made_all(reference_source(FITS), "<cell 4>", names))
    assert second.check("91.1").kind == "passed"
    text = exported(COURSE, Work(tmp_path))
    assert "from tests.course.sample import offset_in_page\n" in text
    assert "gpa_to_gfn" not in text


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


def test_an_export_of_nothing_and_a_check_of_nonsense_are_sentences(tmp_path, capsys):
    assert cli.main(["export", str(tmp_path)]) == 1
    nonsense = tmp_path / "nonsense.py"
    nonsense.write_text("def f(")
    assert cli.main(["check", str(nonsense)]) == 1
    said = capsys.readouterr().err
    assert "no answer has passed yet" in said
    assert "cannot be used: SyntaxError" in said
