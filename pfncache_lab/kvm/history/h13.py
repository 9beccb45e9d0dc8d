"""H13: a guest sends itself an event while userspace wants all vCPUs, and both wait for ever.

When shared_info is not valid, the slow path of delivery takes a mutex around the refresh, so that
two of them do not get into each other's way. It took kvm->lock, and a comment beside it said that
this was fine for the work queue of irqfd, and would not be for a vCPU: who runs one holds
vcpu->mutex, and others take kvm->lock first. Then guests were allowed to send events themselves
(2fd6df2f2b47, 5.19), in the thread of a vCPU.

    vcpu0                                   ioctl
    vcpu->mutex                             kvm->lock
    kvm_xen_set_evtchn() wants kvm->lock    wants vcpu->mutex

The same lock closes another circle (`srcu_scene`): the vCPU is in a read section of kvm->srcu, and
another holds kvm->lock while it waits for such sections to end.

Fixed by 310bc39546a4 "KVM: x86/xen: Avoid deadlock by adding kvm->arch.xen.xen_lock leaf node
lock", Linux 6.2-rc4. A lock of its own, inside of which no other is taken: the next bug of the
same kind was H20.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EWOULDBLOCK

from ...explore import Scenario
from ...mm import PAGE_SIZE
from ...sim import Image, srcu_read, srcu_read_lock, srcu_read_unlock, synchronize_srcu
from ..kvm_host import Kvm
from ..pfncache import kvm_gpc_refresh
from ..users.arch import VCPU_INFO_SIZE
from ..users.guest import PORT, SHINFO, VCPU_INFO, lose
from ..users.xen import KvmXenEvtchn, kvm_xen_set_evtchn_fast
from . import h20
from .bug import Bug
from .with_users import USERS


def kvm_xen_set_evtchn(xe: KvmXenEvtchn, kvm: Kvm) -> int:
    """Fire a port; may sleep. As it was from 5.19 to 6.1."""
    rc = kvm_xen_set_evtchn_fast(xe, kvm)
    if rc != -EWOULDBLOCK:
        return rc
    kvm.lock.lock()
    error = 0
    while rc == -EWOULDBLOCK and not error:
        idx = srcu_read_lock(kvm.srcu)
        error = kvm_gpc_refresh(kvm.arch.xen.shinfo_cache, PAGE_SIZE)
        srcu_read_unlock(kvm.srcu, idx)
        if not error:
            rc = kvm_xen_set_evtchn_fast(xe, kvm)
    kvm.lock.unlock()
    return error or rc


def scene(image: Image) -> Scenario:
    """The guest sends an event while an ioctl of the VM wants its vCPU."""

    def ioctl(kvm: Kvm) -> None:
        vcpu = kvm.vcpus[0]
        with kvm.lock, vcpu.mutex:
            pass

    return _against("a guest sends an event, an ioctl wants its vCPU", image, ioctl)


def srcu_scene(image: Image) -> Scenario:
    """The guest sends an event while an ioctl of the VM waits for the readers of the memslots."""

    def ioctl(kvm: Kvm) -> None:
        with kvm.lock:
            synchronize_srcu(kvm.srcu)

    return _against("a guest sends an event, an ioctl waits for readers", image, ioctl)


def _against(name: str, image: Image, ioctl: Callable[[Kvm], None]) -> Scenario:
    """Make a scenario of a vCPU that sends an event, with shared_info not valid, and an ioctl."""
    xen_guest, activate, send = image.xen_guest, image.kvm_gpc_activate, image.kvm_xen_set_evtchn

    def setup() -> Kvm:
        kvm: Kvm = xen_guest()
        activate(kvm.arch.xen.shinfo_cache, SHINFO, PAGE_SIZE)
        activate(kvm.vcpus[0].arch.xen.vcpu_info_cache, VCPU_INFO, VCPU_INFO_SIZE)
        lose(kvm.arch.xen.shinfo_cache)
        return kvm

    def vcpu0(kvm: Kvm) -> None:
        vcpu = kvm.vcpus[0]
        with vcpu.mutex, srcu_read(kvm.srcu):  # KVM_RUN, and the exit for a hypercall
            send(KvmXenEvtchn(PORT), kvm)

    return Scenario(name, setup, {"vcpu0": vcpu0, "ioctl": ioctl})


BUG = Bug(
    label="H13",
    title="a guest sends itself an event while somebody wants all vCPUs",
    commit="310bc39546a4",
    introduced="5.19",
    fixed="6.2",
    invariant="I6",
    era=USERS,
    broken={"kvm_xen_set_evtchn": kvm_xen_set_evtchn},
    mended={"kvm_xen_set_evtchn": h20.kvm_xen_set_evtchn},
    scene=scene,
)
