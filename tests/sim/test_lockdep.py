"""The order of locks over all runs, also where nothing hangs."""

from pfncache_lab.sim import LockDep, LockOrder, Mutex, RwLock, SpinLock, Struct, hard_irq

from .running import bugs, find


class Locks(Struct):
    first = SpinLock()
    second = SpinLock()
    third = Mutex()
    rw = RwLock()


class Two(Struct):
    """Two objects of one kind."""

    def __init__(self):
        super().__init__()
        self.left, self.right = Locks("left"), Locks("right")


def nest(*names):
    """Take these locks one inside the other."""

    def task(locks):
        taken = [getattr(locks, name) for name in names]
        for lock in taken:
            lock.lock()
        for lock in reversed(taken):
            lock.unlock()

    return task


def test_a_wrong_order_is_found_without_a_deadlock():
    """Goal: the first schedule is enough. In it a has finished before b begins."""
    preemptions, bug = find(Locks, LockDep(), a=nest("first", "second"), b=nest("second", "first"))
    assert (preemptions, type(bug)) == (0, LockOrder)
    text = str(bug)
    assert text.startswith("first and second are taken in different orders")
    assert "a holds first (line" in text and "and wants second (line" in text
    assert "b holds second (line" in text and "and wants first (line" in text


def test_a_circle_of_three():
    a, b, c = nest("third", "first"), nest("first", "second"), nest("third", "second")
    assert set(bugs(Locks, lockdep=LockDep(), a=a, b=b, c=c)) == {None}

    def through_rw(locks):
        with locks.second, locks.rw.write():
            pass

    def back(locks):
        with locks.rw.read(), locks.first:
            pass

    _, bug = find(Locks, LockDep(), a=b, b=through_rw, c=back)
    assert str(bug).startswith("first, second and rw are taken in different orders")


def test_what_is_known_outlives_a_run_and_can_be_copied():
    lockdep = LockDep()
    assert bugs(Locks, lockdep=lockdep, a=nest("first", "second")) == [None]
    before = lockdep.copy()
    for known in (lockdep, before):
        (bug,) = bugs(Locks, lockdep=known, a=nest("second", "first"))
        assert type(bug) is LockOrder
    assert bugs(Locks, lockdep=LockDep(), a=nest("second", "first")) == [None]


def test_a_trylock_waits_for_nobody():
    def b(locks):
        with locks.second:
            if locks.first.trylock():
                locks.first.unlock()

    assert set(bugs(Locks, lockdep=LockDep(), a=nest("first", "second"), b=b)) == {None}


def test_two_locks_of_one_class_need_a_subclass():
    def nested(subclass):
        def task(two):
            with two.left.first:
                two.right.first.lock(subclass)
                two.right.first.unlock()

        return task

    (bug,) = bugs(Two, lockdep=LockDep(), a=nested(0))
    assert type(bug) is LockOrder
    assert "class Locks.first" in str(bug) and "subclass=1" in str(bug)
    assert bugs(Two, lockdep=LockDep(), a=nested(1)) == [None]


def read_then(locks):
    with locks.rw.read(), locks.first:
        pass


def then_read(locks):
    with locks.first, locks.rw.read():
        pass


def test_two_readers_can_deadlock_where_readers_queue():
    """A writer between them makes the second reader wait, outside interrupts."""
    _, bug = find(Locks, LockDep(), a=read_then, b=then_read)
    assert type(bug) is LockOrder


def test_a_reader_in_an_interrupt_does_not_queue():
    def quiet(locks):
        with locks.rw.read_irq(), locks.first:
            pass

    assert set(bugs(Locks, lockdep=LockDep(), a=quiet, b=hard_irq(then_read))) == {None}


def test_an_interrupt_that_takes_a_lock_held_with_interrupts_enabled():
    @hard_irq
    def handler(locks):
        with locks.rw.read():
            pass

    def writer(locks):
        with locks.rw.write():
            pass

    def careful(locks):
        with locks.rw.write_irq():
            pass

    def reader(locks):
        with locks.rw.read():
            pass

    _, bug = find(Locks, LockDep(), a=writer, b=handler)
    assert type(bug) is LockOrder
    assert "rw is taken in a hard interrupt" in str(bug)
    assert "in the interrupt: b, line" in str(bug)
    assert set(bugs(Locks, lockdep=LockDep(), a=careful, b=handler, c=reader)) == {None}
