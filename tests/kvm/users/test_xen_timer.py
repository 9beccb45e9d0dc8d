"""The timer of a vCPU: its event is delivered from the interrupt, or by a task, and never lost."""

import pytest

from pfncache_lab.explore import Condition, Scenario, check
from pfncache_lab.kvm.pfncache import kvm_gpc_activate
from pfncache_lab.kvm.requests import KVM_REQ_UNBLOCK
from pfncache_lab.kvm.users.arch import VCPU_INFO_SIZE
from pfncache_lab.kvm.users.guest import (
    PORT,
    SHINFO,
    VCPU_INFO,
    lose,
    pending_ports,
    upcall_pending,
    xen_guest,
)
from pfncache_lab.kvm.users.xen_attr import KVM_XEN_VCPU_ATTR_TYPE_TIMER, kvm_xen_vcpu_get_attr
from pfncache_lab.kvm.users.xen_timer import kvm_xen_inject_timer_irqs, xen_timer_callback
from pfncache_lab.mm import PAGE_SIZE
from pfncache_lab.sim import hard_irq
from tests.kvm.running import Alone


def guest():
    kvm = xen_guest()
    xen = kvm.vcpus[0].arch.xen
    kvm_gpc_activate(kvm.arch.xen.shinfo_cache, SHINFO, PAGE_SIZE)
    kvm_gpc_activate(xen.vcpu_info_cache, VCPU_INFO, VCPU_INFO_SIZE)
    xen.timer_virq, xen.timer_expires = PORT, 77
    return kvm


def invalid():
    kvm = guest()
    lose(kvm.arch.xen.shinfo_cache)
    return kvm


@hard_irq
def timer(kvm):
    xen_timer_callback(kvm.vcpus[0])


def inject(kvm):
    kvm_xen_inject_timer_irqs(kvm.vcpus[0])


def vmm(kvm):
    return kvm_xen_vcpu_get_attr(kvm.vcpus[0], KVM_XEN_VCPU_ATTR_TYPE_TIMER)


def state(kvm):
    """When the timer expires, whether its event is due, what the guest sees."""
    xen = kvm.vcpus[0].arch.xen
    return xen.timer_expires, xen.timer_pending, pending_ports(kvm) >> PORT, upcall_pending(kvm)


def test_the_interrupt_delivers_where_it_can():
    assert state(Alone(guest, timer).shared) == (0, 0, 1, 1)


def test_the_interrupt_leaves_it_to_a_task_and_wakes_that():
    alone = Alone(invalid, timer)
    assert state(alone.shared) == (77, 1, 0, 0)
    assert alone.shared.vcpus[0].requests == 1 << KVM_REQ_UNBLOCK


def test_what_is_due_already_is_not_delivered_twice():
    def setup():
        kvm = guest()
        kvm.vcpus[0].arch.xen.timer_pending = 1
        return kvm

    assert state(Alone(setup, timer).shared) == (77, 1, 0, 0)


def due():
    kvm = invalid()
    kvm.vcpus[0].arch.xen.timer_pending = 1
    return kvm


@pytest.mark.parametrize("task", [inject, vmm])
def test_a_task_delivers_what_is_due(task):
    assert state(Alone(due, task).shared) == (0, 0, 1, 1)


@pytest.mark.parametrize(("task", "steps"), [(inject, 1), (vmm, 4)])
def test_a_task_leaves_a_timer_that_has_not_expired(task, steps):
    alone = Alone(guest, task)
    assert len(alone.did) == steps
    assert state(alone.shared) == (77, 0, 0, 0)


def test_who_saves_the_vcpu_is_told_when_the_timer_expires_or_delivers_its_event():
    answers: set[int] = set()

    def save(kvm):
        answers.add(vmm(kvm))

    def not_lost(kvm):
        return state(kvm) in ((77, 1, 0, 0), (0, 0, 1, 1))

    tasks = {"timer": timer, "vmm": save}
    report = check(Scenario("save", invalid, tasks, [Condition("it is not lost", not_lost)]))
    assert report.passed, report
    assert answers == {0, 77}
