"""A loop over a list of the machine can be told apart by its position, and so by states."""

import pytest

from pfncache_lab.explore import Condition, Scenario, check
from pfncache_lab.explore.dpor import SourceDpor
from pfncache_lab.explore.visited import CannotTell, VisitedStates
from pfncache_lab.sim import ListHead, SpinLock, Struct, each, list_add, list_del, marked, shared


class Item(Struct):
    seen = marked(0)


class Lists(Struct):
    lock = SpinLock()
    head: shared[ListHead[Item]] = shared(ListHead(), guarded_by="lock")
    total = marked(0)

    def __init__(self):
        super().__init__()
        self.head = ListHead((Item("one"), Item("two"), Item("three")))


def count(s):
    with s.lock:
        items = s.head
    for item in items:
        item.seen += 1
        if item.seen > 1:
            break
    for i in each(range(2)):
        s.total = s.total + i


def in_vain(s):
    with s.lock:
        items = s.head
    for item in items[:]:  # a plain tuple, whose iterator says nothing
        item.seen += 1


def drop(s):
    with s.lock:
        s.head = list_del(s.head[1], s.head)


def endings(search, scenario):
    found = set()

    def observe(machine, s):
        found.add((s.total, tuple(item.seen for item in s.head)))

    runs = sum(1 for _ in search(scenario, observe).runs())
    return found, runs


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [{"a": count, "b": count}, {"a": count, "b": drop}])
def test_both_searches_find_the_same_ends(tasks):
    scenario = Scenario("walks", Lists, tasks)
    assert endings(VisitedStates, scenario)[0] == endings(SourceDpor, scenario)[0]


def test_a_loop_over_a_plain_tuple_is_not_told_apart():
    scenario = Scenario("walks", Lists, {"a": in_vain, "b": in_vain}, final=[NEVER])
    with pytest.raises(CannotTell, match="in_vain loops over something other than a ListHead"):
        list(VisitedStates(scenario).runs())
    assert check(scenario).failure is not None


NEVER = Condition("never", lambda s: s.head[2].seen == 0)


def test_lists_are_values():
    head = ListHead(("b",))
    assert list_add("a", head) == ("a", "b") and head == ("b",)
    assert list_del("a", list_add("a", head)) == head
    assert list(head) == ["b"] and isinstance(list_del("b", head), ListHead)
    with pytest.raises(ValueError):
        list_del("c", head)
