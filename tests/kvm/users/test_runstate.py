"""The record that may lie across two pages: written whole, or not at all."""

from errno import EFAULT

import pytest

from pfncache_lab.explore import Condition, Scenario, check
from pfncache_lab.kvm.kvm_host import KVM_MEM_LOG_DIRTY_PAGES
from pfncache_lab.kvm.kvm_types import INVALID_GPA
from pfncache_lab.kvm.pfncache import kvm_gpc_activate, kvm_gpc_deactivate
from pfncache_lab.kvm.users.arch import (
    RUNSTATE_RUNNABLE,
    RUNSTATE_RUNNING,
    RUNSTATE_SIZE,
    XEN_RUNSTATE_UPDATE,
    Rq,
    Runstate,
    TaskStruct,
)
from pfncache_lab.kvm.users.guest import (
    RUNSTATE,
    RUNSTATE_IN_ONE_PAGE,
    hva_of,
    lose,
    xen_guest,
)
from pfncache_lab.kvm.users.sched import schedule_out
from pfncache_lab.kvm.users.xen_attr import (
    KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR,
    kvm_xen_vcpu_set_attr,
)
from pfncache_lab.kvm.users.xen_runstate import (
    kvm_xen_runstate_set_preempted,
    kvm_xen_runstate_set_running,
    runstate_bytes,
    runstate_length1,
)
from pfncache_lab.kvm.vcpu import vcpu_load, vcpu_put
from pfncache_lab.mm import copy_from_user, migrate_page
from pfncache_lab.sim import srcu_read
from tests.kvm.running import Alone, returned

LATE = RUNSTATE + 16
"""Where the byte with the flag is in the second page."""

EVERYWHERE = pytest.mark.parametrize("gpa", [RUNSTATE, RUNSTATE_IN_ONE_PAGE, LATE])


def guest(gpa=RUNSTATE):
    """A guest whose record is at `gpa`, and has not been written."""
    kvm = xen_guest(pages=4, flags=KVM_MEM_LOG_DIRTY_PAGES)
    migrate_page(kvm.mm, hva_of(RUNSTATE))  # so that the two pages are no neighbours any more
    xen, length = kvm.vcpus[0].arch.xen, runstate_length1(gpa)
    kvm_gpc_activate(xen.runstate_cache, gpa, length)
    if length < RUNSTATE_SIZE:
        kvm_gpc_activate(xen.runstate2_cache, gpa + length, RUNSTATE_SIZE - length)
    return kvm


def set_addr(gpa):
    """The ioctl, in the thread of vCPU 0."""

    def thread(kvm):
        vcpu = kvm.vcpus[0]
        with vcpu.mutex:
            vcpu_load(vcpu)
            r = kvm_xen_vcpu_set_attr(vcpu, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR, gpa)
            vcpu_put(vcpu)
        return r

    return thread


def in_vcpu(body):
    """`body` in the thread of vCPU 0."""

    def thread(kvm):
        vcpu = kvm.vcpus[0]
        with vcpu.mutex, srcu_read(kvm.srcu):
            vcpu_load(vcpu)
            result = body(vcpu)
            vcpu_put(vcpu)
        return result

    return thread


def record(kvm, gpa=RUNSTATE):
    return copy_from_user(kvm.mm, hva_of(gpa), RUNSTATE_SIZE)


def is_written(kvm, gpa=RUNSTATE):
    return record(kvm, gpa) == runstate_bytes(kvm.vcpus[0].arch.xen.runstate, 0)


FRESH = runstate_bytes(Runstate(), 0)
RAN = Runstate(RUNSTATE_RUNNABLE, 1, (1, 0, 0, 0))


def test_the_record_as_the_guest_knows_it():
    data = runstate_bytes(Runstate(RUNSTATE_RUNNABLE, 7, (1, 2, 3, 4)), XEN_RUNSTATE_UPDATE)
    assert len(data) == RUNSTATE_SIZE
    assert data[0] == RUNSTATE_RUNNABLE
    assert data[8:16] == b"\x07" + bytes(6) + b"\x80"
    assert data[16::8] == bytes([1, 2, 3, 4])


@EVERYWHERE
def test_time_goes_to_the_state_before(gpa):
    alone = Alone(lambda: guest(gpa), in_vcpu(kvm_xen_runstate_set_preempted))
    assert alone.bug is None
    assert alone.shared.vcpus[0].arch.xen.runstate == RAN
    assert record(alone.shared, gpa) == runstate_bytes(RAN, 0)


@EVERYWHERE
def test_running_again(gpa):
    def body(vcpu):
        kvm_xen_runstate_set_preempted(vcpu)
        kvm_xen_runstate_set_running(vcpu)

    alone = Alone(lambda: guest(gpa), in_vcpu(body))
    assert alone.shared.vcpus[0].arch.xen.runstate == Runstate(RUNSTATE_RUNNING, 2, (1, 1, 0, 0))
    assert is_written(alone.shared, gpa)


@pytest.mark.parametrize(
    ("gpa", "dirty"), [(RUNSTATE, 0b1100), (LATE, 0b1100), (RUNSTATE_IN_ONE_PAGE, 0b0100)]
)
def test_each_page_of_the_record_is_reported(gpa, dirty):
    alone = Alone(lambda: guest(gpa), in_vcpu(kvm_xen_runstate_set_running))
    assert alone.bug is None
    assert alone.shared.memslots0.slots[0].dirty_bitmap.bits == dirty


