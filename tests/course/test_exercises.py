"""Every exercise of every lesson is proved: blank, reference, alternatives, mutants, hints."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

from pfncache_lab.course import lessons
from pfncache_lab.course.exercise import Exercise, Lesson
from pfncache_lab.course.lab import answer_source, judge, reference_source

NAMES = [module.name for module in pkgutil.iter_modules(lessons.__path__)]
LESSONS = [importlib.import_module(f"{lessons.__name__}.{name}").LESSON for name in NAMES]
EXERCISES = [exercise for lesson in LESSONS for exercise in lesson.exercises]


def by_id(thing: object) -> str | None:
    return thing.id if isinstance(thing, Exercise) else None


def verdict(exercise: Exercise, answer: object):
    return judge(exercise, {exercise.answer: answer})


def pairs(what: str) -> list[object]:
    """List (exercise, value) for each value of one of its fields."""
    every = [(exercise, value) for exercise in EXERCISES for value in getattr(exercise, what)]
    return [pytest.param(e, v, id=f"{e.id}-{getattr(v, '__name__', v)}") for e, v in every]


@pytest.mark.parametrize("exercise", EXERCISES, ids=by_id)
def test_nothing_defined_is_not_attempted(exercise):
    outcome = judge(exercise, {})
    assert outcome.kind == "not attempted"
    assert (
        outcome.message
        == f"There is no `{exercise.answer}` yet. Run the cell of the exercise first."
    )


@pytest.mark.parametrize("exercise", EXERCISES, ids=by_id)
def test_the_reference_passes(exercise):
    outcome = verdict(exercise, exercise.reference())
    assert outcome.kind == "passed", outcome.message


@pytest.mark.parametrize("exercise", EXERCISES, ids=by_id)
def test_the_solution_that_is_shown_passes(exercise):
    """Goal: the fold-out is no typo. Method: run the text that `solution` shows, and check that."""
    namespace: dict[str, object] = {}
    exec(reference_source(exercise), namespace)
    assert judge(exercise, namespace).kind == "passed"


@pytest.mark.parametrize(("exercise", "answer"), pairs("alternatives"))
def test_an_answer_written_differently_passes(exercise, answer):
    outcome = verdict(exercise, answer)
    assert outcome.kind == "passed", outcome.message


@pytest.mark.parametrize(("exercise", "name"), pairs("mutants"))
def test_a_mutant_is_turned_down_in_its_own_words(exercise, name):
    mutant = exercise.mutants[name]
    outcome = verdict(exercise, mutant.answer)
    assert outcome.kind == "incorrect"
    assert mutant.says in outcome.message


@pytest.mark.parametrize("exercise", EXERCISES, ids=by_id)
def test_there_are_enough_mutants_and_ways_to_be_right(exercise):
    assert len(exercise.mutants) >= 3
    assert len(exercise.alternatives) >= 1
    sources = {answer_source(exercise, m.answer) for m in exercise.mutants.values()}
    assert len(sources) == len(exercise.mutants), "two mutants are the same"


@pytest.mark.parametrize("exercise", EXERCISES, ids=by_id)
def test_no_hint_but_the_last_may_give_the_answer_away(exercise):
    lines = [line.strip() for line in reference_source(exercise).splitlines()]
    code = [line.partition(" = ")[2].strip("'") for line in lines if " = " in line]
    assert len(set(exercise.hints)) == 3
    assert code
    assert not any(line in hint for line in code for hint in exercise.hints[:2])


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.title)
def test_a_lesson_numbers_its_exercises(lesson: Lesson):
    assert [e.id for e in lesson.exercises] == [
        f"{lesson.number:02d}.{i}" for i in range(1, len(lesson.exercises) + 1)
    ]
    assert all(1 <= e.dots <= 5 and 3 <= e.minutes <= 20 for e in lesson.exercises)
