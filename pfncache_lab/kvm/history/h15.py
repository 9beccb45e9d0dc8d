"""H15: lockdep reports a deadlock that cannot happen, and from then on reports nothing any more.

The guest's runstate may lie across two pages, and its two caches are locked together
(5ec3289b31ab, 6.2-rc1). To lockdep these are two locks of one class, and it has been told nothing
of their order. Another thread might take them the other way round: none does, but lockdep cannot
know that. A false alarm all the same costs: after its first report, lockdep turns itself off.

Fixed by 23e60258aeaf "KVM: x86/xen: Fix lockdep warning on "recursive" gpc locking", Linux
6.2-rc4, which says that the order is always the same, and where: a subclass for one of the two.
"""

from __future__ import annotations

from ...explore import Scenario
from ...mm import PAGE_SIZE, offset_in_page
from ...sim import Image, local_irq_disable, local_irq_enable, srcu_read
from ..kvm_host import Kvm
from ..kvm_types import GfnToPfnCache
from ..users.arch import RUNSTATE_SIZE
from ..users.guest import RUNSTATE
from ..vcpu import vcpu_load, vcpu_put
from .bug import Bug
from .with_users import USERS


def runstate_read_lock(gpc: GfnToPfnCache, subclass: int, atomic: bool) -> bool:
    """Lock one of the two caches, without saying which. As it was in 6.2-rc1 to rc3."""
    local_irq_disable()
    if not atomic:
        gpc.lock.read_lock()
        return True
    if gpc.lock.read_trylock():
        return True
    local_irq_enable()
    return False


def scene(image: Image) -> Scenario:
    """A vCPU gets its CPU back, and writes a runstate across two pages. Nobody else is there."""
    xen_guest, activate = image.xen_guest, image.kvm_gpc_activate
    update = image.kvm_xen_runstate_set_running

    def setup() -> Kvm:
        kvm: Kvm = xen_guest(pages=4)
        xen = kvm.vcpus[0].arch.xen
        length = PAGE_SIZE - offset_in_page(RUNSTATE)
        activate(xen.runstate_cache, RUNSTATE, length)
        activate(xen.runstate2_cache, RUNSTATE + length, RUNSTATE_SIZE - length)
        return kvm

    def vcpu0(kvm: Kvm) -> None:
        vcpu = kvm.vcpus[0]
        with vcpu.mutex, srcu_read(kvm.srcu):
            vcpu_load(vcpu)
            update(vcpu)
            vcpu_put(vcpu)

    return Scenario("a vCPU writes a runstate across two pages", setup, {"vcpu0": vcpu0})


BUG = Bug(
    label="H15",
    title="lockdep reports a deadlock that cannot happen",
    commit="23e60258aeaf",
    introduced="6.2-rc1",
    fixed="6.2-rc4",
    invariant="I6",
    era=USERS,
    broken={"runstate_read_lock": runstate_read_lock},
    scene=scene,
)
