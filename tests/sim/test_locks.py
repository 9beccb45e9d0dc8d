"""The kernel's locks: what they exclude, and what they say when they are misused."""

import pytest

from pfncache_lab.sim import (
    BadUnlock,
    Deadlock,
    HeldLockInit,
    LockLeak,
    ModelError,
    Mutex,
    RecursiveLock,
    RwLock,
    SleepInAtomic,
    SpinLock,
    Struct,
    cond_resched,
    cpu_relax,
    hard_irq,
    local_irq_disable,
    local_irq_enable,
    marked,
    might_sleep,
    preempt_disabled,
    preempt_enable,
    shared,
)

from .running import bugs, find, runs


class Box(Struct):
    spin = SpinLock()
    other = SpinLock()
    mutex = Mutex()
    rw = RwLock()
    count = marked(0)
    inside = marked(0)
    value = shared(0, guarded_by="spin")


def add_under(name):
    def task(box):
        with getattr(box, name):
            box.count += 1

    return task


@pytest.mark.parametrize("lock", ["spin", "mutex"])
def test_a_lock_makes_an_increment_whole(lock):
    """Goal: exclusion. Each task has 4 steps; the first lock decides, so there are few orders."""
    ends = [m.shared.count for m in runs(Box, a=add_under(lock), b=add_under(lock))]
    assert set(ends) == {2}
    # aaaabbbb and bbbbaaaa, for the other can do nothing before the unlock.
    assert len(ends) == 2


def test_readers_share_and_writers_do_not():
    def reader(box):
        with box.rw.read():
            box.inside += 1
            box.inside -= 1

    def writer(box):
        with box.rw.write():
            assert box.inside == 0, "a reader is inside"

    def two_readers_inside(machine):
        return "aabb" in "".join(task.name for task in machine.schedule)

    assert any(two_readers_inside(machine) for machine in runs(Box, a=reader, b=reader))
    assert set(bugs(Box, a=reader, w=writer)) == {None}


def test_trylock_fails_instead_of_waiting():
    def holder(box):
        with box.spin:
            box.inside = 1
            box.inside = 0

    def trier(box):
        if box.spin.trylock():
            assert box.inside == 0
            box.spin.unlock()
            box.count = 1
        else:
            box.count = 2

    machines = list(runs(Box, a=holder, b=trier))
    assert {m.bug for m in machines} == {None}
    assert {m.shared.count for m in machines} == {1, 2}


def test_a_task_that_spins_on_trylock_waits_for_the_unlock():
    def trier(box):
        while not box.rw.write_trylock():
            cpu_relax()
        box.count += 1
        box.rw.write_unlock()

    ends = [(m.bug, m.shared.count) for m in runs(Box, a=trier, b=trier)]
    assert set(ends) == {(None, 2)}


def test_a_lock_says_in_a_sentence_who_holds_it_and_who_waits():
    seen = []

    def first(box):
        with box.spin:
            box.count = 1
            seen.append(repr(box.spin))

    def second(box):
        with box.spin:
            pass

    list(runs(Box, a=first, b=second))
    assert repr(Box().spin) == "<SpinLock spin, free>"
    assert seen[0].startswith("<SpinLock spin, which a holds since step 1 (line ")
    assert seen[0].endswith(" of first(): `with box.spin:`); waiting: b>")


def test_the_lock_of_a_named_struct_is_named_after_it():
    assert repr(Box("gpc").spin) == "<SpinLock gpc.spin, free>"


# -- misuse ----------------------------------------------------------------------------------------


def says(bug, kind, *words):
    assert type(bug) is kind
    for word in words:
        assert word in str(bug)


def test_recursion():
    def outer(box):
        with box.spin:
            inner(box)

    def inner(box):
        box.spin.lock()

    (bug,) = bugs(Box, a=outer)
    says(bug, RecursiveLock, "a takes spin (line", "of inner()", "since step 1", "of outer()")


def test_two_unlocks():
    def twice(box):
        box.spin.lock()
        box.spin.unlock()
        box.spin.unlock()

    (bug,) = bugs(Box, a=twice)
    says(bug, BadUnlock, "a wants to unlock spin", "nobody holds it", "released by a at step 2")


def test_unlock_by_another_task():
    def taker(box):
        box.mutex.lock()

    def releaser(box):
        while not box.count:
            cpu_relax()
        box.mutex.unlock()

    def both(box):
        box.mutex.lock()
        box.count = 1
        while box.count:
            cpu_relax()

    _, bug = find(Box, a=both, b=releaser)
    says(bug, BadUnlock, "b wants to unlock mutex", "does not hold: a holds since step 1")


def test_unlock_of_the_other_kind():
    def mixed(box):
        box.rw.read_lock()
        box.rw.write_unlock()

    (bug,) = bugs(Box, a=mixed)
    says(bug, BadUnlock, "holds it for reading", "Use the other unlock")