def losing(*names):
    def setup():
        kvm = guest()
        for name in names:
            lose(getattr(kvm.vcpus[0].arch.xen, name))
        return kvm

    return setup


LOST = pytest.mark.parametrize(
    "lost",
    [("runstate_cache",), ("runstate2_cache",), ("runstate_cache", "runstate2_cache")],
)


@LOST
def test_pages_that_are_gone_are_fetched(lost):
    alone = Alone(losing(*lost), in_vcpu(kvm_xen_runstate_set_running))
    assert alone.bug is None
    assert is_written(alone.shared)


@LOST
def test_the_scheduler_fetches_nothing(lost):
    alone = Alone(losing(*lost), in_vcpu(kvm_xen_runstate_set_preempted))
    assert alone.bug is None
    assert record(alone.shared) == FRESH
    assert alone.shared.vcpus[0].arch.xen.runstate == RAN


def test_the_scheduler_does_not_wait_either():
    def setup():
        kvm = guest()
        thread = TaskStruct("thread")
        thread.rq = Rq("rq")
        kvm.vcpus[0].arch.thread = thread
        return kvm

    def vcpu0(kvm):
        with kvm.vcpus[0].mutex:
            vcpu_load(kvm.vcpus[0])
            schedule_out(kvm.vcpus[0])
            vcpu_put(kvm.vcpus[0])

    def writer(kvm):
        gpc = kvm.vcpus[0].arch.xen.runstate_cache
        with gpc.lock.write_irq():
            pass

    records = set()

    def all_or_nothing(kvm):
        records.add(record(kvm))
        return True

    final = [Condition("the record is whole", all_or_nothing)]
    report = check(Scenario("contended", setup, {"vcpu0": vcpu0, "writer": writer}, final))
    assert report.passed, report
    assert records == {FRESH, runstate_bytes(RAN, 0)}


def active(kvm):
    xen = kvm.vcpus[0].arch.xen
    return xen.runstate_cache.active, xen.runstate2_cache.active


@pytest.mark.parametrize(
    ("gpa", "caches"), [(RUNSTATE, (True, True)), (RUNSTATE_IN_ONE_PAGE, (True, False))]
)
def test_the_attribute_turns_on_as_many_caches_as_there_are_pages(gpa, caches):
    alone = Alone(lambda: xen_guest(pages=4), set_addr(gpa))
    assert alone.returned == 0
    assert active(alone.shared) == caches


def test_the_attribute_turns_off_the_cache_that_is_not_needed_any_more():
    alone = Alone(guest, set_addr(RUNSTATE_IN_ONE_PAGE))
    assert active(alone.shared) == (True, False)


@EVERYWHERE
def test_the_attribute_turns_them_off(gpa):
    alone = Alone(lambda: guest(gpa), set_addr(INVALID_GPA))
    assert alone.returned == 0
    assert active(alone.shared) == (False, False)


def test_without_a_second_page_there_is_no_record():
    alone = Alone(lambda: xen_guest(pages=3), set_addr(RUNSTATE))
    assert alone.returned == -EFAULT
    assert active(alone.shared) == (False, False)


def test_a_second_cache_that_is_off_is_turned_on():
    def setup():
        kvm = guest()
        kvm_gpc_deactivate(kvm.vcpus[0].arch.xen.runstate2_cache)
        return kvm

    alone = Alone(setup, in_vcpu(kvm_xen_runstate_set_running))
    assert alone.bug is None
    assert is_written(alone.shared)


def test_a_page_may_move_while_the_record_is_written():
    """The second half moves: both locks are dropped, and all of it begins again."""

    def host(kvm):
        migrate_page(kvm.mm, hva_of(RUNSTATE) + RUNSTATE_SIZE)

    scenario = Scenario(
        "move",
        guest,
        {"vcpu0": in_vcpu(kvm_xen_runstate_set_running), "host": host},
        [Condition("the record is written", is_written)],
    )
    report = check(scenario, "states")
    assert report.passed, report


def test_an_interrupted_guest_knows_that_it_is_being_written():
    """Whoever sees the flag clear has the old record or the new one, in every schedule."""
    seen = set()

    def reader(kvm):
        seen.add(copy_from_user(kvm.mm, hva_of(RUNSTATE_IN_ONE_PAGE), RUNSTATE_SIZE))

    scenario = Scenario(
        "look",
        lambda: guest(RUNSTATE_IN_ONE_PAGE),
        {"vcpu0": in_vcpu(kvm_xen_runstate_set_running), "guest": reader},
    )
    assert check(scenario, "traces").passed
    new = Runstate(RUNSTATE_RUNNING, 1, (1, 0, 0, 0))
    halfway = FRESH[:15] + b"\x80" + FRESH[16:]
    assert seen == {
        FRESH,
        halfway,
        runstate_bytes(new, XEN_RUNSTATE_UPDATE),
        runstate_bytes(new, 0),
    }
    assert returned(lambda: guest(RUNSTATE_IN_ONE_PAGE), in_vcpu(lambda vcpu: 0)) == 0
