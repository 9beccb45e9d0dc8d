"""Completions, RcuWait and SRCU: who waits for whom, and what is lost."""

from pfncache_lab.sim import (
    TASK_UNINTERRUPTIBLE,
    BadUnlock,
    Completion,
    Deadlock,
    LockDep,
    LockLeak,
    LockOrder,
    Mutex,
    RcuWait,
    RecursiveLock,
    SleepInAtomic,
    SpinLock,
    Srcu,
    Struct,
    complete,
    complete_all,
    finish_rcuwait,
    hard_irq,
    marked,
    prepare_to_rcuwait,
    rcuwait_wait_event,
    rcuwait_wake_up,
    reinit_completion,
    schedule,
    set_current_state,
    shared,
    srcu_read,
    srcu_read_lock,
    srcu_read_unlock,
    synchronize_srcu,
    wait_for_completion,
)

from .running import bugs, find, runs


class World(Struct):
    done = Completion()
    wait = RcuWait()
    srcu = Srcu()
    mutex = Mutex()
    spin = SpinLock()
    flag = marked(False)
    pointer = marked("old")
    freed = marked(False)
    data = shared(0)


# -- completions -----------------------------------------------------------------------------------


def test_a_completion_that_comes_first_is_not_lost_and_orders_plain_accesses():
    def worker(world):
        world.data = 7
        complete(world.done)

    def waiter(world):
        wait_for_completion(world.done)
        assert world.data == 7

    assert set(bugs(World, a=waiter, b=hard_irq(worker))) == {None}
    assert {bug.__class__ for bug in bugs(World, a=waiter, b=worker, c=waiter)} == {Deadlock}


def test_complete_all_lets_everybody_through_until_it_is_undone():
    def waiter(world):
        wait_for_completion(world.done)

    def undo(world):
        complete_all(world.done)
        reinit_completion(world.done)
        wait_for_completion(world.done)

    def all_through(world):
        complete_all(world.done)

    assert set(bugs(World, a=waiter, b=all_through, c=waiter)) == {None}
    (bug,) = bugs(World, a=undo)
    assert "a: it sleeps until somebody completes done" in str(bug)


def test_who_waits_for_a_completion_may_sleep():
    def waiter(world):
        with world.spin:
            wait_for_completion(world.done)

    (bug,) = bugs(World, a=waiter)
    assert type(bug) is SleepInAtomic and "wait for done" in str(bug)


# -- rcuwait ---------------------------------------------------------------------------------------


def set_and_wake(world):
    world.flag = True
    rcuwait_wake_up(world.wait)


def test_a_sleeper_that_announces_itself_first_is_always_woken():
    def sleeper(world):
        rcuwait_wait_event(world.wait, lambda: world.flag)

    assert set(bugs(World, a=sleeper, b=set_and_wake)) == {None}


def test_the_kernels_loop_with_a_lock_around_the_look():
    def sleeper(world):
        world.spin.lock()
        prepare_to_rcuwait(world.wait)
        while not world.flag:
            set_current_state(TASK_UNINTERRUPTIBLE)
            world.spin.unlock()
            schedule()
            world.spin.lock()
        finish_rcuwait(world.wait)
        world.spin.unlock()

    def waker(world):
        with world.spin:
            world.flag = True
        rcuwait_wake_up(world.wait)

    assert set(bugs(World, a=sleeper, b=waker)) == {None}


def test_a_look_before_the_announcement_loses_the_wake_up():
    def sleeper(world):
        prepare_to_rcuwait(world.wait)
        if not world.flag:
            set_current_state(TASK_UNINTERRUPTIBLE)
            schedule()
        finish_rcuwait(world.wait)

    preemptions, bug = find(World, a=sleeper, b=set_and_wake)
    assert (preemptions, type(bug)) == (1, Deadlock)
    assert "a: it sleeps until somebody wakes it. b woke it at step" in str(bug)
    assert "when it was still awake" in str(bug)


# -- srcu ------------------------------------------------------------------------------------------


def replace(wait):
    def updater(world):
        world.pointer = "new"
        if wait:
            synchronize_srcu(world.srcu)
        world.freed = True

    return updater


def reader(world):
    with srcu_read(world.srcu):
        if world.pointer == "old":
            assert not world.freed, "use after free"


def test_synchronize_waits_for_the_readers_that_were_there():
    assert set(bugs(World, a=reader, b=replace(wait=True), c=reader)) == {None}
    _, bug = find(World, a=reader, b=replace(wait=False))
    assert "use after free" in str(bug)


def test_readers_that_come_later_are_not_waited_for():
    """Goal: some schedule ends the wait while a reader is inside."""

    def late(machine):
        steps = "".join(task.name for task in machine.schedule)
        return steps == "bbbbaaaaa" or "abbb" in steps[1:]

    assert any(late(machine) for machine in runs(World, a=reader, b=replace(wait=True)))


def test_readers_may_sleep_and_nest():
    def nested(world):
        outer = srcu_read_lock(world.srcu)
        inner = srcu_read_lock(world.srcu)
        with world.mutex:
            pass
        srcu_read_unlock(world.srcu, inner)
        srcu_read_unlock(world.srcu, outer)

    assert set(bugs(World, a=nested, b=replace(wait=True))) == {None}


def test_a_reader_that_comes_back_is_not_waited_for():
    """Goal: the numbers of sections come again, and the waiter is not confused by that."""

    def twice(world):
        reader(world)
        reader(world)

    machines = list(runs(World, a=twice, b=replace(wait=True)))
    assert {machine.bug for machine in machines} == {None}
    states = {machine.shared.srcu.state() for machine in machines}
    assert states == {((), ())}


def test_srcu_orders_plain_accesses():
    def use(world):
        with srcu_read(world.srcu):
            if world.pointer == "old":
                return world.data

    def update(world):
        world.pointer = "new"
        synchronize_srcu(world.srcu)
        world.data = 1

    assert set(bugs(World, a=use, b=update)) == {None}


def test_misuse_of_srcu():
    def twice(world):
        section = srcu_read_lock(world.srcu)
        srcu_read_unlock(world.srcu, section)
        srcu_read_unlock(world.srcu, section)

    def never(world):
        srcu_read_lock(world.srcu)

    def itself(world):
        with srcu_read(world.srcu):
            synchronize_srcu(world.srcu)

    for task, kind, word in [
        (twice, BadUnlock, "is in no such section"),
        (never, LockLeak, "still holds srcu since step 1"),
        (itself, RecursiveLock, "is one of them since step 1"),
    ]:
        (bug,) = bugs(World, a=task)
        assert type(bug) is kind and word in str(bug)


def lock_inside(world):
    with srcu_read(world.srcu), world.mutex:
        pass


def wait_inside(world):
    with world.mutex:
        synchronize_srcu(world.srcu)


def test_read_sections_that_are_begun_and_never_ended():
    def task(world):
        while True:
            srcu_read_lock(world.srcu)

    [bug] = bugs(World, a=task)
    assert type(bug) is LockLeak
    assert "a is in 100 read sections of srcu" in str(bug)


def test_a_circle_through_srcu():
    _, bug = find(World, a=lock_inside, b=wait_inside)
    assert type(bug) is Deadlock and "wait for each other" in str(bug)
    assert "and wants to wait for the readers of srcu" in str(bug)
    preemptions, bug = find(World, LockDep(), a=lock_inside, b=wait_inside)
    assert (preemptions, type(bug)) == (0, LockOrder)
