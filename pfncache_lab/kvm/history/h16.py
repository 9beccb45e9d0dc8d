"""H16: a page is written to, and another one is reported as dirty.

The reader loop ended with the unlock, and marked the page dirty after that: `gpc->memslot` and
`gpc->gpa`, whatever they are by now. In between, somebody may have turned the cache to another
address. The page that was written to is missing after a migration, the other is copied in vain.

    vcpu0                                   vmm
    *khva = ...; read_unlock(gpc->lock)
                                            activates the cache for another page
    marks gpc->gpa in gpc->memslot

The loads without the lock are a data race, and that is what the search says first. It is not the
bug. `locked_again` takes a lock for them, and so has no race; and it marks the wrong page all the
same. What was true under a lock is not true under the next one.

The users at fault were those that mark pages at all: runstate, vcpu_info and the guest's clock,
since 5.19. Fixed by 4438355ec6e1 "KVM: x86/xen: mark guest pages dirty with the pfncache lock
held", Linux 6.9. The interleaving is ours; nobody is known to have run into it.
"""

from __future__ import annotations

from ...explore import Condition, Scenario
from ...mm import store
from ...sim import Image, complete, srcu_read
from ..dirty import Migration, migration_begin, migration_last_round
from ..kvm_host import KVM_MEM_LOG_DIRTY_PAGES
from ..kvm_types import GfnToPfnCache, WithConstants, constant
from ..pfncache import kvm_gpc_check, kvm_gpc_refresh
from ..users.guest import nothing_is_lost
from ..users.reader import kvm_gpc_mark_dirty_in_slot
from ..vcpu import vcpu_load, vcpu_put
from ..vm import FIRST_GPA, Vm
from .bug import Bug
from .with_users import USERS

HERE = FIRST_GPA + 0x100
THERE = FIRST_GPA + 0x1080
TIME = b"12:00:01"


def write_guest(gpc: GfnToPfnCache, data: bytes) -> int:
    """Write `data` at the cache's address; may sleep. As the users did it from 5.19 to 6.8."""
    with srcu_read(gpc.kvm.srcu):
        gpc.lock.read_lock_irq()
        while not kvm_gpc_check(gpc, len(data)):
            gpc.lock.read_unlock_irq()
            error = kvm_gpc_refresh(gpc, len(data))
            if error:
                return error
            gpc.lock.read_lock_irq()
        store(gpc.khva, data)
        gpc.lock.read_unlock_irq()
        kvm_gpc_mark_dirty_in_slot(gpc)
    return 0


def locked_again(gpc: GfnToPfnCache, data: bytes) -> int:
    """Write `data` at the cache's address; may sleep. Without the race, and with the bug."""
    with srcu_read(gpc.kvm.srcu):
        gpc.lock.read_lock_irq()
        while not kvm_gpc_check(gpc, len(data)):
            gpc.lock.read_unlock_irq()
            error = kvm_gpc_refresh(gpc, len(data))
            if error:
                return error
            gpc.lock.read_lock_irq()
        store(gpc.khva, data)
        gpc.lock.read_unlock_irq()
        gpc.lock.read_lock_irq()
        kvm_gpc_mark_dirty_in_slot(gpc)
        gpc.lock.read_unlock_irq()
    return 0


class State(WithConstants):
    """A VM that is about to move, and a cache of its vCPU."""

    vm: constant[Vm] = constant()
    gpc: constant[GfnToPfnCache] = constant()
    migration: constant[Migration] = constant()


def scene(image: Image) -> Scenario:
    """A vCPU writes through a cache, which is turned to another page, and the VM is migrated."""
    create_vm, init, activate = image.create_vm, image.kvm_gpc_init, image.kvm_gpc_activate
    write = image.write_guest

    def setup() -> State:
        state = State()
        state.vm = create_vm(flags=KVM_MEM_LOG_DIRTY_PAGES)
        state.gpc = GfnToPfnCache("gpc")
        init(state.gpc, state.vm.kvm)
        activate(state.gpc, HERE, len(TIME))
        state.migration = migration_begin(state.vm.kvm, state.vm.slot)
        return state

    def vcpu0(state: State) -> None:
        vcpu = state.vm.kvm.vcpus[0]
        vcpu_load(vcpu)
        write(state.gpc, TIME)
        vcpu_put(vcpu)
        complete(state.migration.stopped)  # back in userspace

    def vmm(state: State) -> None:
        with srcu_read(state.vm.kvm.srcu):  # an ioctl
            activate(state.gpc, THERE, len(TIME))
        migration_last_round(state.migration, state.vm.kvm, state.vm.slot)

    def all_there(state: State) -> bool:
        return nothing_is_lost(state.migration, state.vm.kvm, state.vm.slot)

    return Scenario(
        "a cache is turned to another page while it is written through",
        setup,
        {"vcpu0": vcpu0, "vmm": vmm},
        [Condition("no page is lost", all_there)],
    )


BUG = Bug(
    label="H16",
    title="a page is written to, and another one is reported as dirty",
    commit="4438355ec6e1",
    introduced="5.19",
    fixed="6.9",
    invariant="I8",
    era=USERS,
    broken={"write_guest": write_guest},
    scene=scene,
)
