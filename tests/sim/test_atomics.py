"""Operations that load and store in one step, and what barriers order."""

import pytest

from pfncache_lab.sim import (
    READ_ONCE,
    WRITE_ONCE,
    DataRace,
    SpinLock,
    Struct,
    atomic_dec_and_test,
    atomic_inc,
    atomic_inc_return,
    atomic_read,
    atomic_set,
    clear_bit,
    cmpxchg,
    cpu_relax,
    fetch_add,
    marked,
    rcu_assign_pointer,
    rcu_dereference,
    set_bit,
    shared,
    smp_load_acquire,
    smp_mb,
    smp_rmb,
    smp_store_release,
    smp_wmb,
    xchg,
)
from pfncache_lab.sim.atomics import test_and_clear_bit as and_clear_bit
from pfncache_lab.sim.atomics import test_and_set_bit as and_set_bit
from pfncache_lab.sim.atomics import test_bit as bit

from .running import bugs, find, runs


class Box(Struct):
    lock = SpinLock()
    count = marked(0)
    ready = marked(0)
    pointer = marked(None)
    data = shared(0)
    guarded = shared(0, guarded_by="lock")


def test_a_change_is_one_step():
    def task(box):
        atomic_inc(box, "count")
        assert fetch_add(box, "count", 10) >= 1

    ends = [(m.bug, m.shared.count, len(m.schedule)) for m in runs(Box, a=task, b=task)]
    assert ends == [(None, 22, 4)] * 6


def test_what_each_returns():
    box = Box()
    assert (cmpxchg(box, "count", 0, 5), cmpxchg(box, "count", 0, 6), box.count) == (0, 5, 5)
    assert (xchg(box, "count", 7), atomic_inc_return(box, "count")) == (5, 8)
    atomic_set(box, "count", 1)
    assert (atomic_read(box, "count"), atomic_dec_and_test(box, "count")) == (1, True)
    set_bit(3, box, "count")
    assert (bit(3, box, "count"), and_set_bit(3, box, "count")) == (True, True)
    clear_bit(3, box, "count")
    assert (and_set_bit(1, box, "count"), and_clear_bit(1, box, "count"), box.count) == (
        False,
        True,
        0,
    )


def test_a_flag_taken_by_cmpxchg_excludes():
    def task(box):
        while cmpxchg(box, "ready", 0, 1) != 0:
            cpu_relax()
        box.data += 1
        smp_store_release(box, "ready", 0)

    ends = [(m.bug, m.shared.data) for m in runs(Box, a=task, b=task)]
    assert set(ends) == {(None, 2)}


def test_a_failed_cmpxchg_only_reads():
    def task(box):
        cmpxchg(box, "count", 3, 4)

    (machine,) = runs(Box, a=task)
    assert machine.bug is None and machine.shared.count == 0


def nothing():
    pass


@pytest.mark.parametrize("after_data, before_data, kind", [
    (smp_wmb, smp_rmb, type(None)),
    (smp_mb, smp_mb, type(None)),
    (nothing, smp_rmb, DataRace),
    (smp_wmb, nothing, DataRace),
    (smp_rmb, smp_rmb, DataRace),
])  # fmt: skip
def test_plain_data_needs_a_barrier_on_each_side(after_data, before_data, kind):
    def write(box):
        box.data = 1
        after_data()
        box.ready = 1

    def read(box):
        if box.ready:
            before_data()
            assert box.data == 1

    assert {type(bug) for bug in bugs(Box, a=write, b=read)} == {type(None), kind}


def test_release_and_acquire_order_and_half_of_them_does_not():
    def publish(box):
        new = Box()
        new.data = 1
        rcu_assign_pointer(box, "pointer", new)

    def store_ready(box):
        box.data = 1
        smp_store_release(box, "ready", 1)

    def use(box):
        if new := rcu_dereference(box, "pointer"):
            assert new.data == 1

    def acquire(box):
        if smp_load_acquire(box, "ready"):
            return box.data

    def relaxed(box):
        if box.ready:
            return box.data

    assert set(bugs(Box, a=publish, b=use)) == {None}
    assert set(bugs(Box, a=store_ready, b=acquire)) == {None}
    assert type(find(Box, a=store_ready, b=relaxed)[1]) is DataRace


def test_a_change_passes_on_what_the_release_before_it_said():
    def store(box):
        box.data = 1
        smp_store_release(box, "ready", 1)

    def change(box):
        atomic_inc(box, "ready")

    def load(box):
        if smp_load_acquire(box, "ready") == 2:
            return box.data

    assert set(bugs(Box, a=store, b=change, c=load)) == {None}


def test_a_marked_load_of_a_guarded_field_needs_marked_stores():
    def peek(box):
        return READ_ONCE(box, "guarded")

    def plain(box):
        with box.lock:
            box.guarded = 1

    def careful(box):
        with box.lock:
            WRITE_ONCE(box, "guarded", box.guarded + 1)

    assert set(bugs(Box, a=careful, b=peek)) == {None}
    _, bug = find(Box, a=plain, b=peek)
    assert type(bug) is DataRace
    assert "b loads (marked) it at step" in str(bug)
    assert "must be marked as well" in str(bug)
