"""Loops that wait: what counts as progress, and what wakes them."""

from typing import Any

import pytest

from pfncache_lab import sim
from pfncache_lab.explore import Condition, Scenario, check, replay
from pfncache_lab.sim import (
    READ_ONCE,
    Struct,
    cond_resched,
    cpu_relax,
    marked,
    smp_store_release,
    xchg,
)


class State(Struct):
    lock = marked(0)
    count = marked(0)
    flag = marked(False)
    seq = marked(0)


def by_xchg(s):
    while xchg(s, "lock", 1):
        cpu_relax()


def by_bit(s):
    while sim.test_and_set_bit(0, s, "lock"):
        cpu_relax()


@pytest.mark.parametrize("lock", [by_xchg, by_bit])
@pytest.mark.parametrize("strategy", ["auto", "traces", "states"])
def test_a_store_of_what_is_there_is_no_progress(lock, strategy):
    """Goal: the oldest lock of all is correct. It stores each time round, and changes nothing."""

    def task(s):
        lock(s)
        s.count += 1
        smp_store_release(s, "lock", 0)

    tasks = dict.fromkeys("ab", task)
    scenario = Scenario("xchg", State, tasks, [Condition("count == 2", lambda s: s.count == 2)])
    assert check(scenario, strategy).passed


@pytest.mark.parametrize("strategy", ["auto", "traces", "states"])
def test_what_the_loop_carries_over_is_progress(strategy):
    """Goal: a retry that begins with a newer value is not held back, though nothing has changed."""

    def retry(s):
        tried = False
        while True:
            seq = s.seq
            if tried:
                cond_resched()
            tried = True
            if not READ_ONCE(s, "flag") and s.seq == seq:
                return

    def change(s):
        s.flag = True
        s.seq += 1
        s.flag = False

    assert check(Scenario("retry", State, {"a": retry, "b": change}), strategy).passed


def test_who_waits_for_what_nobody_changes_waits_for_ever():
    def wait(s):
        while not s.flag:
            cpu_relax()

    report = check(Scenario("wait", State, {"a": wait, "b": wait}))
    assert report.failure is not None and "nobody is left" in str(report)


def gives_up(s):
    for _ in range(3):
        if s.flag:
            break
        cpu_relax()


def until_two_loads_agree(s):
    before = None
    while (now := s.seq) != before:
        before = now
        cpu_relax()


class Node(Struct):
    next: Any = marked(None)


class List(State):
    first: Any = marked(None)


def make_list():
    s = List()
    s.first = Node()
    s.first.next = Node()
    s.first.next.next = Node()
    return s


def walks_a_list(s):
    node = s.first
    while node is not None:
        node = node.next
        cond_resched()


@pytest.mark.parametrize("strategy", ["auto", "traces", "states"])
def test_a_walk_along_a_list_is_no_livelock(strategy):
    report = check(Scenario("walk", make_list, {"a": walks_a_list, "b": nothing}), strategy)
    assert report.passed, report


def test_a_loop_that_gives_up_has_made_no_progress():
    trace = replay(Scenario("spin", State, {"a": gives_up}), "aa").trace
    assert trace is not None
    assert trace.events[1].text == "spin → no wait, for the next round may differ"


def a_few_times(s):
    for _ in range(3):
        cpu_relax()


def waits_by_counting(s):
    while not s.flag:
        a_few_times(s)


def nothing(s):
    s.count += 1


def set_flag(s):
    s.seq += 1
    s.flag = True


@pytest.mark.parametrize(
    ("spinner", "other"),
    [
        (gives_up, nothing),
        (gives_up, set_flag),
        (until_two_loads_agree, nothing),
        (until_two_loads_agree, set_flag),
        (waits_by_counting, set_flag),
    ],
)
@pytest.mark.parametrize("strategy", ["auto", "traces", "states"])
def test_a_loop_that_ends_without_the_others_is_no_livelock(spinner, other, strategy):
    report = check(Scenario("spin", State, {"a": spinner, "b": other}), strategy)
    assert report.passed, report


@pytest.mark.parametrize("strategy", ["auto", "traces", "states"])
def test_a_loop_that_counts_within_one_that_waits_for_ever_is_a_livelock(strategy):
    report = check(Scenario("spin", State, {"a": waits_by_counting, "b": nothing}), strategy)
    assert report.failure is not None and "nobody is left" in str(report)
