"""programs.py: small programs that several tests run."""

from __future__ import annotations

from pfncache_lab import Condition, Scenario, Struct, cpu_relax, marked


class Shared(Struct):
    """What the tasks share."""

    counter = marked(0)
    flag = marked(False)


def add_one(shared):
    shared.counter += 1


def wait_for_flag(shared):
    while not shared.flag:
        cpu_relax()


def set_flag(shared):
    shared.flag = True


def counting(tasks: str) -> Scenario:
    """Each task adds one, once."""
    total = len(tasks)
    condition = Condition(f"counter == {total}", lambda shared: shared.counter == total)
    return Scenario("counting", Shared, dict.fromkeys(tasks, add_one), [condition])


def scenario(**tasks) -> Scenario:
    """Make a scenario of these tasks, which promises nothing."""
    return Scenario("test", Shared, tasks)


def steps_of_lambda(text):
    """Make a task of one step, which stores `text`."""
    return lambda shared: setattr(shared, "flag", text)
