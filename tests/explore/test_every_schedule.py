"""The search: that it is complete, that it counts right, and what it says when it is cut short."""

from __future__ import annotations

from math import comb, factorial

import pytest

from pfncache_lab import Scenario, explore, replay
from pfncache_lab.course.lessons.lesson_00 import COUNTER, FLAG
from pfncache_lab.explore import (
    BadSchedule,
    GaveUp,
    check,
    every_schedule,
    find_bug,
    parse,
    search,
    token,
)
from pfncache_lab.sim import ModelError, SoftLockup, StepLimit
from pfncache_lab.sim.errors import StackOverflow
from tests.programs import Shared, add_one, counting, scenario


def schedules_of(program: Scenario, bound: int | None = None) -> list[str]:
    return [run.schedule for run in every_schedule(program, bound)]


def steps(count):
    """Make a task that takes `count` steps."""

    def body(shared):
        for value in range(count):
            shared.counter = value

    return body


def test_two_tasks_of_two_steps_have_six_schedules():
    """Goal: the search is complete. Method: aabb abab abba baab baba bbaa, each seen once."""
    found = schedules_of(counting("ab"))
    assert sorted(found) == ["aabb", "abab", "abba", "baab", "baba", "bbaa"]


@pytest.mark.parametrize(("a", "b"), [(1, 1), (2, 3), (4, 4), (1, 7), (5, 3)])
def test_independent_tasks_have_binomially_many_schedules(a, b):
    found = schedules_of(scenario(a=steps(a), b=steps(b)))
    assert len(found) == len(set(found)) == comb(a + b, a)


def test_three_tasks_of_two_steps_have_ninety():
    assert len(schedules_of(counting("abc"))) == factorial(6) // 2**3 == 90


@pytest.mark.parametrize(
    ("bound", "count"),
    # Two blocks of two steps. 0: aabb bbaa. 1: also abba baab. 2: also abab baba.
    [(0, 2), (1, 4), (2, 6), (3, 6)],
)
def test_a_bound_keeps_the_schedules_with_so_many_preemptions(bound, count):
    assert len(schedules_of(counting("ab"), bound)) == count


def test_a_switch_away_from_a_finished_task_is_no_preemption():
    assert schedules_of(counting("abc"), bound=0) == [
        "aabbcc",
        "aaccbb",
        "bbaacc",
        "bbccaa",
        "ccaabb",
        "ccbbaa",
    ]


def test_the_exact_numbers_of_lesson_00():
    counter, flag = explore(COUNTER), explore(FLAG)
    assert (len(counter.runs), len(counter.failures), counter.complete) == (6, 4, True)
    assert (len(flag.runs), len(flag.failures), flag.complete) == (148, 72, True)
    assert str(flag).splitlines()[0] == "FAIL: 72 of 148 schedules go wrong."


def test_a_program_without_a_bug_passes():
    result = explore(counting("a"))
    assert str(result) == "PASS: all 1 schedules are fine."
    assert find_bug(counting("a")) is None


def test_a_search_that_is_cut_short_never_passes(monkeypatch):
    monkeypatch.setattr(search, "SCHEDULE_LIMIT", 5)
    result = explore(scenario(a=add_one, b=add_one))
    assert not result.complete
    assert str(result).startswith("NO VERDICT: 5 schedules are fine. The search stopped")


def test_exactly_as_many_schedules_as_the_limit_are_complete(monkeypatch):
    monkeypatch.setattr(search, "SCHEDULE_LIMIT", 6)
    assert explore(scenario(a=add_one, b=add_one)).complete


def test_the_bug_that_is_found_has_the_fewest_preemptions():
    found = find_bug(counting("ab")), find_bug(FLAG)
    assert [run.schedule for run in found if run] == ["abba", "abbbaaaabb"]


def test_find_bug_gives_up_at_its_limit_and_says_so(monkeypatch):
    monkeypatch.setattr(search, "SCHEDULE_LIMIT", 2)
    with pytest.raises(GaveUp) as limit:
        find_bug(counting("ab"))
    assert str(limit.value) == (
        "I found no schedule that breaks this program. I tried 2 and stopped at its limit of "
        "2 schedules; there are more."
    )


def test_a_limit_that_is_just_enough_is_no_reason_to_give_up(monkeypatch):
    """`counting("a")` has one schedule: the search is over, and None means that all are fine."""
    monkeypatch.setattr(search, "SCHEDULE_LIMIT", 1)
    assert find_bug(counting("a")) is None


def test_the_first_failure_is_told_in_a_line():
    assert str(explore(FLAG)).splitlines() == [
        "FAIL: 72 of 148 schedules go wrong.",
        "The first is abbbaaaabb: `counter == 2` does not hold at the end: "
        "flag is False, counter is 1.",
    ]
    assert "\n" not in repr(explore(FLAG))


def test_a_scenario_and_a_result_have_short_reprs():
    assert repr(counting("ab")) == "<Scenario 'counting', tasks a and b>"
    assert repr(counting("abc")) == "<Scenario 'counting', tasks a, b and c>"
    assert repr(counting("a")) == "<Scenario 'counting', task a>"


