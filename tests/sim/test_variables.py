"""Which variables still matter: a dead one tells nothing, and must not be taken for a live one."""

import dis

import pytest

from pfncache_lab.sim.variables import variables_of


def here():
    """Mark a place in the functions below."""


def place(function):
    """Find where `function` calls here()."""
    instructions = list(dis.get_instructions(function))
    marked = next(i for i, x in enumerate(instructions) if x.argval == "here")
    return next(x.offset for x in instructions[marked:] if x.opname in ("CALL", "SEND"))


def live(function):
    return variables_of(function.__code__).live(place(function))


def loop(function):
    return variables_of(function.__code__).loop(place(function))


def read_later(a, b):
    c = a
    here()
    return c + b


def stored_before_it_is_read(a, b):
    here()
    a = b
    return a


def read_on_one_of_two_ways(a, b):
    here()
    if b:
        a = 1
    return a


def read_in_the_next_round(a, b):
    while b:
        print(a)
        here()


def read_by_a_handler(a, b):
    try:
        here()
        a = 1
    except KeyError:
        print(a)


def read_by_a_function_of_its_own(a, b):
    def inner():
        return a

    here()
    a = 1
    return inner


def read_by_its_name(a, b):
    here()
    return locals()


def unbound_later(a, b):
    here()
    del a


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (read_later, {"b", "c"}),
        (stored_before_it_is_read, {"b"}),
        (read_on_one_of_two_ways, {"a", "b"}),
        (read_in_the_next_round, {"a", "b"}),
        (read_by_a_handler, {"a"}),
        (read_by_a_function_of_its_own, {"a", "inner"}),
        (read_by_its_name, {"a", "b"}),
        (unbound_later, {"a"}),
    ],
)
def test_a_variable_is_live_where_somebody_may_still_read_it(function, names):
    assert live(function) == names


def no_loop(a):
    here()


def behind_the_loop(a):
    while a:
        a = 0
    here()


def loaded_anew_each_time(load):
    while True:
        seen = load()
        if load() == seen:
            return
        here()


def compared_with_the_last(load):
    before = None
    while True:
        seen = load()
        if seen == before:
            return
        before = seen
        here()


def within_another(a, b):
    while a:
        a = b - 1
        b = a
        while b:
            here()


def counted(a):
    for _ in range(3):
        here()


def counted_in_a_branch_that_goes_round(a, n):
    while n:
        if a:
            n -= 1
            continue
        here()


def counted_behind_a_branch_that_goes_round(a, n):
    while n:
        here()
        if a:
            continue
        n -= 1


def counted_in_a_handler(a, n):
    while n:
        here()
        try:
            a()
        except KeyError:
            n -= 1


def waits_for_a_generator(a, n):
    while n:
        n -= 1
        yield from [here]


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (no_loop, None),
        (behind_the_loop, None),
        (loaded_anew_each_time, ()),
        (compared_with_the_last, ("before",)),
        (within_another, ()),
        (counted, ("_",)),
        (counted_in_a_branch_that_goes_round, ("n",)),
        (counted_behind_a_branch_that_goes_round, ("n",)),
        (counted_in_a_handler, ("n",)),
        (waits_for_a_generator, ("n",)),
    ],
)
def test_a_loop_carries_on_what_its_next_round_begins_with(function, names):
    found = loop(function)
    assert (found and found.carries) == names
    assert (found is not None and found.counts) is (function is counted)
