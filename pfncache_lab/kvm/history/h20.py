"""H20: userspace saves a vCPU, and waits for itself, for ever.

KVM_XEN_VCPU_GET_ATTR holds xen_lock while it delivers the event of a timer that has expired. If
shared_info is not valid at that moment, delivery has to refresh the cache, and takes xen_lock
around that: the same task, the same lock. One thread is enough, and a page that the host has just
moved. Since 6.7 (77c9b9dea4fb), when get_attr began to deliver the events of expired timers.

The lock was there to keep two refreshes apart. Since 6.9 the cache does that for itself (H19), and
so delivery needs no lock: what looks after itself can be called by anybody.

Fixed by 7a36d680658b "KVM: x86/xen: fix recursive deadlock in timer injection", Linux 6.9.
"""

from __future__ import annotations

from errno import EWOULDBLOCK

from ...explore import Condition, Scenario
from ...mm import PAGE_SIZE
from ...sim import Image, hard_irq, srcu_read_lock, srcu_read_unlock
from ..kvm_host import Kvm
from ..pfncache import kvm_gpc_refresh
from ..users.arch import VCPU_INFO_SIZE
from ..users.guest import (
    PORT,
    SHINFO,
    VCPU_INFO,
    lose,
    pending_ports,
)
from ..users.xen import KvmXenEvtchn, kvm_xen_set_evtchn_fast
from ..users.xen_attr import KVM_XEN_VCPU_ATTR_TYPE_TIMER
from .bug import Bug
from .with_users import USERS


def kvm_xen_set_evtchn(xe: KvmXenEvtchn, kvm: Kvm) -> int:
    """Fire a port; may sleep. As it was from 6.2-rc4 to 6.8: after H13, before H20."""
    rc = kvm_xen_set_evtchn_fast(xe, kvm)
    if rc != -EWOULDBLOCK:
        return rc
    kvm.arch.xen.xen_lock.lock()
    error = 0
    while rc == -EWOULDBLOCK and not error:
        idx = srcu_read_lock(kvm.srcu)
        error = kvm_gpc_refresh(kvm.arch.xen.shinfo_cache, PAGE_SIZE)
        srcu_read_unlock(kvm.srcu, idx)
        if not error:
            rc = kvm_xen_set_evtchn_fast(xe, kvm)
    kvm.arch.xen.xen_lock.unlock()
    return error or rc


def scene(image: Image) -> Scenario:
    """A timer expires while its event cannot be delivered, and userspace saves the vCPU."""
    xen_guest, activate = image.xen_guest, image.kvm_gpc_activate
    callback = hard_irq(image.xen_timer_callback)
    get_attr = image.kvm_xen_vcpu_get_attr

    def setup() -> Kvm:
        kvm: Kvm = xen_guest()
        xen = kvm.vcpus[0].arch.xen
        activate(kvm.arch.xen.shinfo_cache, SHINFO, PAGE_SIZE)
        activate(xen.vcpu_info_cache, VCPU_INFO, VCPU_INFO_SIZE)
        lose(kvm.arch.xen.shinfo_cache)
        xen.timer_virq, xen.timer_expires = PORT, 1
        return kvm

    def timer(kvm: Kvm) -> None:
        callback(kvm.vcpus[0])

    def vmm(kvm: Kvm) -> None:
        vcpu = kvm.vcpus[0]
        with vcpu.mutex:
            get_attr(vcpu, KVM_XEN_VCPU_ATTR_TYPE_TIMER)

    return Scenario(
        "a timer expires as its vCPU is saved",
        setup,
        {"timer": timer, "vmm": vmm},
        final=[Condition("the event is delivered, or still due", delivered_or_due)],
    )


def delivered_or_due(kvm: Kvm) -> bool:
    """Tell whether the timer's event is not lost."""
    return bool(pending_ports(kvm) >> PORT & 1 or kvm.vcpus[0].arch.xen.timer_pending)


BUG = Bug(
    label="H20",
    title="who saves a vCPU waits for a lock that it holds itself",
    commit="7a36d680658b",
    introduced="6.7",
    fixed="6.9",
    invariant="I6",
    era=USERS,
    broken={"kvm_xen_set_evtchn": kvm_xen_set_evtchn},
    scene=scene,
)
