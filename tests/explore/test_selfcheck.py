"""Every schedule does the same when it is run again: in the programs of the course, and of others.

Everything that the searches say rests on this.
"""

import time

import pytest

from pfncache_lab import Scenario
from pfncache_lab.course.lessons.lesson_00 import LESSON
from pfncache_lab.explore import selfcheck
from pfncache_lab.sim import ModelError
from tests.explore.random_programs import program
from tests.programs import Shared, counting, scenario
from tests.sim import classics

CLASSICS = [thing for thing in vars(classics).values() if isinstance(thing, Scenario)]


@pytest.mark.parametrize("program", LESSON.scenarios, ids=lambda program: program.name)
def test_the_programs_of_lesson_00(program):
    assert selfcheck(program) in (6, 148)


@pytest.mark.parametrize("program", CLASSICS, ids=lambda program: program.name)
def test_the_classic_mistakes(program):
    assert selfcheck(program, limit=100) >= 1


@pytest.mark.parametrize("seed", range(20))
def test_random_programs(seed):
    assert selfcheck(program(seed), limit=30) >= 1


def test_what_differs_is_named():
    def stamp(shared):
        shared.counter = time.perf_counter_ns()

    with pytest.raises(ModelError) as refused:
        selfcheck(scenario(a=stamp))
    said = str(refused.value)
    assert said.startswith("The schedule 'a' has done two things: step 1: a store counter ← ")
    assert said.endswith("or what a run leaves behind in a global.")


def test_a_value_that_only_the_end_shows_is_compared_as_well():
    runs = []

    def count(shared):
        runs.append(1)
        shared.counter += 1

    def setup():
        shared = Shared()
        shared.flag = len(runs)  # type: ignore[assignment]
        return shared

    with pytest.raises(ModelError, match="start: counter is 0, flag is 1, and then start"):
        selfcheck(Scenario("left behind", setup, {"a": count}))


def test_no_more_than_the_limit_is_run():
    assert selfcheck(counting("abc"), limit=7) == 7
