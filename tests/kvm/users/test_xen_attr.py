"""Userspace turns caches on and off: what it is told, and that events may come meanwhile."""

from errno import EFAULT, EINVAL

import pytest

from pfncache_lab.kvm.kvm_types import INVALID_GPA, KVM_HVA_ERR_BAD
from pfncache_lab.kvm.users.arch import VCPU_INFO_SIZE
from pfncache_lab.kvm.users.guest import (
    CLOCK,
    PORT,
    SHINFO,
    SHINFO_GFN,
    VCPU_INFO,
    hva_of,
    pending_ports,
    xen_guest,
)
from pfncache_lab.kvm.users.xen import KvmXenEvtchn, kvm_xen_set_evtchn_fast
from pfncache_lab.kvm.users.xen_attr import (
    KVM_XEN_ATTR_TYPE_SHARED_INFO,
    KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA,
    KVM_XEN_INVALID_GFN,
    KVM_XEN_VCPU_ATTR_TYPE_TIMER,
    KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
    KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA,
    KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO,
    kvm_xen_destroy_vcpu,
    kvm_xen_destroy_vm,
    kvm_xen_hvm_set_attr,
    kvm_xen_vcpu_get_attr,
    kvm_xen_vcpu_set_attr,
)
from pfncache_lab.mm import PAGE_SIZE
from tests.kvm.running import Alone, returned


def set_attr(*settings):
    """Set attributes of the VM, one after the other."""
    return lambda kvm: [kvm_xen_hvm_set_attr(kvm, *setting) for setting in settings]


def vcpu_set_attr(*settings):
    """Set attributes of vCPU 0."""

    def body(kvm):
        with kvm.vcpus[0].mutex:
            return [kvm_xen_vcpu_set_attr(kvm.vcpus[0], *setting) for setting in settings]

    return body


GFN, HVA = KVM_XEN_ATTR_TYPE_SHARED_INFO, KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA


@pytest.mark.parametrize(
    ("settings", "results", "active"),
    [
        ([(GFN, SHINFO_GFN)], [0], True),
        ([(GFN, SHINFO_GFN), (GFN, SHINFO_GFN + 1)], [0, 0], True),
        ([(GFN, SHINFO_GFN), (GFN, KVM_XEN_INVALID_GFN)], [0, 0], False),
        ([(GFN, KVM_XEN_INVALID_GFN)], [0], False),
        ([(GFN, SHINFO_GFN + 9)], [-EFAULT], True),  # active, and not valid
        ([(HVA, hva_of(SHINFO))], [0], True),
        ([(HVA, hva_of(SHINFO)), (HVA, 0)], [0, 0], False),
        ([(HVA, KVM_HVA_ERR_BAD)], [-EINVAL], False),
        ([(GFN, SHINFO_GFN), (HVA, hva_of(SHINFO)), (GFN, SHINFO_GFN)], [0, 0, 0], True),
        ([(77, 0)], [-EINVAL], False),
    ],
)
def test_shared_info(settings, results, active):
    alone = Alone(xen_guest, set_attr(*settings))
    assert alone.bug is None
    assert alone.returned == results
    assert alone.shared.arch.xen.shinfo_cache.active is active


def test_shared_info_by_its_host_address_takes_events_too():
    def body(kvm):
        set_attr((HVA, hva_of(SHINFO)))(kvm)
        return kvm_xen_set_evtchn_fast(KvmXenEvtchn(PORT), kvm)

    alone = Alone(xen_guest, body)
    assert alone.returned == 1
    assert pending_ports(alone.shared) == 1 << PORT


@pytest.mark.parametrize(
    ("attr", "value", "off", "cache"),
    [
        (KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO, VCPU_INFO, INVALID_GPA, "vcpu_info_cache"),
        (KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA, hva_of(VCPU_INFO), 0, "vcpu_info_cache"),
        (KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO, CLOCK, INVALID_GPA, "vcpu_time_info_cache"),
    ],
)
def test_the_pages_of_a_vcpu(attr, value, off, cache):
    alone = Alone(xen_guest, vcpu_set_attr((attr, value)))
    assert alone.returned == [0]
    assert getattr(alone.shared.vcpus[0].arch.xen, cache).active

    alone = Alone(xen_guest, vcpu_set_attr((attr, value), (attr, off)))
    assert alone.returned == [0, 0]
    assert not getattr(alone.shared.vcpus[0].arch.xen, cache).active


def test_a_vcpu_info_does_not_reach_into_the_next_page():
    across = SHINFO + PAGE_SIZE - VCPU_INFO_SIZE + 8
    body = vcpu_set_attr((KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO, across), (77, 0))
    assert returned(xen_guest, body) == [-EINVAL, -EINVAL]


def test_when_the_timer_fires():
    def setup():
        kvm = xen_guest()
        kvm.vcpus[0].arch.xen.timer_expires = 77
        return kvm

    def ask(attr):
        return returned(setup, lambda kvm: kvm_xen_vcpu_get_attr(kvm.vcpus[0], attr))

    assert ask(KVM_XEN_VCPU_ATTR_TYPE_TIMER) == 77
    assert ask(KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO) == -EINVAL


def test_nothing_is_left_on_the_list():
    def body(kvm):
        set_attr((GFN, SHINFO_GFN))(kvm)
        vcpu_set_attr((KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO, VCPU_INFO))(kvm)
        kvm_xen_destroy_vcpu(kvm.vcpus[0])
        kvm_xen_destroy_vm(kvm)

    alone = Alone(xen_guest, body)
    assert alone.bug is None
    assert not alone.shared.gpc_list
