"""H3: the guest goes on at another host, and what was written to it last is missing there.

The merged cache remembers `dirty` until it gives its page up: at a refresh, or when it is
destroyed. Whoever migrates the VM takes the last look at the dirty log as soon as the vCPUs have
returned to userspace, and destroys them after that. What is reported then, nobody reads any more.
Since 5.17, as merged.

Even a report in time would have been lost (`gfn_scene`): mark_page_dirty() wants the number of a
guest frame, and is given an address. There is no slot so far up, so nothing is logged. No patch
has ever mentioned it; it went with the rest.

Fixed by cf1d88b36ba7 "KVM: Remove dirty handling from gfn_to_pfn_cache completely", Linux 5.18.
Whoever writes says so at once, or never and in the documentation: shared_info and vcpu_info must
always be taken for dirty.
"""

from __future__ import annotations

from ...explore import Condition, Scenario
from ...mm import NULL, kunmap, pfn_to_page, store
from ...sim import Image, complete, srcu_read
from ..dirty import (
    Migration,
    mark_page_dirty,
    mark_page_dirty_in_slot,
    migration_begin,
    migration_last_round,
)
from ..kvm_host import KVM_MEM_LOG_DIRTY_PAGES, Kvm
from ..kvm_types import WithConstants, constant, gpa_to_gfn, is_error_noslot_pfn
from ..pfn import kvm_release_pfn
from ..users.guest import nothing_is_lost
from ..vcpu import vcpu_load, vcpu_put
from ..vm import FIRST_GPA, Vm
from .bug import Bug
from .v5_17 import (
    GfnToPfnCache517,
    kvm_gfn_to_pfn_cache_check,
    kvm_gfn_to_pfn_cache_refresh,
)
from .with_users import USERS_5_17

CLOCK = FIRST_GPA + 0x100
TIME = b"12:00:01"


def write_guest(kvm: Kvm, gpc: GfnToPfnCache517, gpa: int, data: bytes) -> int:
    """Write `data` at `gpa`, and report the page as dirty at once; may sleep. As in 5.18."""
    with srcu_read(kvm.srcu):
        gpc.lock.read_lock_irq()
        while not kvm_gfn_to_pfn_cache_check(kvm, gpc, gpa, len(data)):
            gpc.lock.read_unlock_irq()
            error = kvm_gfn_to_pfn_cache_refresh(kvm, gpc, gpa, len(data), False)
            if error:
                return error
            gpc.lock.read_lock_irq()
        store(gpc.khva, data)
        mark_page_dirty_in_slot(kvm, gpc.memslot, gpa_to_gfn(gpa))
        gpc.lock.read_unlock_irq()
    return 0


def __release_gpc(kvm: Kvm, pfn: int, khva: int, gpa: int, dirty: bool) -> None:
    """Give back a mapping and the reference to its page; may sleep. With a gfn, as was meant.

    That mends `gfn_scene`, and not the other.
    """
    if is_error_noslot_pfn(pfn):
        return
    if khva != NULL:
        page = pfn_to_page(pfn)
        assert page is not None  # the scene has no device
        kunmap(page)
    kvm_release_pfn(pfn, dirty)
    if dirty:
        mark_page_dirty(kvm, gpa_to_gfn(gpa))


def scene(image: Image) -> Scenario:
    """The clock of a vCPU is written, the vCPU stops, the migration ends, the caches go."""
    return _migration("a VM is migrated while a cache holds its dirty page", image, late=False)


def gfn_scene(image: Image) -> Scenario:
    """The same, with userspace so kind as to wait for the caches to go."""
    return _migration("a VM is migrated after its caches have gone", image, late=True)


class State(WithConstants):
    """A VM that is about to move, and the cache in it."""

    vm: constant[Vm] = constant()
    gpc: constant[GfnToPfnCache517] = constant()
    migration: constant[Migration] = constant()


def _migration(name: str, image: Image, late: bool) -> Scenario:
    create_vm, init = image.create_vm, image.kvm_gfn_to_pfn_cache_init
    write, destroy = image.write_guest, image.kvm_gfn_to_pfn_cache_destroy

    def setup() -> State:
        state = State()
        state.vm = create_vm(flags=KVM_MEM_LOG_DIRTY_PAGES)
        state.gpc = GfnToPfnCache517("gpc")
        init(state.vm.kvm, state.gpc, None, False, True, CLOCK, len(TIME), True)
        state.migration = migration_begin(state.vm.kvm, state.vm.slot)
        return state

    def vcpu0(state: State) -> None:
        kvm = state.vm.kvm
        vcpu_load(kvm.vcpus[0])
        write(kvm, state.gpc, CLOCK, TIME)
        if not late:
            complete(state.migration.stopped)  # back in userspace
        with srcu_read(kvm.srcu):
            destroy(kvm, state.gpc)
        if late:
            complete(state.migration.stopped)
        vcpu_put(kvm.vcpus[0])

    def vmm(state: State) -> None:
        migration_last_round(state.migration, state.vm.kvm, state.vm.slot)

    def all_there(state: State) -> bool:
        return nothing_is_lost(state.migration, state.vm.kvm, state.vm.slot)

    final = [Condition("no page is lost", all_there)]
    return Scenario(name, setup, {"vcpu0": vcpu0, "vmm": vmm}, final)


BUG = Bug(
    label="H3",
    title="a page is reported as dirty after the last look at the dirty log",
    commit="cf1d88b36ba7",
    introduced="5.17",
    fixed="5.18",
    invariant="I8",
    era=USERS_5_17,
    mended={"write_guest": write_guest},
    scene=scene,
)
