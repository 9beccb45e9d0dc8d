"""Requests to vCPUs: who is interrupted, who is woken, and what the wait is for."""

import pytest

from pfncache_lab.explore import Scenario
from pfncache_lab.kvm.kvm_host import (
    EXITING_GUEST_MODE,
    IN_GUEST_MODE,
    OUTSIDE_GUEST_MODE,
    READING_SHADOW_PAGE_TABLES,
    Kvm,
)
from pfncache_lab.kvm.kvm_main import kvm_create_vcpu
from pfncache_lab.kvm.requests import (
    KVM_REQ_CLOCK_UPDATE,
    KVM_REQ_GPC_INVALIDATE,
    KVM_REQ_OUTSIDE_GUEST_MODE,
    KVM_REQ_TLB_FLUSH,
    KVM_REQ_UNBLOCK,
    KVM_REQUEST_NO_WAKEUP,
    KVM_REQUEST_WAIT,
    kvm_check_request,
    kvm_clear_request,
    kvm_get_running_vcpu,
    kvm_make_all_cpus_request,
    kvm_make_request,
    kvm_make_vcpus_request_mask,
    kvm_request_pending,
    kvm_test_request,
    kvm_vcpu_kick,
)
from pfncache_lab.kvm.vcpu import kvm_vcpu_block, vcpu_load
from pfncache_lab.sim import Bug, Deadlock, Struct, Warn, marked
from tests.kvm.running import Alone, endings, returned


class Shared(Struct):
    kvm: Kvm
    done = marked(False)
    kicked = marked(None)


def machine(nr_vcpus=1):
    shared = Shared()
    shared.kvm = Kvm()
    shared.kvm.vcpus = tuple([kvm_create_vcpu(shared.kvm, idx) for idx in range(nr_vcpus)])
    return shared


def vcpu0(s):
    return s.kvm.vcpus[0]


# -- the bits --------------------------------------------------------------------------------------


def test_the_numbers_are_those_of_the_kernel():
    assert KVM_REQ_GPC_INVALIDATE == 0x305
    assert KVM_REQ_OUTSIDE_GUEST_MODE == 0x700


def test_a_request_is_made_and_consumed_once():
    def task(s):
        vcpu = vcpu0(s)
        assert not kvm_request_pending(vcpu)
        kvm_make_request(KVM_REQ_TLB_FLUSH, vcpu)
        kvm_make_request(KVM_REQ_UNBLOCK, vcpu)
        assert vcpu.requests == 0b101
        assert kvm_test_request(KVM_REQ_UNBLOCK, vcpu)
        kvm_clear_request(KVM_REQ_UNBLOCK, vcpu)
        assert kvm_check_request(KVM_REQ_TLB_FLUSH, vcpu)
        return kvm_check_request(KVM_REQ_TLB_FLUSH, vcpu), vcpu.requests

    assert returned(machine, task) == (False, 0)


def test_a_request_without_an_action_has_no_bit():
    """One that was set would keep the vCPU out for ever: H2."""
    bug = Alone(machine, lambda s: kvm_make_request(KVM_REQ_OUTSIDE_GUEST_MODE, vcpu0(s))).bug
    assert isinstance(bug, Bug)


# -- who is interrupted ----------------------------------------------------------------------------

WAIT = KVM_REQ_CLOCK_UPDATE | KVM_REQUEST_WAIT | KVM_REQUEST_NO_WAKEUP
NO_WAIT = KVM_REQ_CLOCK_UPDATE | KVM_REQUEST_NO_WAKEUP
INTERRUPTED = [
    (OUTSIDE_GUEST_MODE, NO_WAIT, False),
    (OUTSIDE_GUEST_MODE, WAIT, False),
    (IN_GUEST_MODE, NO_WAIT, True),
    (IN_GUEST_MODE, WAIT, True),
    (EXITING_GUEST_MODE, NO_WAIT, False),
    (EXITING_GUEST_MODE, WAIT, True),
    (READING_SHADOW_PAGE_TABLES, NO_WAIT, False),
    (READING_SHADOW_PAGE_TABLES, WAIT, True),
]


