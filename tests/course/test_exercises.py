"""Every exercise of every lesson is proved: blank, reference, alternatives, mutants, hints.

So are those of the sample course, which has each kind of exercise once.
"""

from __future__ import annotations

import time

import pytest

from pfncache_lab.course.authoring import made_all
from pfncache_lab.course.catalog import lessons
from pfncache_lab.course.exercise import Exercise, Lesson
from pfncache_lab.course.judging import Verdict, judge
from pfncache_lab.course.lab import answer_source, reference_source
from pfncache_lab.course.sources import globals_of, source_of
from pfncache_lab.course.trial import Trial
from tests.course.sample import COURSE
from tests.course.walk import behaviors, shape, walk

LESSONS = [*lessons(), *COURSE]
WALK = walk(lessons()) + walk(COURSE)
CODE = [(exercise, built) for exercise, built in WALK if exercise.check is None]

SECONDS = 1.0
SECONDS_WITH_PROGRAMS = 2.0


def by_id(thing: object) -> str | None:
    return thing.id if isinstance(thing, Exercise) else ""


each_exercise = pytest.mark.parametrize(("exercise", "built"), WALK, ids=by_id)
each_trial = pytest.mark.parametrize(("exercise", "built"), CODE, ids=by_id)


def slow(exercise: Exercise) -> list[pytest.MarkDecorator]:
    """Mark what tries wrong answers in every schedule of some programs: all together it is slow."""
    return [pytest.mark.slow] if exercise.programs else []


def pairs(what: str) -> list[object]:
    """List (exercise, built, value) for each value of one of its fields.

    An id is the same in every process, so that several can share the tests.
    """
    return [
        pytest.param(
            *(e, built, value),
            id=f"{e.id}-{value if isinstance(value, str) else number}",
            marks=slow(e),
        )
        for e, built in WALK
        for number, value in enumerate(getattr(e, what))
    ]


@each_exercise
def test_nothing_defined_is_not_attempted(exercise, built):
    verdict = judge(exercise, {}, built)
    assert verdict.kind == "not attempted"
    assert (
        verdict.message
        == f"There is no `{exercise.names[0]}` yet. Run the cell of the exercise first."
    )


@each_exercise
def test_the_stub_is_not_attempted(exercise, built):
    home = globals_of(next(iter(exercise.named(exercise.reference()).values())))
    namespace = made_all(exercise.stub, "<stub>", {**home, "____": None, **built})
    verdict = judge(exercise, namespace, built)
    assert (verdict.kind, verdict.message[:15]) == ("not attempted", "A blank is left")


@each_exercise
def test_the_stub_is_the_reference_with_blanks(exercise, built):
    stub = shape(exercise.stub)
    for part in shape(reference_source(exercise)):
        assert part in stub


@each_exercise
def test_a_stub_defines_what_the_answer_is(exercise, built):
    kinds = {callable(thing) for thing in exercise.named(exercise.reference()).values()}
    assert kinds == {exercise.is_code}


@each_exercise
def test_the_reference_passes_in_time(exercise, built):
    begin = time.process_time()
    verdict = judge(exercise, exercise.named(exercise.reference()), built)
    assert verdict.kind == "passed", verdict.message
    limit = SECONDS_WITH_PROGRAMS if exercise.programs else SECONDS
    assert time.process_time() - begin < limit


@each_exercise
def test_the_solution_that_is_shown_passes(exercise, built):
    """Goal: the fold-out is no typo. Method: run the text that `solution` shows, and check that."""
    first = next(iter(exercise.named(exercise.reference()).values()))
    namespace = made_all(reference_source(exercise), "<solution>", {**globals_of(first), **built})
    assert judge(exercise, namespace, built).kind == "passed"


@each_trial
def test_the_search_of_the_reference_takes_as_many_runs_as_the_lesson_says(exercise, built):
    trial = Trial(exercise, exercise.named(exercise.reference()), built)
    found = [trial.search(program).stats.runs for program in exercise.programs]
    assert found == [program.runs for program in exercise.programs]


@pytest.mark.parametrize(("exercise", "built", "answer"), pairs("alternatives"))
def test_an_answer_written_differently_passes(exercise, built, answer):
    verdict = judge(exercise, exercise.named(answer), built)
    assert verdict.kind == "passed", verdict.message


