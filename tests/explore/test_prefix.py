"""Following a prefix: the steps that it names, then nobody loses a turn before they must."""

from __future__ import annotations

import pytest

from pfncache_lab.course.lessons.lesson_00 import COUNTER, FLAG
from pfncache_lab.course.lessons.programs_06 import CRASH, POLITE, TRANSFER
from pfncache_lab.explore import BadSchedule, attempt, every_schedule, follow, searched
from pfncache_lab.explore.prefix import TooManyRuns, watching


def test_an_empty_prefix_lets_the_first_task_go_on_as_long_as_it_can():
    one = follow(COUNTER, "")
    assert (one.prefix, one.schedule, one.choices) == ("", "aabb", ("ab", "ab", "b", "b"))
    assert one.finished
    assert one.bug is None


def test_after_the_prefix_the_task_that_ran_last_goes_on():
    assert follow(COUNTER, "ab").schedule == "abba"
    assert follow(COUNTER, "b").schedule == "bbaa"


def test_who_waits_for_a_lock_is_no_choice():
    assert follow(TRANSFER, "aaa").choices == ("ab", "ab", "a", "ab", "b", "b", "b", "b")


def test_a_run_that_deadlocks_or_crashes_has_a_choice_for_each_step_that_it_took():
    for program, prefix, bug in ((TRANSFER, "ab", "Deadlock"), (CRASH, "aab", "Bug")):
        one = follow(program, prefix)
        assert type(one.bug).__name__ == bug
        assert len(one.choices) == len(one.schedule)


@pytest.mark.parametrize("program", [COUNTER, FLAG, TRANSFER, POLITE], ids=lambda p: p.name)
def test_every_schedule_can_be_followed_and_ends_the_same(program):
    for run in every_schedule(program):
        one = follow(program, run.schedule)
        assert (one.schedule, one.finished, str(one.bug)) == (
            run.schedule,
            run.finished,
            str(run.bug),
        )
        pairs = zip(one.schedule, one.choices, strict=True)
        assert all(letter in choice for letter, choice in pairs)


@pytest.mark.parametrize(
    ("prefix", "says"),
    [
        ("aab", "Step 3 asks for b, but b cannot run: it waits to lock bob"),
        ("aba", "The run is over after 'ab'"),
        ("aaaaa", "Step 5 asks for a, but a has finished"),
        ("x", "There is no task 'x' here"),
    ],
)
def test_a_prefix_that_cannot_be_followed_is_refused_with_the_reason(prefix, says):
    with pytest.raises(BadSchedule, match=says.replace("(", r"\(")):
        follow(TRANSFER, prefix)
    assert attempt(TRANSFER, prefix) is None


def test_a_run_says_what_it_is():
    assert repr(follow(TRANSFER, "ab")) == "<Run ab, prefix 'ab', Deadlock>"
    assert repr(follow(COUNTER, "")) == "<Run aabb, prefix '', fine>"


def test_a_search_that_was_stopped_gives_no_verdict():
    runs = [follow(POLITE, "")]
    assert searched(runs).headline.startswith("PASS")
    assert searched(runs, "at its bound").headline == (
        "NO VERDICT: 1 schedules are fine. The search stopped at its bound."
    )


def test_runs_are_counted_while_somebody_watches_and_only_then():
    with watching(3) as made:
        follow(COUNTER, "a")
        attempt(COUNTER, "aaaa")  # refused, so it is no run
        with pytest.raises(TooManyRuns):
            follow(COUNTER, "b") and follow(COUNTER, "ab")
    assert [one.prefix for one in made] == ["a", "b", "ab"]
    for _ in range(4):
        follow(COUNTER, "")
    assert len(made) == 3
