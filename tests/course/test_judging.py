"""What a check says of an answer: the behavior, what was observed, the first wrong step."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from pfncache_lab.course.apart import FORKS
from pfncache_lab.course.authoring import Hex, made_all
from pfncache_lab.course.blame import first_wrong_step
from pfncache_lab.course.exercise import Case, Correct, Program
from pfncache_lab.course.judging import judge, judged
from pfncache_lab.course.lab import Lab
from pfncache_lab.course.lessons.lesson_00 import COUNTER, FLAG
from pfncache_lab.course.lessons.lesson_00 import LESSON as LESSON_00
from pfncache_lab.course.lessons.lesson_03 import LESSON as LESSON_03
from pfncache_lab.explore import find_bug, replay
from tests.course.sample import ADDRESSES, COURSE, FIRST, FITS, LOCK

linux = pytest.mark.skipif(not FORKS, reason="the reader's code runs in place here")

LOCK_CELL = """
import itertools, os, sys
from pfncache_lab.sim import Struct, cmpxchg, cpu_relax, marked, xchg

class Word(Struct):
    locked = marked(0)

class SpinLock:
    def __init__(self):
        self.word = Word()

    def lock(self):
        {lock}

    def unlock(self):
        {unlock}
"""
WAIT = "while cmpxchg(self.word, 'locked', 0, 1): cpu_relax()"
GIVE_BACK = "self.word.locked = 0"


OFFSET = "def offset_in_page(gpa):\n    return gpa & 0xfff\n"


def notebook(source: str) -> dict:
    return made_all(source, "<cell>", {"__name__": "__main__"})


def lock(lock: str = WAIT, unlock: str = GIVE_BACK) -> dict:
    return notebook(LOCK_CELL.format(lock=lock, unlock=unlock))


def addresses(gfn: str, offset: str = "gpa & 0xfff") -> dict:
    return notebook(
        f"def gpa_to_gfn(gpa):\n    return {gfn}\ndef offset_in_page(gpa):\n    return {offset}\n"
    )


def test_a_wrong_result_names_the_call_the_result_and_the_reason():
    assert judge(ADDRESSES, addresses("gpa + 1")).message == (
        "gpa_to_gfn(0x10_080) → 0x10_081. Expected 16: the low 12 bits are the offset."
    )


def test_an_exception_is_shown_with_its_inputs_and_the_readers_line():
    said = judge(ADDRESSES, addresses("gpa.frame")).message
    assert said == (
        "gpa_to_gfn(0x10_080) raised AttributeError: 'int' object has no attribute 'frame',\n"
        "  in line 2 of your cell: return gpa.frame"
    )


def test_a_function_that_forgets_to_return_is_told_so():
    said = judge(ADDRESSES, notebook("def gpa_to_gfn(gpa):\n    gpa >> 12\n" + OFFSET)).message
    assert said.startswith("gpa_to_gfn(0x10_080) → None. Expected 16")
    assert said.endswith(
        "`gpa_to_gfn` has no `return` with a value in it, so what it gives back is None."
    )
    assert "no `return`" not in judge(ADDRESSES, addresses("gpa + 1")).message


def test_a_small_number_is_written_as_the_expected_one_is():
    case = Case("a frame", lambda my: 9, Hex(0x12))
    said = judge(replace(ADDRESSES, cases=[case]), addresses("gpa >> 12")).message
    assert said.startswith("a frame → 0x9. Expected 0x12.")


@pytest.mark.parametrize("thing", ["Evil()", "'a' * 10**7", "[[0]] * 10**6", "Evil", "print"])
def test_whatever_is_returned_the_sentence_is_short(thing):
    evil = """
class Evil(int):
    def _break(self, *args):
        raise RuntimeError("do not look at me")

    __repr__ = __str__ = __eq__ = __hash__ = __rshift__ = __lshift__ = _break

