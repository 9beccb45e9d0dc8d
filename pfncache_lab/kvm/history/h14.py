"""H14: the scheduler waits for a cache, and whoever has the cache waits for the scheduler.

When a thread of a vCPU is taken off its CPU, a notifier writes that into the guest's memory if it
can. It holds the lock of the run queue then, and it took gpc->lock. But others hold a gpc->lock
and wake somebody up: delivery of an event finds that the port is masked and a vCPU sleeps for it.

    vcpu0                                   somebody who delivers an event
    rq->lock (it is scheduled out)          gpc->lock (of shared_info)
                                            wakes the vCPU: p->pi_lock
    wants gpc->lock (of its runstate)       wants rq->lock

These are two caches, so this alone is no deadlock; but they are of one class, and every cache has
writers: lockdep is right not to wait for it. Since 5.19 (a795cd43c5b5), the first runstate cache.

Fixed by bbe17c625d68 "KVM: x86/xen: Fix potential deadlock in kvm_xen_update_runstate_guest()",
Linux 6.2-rc4. In a callback of the scheduler: try, and never wait.
"""

from __future__ import annotations

from ...explore import Scenario
from ...mm import PAGE_SIZE
from ...sim import Image, local_irq_disable
from ..kvm_host import Kvm
from ..kvm_types import GfnToPfnCache
from ..users.arch import RUNSTATE_SIZE, Rq, TaskStruct
from ..users.guest import PORT, RUNSTATE_IN_ONE_PAGE, SHINFO, mask_port
from ..users.xen import KvmXenEvtchn
from ..vcpu import vcpu_load, vcpu_put
from .bug import Bug
from .with_users import USERS


def runstate_read_lock(gpc: GfnToPfnCache, subclass: int, atomic: bool) -> bool:
    """Lock one of the two caches, whoever has to be waited for. As it was from 5.19 to 6.1."""
    local_irq_disable()
    gpc.lock.read_lock(subclass)
    return True


def scene(image: Image) -> Scenario:
    """A vCPU goes to sleep until a port fires, and the port fires."""
    xen_guest, activate = image.xen_guest, image.kvm_gpc_activate
    schedule_out, deliver = image.schedule_out, image.kvm_xen_set_evtchn_fast

    def setup() -> Kvm:
        kvm: Kvm = xen_guest(pages=3)
        vcpu, xen = kvm.vcpus[0], kvm.vcpus[0].arch.xen
        activate(kvm.arch.xen.shinfo_cache, SHINFO, PAGE_SIZE)
        activate(xen.runstate_cache, RUNSTATE_IN_ONE_PAGE, RUNSTATE_SIZE)
        vcpu.arch.thread = TaskStruct("thread")
        vcpu.arch.thread.rq = Rq("rq")
        mask_port(kvm, PORT)
        xen.poll_evtchn = PORT
        kvm.arch.xen.poll_mask = 1
        return kvm

    def vcpu0(kvm: Kvm) -> None:
        vcpu = kvm.vcpus[0]
        with vcpu.mutex:
            vcpu_load(vcpu)
            schedule_out(vcpu)
            vcpu_put(vcpu)

    def irqfd(kvm: Kvm) -> None:
        deliver(KvmXenEvtchn(PORT), kvm)

    return Scenario(
        "a vCPU goes to sleep, an event wakes it", setup, {"vcpu0": vcpu0, "irqfd": irqfd}
    )


BUG = Bug(
    label="H14",
    title="the scheduler waits for a cache, and whoever has one for the scheduler",
    commit="bbe17c625d68",
    introduced="5.19",
    fixed="6.2",
    invariant="I6",
    era=USERS,
    broken={"runstate_read_lock": runstate_read_lock},
    scene=scene,
)
