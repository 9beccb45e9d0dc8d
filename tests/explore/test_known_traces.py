"""The search that walks from state to state completes the same traces as the one that runs all."""

from itertools import combinations_with_replacement

import pytest

from benchmarks.gpc import gpc
from pfncache_lab.explore import Condition, Scenario, check
from pfncache_lab.explore.dpor import SourceDpor
from pfncache_lab.explore.known_traces import KnownTraces
from pfncache_lab.explore.live import Live
from pfncache_lab.explore.values import CannotTell
from pfncache_lab.sim import RwLock, SpinLock, Struct, cpu_relax, marked, shared
from tests.explore import programs as p
from tests.explore.random_programs import program


class State(Struct):
    lock = SpinLock()
    other = SpinLock()
    rw = RwLock()
    x = marked(0)
    y = marked(0)
    ptr = marked(None)
    n = shared(0, guarded_by="rw")


class Node(Struct):
    value = marked(7)


def scenario(*tasks, **promises):
    return Scenario("test", State, dict(zip("abc", tasks, strict=False)), **promises)


def search_by(kind, scenario):
    """Search; returns the schedules, in order, how each ended, and how many runs were cut."""
    search = kind(scenario)
    runs = [(run.schedule, run.finished, str(run.bug or "")) for run in search.runs()]
    return runs, search.redundant


def set_x(s):
    s.x = 1


def wait_for_x(s):
    while not s.x:
        cpu_relax()
    s.y += 1


def wait_for_both(s):
    while True:
        seen = s.x
        if seen and s.y:
            return
        cpu_relax()


def set_both(s):
    with s.lock:
        s.x = 1
    s.y = 1


def wait_with_locks(s):
    while True:
        with s.rw.read():
            if s.n:
                return
        if s.lock.trylock():
            s.lock.unlock()
        cpu_relax()


def set_n(s):
    with s.lock, s.rw.write():
        s.n = 1


def publish(s):
    if s.x:
        node = Node()
        node.value = 8
        s.ptr = node


def read(s):
    if s.ptr is not None:
        s.y = s.ptr.value


def ab(s):
    with s.lock:
        s.x += 1
        with s.other:
            s.y += 1


def ba(s):
    with s.other:
        s.x += 1
        with s.lock:
            s.y += 1


def unlock_twice(s):
    s.lock.lock()
    s.x += 1
    s.lock.unlock()
    if s.x == 2:
        s.lock.unlock()


def for_ever(s):
    while s.x < 5:
        s.y = 1 - s.y


@pytest.mark.parametrize(
    "program",
    [
        scenario(wait_for_x, set_x),
        scenario(wait_for_x, wait_for_x, set_x),
        scenario(wait_for_x, wait_for_x),
        scenario(wait_for_both, set_both, wait_for_x),
        scenario(wait_with_locks, set_n, set_n),
        scenario(publish, read, set_x),
        scenario(ab, ba, lockdep=False),
        scenario(unlock_twice, unlock_twice),
        scenario(for_ever),
        scenario(ab, ab, final=[Condition("y == 1", lambda s: s.y == 1)]),
        p.lastzero(4),
        p.two_awaits(),
        p.fib_bench(1),
        p.sleeping_races(),
        gpc(),
        gpc(vcpus=2, mms=0),
    ],
    ids=lambda scenario: " ".join(getattr(f, "__name__", "f") for f in scenario.tasks.values()),
)
def test_it_makes_the_same_runs_in_the_same_order(program):
    assert search_by(KnownTraces, program) == search_by(SourceDpor, program)


def wait_with_a_lock(s):
    while True:
        with s.rw.read():
            if s.n:
                break
        cpu_relax()
    s.y = s.x


def wait_for_a_lock(s):
    while not s.lock.trylock():
        if s.x:
            return
        cpu_relax()
    s.lock.unlock()


def wait_to_write(s):
    while not (s.x or s.rw.write_trylock()):
        cpu_relax()


def wait_with_a_detour(s):
    while not s.x:
        if s.y:
            with s.lock:
                pass
        cpu_relax()


def wait_and_change_what_it_has_seen(s):
    if s.rw.write_trylock():
        s.rw.write_unlock()
    else:
        with s.rw.read():
            pass
    while not s.x:
        cpu_relax()


def set_y_then_x(s):
    s.y = 1
    with s.lock:
        s.x = 1


def set_x_under_the_lock(s):
    with s.lock:
        s.x = 1


def only_look(s):
    with s.rw.read():
        s.y = s.n


SPINNERS = [
    wait_for_x,
    wait_for_both,
    wait_with_locks,
    wait_with_a_lock,
    wait_for_a_lock,
    wait_with_a_detour,
    wait_and_change_what_it_has_seen,
]
OTHERS = [set_both, set_n, set_x_under_the_lock, set_y_then_x, only_look, wait_to_write]


@pytest.mark.parametrize("spinner", SPINNERS)
@pytest.mark.parametrize("pair", list(combinations_with_replacement(OTHERS, 2)))
def test_it_knows_what_each_spin_depends_on(spinner, pair):
    program = scenario(spinner, *pair)
    assert search_by(KnownTraces, program) == search_by(SourceDpor, program)


def test_it_makes_the_same_runs_of_random_programs():
    compared = 0
    for seed in range(40):
        random = program(seed)
        try:
            known = search_by(KnownTraces, random)
        except CannotTell:
            continue
        assert known == search_by(SourceDpor, random), seed
        compared += 1
    assert compared > 20


def test_most_steps_are_not_run(monkeypatch):
    counted, step = 0, Live.step

    def counting(*args):
        nonlocal counted
        counted += 1
        return step(*args)

    monkeypatch.setattr(Live, "step", counting)
    runs, _ = search_by(KnownTraces, gpc())
    assert 0 < counted < sum(len(schedule) for schedule, _, _ in runs) / 10


def test_an_observer_sees_the_end_of_each_run():
    seen = []
    search = KnownTraces(scenario(set_both, set_both), lambda _, s: seen.append((s.x, s.y)))
    assert len(seen) == 0
    assert sum(1 for _ in search.runs()) == len(seen) > 1
    assert set(seen) == {(1, 1)}


class Unguarded(Struct):
    x = marked(0)
    n = shared(0)


@pytest.mark.parametrize(
    "program",
    [
        Scenario("no guard", Unguarded, {"a": set_x, "b": set_x}),
        scenario(set_x, set_x, invariants=[Condition("x < 2", lambda s: s.x < 2)]),
    ],
    ids=["plain field without a guard", "invariant"],
)
def test_where_states_cannot_be_told_apart_every_run_is_made(program):
    with pytest.raises(CannotTell):
        list(KnownTraces(program).runs())
    report = check(program, "traces")
    assert report.passed
    assert report.stats.executions == sum(1 for _ in SourceDpor(program).runs())