"""
    cell = f"{evil}def gpa_to_gfn(gpa):\n    return {thing}\noffset_in_page = gpa_to_gfn\n"
    verdict = judged(ADDRESSES, notebook(cell), {})
    assert verdict.kind == "incorrect"
    assert verdict.message.startswith("gpa_to_gfn(0x10_080)")
    assert len(verdict.message) < 700


def test_an_exception_in_a_task_is_shown_with_the_readers_line():
    said = judge(LOCK, lock("1 / 0")).message
    assert said == (
        "2 tasks that count: a raised ZeroDivisionError: division by zero,\n"
        "  in line 13 of your cell: 1 / 0"
    )


@pytest.mark.parametrize(
    ("gfn", "offset", "mutant"),
    [
        ("gpa / 0x1000", "gpa % 4096", "a float"),
        ("(gpa >> 12) << 12", "gpa % 4096", "the address of the page"),
        ("gpa // 8", "gpa % 4096", "hex digits"),
        ("gpa // 4096", "0x1000 & gpa", "mask"),
    ],
)
def test_a_popular_mistake_is_known_however_it_is_written(gfn, offset, mutant):
    says = ADDRESSES.mutants[mutant].says
    assert judge(ADDRESSES, addresses(gfn, offset)).message.endswith(f"\n{says}")


def test_a_mistake_that_is_only_similar_is_not_called_by_that_name():
    said = judge(ADDRESSES, addresses("gpa / 4096 if gpa > 0xfff else 0", "0")).message
    assert "→ 16.03125" in said
    assert "This is what happens" not in said


def test_a_number_in_the_place_of_a_function_or_class_is_named():
    assert judge(ADDRESSES, {"gpa_to_gfn": 3, "offset_in_page": len}).message == (
        "`gpa_to_gfn` should be a function; it is 3."
    )
    assert judge(LOCK, {"SpinLock": len}).message == (
        "`SpinLock` should be a class; it is <built-in function len>."
    )
    assert judge(LESSON_00.exercises[2], {"schedules": 6}).message == (
        "`schedules` should be a function; it is 6."
    )
    assert judge(FITS, {"page_fits": print}).message.startswith("`page_fits` should be a function")


def test_a_race_is_shown_with_its_first_wrong_step_its_name_and_its_schedule(tmp_path):
    names = lock("while self.word.locked: cpu_relax()\n        self.word.locked = 1")
    verdict = judged(LOCK, names, {})
    assert verdict.message == (
        "2 tasks that count: `count == 2` does not hold at the end: count is 1.\n"
        "Step 6 is the first wrong one: until then some schedule ends well, from there on none "
        "does. There a did: load count → 0, in `shared.count += 1`.\n"
        "This is what happens when looking at the lock and setting it are two steps.\n"
        'To see it again: lab.replay("90.2", "v1:a.b3.a4.b2", "2 tasks that count")'
    )
    assert "1  while self.word.locked: cpu_relax()" in verdict.picture.text
    assert "✗" in verdict.picture.html()
    film = Lab(FIRST, names, tmp_path, COURSE).replay("90.2", "v1:a.b3.a4.b2", "2 tasks that count")
    assert "✗ `count == 2` does not hold at the end: count is 1." in film.text
    assert "Forward" in film.html()


def test_a_schedule_that_the_program_does_not_have_is_a_sentence(tmp_path):
    lab = Lab(FIRST, lock(), tmp_path, COURSE)
    assert "There is no task 'x' here" in lab.replay("90.2", "axb", "2 tasks that count").text
    assert lab.replay("90.2", "ab", "x").text.startswith("This lesson has no program 'x'.")
    assert lab.replay("90.1", "ab").text == "There is no `gpa_to_gfn` yet."
    assert lab.replay("90.3", "ab").text == "There is no `equal` yet."
    bare = Lab(FIRST, addresses("gpa >> 12"), tmp_path, COURSE)
    assert bare.replay("90.1", "ab").text == "There is no program in exercise 90.1."


def test_the_first_wrong_step_of_the_counter_is_the_second_load():
    assert first_wrong_step(replay(COUNTER, "abba")).startswith("Step 2 is the first wrong one")
    assert first_wrong_step(replay(COUNTER, "abab")).startswith("Step 2 is the first wrong one")


def test_the_first_wrong_step_of_the_flag_is_after_both_are_inside():
    failure = find_bug(FLAG)
    step = int(first_wrong_step(failure).split()[1])
    before = failure.trace.events[: step - 1]
    assert {event.task for event in before if "load flag → False" in event.text} == {"a", "b"}


# -- horrors in the tasks of a program ----------------------------------------------------------


@linux
@pytest.mark.parametrize(
    ("lock_lines", "sentence"),
    [
        ("while True: pass", "keeps the CPU"),
        ("while True: self.word.locked = 0", "steps a still runs"),
        pytest.param("for _ in itertools.repeat(0): pass", "keeps the CPU", marks=pytest.mark.slow),
        ("self.lock()", "called itself until its stack was full"),
        ("sys.exit(3)", "SystemExit"),
        ("os._exit(3)", "ended the process that it ran in"),
        ("[0] * 10**15", "asked for more memory than there is"),
        pytest.param(
            "sum(itertools.repeat(0))", "could not be interrupted", marks=pytest.mark.slow
        ),
        ("[print('x' * 50) for _ in range(1000)]", "`count == 2` does not hold"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ],
)
def test_a_horror_in_a_task_is_a_sentence_too(lock_lines, sentence, capsys):
    begin = time.monotonic()
    verdict = judged(LOCK, lock(lock_lines), {})
    assert verdict.kind == "incorrect"
    assert sentence in verdict.message
    assert time.monotonic() - begin < 60  # It was stopped; how soon depends on the machine.
    assert len(capsys.readouterr().out) < 2000
    assert judged(LOCK, lock(), {}).kind == "passed"


def test_a_run_that_never_ends_is_cut_on_the_page():
    verdict = judged(LOCK, lock("while True: self.word.locked = 0"), {})
    assert len(verdict.picture.text.splitlines()) < 60
    assert "lines more: they go round and round" in verdict.picture.text


def test_a_failed_run_that_shows_memory_has_its_table_and_a_film():
    """Goal: the reader's own lines stand there, too. Method: a copy that gives back too early."""
    copy = LESSON_03.exercises[1]
    verdict = judge(copy, copy.named(copy.mutants["too early"].answer))
    page, text = verdict.picture.html(), verdict.picture.text
    assert text.startswith("step  copier ")
    assert (
        "   1  source = get_user_pages_unlocked(mm, src)\n          read_lock mm.mmap_lock" in text
    )
    assert "  10  put_page(target)\n          drop a reference to page frame 0x901, now 1\n" in text
    assert page.count("10  put_page(target)") == 1
    assert "Time travel through the memory of this run" in page


def test_a_program_in_which_a_bound_hides_the_bug_is_still_run_with_many_switches():
    """Goal: what the film shows never contradicts the verdict. Method: a bound that is too low."""
    once = lock("0 if not cmpxchg(self.word, 'locked', 0, 1) else cpu_relax()")
    program = LOCK.programs[1]
    exercise = replace(LOCK, programs=[Program(program.make, runs=0, bound=0)], mutants={})
    verdict = judge(exercise, once)
    assert verdict.kind == "incorrect"
    assert "`count == 3` does not hold at the end" in verdict.message


def test_a_case_may_be_a_sentence_made_of_several_facts():
    case = Case("all of it", lambda my: f"{my.gpa_to_gfn(0)}, {my.offset_in_page(0)}", "0, 0")
    exercise = replace(ADDRESSES, cases=[case], mutants={})
    assert judge(exercise, addresses("1")).message == "all of it → '1, 0'. Expected '0, 0'."


def test_a_check_of_several_names_gets_them_all():
    def check(answers):
        return Correct(f"{answers.gpa_to_gfn(0x1000)} and {answers.offset_in_page(0x1001)}")

    exercise = replace(ADDRESSES, check=check)
    assert judge(exercise, addresses("gpa >> 12")).message == "1 and 1"
