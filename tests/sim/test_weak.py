"""A memory in which a load may return an older store: the classic litmus tests, each exactly."""

import pytest

from pfncache_lab.explore import Condition, DepthFirst, Scenario, check, replay
from pfncache_lab.explore.dpor import SourceDpor
from pfncache_lab.explore.visited import VisitedStates
from pfncache_lab.sim import (
    Crash,
    DataRace,
    Machine,
    ModelError,
    RcuWait,
    SpinLock,
    Struct,
    cmpxchg,
    cpu_relax,
    fetch_add,
    marked,
    new_world,
    rcuwait_wait_event,
    rcuwait_wake_up,
    shared,
    smp_load_acquire,
    smp_mb,
    smp_rmb,
    smp_store_release,
    smp_wmb,
)


class Litmus(Struct):
    x = marked(0)
    y = marked(0)
    r0 = marked(-1)
    r1 = marked(-1)
    lock = SpinLock()
    data = shared(0)


def ends(setup, bound=None, weak=True, **tasks):
    """Yield how each schedule ends."""
    oracle = DepthFirst(bound)
    while True:
        new_world()
        memory = setup()
        machine = Machine(oracle)
        for name, body in tasks.items():
            machine.spawn(name, lambda body=body, memory=memory: body(memory))  # type: ignore[misc]
        if weak:
            machine.weaken()
        machine.run()
        assert machine.bug or not any(task.pending for task in machine.tasks)
        yield machine.bug, memory.snapshot()
        if not oracle.backtrack():
            return


def outcomes(weak=True, **tasks):
    """Collect what the two registers hold at the end."""
    return {(end["r0"], end["r1"]) for _, end in ends(Litmus, weak=weak, **tasks)}


def nothing():
    pass


# -- store buffering -------------------------------------------------------------------------------


def store_buffering(barrier):
    def a(memory):
        memory.x = 1
        barrier()
        memory.r0 = memory.y

    def b(memory):
        memory.y = 1
        barrier()
        memory.r1 = memory.x

    return {"a": a, "b": b}


def test_store_buffering():
    ordered = {(0, 1), (1, 0), (1, 1)}
    assert outcomes(weak=False, **store_buffering(nothing)) == ordered
    assert outcomes(**store_buffering(nothing)) == ordered | {(0, 0)}
    assert outcomes(**store_buffering(smp_wmb)) == ordered | {(0, 0)}
    assert outcomes(**store_buffering(smp_mb)) == ordered


# -- message passing -------------------------------------------------------------------------------


def message_passing(after_data, before_data):
    def a(memory):
        memory.x = 1
        after_data()
        memory.y = 1

    def b(memory):
        memory.r0 = memory.y
        before_data()
        memory.r1 = memory.x

    return {"a": a, "b": b}


@pytest.mark.parametrize("after_data", [nothing, smp_wmb, smp_mb])
@pytest.mark.parametrize("before_data", [nothing, smp_rmb, smp_mb])
def test_message_passing_needs_a_barrier_on_each_side(after_data, before_data):
    seen = outcomes(**message_passing(after_data, before_data))
    both = after_data is not nothing and before_data is not nothing
    assert seen == {(0, 0), (0, 1), (1, 1)} | (set() if both else {(1, 0)})


def test_message_passing_by_release_and_acquire():
    def a(memory):
        memory.x = 1
        smp_store_release(memory, "y", 1)

    def b(memory):
        memory.r0 = smp_load_acquire(memory, "y")
        memory.r1 = memory.x

    assert outcomes(a=a, b=b) == {(0, 0), (0, 1), (1, 1)}


# -- coherence -------------------------------------------------------------------------------------


def test_one_field_is_never_seen_to_go_back():
    def a(memory):
        memory.x = 1
        memory.x = 2

    def b(memory):
        memory.r0 = memory.x
        memory.r1 = memory.x

    assert outcomes(a=a, b=b) == {(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)}


def test_a_task_sees_its_own_stores():
    def a(memory):
        memory.x = 1
        memory.r0 = memory.x

    assert outcomes(a=a) == {(1, -1)}


def test_a_change_uses_the_latest_store():
    def a(memory):
        fetch_add(memory, "x", 1)
        while cmpxchg(memory, "y", 0, 1) != 0:
            cpu_relax()
        memory.y = 0

    finals = {(bug, end["x"]) for bug, end in ends(Litmus, bound=2, a=a, b=a)}
    assert finals == {(None, 2)}