def test_a_search_is_limited_in_its_steps_as_well(monkeypatch):
    monkeypatch.setattr(search, "SEARCH_STEPS", 9)
    result = explore(scenario(a=add_one, b=add_one))
    assert (len(result.runs), result.complete) == (3, False)
    assert str(result) == (
        "NO VERDICT: 3 schedules are fine. The search stopped at its limit of 9 steps."
    )


def spin_without_cpu_relax(shared):
    while shared.flag:
        pass
    shared.flag = True
    shared.counter += 1
    shared.flag = False


def step_for_ever(shared):
    while True:
        shared.counter += 1


def loop_for_ever(shared):
    while True:
        pass


@pytest.mark.parametrize("task", [spin_without_cpu_relax, step_for_ever, loop_for_ever])
def test_a_search_stops_at_the_first_run_that_does_not_end(task):
    result = explore(scenario(a=task, b=task))
    assert not result.complete
    assert isinstance(result.runs[-1].bug, StepLimit | SoftLockup)
    assert len(result.runs) < 100
    assert result.headline.endswith("The search stopped at the first that does not end.")
    if task is loop_for_ever:
        assert "\nThe first is over before its first step: a keeps the CPU" in str(result)
    assert max(map(len, str(result).splitlines())) < 400
    assert isinstance(find_bug(scenario(a=task, b=task)).bug, StepLimit | SoftLockup)


def call_for_ever(shared):
    shared.counter += 1
    call_for_ever(shared)


@pytest.mark.slow
def test_a_stack_that_overflows_at_another_step_is_found_and_shown():
    found = find_bug(scenario(a=call_for_ever))
    assert isinstance(found.bug, StackOverflow)
    assert found.trace is not None
    assert str(check(scenario(a=call_for_ever, b=call_for_ever)).verdict) == "FAIL"


def carries_over():
    """Make a task whose steps depend on how often it has run before."""
    runs = []

    def body(shared):
        runs.append(1)
        for _ in range(len(runs) % 3):
            shared.counter += 1

    return body


def test_a_program_that_the_schedule_does_not_determine_is_refused():
    with pytest.raises(ModelError, match="Something in the program is not determined by the sch"):
        list(every_schedule(scenario(a=carries_over(), b=add_one)))
    with pytest.raises(ModelError, match="in an earlier run of the same schedule it was"):
        explore(scenario(a=carries_over(), b=carries_over()))


@pytest.mark.parametrize("run", explore(counting("ab")).runs, ids=lambda run: run.schedule)
def test_replay_repeats_what_the_search_has_seen(run):
    for text in (run.schedule, run.token):
        again = replay(counting("ab"), text)
        assert again.schedule == run.schedule
        assert str(again.bug) == str(run.bug)
        assert again.finished


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("aabbb", "The run is over after 'aabb', and the schedule goes on with 'b'."),
        ("aac", "There is no task 'c' here; the tasks are a and b."),
        ("aaa", "Step 3 asks for a, but a has finished. Here b can run."),
        ("v2:a", "This is a schedule of version 2; I read version 1."),
        ("a b", "' ' has no place in a schedule: write a lower-case letter for each step."),
        ("AB", "'A' has no place in a schedule: write a lower-case letter for each step."),
        ("a" + "9" * 5000, "A schedule of more than 10000 steps is longer than any here."),
        ("v" + "9" * 5000 + ":a", "This is a schedule of version 999999999; I read version 1."),
        ("a99999", "A schedule of more than 10000 steps is longer than any here."),
    ],
)
def test_a_schedule_that_cannot_be_followed_is_refused_with_the_reason(text, sentence):
    with pytest.raises(BadSchedule) as refused:
        replay(counting("ab"), text)
    assert str(refused.value) == sentence
    assert refused.value._render_traceback_() == [sentence]


def test_a_task_that_waits_is_refused_with_what_it_waits_for():
    with pytest.raises(BadSchedule, match="b cannot run: it spins until flag changes. Here a can"):
        replay(FLAG, "aabb")


def test_a_run_that_has_not_ended_is_neither_good_nor_bad():
    run = replay(counting("ab"), "ab")
    assert (run.finished, run.bug, run.verdict()) == (False, None, "The run has not ended yet.")


@pytest.mark.parametrize("schedule", ["a", "aabb", "abab", "b" * 12 + "a"])
def test_a_token_and_its_letters_say_the_same(schedule):
    assert parse(token(schedule)) == schedule


def test_a_token_is_versioned_and_counts_runs_of_steps():
    assert token("abbaaa") == "v1:a.b2.a3"


@pytest.mark.parametrize("name", ["A", "a-b", "1", "é", ""])
def test_a_task_is_named_by_a_lower_case_word(name):
    with pytest.raises(ValueError, match="one lower-case letter"):
        Scenario("bad", Shared, {name: add_one})
