"""Whatever the reader's code does, it ends as a sentence, and the process lives on."""

from __future__ import annotations

import functools
import threading
import time

import pytest

from pfncache_lab.course.apart import loudly
from pfncache_lab.course.asking import ask, ask_for_list, short
from pfncache_lab.course.exercise import Incorrect
from pfncache_lab.course.judging import judge
from pfncache_lab.course.lessons.lesson_00 import LESSON
from pfncache_lab.course.sources import blank_line
from pfncache_lab.explore import replay
from pfncache_lab.sim import limits, lockup
from pfncache_lab.sim.limits import TimeLimit, time_limit
from tests.programs import counting, scenario

____ = None


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(limits, "SECONDS", 0.15)
    monkeypatch.setattr(lockup, "LOCKUP_SECONDS", 0.05)  # what is watched more closely


def sentence(function, *args) -> str:
    with pytest.raises(Incorrect) as wrong:
        ask(function, *args)
    return str(wrong.value)


def loops(n):
    while True:
        pass


def swallows_some(n):
    for _ in range(3):
        try:
            loops(n)
        except BaseException:
            continue
    loops(n)


def sleeps(n):
    time.sleep(1000)


def never_less(n):
    return never_less(n)


class Evil(str):
    """Breaks whoever looks at it."""

    def _break(self, *args):
        raise RuntimeError("do not look at me")

    __repr__ = __str__ = __eq__ = __hash__ = __len__ = __iter__ = _break


class EvilError(BaseException):
    def __str__(self):
        raise RuntimeError("nor at me")


def raises_evil(n):
    raise EvilError


def exits(n):
    raise SystemExit("bye")


def crashes(n):
    return [1, 2][n]


def test_an_answer_that_waits_is_not_given_more_time_than_one_that_works():
    """Goal: nobody waits three seconds for a sleeping answer. Method: twice its time is enough."""
    begin = time.monotonic()
    sentence(sleeps, 3)
    assert time.monotonic() - begin < 2 * limits.SECONDS + 0.2


@pytest.mark.parametrize("function", [loops, sleeps, swallows_some])
def test_what_never_ends_is_stopped(function):
    assert sentence(function, 3).startswith(
        f"{function.__name__}(3) did not come back, so I stopped it. Does every loop end"
    )


def test_a_call_that_never_gets_smaller_is_named():
    assert "never_less(3) called itself until Python gave up" in sentence(never_less, 3)


def test_sys_exit_does_not_leave():
    assert sentence(exits, 3) == (
        'exits(3) raised SystemExit: bye,\n  in line 61 of your cell: raise SystemExit("bye")'
    ).replace("61", str(exits.__code__.co_firstlineno + 1))


def test_a_crash_is_shown_with_its_inputs_and_the_readers_line():
    line = crashes.__code__.co_firstlineno + 1
    assert sentence(crashes, 5) == (
        f"crashes(5) raised IndexError: list index out of range,\n"
        f"  in line {line} of your cell: return [1, 2][n]"
    )


def test_a_wrong_number_of_parameters_is_a_sentence():
    assert "crashes(1, 2) raised TypeError" in sentence(crashes, 1, 2)


def test_an_interrupt_from_the_keyboard_is_the_readers_own():
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(interrupted)


def test_a_generator_that_never_stops_is_cut():
    def forever():
        while True:
            yield "a"

    assert ask_for_list(forever, most=5) == ["a"] * 5


def test_a_generator_that_hangs_is_stopped():
    def stuck():
        yield "a"
        loops(0)

    with pytest.raises(Incorrect, match="did not come back"):
        ask_for_list(stuck, most=5)


@pytest.mark.parametrize("thing", ["abab", 6, None])
def test_what_is_no_list_is_named(thing):
    with pytest.raises(Incorrect, match="which is no list"):
        ask_for_list(lambda: thing, most=5)


