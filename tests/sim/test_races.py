"""Plain fields: an access is no step, and a race is the end."""

import pytest

from pfncache_lab.sim import (
    DataRace,
    RwLock,
    SpinLock,
    Struct,
    Unguarded,
    cpu_relax,
    marked,
    shared,
)

from .running import bugs, find, runs


class Kvm(Struct):
    lock = SpinLock()


class Cache(Struct):
    lock = RwLock()
    spin = SpinLock()
    valid = shared(False, guarded_by="lock")
    both = shared(0, guarded_by=("lock", "spin"))
    link = shared(None, guarded_by="kvm.lock")
    plain = shared(0)
    pointer = marked(None)

    def __init__(self):
        super().__init__()
        self.kvm = Kvm("kvm")


def write(cache):
    with cache.lock.write():
        cache.valid = True


def read(cache):
    with cache.lock.read():
        return cache.valid


def test_a_guarded_access_is_no_step():
    (machine, *_) = runs(Cache, a=write)
    assert len(machine.schedule) == 2
    assert set(bugs(Cache, a=write, b=read, c=read)) == {None}


def test_a_load_without_the_lock_is_found_even_alone():
    def peek(cache):
        return cache.valid

    (bug,) = bugs(Cache, a=peek)
    assert type(bug) is Unguarded
    assert "valid: it is guarded by lock, and this access does not hold lock" in str(bug)
    assert "`return cache.valid`" in str(bug)


def test_two_accesses_are_both_told():
    def peek(cache):
        return cache.valid

    preemptions, bug = find(Cache, a=write, b=lambda cache: (cache.spin.lock(), peek(cache)))
    assert preemptions == 0
    text = str(bug)
    assert "Data race on valid: nothing orders these two accesses." in text
    assert "a stored it after step 1, holding lock (line" in text
    assert "b loads it at step 4, holding spin (line" in text
    assert "Take that around both" in text


def test_a_reader_must_not_write():
    def writer(cache):
        with cache.lock.read():
            cache.valid = False

    (bug,) = bugs(Cache, a=writer)
    assert "does not hold lock for writing" in str(bug)


def test_with_two_guards_a_load_needs_one_and_a_store_both():
    def store(cache):
        with cache.lock.write(), cache.spin:
            cache.both += 1

    def load(cache):
        with cache.spin:
            return cache.both

    def half(cache):
        with cache.lock.write():
            cache.both = 1

    assert set(bugs(Cache, a=store, b=load)) == {None}
    (bug,) = bugs(Cache, a=half)
    assert type(bug) is Unguarded


def test_the_guard_may_be_in_another_struct():
    def good(cache):
        with cache.kvm.lock:
            cache.link = cache

    def bad(cache):
        cache.link = cache

    assert set(bugs(Cache, a=good, b=good)) == {None}
    assert "guarded by kvm.lock" in str(*bugs(Cache, a=bad))


def test_a_field_without_a_guard_needs_some_order():
    def under(lock):
        def task(cache):
            with lock(cache):
                cache.plain += 1

        return task

    def spin(cache):
        return cache.spin

    def write(cache):
        return cache.lock.write()

    same = list(runs(Cache, a=under(spin), b=under(spin)))
    assert {(m.bug, m.shared.plain) for m in same} == {(None, 2)}
    _, bug = find(Cache, a=under(spin), b=under(write))
    assert "Data race on plain" in str(bug)
    assert "a stored it after step 1, holding spin" in str(bug)
    assert "b loads it after step 3, holding lock" in str(bug)


def test_readers_do_not_order_each_other():
    def task(cache):
        with cache.lock.read():
            cache.plain += 1

    _, bug = find(Cache, a=task, b=task)
    assert type(bug) is DataRace


def test_a_marked_store_publishes_nothing():
    """The pointer is marked, what it points to is not, and no barrier stands in between."""

    def publish(cache):
        new = Cache()
        new.plain = 1
        cache.pointer = new

    def use(cache):
        if new := cache.pointer:
            return new.plain

    preemptions, bug = find(Cache, a=publish, b=use)
    assert (preemptions, type(bug)) == (0, DataRace)


def test_the_maker_of_a_struct_needs_no_lock_before_it_publishes():
    def publish(cache):
        new = Cache()
        new.valid = True
        with cache.kvm.lock:
            cache.link = new

    def use(cache):
        with cache.kvm.lock:
            new = cache.link
        if new:
            with new.lock.read():
                return new.valid

    assert set(bugs(Cache, a=publish, b=use)) == {None}


@pytest.mark.parametrize("changes", [True, False])
def test_a_loop_that_spins_on_a_guarded_field_waits_for_its_change(changes):
    def waiter(cache):
        while not read(cache):
            cpu_relax()

    def changer(cache):
        with cache.lock.write():
            cache.valid = changes

    ends = {type(bug).__name__ for bug in bugs(Cache, a=waiter, b=changer)}
    assert ends == ({"NoneType"} if changes else {"Livelock"})