def test_a_lock_passes_views_on():
    def a(memory):
        with memory.lock:
            memory.x = 1
            memory.y = 1

    def b(memory):
        with memory.lock:
            memory.r0 = memory.y
            memory.r1 = memory.x

    assert outcomes(a=a, b=b) == {(0, 0), (1, 1)}


def test_a_loop_ends_in_a_weak_memory_too():
    def a(memory):
        memory.x = 1

    def b(memory):
        while not memory.x:
            cpu_relax()
        memory.r0 = 1

    assert {(bug, end["r0"]) for bug, end in ends(Litmus, a=a, b=b)} == {(None, 1)}


class Mailbox(Litmus):
    wait = RcuWait()


def test_a_wake_up_is_not_lost_in_a_weak_memory_either():
    """Goal: the store and the look of rcuwait_wake_up() stay in order, as do those of the sleeper.

    It is store buffering: without a barrier on either side, each could look too early.
    """

    def receive(m):
        rcuwait_wait_event(m.wait, lambda: m.x)

    def send(m):
        m.x = 1
        rcuwait_wake_up(m.wait)

    report = check(
        Scenario("mailbox", Mailbox, {"a": receive, "b": send}, memory_model="lkmm-lite")
    )
    assert report.verdict.name == "PASS"


def test_fences_alone_do_not_order_plain_accesses():
    def task(memory):
        smp_mb()
        memory.data += 1

    assert {type(bug) for bug, _ in ends(Litmus, a=task, b=task)} == {DataRace}


# -- sequence and count, as the MMU notifiers use them ---------------------------------------------


class Notifier(Struct):
    count = marked(0)  # odd while an invalidation is in progress
    seq = marked(0)
    pte = marked("old")


def invalidate(wmb):
    def task(kvm):
        kvm.count = 1
        smp_mb()
        kvm.pte = "new"
        smp_store_release(kvm, "seq", 1)
        wmb()
        kvm.count = 2

    return task


def refresh(rmb_after_seq, rmb_before_seq):
    def task(kvm):
        seq = kvm.seq
        rmb_after_seq()
        pfn = kvm.pte
        count = kvm.count
        rmb_before_seq()
        if count == 1 or kvm.seq != seq:
            return  # try again
        # It has seen the end of the invalidation, so nobody will tell it any more.
        if pfn == "old" and (count == 2 or seq == 1):
            raise AssertionError("a stale pfn is kept")

    return task


def notifier(*barriers):
    wmb, *rmbs = barriers
    tasks = {"mm": invalidate(wmb), "vcpu": refresh(*rmbs)}
    return Scenario("seq and count", Notifier, tasks, memory_model="lkmm-lite")


def test_with_all_barriers_no_stale_pfn_is_kept():
    report = check(notifier(smp_wmb, smp_rmb, smp_rmb))
    assert report.failure is None
    assert str(report.verdict) in ("PASS", "PASS_BOUNDED(2)")


@pytest.mark.parametrize("barriers", [
    (nothing, smp_rmb, smp_rmb),
    (smp_wmb, nothing, smp_rmb),
    (smp_wmb, smp_rmb, nothing),
])  # fmt: skip
def test_without_any_one_of_them_it_is(barriers):
    report = check(notifier(*barriers))
    assert report.failure is not None
    assert "a stale pfn is kept" in str(report)
    assert "let vcpu load an older store" in str(report)
    assert report.token is not None
    again = replay(notifier(*barriers), report.token)
    assert type(again.bug) is Crash


def test_in_an_ordinary_memory_they_are_not_missed():
    tasks = {"mm": invalidate(nothing), "vcpu": refresh(nothing, nothing)}
    assert check(Scenario("seq and count", Notifier, tasks)).passed


def test_a_search_that_would_leave_schedules_out_refuses():
    for search in (SourceDpor, VisitedStates):
        with pytest.raises(ModelError, match="its memory is lkmm-lite"):
            search(notifier(smp_wmb, smp_rmb, smp_rmb))


def test_store_buffering_by_one_call():
    def scenario(barrier):
        tasks = store_buffering(barrier)
        final = [Condition("one sees the other", lambda end: end.r0 or end.r1)]
        return Scenario("SB", Litmus, tasks, final, memory_model="lkmm-lite")

    assert check(scenario(nothing)).failure is not None
    assert check(scenario(smp_mb)).passed
