"""Each step declares what it reads and writes: whatever races it, no search misses an ending."""

from functools import partial

import pytest

from pfncache_lab.explore import Scenario
from pfncache_lab.mm import highmem, page, paging, pte
from pfncache_lab.sim import ModelError
from tests.explore.fuzz import truth

from .agree import disagreements
from .worlds import ACTS, Memory


def pair(first, second, frames):
    one, two = ACTS[first], ACTS[second]

    def a(s):
        s.out0 = one(s)

    def b(s):
        s.out1 = two(s)

    return Scenario(f"{first} | {second}", partial(Memory, frames), {"a": a, "b": b})


def disagreements_of(first, seconds, frames):
    return [
        text
        for second in seconds
        for text in disagreements(pair(first, second, frames), limit=2000)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("frames", [3, 4])
@pytest.mark.parametrize("first", ACTS)
def test_all_searches_agree_on_a_race_of_two(first, frames):
    names = list(ACTS)
    assert disagreements_of(first, names[names.index(first) :], frames) == []


@pytest.mark.parametrize("first", ["gup", "put", "store", "alloc", "migrate"])
def test_they_agree_on_some_of_these_races(first):
    assert disagreements_of(first, list(ACTS)[::3], 3) == []


def test_every_pair_is_small_enough_to_be_tried():
    assert truth(pair("munmap all", "exit", 4), 2000)


@pytest.mark.parametrize("op, name, first, second", [
    (paging._Gup, "reads", "gup", "munmap"),
    (page._Put, "writes", "put", "migrate the pinned page"),
    (highmem._Store, "writes", "store", "guest's load"),
    (pte._Zap, "writes", "munmap", "copy to user"),
])  # fmt: skip
def test_an_access_that_is_not_declared_is_missed(op, name, first, second, monkeypatch):
    """Goal: the tests above can fail. Method: an operation says less than it does."""
    assert not [*disagreements(pair(first, second, 4))]
    monkeypatch.setattr(op, name, property(lambda self: (), lambda self, value: None))
    try:
        assert [*disagreements(pair(first, second, 4))]
    except ModelError as error:  # a search that looks steps up has seen through it
        assert "does not lead where it led before" in str(error)