def test_an_answer_in_time_is_left_alone_and_the_timer_with_it():
    with time_limit():
        pass
    deadline = time.monotonic() + 4 * limits.SECONDS
    while time.monotonic() < deadline:
        pass
    assert ask(lambda: 3) == 3


def test_a_loop_is_stopped_from_another_thread_as_well():
    """Goal: it works where there are no timer signals. Method: only the main thread has them."""
    stopped = []

    def work():
        try:
            with time_limit():
                loops(0)
        except TimeLimit:
            stopped.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(20)
    assert stopped == [True]


def test_a_task_that_hangs_between_two_steps_is_stopped_and_the_machine_is_free_again():
    def hang(shared):
        shared.counter += 1
        loops(0)

    run = replay(scenario(a=hang, b=hang), "aa")
    assert "a keeps the CPU after step 2" in str(run.bug)
    assert replay(counting("ab"), "aabb").finished


def test_an_error_whose_message_fails_is_a_sentence():
    assert sentence(raises_evil, 1).startswith("raises_evil(1) raised EvilError,")


@pytest.mark.parametrize(
    "make", [lambda: Evil("x"), lambda: "a" * 10**7, lambda: 10**5000, lambda: [[[0]]] * 10**6]
)
def test_whatever_is_returned_a_sentence_about_it_is_short(make):
    assert len(short(make())) < 500


@pytest.mark.parametrize("exercise", LESSON.exercises, ids=lambda e: e.id)
@pytest.mark.parametrize(
    "make",
    [lambda: Evil("ab"), lambda: lambda *a: Evil("ab"), lambda: lambda *a: [Evil("ab")]],
    ids=["itself", "what it returns", "what that holds"],
)
def test_a_check_judges_what_cannot_be_looked_at(exercise, make):
    assert judge(exercise, {exercise.answer: make()}).kind == "incorrect"


def test_what_an_answer_prints_is_let_through_in_part(capsys):
    def chatty():
        for line in range(10_000):
            print("line", line)

    loudly(lambda: ask(chatty))
    said = capsys.readouterr().out.splitlines()
    assert said == [*(f"line {n}" for n in range(20)), "(… and 9980 lines more)"]


def test_an_answer_that_never_stops_printing_is_stopped_and_cut(capsys):
    def flood():
        while True:
            print("x" * 60)

    assert "did not come back" in loudly(lambda: sentence(flood))
    assert len(capsys.readouterr().out) < 2000


def test_an_answer_has_one_budget_for_all_its_cases():
    """Goal: slow in each of nine cases is too slow. Method: half of the budget in each."""

    def slow(a, b):
        end = time.process_time() + limits.SECONDS / 2
        while time.process_time() < end:
            pass
        return LESSON.exercises[2].reference()(a, b)

    outcome = judge(LESSON.exercises[2], {"schedules": slow})
    assert outcome.kind == "incorrect"
    assert "did not come back" in outcome.message


# -- blanks ---------------------------------------------------------------------------------------


def has_a_blank(n):
    if n:
        return 1
    return ____


def has_an_ellipsis_below(n):
    if n < 0:
        ...
    return n


def has_an_ellipsis(n):
    """Do it."""
    ...


def is_filled(n):
    """A docstring may talk of ____ and of ..."""
    return {...: n}


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ("____", 1),
        ("ab____", 1),
        (..., 1),
        ("abba", None),
        (3, None),
        (None, None),
        (has_a_blank, 4),
        (has_an_ellipsis, 3),
        (has_an_ellipsis_below, None),
        (functools.lru_cache(has_a_blank), 4),
        (is_filled, None),
    ],
)
def test_a_blank_is_found_in_the_source(answer, line):
    assert blank_line(answer) == line


def test_a_blank_is_found_without_the_source():
    namespace: dict = {}
    text = "def f():\n    return ____\ndef g():\n    return 1"
    exec(compile(text, "<nowhere>", "exec"), namespace)
    assert blank_line(namespace["f"]) == 1
    assert blank_line(namespace["g"]) is None
