"""xen.py: deliver an event to a Xen guest. Mirrors the event channels of arch/x86/kvm/xen.c.

An event is a bit in shared_info, and then two in the vcpu_info of the vCPU that is to look:

    shared_info    pending[port]      "this port has fired"
    vcpu_info      pending_sel[word]  "look at this word of pending"
                   upcall_pending     "look at pending_sel"

Both pages are reached through caches, and the fast path runs in interrupts, which cannot refresh:

    shared_info not valid   nothing has happened yet: -EWOULDBLOCK, and a task tries again
    vcpu_info not valid     the port has fired and must not be lost: its word goes into
                            evtchn_pending_sel in the kernel, and the vCPU moves that when it can

Left out: 32-bit guests, FIFO event channels, vectors of the local APIC (their place is the kick).
"""

from __future__ import annotations

from errno import EINVAL, ENOTCONN, EWOULDBLOCK
from typing import NamedTuple

from ...mm import PAGE_SIZE, load, store
from ...sim import (
    READ_ONCE,
    atomic_add,
    atomic_read,
    read_lock_irqsave,
    read_unlock_irqrestore,
    srcu_read_lock,
    srcu_read_unlock,
    test_and_clear_bit,
    test_and_set_bit,
)
from ..kvm_host import Kvm, KvmVcpu
from ..pfncache import kvm_gpc_check, kvm_gpc_refresh
from ..requests import KVM_REQ_UNBLOCK, kvm_make_request, kvm_vcpu_kick
from .arch import (
    BITS_PER_WORD,
    EVTCHN_2L_NR_CHANNELS,
    EVTCHN_MASK,
    EVTCHN_PENDING,
    PENDING_SEL,
    UPCALL_PENDING,
    VCPU_INFO_SIZE,
)
from .guest_bits import guest_or, guest_test_and_set_bit, guest_test_bit
from .reader import kvm_gpc_mark_dirty_in_slot
from .sched import try_to_wake_up


class KvmXenEvtchn(NamedTuple):
    """struct kvm_xen_evtchn: which port fires, and which vCPU is to look."""

    port: int
    vcpu_idx: int = 0


# -- an event, from anywhere -----------------------------------------------------------------------


