"""xen_poll.py: a guest sleeps until an event channel fires. Mirrors arch/x86/kvm/xen.c.

The guest has masked the port: it wants no interrupt, only to go on. So the vCPU announces what it
waits for, and then looks whether that is there already; who delivers an event does it the other way
round, and at least one of them finds out.
"""

from __future__ import annotations

from ...mm import PAGE_SIZE
from ...sim import (
    clear_bit,
    read_lock_irqsave,
    read_unlock_irqrestore,
    set_bit,
    srcu_read_lock,
    srcu_read_unlock,
)
from ..kvm_host import KvmVcpu
from ..pfncache import kvm_gpc_check
from ..vcpu import kvm_vcpu_block
from .arch import EVTCHN_PENDING
from .guest_bits import guest_test_bit


def kvm_xen_schedop_poll(vcpu: KvmVcpu, port: int) -> None:
    """Sleep until `port` fires: the hypercall SCHEDOP_poll, without a timeout.

    That nobody wakes the vCPU for nothing is not promised: the guest looks, and polls again.
    """
    xen = vcpu.arch.xen
    xen.poll_evtchn = port
    set_bit(vcpu.vcpu_idx, vcpu.kvm.arch.xen, "poll_mask")
    if not wait_pending_event(vcpu, port):
        kvm_vcpu_block(vcpu)
    xen.poll_evtchn = 0
    clear_bit(vcpu.vcpu_idx, vcpu.kvm.arch.xen, "poll_mask")


def wait_pending_event(vcpu: KvmVcpu, port: int) -> bool:
    """Tell whether the port has fired, or whether that cannot be told: then do not sleep.

    The read section of kvm->srcu first and then gpc->lock, as everywhere (4265df667bbd).
    """
    gpc = vcpu.kvm.arch.xen.shinfo_cache
    idx = srcu_read_lock(vcpu.kvm.srcu)
    flags = read_lock_irqsave(gpc.lock)
    fired = not kvm_gpc_check(gpc, PAGE_SIZE)  # the sender will refresh; we look again later
    if not fired:
        fired = guest_test_bit(gpc.khva + EVTCHN_PENDING, port)
    read_unlock_irqrestore(gpc.lock, flags)
    srcu_read_unlock(vcpu.kvm.srcu, idx)
    return fired
