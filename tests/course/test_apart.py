"""The reader is isolated from themselves: one horror after the other, and nothing is lost."""

from __future__ import annotations

import builtins
import ctypes
import faulthandler
import itertools
import os
import signal
import sys
import threading
import time

import pytest

from pfncache_lab.course import apart as apart_module
from pfncache_lab.course.apart import FORKS, Died, apart
from pfncache_lab.course.authoring import call, made_all
from pfncache_lab.course.exercise import Case, Exercise, Mutant
from pfncache_lab.course.judging import judged
from pfncache_lab.course.lab import Lab, reference_source
from pfncache_lab.course.lessons.lesson_00 import LESSON
from pfncache_lab.course.progress import Progress
from pfncache_lab.course.sources import globals_of
from pfncache_lab.sim import limits
from tests.course.sample import COURSE, FIRST, LOCK

linux = pytest.mark.skipif(not FORKS, reason="the reader's code runs in place here")


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(limits, "SECONDS", 0.15)
    monkeypatch.setattr(apart_module, "GRACE", 0.2)


def with_answer(function):
    """What the check of 00.3 says about it."""
    return judged(LESSON.exercises[2], {"schedules": function}, {})


def loops_in_c(a, b):
    return sum(itertools.repeat(0))


def leaves(a, b):
    os._exit(0)


def kills_itself(a, b):
    os.kill(os.getpid(), signal.SIGKILL)


def kills_itself_softly(a, b):
    os.kill(os.getpid(), signal.SIGINT)
    return []


def presses_stop(a, b):
    raise KeyboardInterrupt


def touches_memory_that_is_not_its_own(a, b):
    faulthandler.disable()  # else pytest tells at length
    return ctypes.string_at(0)


def becomes_another_program(a, b):
    os.execv("/bin/sleep", ["sleep", "60"])


def ignores_the_timer(a, b):
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    while True:
        pass


def stops_the_timer(a, b):
    signal.setitimer(signal.ITIMER_REAL, 0)
    while True:
        pass


def lifts_the_limit(a, b):
    sys.setrecursionlimit(10**9)
    return never_smaller(a, b)


def closes_its_output(a, b):
    sys.stdout.close()
    sys.__stdout__.close()
    return []


def leaves_a_thread(a, b):
    threading.Thread(target=never_ends, args=(a, b)).start()
    return []


def takes_all_memory(a, b):
    return [0] * 10**15


def takes_it_bit_by_bit(a, b):
    found = []
    while True:
        found.append(bytearray(1 << 24))


def exits(a, b):
    sys.exit(3)


def asks(a, b):
    return input("which?")


def waits_for_itself(a, b):
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def never_ends(a, b):
    while True:
        pass


def never_smaller(a, b):
    return never_smaller(a, b)


def breaks_python(a, b):
    builtins.len = lambda thing: 3
    builtins.sorted = None
    return []


def starts_another(a, b):
    if os.fork() == 0:
        time.sleep(60)
    return []


def closes_everything(a, b):
    os.closerange(0, 256)
    return []


def writes_below_python(a, b):
    for handle in (1, 2):
        os.write(handle, b"x" * 10**6)
    return []


HORRORS = {
    loops_in_c: "loops_in_c(1, 1) did not come back, and could not be interrupted",
    leaves: (
        "leaves(1, 1) ended the process that it ran in with exit code 0, and did not return. "
        "Your notebook has lost nothing."
    ),
    kills_itself: "ended the process that it ran in by signal 9 (Killed). Your notebook",
    kills_itself_softly: "kills_itself_softly(1, 1) raised KeyboardInterrupt,\n  in line",
    presses_stop: "presses_stop(1, 1) raised KeyboardInterrupt,\n  in line",
    touches_memory_that_is_not_its_own: "by signal 11 (Segmentation fault)",
    becomes_another_program: "becomes_another_program(1, 1) ",
    ignores_the_timer: "did not come back",
    stops_the_timer: "did not come back",
    lifts_the_limit: "lifts_the_limit(1, 1)",
    closes_its_output: "",
    leaves_a_thread: "",
    takes_all_memory: "raised MemoryError",
    takes_it_bit_by_bit: "takes_it_bit_by_bit(1, 1)",
    exits: "exits(1, 1) raised SystemExit: 3",
    asks: "raised SystemExit: an answer must not ask or leave",
    waits_for_itself: "did not come back",
    never_ends: "did not come back",
    never_smaller: "called itself until Python gave up",
    breaks_python: "",
    starts_another: "",
    closes_everything: "closes_everything(1, 1) ended the process",
    writes_below_python: "",
}