def kvm_xen_set_evtchn_fast(xe: KvmXenEvtchn, kvm: Kvm) -> int:
    """Fire a port, without sleeping: from a hard interrupt, too.

    Returns 1 if it had not fired before, 0 if it had and the guest has not looked yet, -ENOTCONN if
    the guest has masked it, -EINVAL if there is no such port, and -EWOULDBLOCK if shared_info is
    out of reach from here.
    """
    if not 0 < xe.port < EVTCHN_2L_NR_CHANNELS:
        return -EINVAL
    vcpu = kvm.vcpus[xe.vcpu_idx]
    gpc = kvm.arch.xen.shinfo_cache
    kick = False
    idx = srcu_read_lock(kvm.srcu)
    flags = read_lock_irqsave(gpc.lock)
    if not kvm_gpc_check(gpc, PAGE_SIZE):
        rc = -EWOULDBLOCK
    elif guest_test_and_set_bit(gpc.khva + EVTCHN_PENDING, xe.port):
        rc = 0
    elif guest_test_bit(gpc.khva + EVTCHN_MASK, xe.port):
        rc = -ENOTCONN  # the guest does not want to be told, unless it is asleep for this port
        kvm_xen_check_poller(vcpu, xe.port)
    else:
        rc = 1
    # Neither page is marked dirty: an interrupt has no vCPU whose dirty ring it could use. It is
    # part of the ABI that userspace must take shared_info and vcpu_info for dirty.
    read_unlock_irqrestore(gpc.lock, flags)
    if rc == 1:  # only now: two caches are never locked together here
        kick = kvm_xen_set_vcpu_info(vcpu, xe.port // BITS_PER_WORD)
    srcu_read_unlock(kvm.srcu, idx)
    if kick:
        kvm_xen_kick(vcpu)
    return rc


def kvm_xen_set_vcpu_info(vcpu: KvmVcpu, word: int) -> bool:
    """Tell the vCPU which word of pending bits is new; returns whether it must be kicked.

    In the kernel this is the second half of kvm_xen_set_evtchn_fast().
    """
    gpc = vcpu.arch.xen.vcpu_info_cache
    flags = read_lock_irqsave(gpc.lock)
    if not kvm_gpc_check(gpc, VCPU_INFO_SIZE):
        # The port has fired, so giving up is no choice any more. Leave it to the vCPU.
        kick = not test_and_set_bit(word, vcpu.arch.xen, "evtchn_pending_sel")
    else:
        kick = not guest_test_and_set_bit(gpc.khva + PENDING_SEL, word)
        if kick:
            store(gpc.khva + UPCALL_PENDING, b"\1")
    read_unlock_irqrestore(gpc.lock, flags)
    return kick


def kvm_xen_set_evtchn(xe: KvmXenEvtchn, kvm: Kvm) -> int:
    """Fire a port; may sleep. Returns as the fast path does, or the error of a refresh.

    It takes no lock around the refresh: the cache looks after itself, and whoever calls this may
    hold almost anything (H13, H20). In theory it never ends, if shared_info is always gone again
    before the second try. Mirrors kvm_xen_set_evtchn().
    """
    rc = kvm_xen_set_evtchn_fast(xe, kvm)
    while rc == -EWOULDBLOCK:
        idx = srcu_read_lock(kvm.srcu)
        error = kvm_gpc_refresh(kvm.arch.xen.shinfo_cache, PAGE_SIZE)
        srcu_read_unlock(kvm.srcu, idx)
        if error:
            return error
        rc = kvm_xen_set_evtchn_fast(xe, kvm)
    return rc


def kvm_xen_check_poller(vcpu: KvmVcpu, port: int) -> None:
    """Wake a vCPU that sleeps until this port fires, masked or not."""
    if not atomic_read(vcpu.kvm.arch.xen, "poll_mask") >> vcpu.vcpu_idx & 1:
        return
    if READ_ONCE(vcpu.arch.xen, "poll_evtchn") == port and test_and_clear_bit(
        vcpu.vcpu_idx, vcpu.kvm.arch.xen, "poll_mask"
    ):
        kvm_xen_kick(vcpu)


def kvm_xen_kick(vcpu: KvmVcpu) -> None:
    """Have the vCPU look for events: out of guest mode, or out of bed. May not sleep."""
    kvm_make_request(KVM_REQ_UNBLOCK, vcpu)
    kvm_vcpu_kick(vcpu)
    if vcpu.arch.thread is not None:
        try_to_wake_up(vcpu.arch.thread)


# -- the vCPU --------------------------------------------------------------------------------------


def kvm_xen_inject_pending_events(v: KvmVcpu) -> None:
    """Move what the fast path has left in the kernel to the guest's vcpu_info; may sleep.

    The thread of the vCPU does this before it enters the guest, in a read section of kvm->srcu.
    Mirrors kvm_xen_inject_pending_events().
    """
    xen = v.arch.xen
    gpc = xen.vcpu_info_cache
    selected = READ_ONCE(xen, "evtchn_pending_sel")
    if not selected:
        return
    flags = read_lock_irqsave(gpc.lock)
    while not kvm_gpc_check(gpc, VCPU_INFO_SIZE):
        read_unlock_irqrestore(gpc.lock, flags)
        if kvm_gpc_refresh(gpc, VCPU_INFO_SIZE):
            return  # the bits stay in the kernel, until the guest gives us a page
        flags = read_lock_irqsave(gpc.lock)
    # More bits may come in while these are moved: take away no others. These are all still there,
    # for nobody else moves any, and so to subtract them is the kernel's and-not.
    guest_or(gpc.khva + PENDING_SEL, selected)
    atomic_add(-selected, xen, "evtchn_pending_sel")
    store(gpc.khva + UPCALL_PENDING, b"\1")
    kvm_gpc_mark_dirty_in_slot(gpc)
    read_unlock_irqrestore(gpc.lock, flags)


def __kvm_xen_has_interrupt(v: KvmVcpu, atomic: bool) -> int:
    """Tell whether the guest has to look at its vcpu_info. `atomic`: the caller must not sleep.

    Another vCPU's thread may ask as well, so one cache can have several readers at once. Returns 1
    also where that cannot be told without sleeping: the vCPU wakes up, and asks where it may sleep.
    Mirrors __kvm_xen_has_interrupt().
    """
    gpc = v.arch.xen.vcpu_info_cache
    flags = read_lock_irqsave(gpc.lock)
    while not kvm_gpc_check(gpc, VCPU_INFO_SIZE):
        read_unlock_irqrestore(gpc.lock, flags)
        if atomic:
            return 1
        if kvm_gpc_refresh(gpc, VCPU_INFO_SIZE):
            return 0  # no page, no events
        flags = read_lock_irqsave(gpc.lock)
    rc: int = load(gpc.khva + UPCALL_PENDING, 1)[0]
    read_unlock_irqrestore(gpc.lock, flags)
    return rc