def test_a_lock_that_is_initialised_while_it_is_held():
    def holder(box):
        with box.rw.write():
            box.count = 1

    def initialiser(box):
        box.rw.init()

    preemptions, bug = find(Box, a=holder, b=initialiser)
    says(bug, HeldLockInit, "b initialises rw", "a holds since step 1")
    assert preemptions == 1


def test_a_task_that_ends_with_a_lock():
    def early(box):
        box.spin.lock()
        return -1

    (bug,) = bugs(Box, a=early)
    says(bug, LockLeak, "a ended, and still holds spin since step 1", "early()")


def test_a_lock_that_outlives_its_run():
    outliving = SpinLock("global")

    def task(box):
        with outliving:
            pass

    with pytest.raises(ModelError, match="made before this run's set-up"):
        list(runs(Box, a=task))


# -- sleeping --------------------------------------------------------------------------------------


def test_a_mutex_under_a_spinlock():
    def task(box):
        with box.spin, box.mutex:
            pass

    (bug,) = bugs(Box, a=task)
    says(bug, SleepInAtomic, "take the sleeping lock mutex", "while it holds spin since step 1")


def test_cond_resched_under_a_read_lock():
    def task(box):
        box.rw.read_lock()
        cond_resched()

    (bug,) = bugs(Box, a=task)
    says(bug, SleepInAtomic, "call cond_resched()", "while it holds rw since step 1")


def test_a_hard_interrupt_must_not_sleep():
    @hard_irq
    def handler(box):
        with box.mutex:
            pass

    (bug,) = bugs(Box, a=handler)
    says(bug, SleepInAtomic, "in a hard interrupt", "leave the work to a task")


def test_what_else_must_not_sleep():
    def no_preemption(box):
        with preempt_disabled():
            might_sleep("fault a page in")

    def no_interrupts(box):
        local_irq_disable()
        might_sleep("fault a page in")

    def fine(box):
        local_irq_disable()
        local_irq_enable()
        with preempt_disabled():
            pass
        with box.rw.write_irq():
            pass
        with box.mutex:
            might_sleep()

    says(*bugs(Box, a=no_preemption), SleepInAtomic, "fault a page in", "preemption disabled")
    says(*bugs(Box, a=no_interrupts), SleepInAtomic, "with interrupts disabled")
    assert bugs(Box, a=fine) == [None]


@pytest.mark.parametrize("enable", [local_irq_enable, preempt_enable])
def test_what_is_not_disabled_cannot_be_enabled(enable):
    """Goal: one too many is told where it is, and not as something left disabled at the end."""
    [bug] = bugs(Box, a=lambda box: enable())
    assert type(bug) is BadUnlock
    assert "and has not disabled" in str(bug)


def test_interrupts_that_are_enabled_under_an_irq_lock_are_missed_by_its_unlock():
    def task(box):
        box.spin.lock_irq()
        local_irq_enable()
        box.spin.unlock_irq()

    [bug] = bugs(Box, a=task)
    assert "a enables interrupts (line" in str(bug)


def test_interrupts_are_enabled_by_the_unlock_that_belongs_to_the_lock():
    def too_few(box):
        box.rw.write_lock_irq()
        box.rw.write_unlock()

    def too_many(box):
        box.spin.lock()
        box.spin.unlock_irq()

    def never(box):
        local_irq_disable()

    says(*bugs(Box, a=too_few), BadUnlock, "leaves interrupts disabled")
    says(*bugs(Box, a=too_many), BadUnlock, "without disabling interrupts")
    says(*bugs(Box, a=never), LockLeak, "a ended with interrupts disabled")


# -- deadlock --------------------------------------------------------------------------------------


def test_a_circle_of_two_is_told_with_who_holds_what_since_when():
    def forth(box):
        with box.spin, box.other:
            pass

    def back(box):
        with box.other, box.spin:
            pass

    preemptions, bug = find(Box, a=forth, b=back)
    assert preemptions == 1
    says(bug, Deadlock, "a and b wait for each other, for ever.", "in the same order")
    assert "a holds spin since step 1 (line" in str(bug)
    assert "and wants to lock other.\n  b holds other since step 2" in str(bug)


def test_a_circle_of_three_through_a_reader():
    def a(box):
        with box.spin, box.other:
            pass

    def b(box):
        with box.other, box.rw.write():
            pass

    def c(box):
        with box.rw.read(), box.spin:
            pass

    _, bug = find(Box, a=a, b=b, c=c)
    says(bug, Deadlock, "wait for one another in a circle", "c holds rw since")


def test_outside_a_run_a_lock_lets_everybody_in():
    box = Box()
    with box.spin, box.mutex, box.rw.write():
        box.value = 1
    assert box.spin.trylock()
