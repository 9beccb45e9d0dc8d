"""arch.py: what x86 adds to a VM and to a vCPU for these users, and how their guest pages look.

Mirrors struct kvm_xen and struct kvm_vcpu_xen of arch/x86/include/asm/kvm_host.h, and of the ABI
include/xen/interface/{xen,vcpu}.h and asm/pvclock-abi.h. Per VM there is one cache, per vCPU there
are five: with 1024 vCPUs a notifier walks a list of 5121.

    kvm.arch.xen     xen_lock, shinfo_cache
    vcpu.arch.xen    vcpu_info_cache, vcpu_time_info_cache, runstate_cache, runstate2_cache
    vcpu.arch        pv_time
"""

from __future__ import annotations

from typing import NamedTuple

from ...sim import Mutex, SpinLock, marked, shared
from ..kvm_host import KvmVcpu
from ..kvm_types import GfnToPfnCache, WithConstants, constant

# -- the guest's pages: offsets and sizes in bytes, of a 64-bit guest ------------------------------

EVTCHN_PENDING = 0x800
"""In shared_info: a bit for each event channel, set when it fires."""
EVTCHN_MASK = 0xA00
"""In shared_info: a bit for each event channel, set by the guest that does not want to know."""
BITS_PER_WORD = 64
EVTCHN_2L_NR_CHANNELS = BITS_PER_WORD * BITS_PER_WORD

VCPU_INFO_SIZE = 64
UPCALL_PENDING = 0
"""In vcpu_info: one byte that says "look at pending_sel"."""
PENDING_SEL = 8
"""In vcpu_info: a bit for each word of EVTCHN_PENDING that has something new."""

RUNSTATE_SIZE = 48
RUNSTATE_UPDATE_BYTE = 15
"""In vcpu_runstate_info: the last byte of the entry time, with the flag below in it."""
XEN_RUNSTATE_UPDATE = 1 << 63
"""A bit of the entry time: "being written"."""

PVCLOCK_SIZE = 32
PVCLOCK_DATA = 4
"""In pvclock_vcpu_time_info: after the version, which is odd while the rest is being written."""

RUNSTATE_RUNNING = 0
RUNSTATE_RUNNABLE = 1
RUNSTATE_BLOCKED = 2
RUNSTATE_OFFLINE = 3


class Runstate(NamedTuple):
    """What a vCPU does, since when, and how long it has done each thing before."""

    state: int = RUNSTATE_RUNNING
    entry_time: int = 0
    times: tuple[int, int, int, int] = (0, 0, 0, 0)


# -- the host's side of it -------------------------------------------------------------------------


class Rq(WithConstants):
    """struct rq: the queue of one CPU."""

    lock = SpinLock()
    running: shared[TaskStruct | None] = shared(None, guarded_by="lock")


class TaskStruct(WithConstants):
    """struct task_struct: a thread, as the scheduler sees it."""

    pi_lock = SpinLock()
    rq: constant[Rq] = constant()
    on_rq = shared(False, guarded_by="rq.lock")


class KvmXen(WithConstants):
    """struct kvm_xen: what a VM has that is a Xen guest."""

    xen_lock = Mutex()
    """Setting and getting attributes. A leaf: nothing that is taken outside may be taken in it."""
    shinfo_cache: constant[GfnToPfnCache] = constant()
    poll_mask = marked(0)
    """A bit for each vCPU that sleeps until an event channel fires."""


class KvmArch(WithConstants):
    """struct kvm_arch, of a Xen guest."""

    xen: constant[KvmXen] = constant()


class KvmVcpuXen(WithConstants):
    """struct kvm_vcpu_xen: what a vCPU has whose guest is one of Xen's.

    What has no other lock belongs to the thread of the vCPU, which holds vcpu->mutex.
    """

    vcpu: constant[KvmVcpu] = constant()
    vcpu_info_cache: constant[GfnToPfnCache] = constant()
    vcpu_time_info_cache: constant[GfnToPfnCache] = constant()
    runstate_cache: constant[GfnToPfnCache] = constant()
    runstate2_cache: constant[GfnToPfnCache] = constant()

    evtchn_pending_sel = marked(0)
    """Stands in for PENDING_SEL of the guest's page while that cannot be reached."""
    runstate = shared(Runstate(), guarded_by="vcpu.mutex")
    poll_evtchn = marked(0)
    timer_virq: constant[int] = constant(0)
    """The port on which the vCPU's timer fires; 0 if it has none."""
    timer_expires = marked(0)
    timer_pending = marked(0)
    """Whether the timer has fired and its event could not be delivered from the interrupt."""


class KvmVcpuArch(WithConstants):
    """struct kvm_vcpu_arch."""

    xen: constant[KvmVcpuXen] = constant()
    pv_time: constant[GfnToPfnCache] = constant()
    thread: constant[TaskStruct | None] = constant()
    """The thread of the vCPU, where a scenario wants the locks of the scheduler."""
