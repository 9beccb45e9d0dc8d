"""The parts of a divided search add up to the whole."""

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import pytest

from pfncache_lab.explore.parallel import merge, search_branch, search_in_parallel, split
from tests.explore import programs as p


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (partial(p.lastzero, 5), 64),
        (partial(p.readers, 6), 64),
        (partial(p.fib_bench, 2), 140),
        (partial(p.casw, 3), 66),
        (partial(p.mutex_order, 3), 6),
        (p.combination_lock, 6),
        (p.sleeping_races, 10),
        (p.two_awaits, 4),
        (partial(p.lost_update, 3), 36),
    ],
    ids=lambda value: "" if isinstance(value, int) else str(getattr(value, "func", value))[:20],
)
@pytest.mark.parametrize("jobs", [1, 2, 7, 64])
def test_the_jobs_count_each_trace_once(make, expected, jobs):
    parts = split(make, jobs)
    assert merge(map(search_branch, parts)).executions == expected


def test_a_job_survives_being_sent():
    jobs = split(partial(p.fib_bench, 1), 8)
    sent = pickle.loads(pickle.dumps(jobs))
    assert merge(map(search_branch, sent)).executions == 11


@pytest.mark.slow
def test_two_processes_find_what_one_does():
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        assert search_in_parallel(partial(p.lastzero, 5), executor, 8).executions == 64
