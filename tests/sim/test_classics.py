"""The classic seven, each found with the fewest preemptions, in words that say what to do.

The words are in golden/. To write them anew: python -m tests.sim.test_classics
"""

from dataclasses import replace
from pathlib import Path
from time import perf_counter

import pytest

from pfncache_lab.explore import DepthFirst, Replay, check
from pfncache_lab.explore.scenario import finish, load
from pfncache_lab.sim import LockDep

from .classics import AB_BA, CLASSICS

GOLDEN = Path(__file__).parent / "golden"


def play(scenario, oracle, lockdep, record=False):
    """Run a scenario once; returns the bug, if there is one, and the machine."""
    machine, shared = load(scenario, oracle, record=record, lockdep=lockdep)
    machine.run()
    return finish(scenario, machine, shared).bug, machine


def search(scenario, lockdep=True):
    """Find the first bug: the fewest preemptions it takes, and what was known of locks before."""
    known = LockDep() if lockdep else None
    for bound in range(4):
        oracle = DepthFirst(bound)
        while True:
            before = known.copy() if known else None
            bug, machine = play(scenario, oracle, known)
            if bug is not None:
                return bound, bug, "".join(scenario.keys[t.name] for t in machine.schedule), before
            if not oracle.backtrack():
                break
    raise AssertionError("no bug")


def told(scenario, lockdep=True) -> str:
    """Tell the bug of a scenario, as the golden files have it."""
    bound, bug, schedule, before = search(scenario, lockdep)
    again, machine = play(scenario, Replay(schedule, scenario.keys), before, record=True)
    assert str(again) == str(bug), "a replay tells another story"
    count = f"{bound} preemption{'' if bound == 1 else 's'}"
    return f"{scenario.name}: {type(bug).__name__}, {count}\n\n{bug}\n\n{machine.trace.table()}\n"


@pytest.mark.parametrize("name", CLASSICS)
def test_it_is_found_at_once_with_the_fewest_preemptions(name):
    scenario, kind, preemptions = CLASSICS[name]
    times = []
    for _ in range(5):
        start = perf_counter()
        found, bug, *_ = search(scenario)
        times.append(perf_counter() - start)
        assert (type(bug).__name__, found) == (kind, preemptions)
    assert min(times) < 0.010


@pytest.mark.parametrize("name", CLASSICS)
def test_the_message_is_the_golden_one(name):
    scenario = CLASSICS[name][0]
    assert told(scenario) == (GOLDEN / f"{name}.txt").read_text("utf-8")


def test_without_lockdep_the_deadlock_takes_one_preemption():
    assert told(AB_BA, lockdep=False) == (GOLDEN / "ab_ba_deadlock.txt").read_text("utf-8")


def test_a_scenario_can_do_without_lockdep():
    report = check(replace(AB_BA, lockdep=False))
    assert report.failure is not None
    assert type(report.failure.bug).__name__ == "Deadlock"


if __name__ == "__main__":
    for name, entry in CLASSICS.items():
        (GOLDEN / f"{name}.txt").write_text(told(entry[0]), "utf-8")
    (GOLDEN / "ab_ba_deadlock.txt").write_text(told(AB_BA, lockdep=False), "utf-8")
