"""What a field may hold, what a task may store to, and values that cannot be written down."""

import pytest

from pfncache_lab import Scenario, Struct, explore, marked, replay
from pfncache_lab.explore import check, find_bug
from pfncache_lab.sim import ModelError, SpinLock, cmpxchg, shared, smp_store_release, xchg
from pfncache_lab.sim.shown import shown
from tests.programs import Shared, add_one, scenario


def test_a_store_to_what_is_no_field_is_refused_with_the_remedy():
    class Forgotten(Struct):
        flag = marked(False)
        counter = 0

    with pytest.raises(ModelError) as refused:
        explore(Scenario("forgotten", Forgotten, {"a": add_one}))
    assert str(refused.value) == (
        "a stores to 'counter', which is no field of Forgotten: nobody would see the store as a "
        "step. Its fields: flag. Another one is declared in the class: `counter = marked(1)`."
    )


def test_a_typo_in_a_store_is_found():
    def typo(s):
        s.conter = 1

    with pytest.raises(ModelError, match="a stores to 'conter'.* Its fields: counter, flag."):
        explore(scenario(a=typo))


def test_set_up_may_add_attributes_and_a_task_may_add_a_lock():
    def setup():
        s = Shared()
        s.lock, s.limit = SpinLock("lock"), 3
        return s

    def task(s):
        s.own = SpinLock("own")
        with s.lock, s.own:
            s.counter = s.limit

    assert explore(Scenario("added", setup, {"a": task})).complete


def test_a_property_with_a_setter_is_no_typo():
    class Wrapped(Struct):
        value = marked(0)

        @property
        def twice(self):
            return self.value * 2

        @twice.setter
        def twice(self, number):
            self.value = number // 2

    def task(s):
        s.twice = 8
        assert s.twice == 8

    assert not explore(Scenario("wrapped", Wrapped, {"a": task})).failures


@pytest.mark.parametrize("value", [[], {}, set(), bytearray()])
@pytest.mark.parametrize("kind", [marked, shared])
def test_a_field_does_not_hold_what_can_change_in_it(kind, value):
    with pytest.raises(ModelError, match="A field holds a value, and a .* Use a tuple"):
        kind(value)


@pytest.mark.parametrize(
    "store",
    [
        lambda s: setattr(s, "counter", [1]),
        lambda s: setattr(s, "plain", [1]),
        lambda s: smp_store_release(s, "counter", [1]),
        lambda s: xchg(s, "counter", [1]),
        lambda s: cmpxchg(s, "counter", 0, [1]),
    ],
)
def test_nothing_stores_it_there_either(store):
    class Both(Struct):
        counter = marked(0)
        plain = shared(0)

    with pytest.raises(ModelError, match="and a list can change"):
        explore(Scenario("list", Both, {"a": store}))
    with pytest.raises(ModelError, match="and a list can change"):
        store(Both())


class Evil:
    def __repr__(self):
        raise ValueError("no")


class Huge:
    def __repr__(self):
        return "x" * 100_000


class Looks:
    """Writing it down would take a step."""

    def __init__(self, s):
        self.s = s

    def __repr__(self):
        return f"Looks({self.s.counter})"


@pytest.mark.parametrize("make", [lambda s: Evil(), lambda s: Huge(), lambda s: 10**5000, Looks])
def test_how_a_value_looks_changes_nothing(make):
    """Goal: search and replay agree. Method: store and load such a value in every way."""

    def task(s):
        s.flag = make(s)
        xchg(s, "flag", s.flag)
        cmpxchg(s, "flag", 0, make(s))
        s.counter += 1

    program = scenario(a=task, b=add_one)
    assert find_bug(program) is None
    runs = explore(program).runs
    assert {len(run.schedule) for run in runs} == {8}
    trace = replay(program, runs[0].schedule).trace
    assert trace is not None
    assert max(map(len, trace.table().splitlines())) < 1500
    assert check(program, "traces").passed


def test_a_value_is_written_in_a_few_hundred_characters():
    assert [shown(v) for v in (1, True, None, "a", (1, 2))] == [
        "1",
        "True",
        "None",
        "'a'",
        "(1, 2)",
    ]
    assert shown(Evil()) == "<Evil instance>"
    assert shown(10**5000) == "something of type int"
    assert shown(object()) == "<object object>"
    assert (
        max(len(shown(v)) for v in (Huge(), "y" * 9999, 10**5000, (("z" * 99,) * 99,) * 99)) < 500
    )


def test_structs_that_point_to_each_other_are_written_once_round():
    class Node(Struct):
        next: object = marked(None)

    one, two = Node("one"), Node("two")
    one.next, two.next = two, one
    assert repr(one) == "Node(next=Node(next=...))"
