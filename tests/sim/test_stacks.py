"""Greenlets outlive their tasks: what they carry over to the next run, and what not."""

from contextvars import ContextVar
from threading import Thread

from greenlet import getcurrent

from pfncache_lab import explore
from tests.programs import add_one, counting, scenario

ANSWER: ContextVar[int] = ContextVar("ANSWER", default=0)


def test_the_next_run_has_the_stacks_of_the_last():
    seen = set()

    def note(shared):
        seen.add(getcurrent())
        add_one(shared)

    assert explore(scenario(a=note, b=note)).complete
    assert len(seen) == 2


def test_a_context_variable_is_not_carried_over():
    """Goal: a run does not depend on the one before. Method: each task sets, and must not find."""
    found = []

    def answer(shared):
        found.append(ANSWER.get())
        ANSWER.set(42)
        add_one(shared)

    explore(scenario(a=answer, b=answer))
    assert len(found) == 2 * 6
    assert set(found) == {0}


def test_a_task_that_dies_half_way_leaves_a_stack_that_can_be_used():
    def fall(shared):
        add_one(shared)
        raise ValueError

    for _ in range(3):
        assert explore(scenario(a=fall, b=add_one)).failures
        assert len(explore(counting("ab")).runs) == 6


def test_another_thread_has_stacks_of_its_own():
    counts = []
    work = lambda: counts.append(len(explore(counting("ab")).runs))  # noqa: E731
    for _ in range(2):
        work()
        thread = Thread(target=work)
        thread.start()
        thread.join()
    assert counts == [6] * 4