@pytest.mark.parametrize(("mode", "req", "interrupted"), INTERRUPTED)
def test_who_waits_interrupts_all_who_are_not_outside(mode, req, interrupted):
    def setup():
        shared = machine()
        vcpu0(shared).mode = mode
        return shared

    alone = Alone(setup, lambda s: kvm_make_all_cpus_request(s.kvm, req), "notifier")
    assert alone.returned is interrupted
    assert vcpu0(alone.shared).requests == 1 << KVM_REQ_CLOCK_UPDATE
    expected = EXITING_GUEST_MODE if mode == IN_GUEST_MODE else mode
    assert vcpu0(alone.shared).mode == expected
    waited = any("see its interrupt handled" in text for text in alone.did)
    assert waited is (interrupted and req == WAIT)


def test_a_vcpu_that_runs_nowhere_is_not_interrupted():
    def setup():
        shared = machine()
        vcpu0(shared).mode, vcpu0(shared).cpu = IN_GUEST_MODE, -1
        return shared

    assert not returned(setup, lambda s: kvm_make_all_cpus_request(s.kvm, WAIT), "notifier")


def test_a_vcpu_does_not_interrupt_itself():
    def task(s):
        vcpu_load(vcpu0(s))
        vcpu0(s).mode = READING_SHADOW_PAGE_TABLES
        assert kvm_get_running_vcpu(s.kvm) is vcpu0(s)
        return kvm_make_all_cpus_request(s.kvm, WAIT)

    assert returned(machine, task) is False


def test_only_those_in_the_bitmap_get_the_request():
    alone = Alone(
        lambda: machine(3), lambda s: kvm_make_vcpus_request_mask(s.kvm, NO_WAIT, 0b101), "notifier"
    )
    assert [vcpu.requests for vcpu in alone.shared.kvm.vcpus] == [1 << 16, 0, 1 << 16]


def test_a_request_without_an_action_leaves_no_trace_but_the_mode():
    def setup():
        shared = machine()
        vcpu0(shared).mode = IN_GUEST_MODE
        return shared

    req = KVM_REQ_OUTSIDE_GUEST_MODE
    alone = Alone(setup, lambda s: kvm_make_all_cpus_request(s.kvm, req), "notifier")
    assert alone.returned is True
    assert (vcpu0(alone.shared).requests, vcpu0(alone.shared).mode) == (0, EXITING_GUEST_MODE)


def test_who_waits_must_have_interrupts_on():
    def task(s):
        vcpu0(s).mode = IN_GUEST_MODE
        s.kvm.gpc_lock.lock_irq()
        kvm_make_all_cpus_request(s.kvm, WAIT)

    assert isinstance(Alone(machine, task, "notifier").bug, Warn)


# -- who is woken ----------------------------------------------------------------------------------


def block(s):
    kvm_vcpu_block(vcpu0(s))
    s.done = True


def request(flags):
    def task(s):
        kvm_make_all_cpus_request(s.kvm, KVM_REQ_UNBLOCK | flags)

    return task


def test_a_request_wakes_a_vcpu_that_has_halted():
    scenario = Scenario("wake", machine, {"vcpu0": block, "waker": request(0)})
    assert endings(scenario, lambda s: s.done, brute=True) == {True}


def test_without_a_wake_up_it_sleeps_on():
    """Unless the request comes before the vCPU has looked."""
    flags = KVM_REQUEST_NO_WAKEUP
    scenario = Scenario("wake", machine, {"vcpu0": block, "waker": request(flags)})
    assert endings(scenario, lambda s: s.done, brute=True) == {True, "Deadlock"}


def event_and_kick(s):
    vcpu0(s).runnable = True
    kvm_vcpu_kick(vcpu0(s))


def kick_and_event(s):
    kvm_vcpu_kick(vcpu0(s))
    vcpu0(s).runnable = True


def test_an_event_is_stored_before_the_kick():
    good = Scenario("kick", machine, {"vcpu0": block, "device": event_and_kick})
    bad = Scenario("kick", machine, {"vcpu0": block, "device": kick_and_event})
    assert endings(good, lambda s: s.done, brute=True) == {True}
    assert endings(bad, lambda s: s.done, brute=True) == {True, "Deadlock"}


def test_a_vcpu_that_is_woken_is_not_interrupted_as_well():
    def task(s):
        s.kicked = kvm_make_all_cpus_request(s.kvm, KVM_REQ_UNBLOCK | KVM_REQUEST_WAIT)

    scenario = Scenario("wake", machine, {"vcpu0": block, "waker": task})
    assert endings(scenario, lambda s: s.kicked) == {False}


def test_a_vcpu_nobody_wakes_says_so():
    assert isinstance(Alone(machine, block).bug, Deadlock)
