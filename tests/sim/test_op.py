"""What a new primitive must declare, and how little there is to a new lock."""

import pytest

from pfncache_lab.explore import Scenario, check
from pfncache_lab.sim import (
    Deadlock,
    ModelError,
    Op,
    SleepInAtomic,
    SpinLock,
    Struct,
    machine,
    shared,
)
from pfncache_lab.sim.lock import Lock
from pfncache_lab.sim.lock_steps import Steps
from pfncache_lab.sim.named import Named
from pfncache_lab.sim.op import OpOn

from .running import bugs


def all_kinds(cls=Op):
    for kind in cls.__subclasses__():
        yield kind
        yield from all_kinds(kind)


def test_an_operation_that_blocks_must_say_so():
    """Goal: no schedule is hidden. The machine asks `enabled` only where `waits` is declared."""
    with pytest.raises(ModelError, match="WaitsInSilence has its own enabled"):

        class WaitsInSilence(Op):
            def enabled(self):
                return False


def test_what_acquires_waits():
    assert all(kind.waits for kind in all_kinds() if kind.acquires)


def test_what_is_said_about_one_object_counts_as_a_write_unless_it_commutes():
    lock = SpinLock("l")
    assert (OpOn(lock).reads, OpOn(lock).writes) == ((), (lock.id,))
    commutes = OpOn(lock, commute=True)
    assert (commutes.reads, commutes.writes) == ((lock.id,), ())


class RwSemaphore(Lock):
    """struct rw_semaphore: many read or one writes, and who waits sleeps."""

    spins = False

    _read = Steps("down_read", "up_read", "down_read_trylock", shared=True)
    _write = Steps("down_write", "up_write", "down_write_trylock")

    def down_read(self):
        self._take(self._read)

    def up_read(self):
        self._drop(self._read)

    def down_write(self):
        self._take(self._write)

    def up_write(self):
        self._drop(self._write)


class Mm(Struct):
    mmap_lock = RwSemaphore()
    page_table_lock = SpinLock()
    pages = shared(0, guarded_by="mmap_lock")


def fault(mm):
    mm.mmap_lock.down_read()
    pages = mm.pages
    mm.mmap_lock.up_read()
    return pages


def mmap(mm):
    mm.mmap_lock.down_write()
    mm.pages += 1
    mm.mmap_lock.up_write()


def test_a_lock_of_a_new_kind_guards_fields_and_is_checked_like_the_others():
    assert str(check(Scenario("mm", Mm, {"a": fault, "b": mmap, "c": mmap}))).startswith("PASS")

    def sleeps(mm):
        with mm.page_table_lock:
            mm.mmap_lock.down_read()

    bug = check(Scenario("mm", Mm, {"a": sleeps})).failure.bug
    assert type(bug) is SleepInAtomic
    assert "take the sleeping lock mmap_lock" in str(bug)


def test_its_steps_go_by_its_own_words():
    def leaks(mm):
        mm.mmap_lock.down_write()

    report = check(Scenario("mm", Mm, {"a": leaks, "b": fault}))
    assert "down_write mmap_lock" in str(report)


class Baton(Named):
    """A primitive that blocks, and names no lock that anybody would hold."""

    owner = 0

    def state(self):
        return self.owner


class Wait(OpOn[Baton]):
    __slots__ = ("me",)
    kind = "wait for"
    waits = True

    def __init__(self, baton, me):
        super().__init__(baton)
        self.me = me

    def enabled(self):
        return False

    def blockers(self):
        return [machine.running.tasks[1 - self.me]]


def test_a_circle_through_something_that_is_no_lock_is_told_as_well():
    def waiter(me):
        return lambda s: machine.running.step(Wait(s.baton, me))

    class Race(Struct):
        baton = Baton()

    [bug] = bugs(Race, a=waiter(0), b=waiter(1))
    assert type(bug) is Deadlock
    assert "a keeps b, and wants to wait for baton" in str(bug)
