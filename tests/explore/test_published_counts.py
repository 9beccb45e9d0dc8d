"""The search completes each trace once: the numbers are those that others have published.

Sources: GenMC b03f01e, tests/correct/**/expected.sc.mo.in, and expected.cb.in for the preemption
bounds; Nidhugg 0aea4d2, tests/smoke; Concuerror 0cbd2fc, tests/suites/dpor_tests; Abdulla and
others, POPL 2014. Where a source counts more coarsely than by traces, the number is that of traces,
cross-checked by brute force below: redundant_co, opt_lock.
"""

import pytest

from benchmarks.gpc import gpc
from pfncache_lab.explore.dpor import SourceDpor
from tests.explore import programs as p
from tests.explore.brute import traces

COUNTS = [
    (p.lastzero, {1: 2, 2: 5, 3: 12, 4: 28, 5: 64}),
    (p.readers, {2: 4, 6: 64, 8: 256}),
    (p.indexer, {11: 1, 12: 8}),
    (p.filesystem, {14: 2, 16: 8, 18: 32, 19: 64}),
    (p.casrot, {2: 2, 3: 5, 4: 14, 5: 43, 6: 144, 8: 2048}),
    (p.casw, {2: 6, 3: 66, 4: 1200}),
    (p.ainc, {2: 2, 3: 6, 4: 24, 5: 120}),
    (p.binc, {2: 4, 3: 36, 4: 576}),
    (p.fib_bench, {1: 11, 2: 140}),
    (p.mutex_order, {2: 2, 3: 6, 4: 24}),
    (p.redundant_co, {1: 12, 2: 90, 3: 560}),
    (p.opt_lock, {2: 42, 3: 126}),
]
SLOW = [
    (p.lastzero, {10: 3328}),
    (p.readers, {13: 8192}),
    (p.indexer, {15: 4096}),
    (p.redundant_co, {4: 3150}),
]
SINGLE = [
    (p.popl_optimal_example, 5),
    (p.combination_lock, 6),
    (p.many_initials, 5),
    (p.sleeping_races, 10),
    (p.two_awaits, 4),
]


def count(scenario):
    return sum(1 for _ in SourceDpor(scenario).runs())


def flat(table):
    return [
        pytest.param(make, n, expected, id=f"{make.__name__} {n}")
        for make, row in table
        for n, expected in row.items()
    ]


@pytest.mark.parametrize(("make", "n", "expected"), flat(COUNTS))
def test_each_trace_is_completed_once(make, n, expected):
    assert count(make(n)) == expected


@pytest.mark.slow
@pytest.mark.parametrize(("make", "n", "expected"), flat(SLOW))
def test_each_trace_of_a_larger_program_is_completed_once(make, n, expected):
    assert count(make(n)) == expected


@pytest.mark.parametrize(("make", "expected"), SINGLE, ids=lambda v: getattr(v, "__name__", ""))
def test_each_trace_of_a_tricky_program_is_completed_once(make, expected):
    assert count(make()) == expected


def test_two_awaits_end_blocked_in_two_traces_of_four():
    runs = list(SourceDpor(p.two_awaits()).runs())
    assert sorted(run.finished for run in runs) == [False, False, True, True]


@pytest.mark.parametrize(
    "scenario",
    [
        p.lastzero(3),
        p.casw(3),
        p.fib_bench(1),
        p.opt_lock(2),
        p.redundant_co(2),
        p.popl_optimal_example(),
        p.lost_update(3),
        p.two_awaits(),
    ],
    ids=["lastzero", "casw", "fib", "opt_lock", "redundant_co", "popl", "lost_update", "awaits"],
)
def test_brute_force_finds_the_same_number_of_traces(scenario):
    """Goal: no trace is missed. Method: run all schedules, and tell their traces apart."""
    assert count(scenario) == len(traces(scenario))


@pytest.mark.slow
def test_brute_force_finds_the_same_number_of_traces_in_9914_schedules():
    assert len(traces(p.combination_lock())) == 6


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (p.binc(2), [2, 4]),
        (p.binc(3), [6, 24, 36]),
        (p.binc(4), [24, 168, 432, 576]),
        (p.store_buffering(), [2, 3]),
        (p.message_passing(), [2, 3]),
    ],
    ids=["binc2", "binc3", "binc4", "SB", "MP"],
)
def test_traces_within_a_preemption_bound_are_those_of_chess(scenario, expected):
    assert [len(traces(scenario, bound)) for bound in range(len(expected))] == expected


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [({"mms": 2, "vcpus": 0}, 34), ({"vcpus": 2, "mms": 0}, 10), ({}, 72)],
    ids=["2 mm", "2 vCPU", "1 vCPU, 1 mm"],
)
def test_the_program_of_the_benchmarks_has_these_traces(sizes, expected):
    """The first two, where nobody spins, are those of another implementation of this search."""
    assert count(gpc(**sizes)) == expected
