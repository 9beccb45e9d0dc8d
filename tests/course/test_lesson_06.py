"""Lesson 06: an explorer is judged by the runs that it makes, and told what it did."""

from __future__ import annotations

import time

import pytest

from pfncache_lab.course.exercise import Incorrect
from pfncache_lab.course.judging import judge
from pfncache_lab.course.lessons import lesson_06 as lesson
from pfncache_lab.course.lessons.answers_06 import bounded, explore, shrink
from pfncache_lab.course.lessons.lesson_00 import COUNTER
from pfncache_lab.course.lessons.programs_06 import LINE, PAYMENTS, POLITE, TALLY
from pfncache_lab.explore import check, every_schedule, follow

EXPLORE, BOUNDED, SHRINK = lesson.LESSON.exercises
DISTINCT = {"06.1": 13, "06.2": 8, "06.3": 6}
"""Of some mistakes the reader is shown the same: they do the same up to there."""


@pytest.mark.parametrize("program", [*lesson.EXPLORED, PAYMENTS, LINE], ids=lambda p: p.name)
def test_the_explorer_finds_what_ours_finds(program):
    mine = [one.schedule for one in explore(program)]
    assert len(set(mine)) == len(mine)
    assert sorted(mine) == sorted(run.schedule for run in every_schedule(program))


def test_the_numbers_of_the_notebook():
    assert [len(bounded(POLITE, n)) for n in range(6)] == [2, 10, 26, 42, 50, 52]
    assert [sum(one.bug is not None for one in bounded(POLITE, n)) for n in range(3)] == [0, 0, 2]
    assert len(explore(TALLY)) == 1680
    assert check(TALLY, "traces").stats.runs == 6
    assert check(TALLY, "states").stats.runs == 12


def test_the_lost_update_is_found_at_one_preemption():
    assert not any(one.bug for one in bounded(COUNTER, 0))
    assert any(one.bug for one in bounded(COUNTER, 1))


@pytest.mark.parametrize("exercise", lesson.LESSON.exercises, ids=lambda e: e.id)
def test_each_mistake_is_told_in_words_of_its_own(exercise):
    said = {
        n: judge(exercise, {exercise.answer: m.answer}).message for n, m in exercise.mutants.items()
    }
    assert len(set(said.values())) >= DISTINCT[exercise.id], said


@pytest.mark.parametrize("exercise", lesson.LESSON.exercises, ids=lambda e: e.id)
def test_a_wrong_answer_is_turned_down_in_a_second(exercise):
    for name, mutant in exercise.mutants.items():
        begin = time.process_time()
        judge(exercise, {exercise.answer: mutant.answer})
        assert time.process_time() - begin < 1.5, name


def endless(program):
    while True:
        yield follow(program, "")


def stubborn(program):
    while True:
        try:
            follow(program, "a")
        except Exception:
            return []


def without_the_machine(program):
    return list(every_schedule(program))


def nothing(program):
    return []


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (endless, "ran the schedule aabb more than once"),
        (stubborn, "ran the schedule aabb more than once"),
        (without_the_machine, "Keep what `follow` returns."),
        (nothing, "nothing(counter) made 0 of 6 runs. aabb, for one, is missing."),
        (lambda program: 6, "returned 6, which is no list."),
    ],
)
def test_what_is_no_search_is_said_to_be_none(answer, says):
    with pytest.raises(Incorrect, match=says.replace("(", r"\(").replace(")", r"\)")):
        lesson.check_explore(answer)


def test_what_was_run_must_be_returned():
    def forgetful(program):
        return explore(program)[:-1]

    with pytest.raises(Incorrect, match="and it is not among the runs that it returned"):
        lesson.check_explore(forgetful)


def test_what_was_run_once_must_not_be_returned_twice():
    with pytest.raises(Incorrect, match="made the run aabb once, and returned it more than once"):
        lesson.check_explore(lambda program: 2 * explore(program))


def test_the_reader_sees_their_own_search():
    verdict = judge(EXPLORE, {"explore": explore})
    assert verdict.picture is not None
    rows = verdict.picture.text.splitlines()[2:]
    assert [row.split()[1:3] for row in rows[1:3]] == [["aaab", "aaababbb"], ["ab", "ab"]]
    assert judge(BOUNDED, {"bounded": bounded}).picture.text.startswith("NO VERDICT: 10 schedules")
    assert "✗" in judge(SHRINK, {"shrink": shrink}).picture.text


@pytest.mark.parametrize("answer", ["b", "aab", "aaabz", 3, None])
def test_a_prefix_that_does_not_fail_the_same_way_is_refused(answer):
    with pytest.raises(Incorrect):
        lesson.check_shrink(lambda program, failing: answer)