@linux
@pytest.mark.parametrize("horror", HORRORS, ids=lambda horror: horror.__name__)
def test_a_horror_is_a_sentence_and_the_next_answer_is_judged(horror):
    begin = time.monotonic()
    verdict = with_answer(horror)
    assert verdict.kind == "incorrect"
    assert HORRORS[horror] in verdict.message
    assert time.monotonic() - begin < 5
    assert len("four") == 4
    assert with_answer(by_hand).kind == "passed"


def by_hand(a, b):
    """A right answer."""
    if not a or not b:
        return ["a" * a + "b" * b]
    return ["a" + s for s in by_hand(a - 1, b)] + ["b" + s for s in by_hand(a, b - 1)]


@linux
def test_what_the_answer_changes_stays_in_its_own_process():
    seen = []

    def remembers(a, b):
        seen.append(a)
        return by_hand(a, b)

    assert with_answer(remembers).kind == "passed"
    assert seen == []


def test_an_answer_that_changes_what_it_is_given_spoils_no_case():
    """Goal: cases share no list. Method: an answer that empties it, in the same case twice."""

    def first(values):
        return values.pop()

    again = call("first", [1, 2], gives=2)
    exercise = Exercise(
        *("90.9", "Last", 3, 1, "…", "first", ""),
        reference=lambda: first,
        hints=("", "", ""),
        mutants={"none": Mutant(lambda values: None, "")},
        cases=[again, again, Case("the same list", lambda my: my.first([3]), 3)],
    )

    def mine(values):
        return values.pop()

    assert judged(exercise, {"first": mine}, {}).kind == "passed"


def chatty(a, b):
    for line in range(10_000 if a == b == 1 else 0):
        print(f"line {line}")
    return by_hand(a, b)


def test_ten_thousand_lines_are_cut(capsys):
    assert with_answer(chatty).kind == "passed"
    said = capsys.readouterr().out.splitlines()
    assert said[:20] == [f"line {n}" for n in range(20)]
    assert said[20].endswith("lines more)")
    assert len(said) == 21


@linux
def test_a_horror_costs_no_other_result(tmp_path):
    lab = Lab(LESSON, {"lost_update": "abba", "schedules": leaves}, tmp_path)
    assert lab.check("00.1").kind == "passed"
    assert lab.check("00.3").kind == "incorrect"
    assert Progress(tmp_path).passed() == ["00.1"]


@linux
def test_the_stop_button_stops_the_child_as_well():
    """Goal: no process is left behind. Method: interrupt ourselves, and ask for the child."""
    children = []

    def work():
        time.sleep(60)

    real_fork = os.fork

    def fork():
        child = real_fork()
        children.append(child)
        return child

    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "fork", fork)
        apart(work)
    with pytest.raises(ProcessLookupError):
        os.kill(children[0], 0)


@linux
def test_what_cannot_cross_the_pipe_is_said():
    with pytest.raises(Died, match="could not be judged"):
        apart(lambda: lambda: None)


IN_PLACE = {
    takes_all_memory: "raised MemoryError",
    exits: "exits(1, 1) raised SystemExit: 3",
    asks: "raised SystemExit: an answer must not ask or leave",
    waits_for_itself: "did not come back",
    never_ends: "did not come back",
    never_smaller: "called itself until Python gave up",
}
"""What does not need a process of its own. The rest ends the kernel, and Jupyter starts another."""


@pytest.fixture
def in_place(monkeypatch):
    """A machine that has no fork, or none that is safe: macOS, Windows."""

    def no_fork():
        raise AssertionError("there is none")

    monkeypatch.setattr(apart_module, "FORKS", False)
    monkeypatch.setattr(os, "fork", no_fork)


@pytest.mark.parametrize("horror", IN_PLACE, ids=lambda horror: horror.__name__)
def test_where_there_is_no_fork_most_horrors_are_sentences_all_the_same(horror, in_place):
    verdict = with_answer(horror)
    assert verdict.kind == "incorrect"
    assert IN_PLACE[horror] in verdict.message
    assert with_answer(by_hand).kind == "passed"


def test_where_there_is_no_fork_the_stop_button_stops(in_place):
    with pytest.raises(KeyboardInterrupt):
        with_answer(presses_stop)
    assert with_answer(by_hand).kind == "passed"


def test_where_there_is_no_fork_ten_thousand_lines_are_cut(in_place, capsys):
    assert with_answer(chatty).kind == "passed"
    assert len(capsys.readouterr().out.splitlines()) == 21


def test_where_there_is_no_fork_a_program_is_searched_and_kept(in_place, tmp_path):
    """Goal: the way of a check to the end. Method: a class, judged in every schedule, and saved."""
    names = made_all(reference_source(LOCK), "<cell>", globals_of(LOCK.reference()))
    names["__name__"] = "__main__"
    assert Lab(FIRST, names, tmp_path, COURSE).check("90.2").kind == "passed"
    assert Progress(tmp_path).passed() == ["90.2"]
