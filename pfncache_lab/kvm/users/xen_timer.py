"""xen_timer.py: a timer of the vCPU, which fires an event channel. Mirrors arch/x86/kvm/xen.c.

It expires in a hard interrupt. If shared_info cannot be reached from there, it is noted as pending,
and a task delivers it: the vCPU's thread before it enters the guest, or who saves the vCPU.
"""

from __future__ import annotations

from errno import EWOULDBLOCK

from ...sim import atomic_inc, atomic_read, atomic_set
from ..kvm_host import KvmVcpu
from .xen import KvmXenEvtchn, kvm_xen_kick, kvm_xen_set_evtchn, kvm_xen_set_evtchn_fast


def xen_timer_callback(vcpu: KvmVcpu) -> None:
    """Fire the port of the timer; in a hard interrupt."""
    xen = vcpu.arch.xen
    if atomic_read(xen, "timer_pending"):
        return
    rc = kvm_xen_set_evtchn_fast(KvmXenEvtchn(xen.timer_virq, vcpu.vcpu_idx), vcpu.kvm)
    if rc != -EWOULDBLOCK:
        xen.timer_expires = 0
        return
    atomic_inc(xen, "timer_pending")
    kvm_xen_kick(vcpu)


def kvm_xen_inject_timer_irqs(vcpu: KvmVcpu) -> None:
    """Deliver the event of a timer that has expired; may sleep.

    Whatever locks the caller holds, kvm_xen_set_evtchn() must not want (H20).
    """
    xen = vcpu.arch.xen
    if not atomic_read(xen, "timer_pending"):
        return
    kvm_xen_set_evtchn(KvmXenEvtchn(xen.timer_virq, vcpu.vcpu_idx), vcpu.kvm)
    xen.timer_expires = 0
    atomic_set(xen, "timer_pending", 0)
