"""Random programs: all searches agree with brute force on what is found. See fuzz.py."""

from collections import Counter
from math import comb

import pytest

from pfncache_lab.explore import Condition, check
from pfncache_lab.sim import watched
from tests.explore.fuzz import disagreements, fuzz
from tests.explore.random_programs import scenario

SLOW = [
    pytest.param(first, marks=pytest.mark.slow)
    for first in (100, 200, 300, *range(1000, 2000, 100))
]


@pytest.mark.parametrize("first", [0, *SLOW])
def test_all_searches_agree_on_random_programs(first):
    """Goal: no search misses or invents anything. A hundred seeds are some 60 programs."""
    differences, tried = fuzz(range(first, first + 100), limit=250)
    assert differences == []
    assert tried["programs"] >= 50 and tried["by states"] >= 30 and tried["early"] >= 10


FOUND = {
    "a task that spins after a store of its own": """
def task0(s):
    s.y += 1
    while s.z > 1:
        cpu_relax()


def task1(s):
    s.z = 2
""",
    "minus one and minus two, which hash alike": """
def task0(s):
    s.x = 2
    s.x += 1


def task1(s):
    s.y = helper(s) - s.x
""",
    "a writer who tries while another reads: readers commute, but not with him": """
def task0(s):
    with s.rw.read():
        b = s.p


def task1(s):
    if s.rw.write_trylock():
        s.p += 1
        s.rw.write_unlock()
""",
    "a reader who leaves wakes one who spins": """
def task0(s):
    with s.rw.read():
        pass


def task1(s):
    while not s.x:
        if s.rw.write_trylock():
            s.rw.write_unlock()
            break
        cpu_relax()


def task2(s):
    s.x = 1
""",
    "a spin that an unlock can wake, or something else": """
def task0(s):
    with s.l:
        pass


def task1(s):
    while not s.x:
        if s.l.trylock():
            s.l.unlock()
            break
        cpu_relax()


def task2(s):
    s.x = 1
""",
    "a task that waits for itself has not seen what the others would do": """
def task0(s):
    with srcu_read(s.srcu):
        if s.x:
            synchronize_srcu(s.srcu)


def task1(s):
    s.x = 1
""",
}


@pytest.mark.parametrize("text", FOUND.values(), ids=FOUND)
def test_what_the_fuzz_has_found_stays_mended(text):
    with watched():
        tried: Counter[str] = Counter()
        assert list(disagreements(scenario(text), tried)) == []
    assert tried["programs"] == 1


def test_an_acquisition_goes_before_a_release_of_something_else_where_an_invariant_looks_on():
    """Goal: PASS speaks of every state. Found by the fuzz: b was never tried first."""
    text = """
def task0(s):
    complete(s.done)


def task1(s):
    with s.m:
        s.x = 1
"""
    done_first = Condition("done first", lambda s: s.done.done or not s.x)
    program = scenario(text, invariants=[done_first])
    assert str(check(program, "traces").verdict) == "FAIL"
    harmless = scenario(text, invariants=[Condition("nothing", lambda s: True)])
    tried: Counter[str] = Counter()
    assert list(disagreements(harmless, tried)) == []
    assert tried["traces"] == tried["schedules"] == comb(4, 1)