def verdict_on(exercise: Exercise, built: dict[str, object], name: str) -> Verdict:
    """Judge a mutant, once: some of them take seconds."""
    kept = VERDICTS.get((id(exercise), name))
    if kept is None:
        answer = exercise.named(exercise.mutants[name].answer)
        kept = VERDICTS[id(exercise), name] = judge(exercise, answer, built)
    return kept


VERDICTS: dict[tuple[int, str], Verdict] = {}


@pytest.mark.parametrize(("exercise", "built", "name"), pairs("mutants"))
def test_a_mutant_is_turned_down_in_its_own_words(exercise, built, name):
    verdict = verdict_on(exercise, built, name)
    assert verdict.kind == "incorrect"
    assert exercise.mutants[name].says in verdict.message


@each_exercise
def test_there_are_enough_mutants_and_ways_to_be_right(exercise, built):
    assert len(exercise.mutants) >= 3
    assert len(exercise.alternatives) >= 1
    wrong = [answer_source(exercise, m.answer) for m in exercise.mutants.values()]
    right = [answer_source(exercise, answer) for answer in exercise.alternatives]
    assert len(set(wrong)) == len(wrong), "two mutants are the same"
    if exercise.is_code:
        assert len({reference_source(exercise), *right}) == 1 + len(right), "written the same way"


@pytest.mark.parametrize(
    ("exercise", "built"), [pytest.param(e, built, id=e.id, marks=slow(e)) for e, built in WALK]
)
def test_each_mutant_has_words_of_its_own(exercise, built):
    """Goal: two mistakes are told apart. Method: compare what the lesson says, or the check.

    An answer that searches is stopped at the first run that is wrong, and two may come to the same.
    """
    said = [mutant.says for mutant in exercise.mutants.values()]
    assert all(len(words) > 5 for words in said)
    if exercise.check is None or not exercise.is_code:
        said = [verdict_on(exercise, built, name).message for name in exercise.mutants]
        assert len(set(said)) == len(said)
    if exercise.check is None:
        assert len({mutant.says for mutant in exercise.mutants.values()}) == len(said)


@pytest.mark.slow
@each_trial
def test_no_two_mutants_behave_alike_and_no_one_situation_catches_all(exercise, built):
    right = behaviors(exercise, exercise.reference(), built)
    caught: dict[str, tuple[list, set[int]]] = {}
    for name, mutant in exercise.mutants.items():
        seen = behaviors(exercise, mutant.answer, built)
        assert seen not in [other for other, _ in caught.values()], f"{name} is like another"
        pairs = enumerate(zip(seen, right, strict=True))
        caught[name] = (seen, {i for i, (one, other) in pairs if one != other})
    situations = len(exercise.cases) + len(exercise.programs)
    if situations > 1:
        assert len({frozenset(where) for _, where in caught.values()}) > 1, "one case does it all"


@each_exercise
def test_no_hint_but_the_last_may_give_the_answer_away(exercise, built):
    stub = exercise.stub
    lines = [line.strip() for line in reference_source(exercise).splitlines()]
    code = [line for line in lines if line and line not in stub]
    code += [line.partition(" = ")[2].strip("'") for line in code if " = " in line]
    code += [line.removeprefix("return ") for line in code if len(line) > len("return 123456")]
    assert len(set(exercise.hints)) == 3
    assert all(len(hint.split()) > 1 for hint in exercise.hints)
    assert code
    assert not any(line in hint for line in code for hint in exercise.hints[:2])


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.title)
def test_a_lesson_numbers_its_exercises(lesson: Lesson):
    assert [e.id for e in lesson.exercises] == [
        f"{lesson.number:02d}.{i}" for i in range(1, len(lesson.exercises) + 1)
    ]
    assert all(1 <= e.dots <= 5 and 3 <= e.minutes <= 20 for e in lesson.exercises)


@each_exercise
def test_the_source_of_the_reference_can_be_shown(exercise, built):
    for thing in exercise.named(exercise.reference()).values():
        assert not callable(thing) or source_of(thing)
