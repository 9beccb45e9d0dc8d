"""The dirty log: who may mark, where it goes, and what a migration misses."""

from errno import EINVAL, ENOENT, ENXIO

import pytest

from pfncache_lab.explore import Scenario
from pfncache_lab.kvm.dirty import (
    kvm_vm_ioctl_get_dirty_log,
    kvm_vm_ioctl_reset_dirty_pages,
    mark_page_dirty,
    mark_page_dirty_in_slot,
    migration_begin,
    migration_last_round,
    migration_lost,
    migration_round,
)
from pfncache_lab.kvm.kvm_host import KVM_MEM_LOG_DIRTY_PAGES
from pfncache_lab.kvm.vcpu import EXIT_REASON_IO, vcpu_load, vcpu_put, vcpu_run
from pfncache_lab.kvm.vm import create_vm
from pfncache_lab.mm import FIRST_HVA, copy_to_user
from pfncache_lab.sim import Warn, complete, srcu_read_lock, srcu_read_unlock
from tests.kvm.running import Alone, endings, returned


def logged(**how):
    return lambda: create_vm(flags=KVM_MEM_LOG_DIRTY_PAGES, **how)


def marking(gfn, load=True):
    """Mark a page, as the thread of vCPU 0 or as nobody's."""

    def task(vm):
        if load:
            vcpu_load(vm.kvm.vcpus[0])
        idx = srcu_read_lock(vm.kvm.srcu)
        mark_page_dirty(vm.kvm, gfn)
        srcu_read_unlock(vm.kvm.srcu, idx)
        if load:
            vcpu_put(vm.kvm.vcpus[0])

    return task


# -- who may mark ----------------------------------------------------------------------------------


def test_a_mark_needs_a_vcpu():
    bug = Alone(logged(), marking(0x11, load=False), "irqfd").bug
    assert isinstance(bug, Warn)
    assert "no vCPU runs here" in str(bug)


def test_it_warns_before_it_looks_whether_anything_is_logged():
    assert isinstance(Alone(create_vm, marking(0x11, load=False), "irqfd").bug, Warn)
    without_slot = Alone(create_vm, lambda vm: mark_page_dirty_in_slot(vm.kvm, None, 0x11), "irqfd")
    assert isinstance(without_slot.bug, Warn)


def test_a_vcpu_that_was_put_is_none():
    def task(vm):
        marking(0x11)(vm)
        marking(0x11, load=False)(vm)

    assert isinstance(Alone(logged(), task).bug, Warn)


# -- where it goes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("gfn", "bits"), [(0x10, 0b01), (0x11, 0b10), (0x20, 0)])
def test_a_page_of_a_slot_has_a_bit(gfn, bits):
    alone = Alone(logged(), marking(gfn))
    assert alone.bug is None
    assert alone.shared.slot.dirty_bitmap.bits == bits


def test_a_slot_that_does_not_log_has_no_bits():
    assert Alone(create_vm, marking(0x10)).bug is None


def test_a_ring_belongs_to_the_vcpu_that_marks():
    alone = Alone(logged(nr_vcpus=2, dirty_ring_size=4), marking(0x11))
    assert [vcpu.dirty_ring for vcpu in alone.shared.kvm.vcpus] == [((0, 1),), ()]
    assert alone.shared.slot.dirty_bitmap.bits == 0


# -- what userspace gets ---------------------------------------------------------------------------


def test_reading_the_log_clears_it():
    def task(vm):
        marking(0x11)(vm)
        return [kvm_vm_ioctl_get_dirty_log(vm.kvm, 0), kvm_vm_ioctl_get_dirty_log(vm.kvm, 0)]

    assert returned(logged(), task) == [0b10, 0]


@pytest.mark.parametrize(
    ("setup", "slot", "result"),
    [
        (logged(dirty_ring_size=4), 0, -ENXIO),
        (logged(), 2 << 16, -EINVAL),
        (logged(), 0x7FFF, -EINVAL),
        (logged(), 1, -ENOENT),
        (logged(), 1 << 16, -ENOENT),
        (create_vm, 0, -ENOENT),
    ],
)
def test_a_log_that_is_not_there_is_an_error(setup, slot, result):
    assert returned(setup, lambda vm: kvm_vm_ioctl_get_dirty_log(vm.kvm, slot), "qemu") == result


def test_no_mark_is_lost_when_the_log_is_read():
    """A mark that comes with the reading is in this log or in the next."""
    scenario = Scenario("log", logged(), {"vcpu0": marking(0x11), "vcpu1": reading})
    seen = endings(scenario, lambda vm: vm.slot.dirty_bitmap.bits, brute=True)
    assert seen == {0, 0b10}


def reading(vm):
    kvm_vm_ioctl_get_dirty_log(vm.kvm, 0)


def test_a_full_ring_sends_the_vcpu_to_userspace():
    entered: list[object] = []

    def guest(vcpu):
        entered.append(vcpu)
        return EXIT_REASON_IO

    def task(vm):
        marking(0x10)(vm)
        vcpu_run(vm.kvm.vcpus[0], guest)
        full = len(entered)
        assert kvm_vm_ioctl_reset_dirty_pages(vm.kvm, (1,)) == 1
        vcpu_run(vm.kvm.vcpus[0], guest)
        return full, len(entered)

    assert returned(logged(dirty_ring_size=1), task) == (0, 1)
    no_rings = returned(logged(), lambda vm: kvm_vm_ioctl_reset_dirty_pages(vm.kvm, (1,)))
    assert no_rings == -EINVAL


# -- migration -------------------------------------------------------------------------------------


def migrating(**how):
    def setup():
        vm = logged(**how)()
        vm.migration = migration_begin(vm.kvm, vm.slot)
        return vm

    return setup


def write(vm):
    """What the host does for the guest: it stores to a page of the guest."""
    copy_to_user(vm.mm, FIRST_HVA, b"news")


def marks_in_time(vm):
    vcpu_load(vm.kvm.vcpus[0])
    write(vm)
    mark_page_dirty_in_slot(vm.kvm, vm.slot, 0x10)
    vcpu_put(vm.kvm.vcpus[0])
    complete(vm.migration.stopped)


def marks_first(vm):
    """Not enough: a round between the mark and the store takes the old contents."""
    vcpu_load(vm.kvm.vcpus[0])
    mark_page_dirty_in_slot(vm.kvm, vm.slot, 0x10)
    write(vm)
    vcpu_put(vm.kvm.vcpus[0])
    complete(vm.migration.stopped)


def marks_after_the_last_look(vm):
    """H3: the mark is kept until the page is dropped."""
    vcpu_load(vm.kvm.vcpus[0])
    write(vm)
    complete(vm.migration.stopped)
    mark_page_dirty_in_slot(vm.kvm, vm.slot, 0x10)
    vcpu_put(vm.kvm.vcpus[0])


def marks_another(vm):
    vcpu_load(vm.kvm.vcpus[0])
    write(vm)
    mark_page_dirty_in_slot(vm.kvm, vm.slot, 0x11)
    vcpu_put(vm.kvm.vcpus[0])
    complete(vm.migration.stopped)


def migrate(vm):
    migration_round(vm.migration, vm.kvm, vm.slot)
    migration_last_round(vm.migration, vm.kvm, vm.slot)


def last_round(vm):
    migration_last_round(vm.migration, vm.kvm, vm.slot)


def lost(vm):
    return migration_lost(vm.migration, vm.kvm, vm.slot)


@pytest.mark.parametrize("ring", [0, 4])
def test_a_store_that_is_marked_in_time_arrives(ring):
    tasks = {"vcpu0": marks_in_time, "migrator": last_round}
    scenario = Scenario("migrate", migrating(dirty_ring_size=ring), tasks)
    assert endings(scenario, lost) == {()}


def test_a_store_that_is_marked_in_time_arrives_over_two_rounds():
    tasks = {"vcpu0": marks_in_time, "migrator": migrate}
    assert endings(Scenario("migrate", migrating(), tasks), lost, brute=True) == {()}


@pytest.mark.parametrize(
    ("vcpu0", "migrator"),
    [(marks_first, migrate), (marks_after_the_last_look, last_round), (marks_another, last_round)],
)
def test_a_store_that_is_not_is_lost(vcpu0, migrator):
    scenario = Scenario("migrate", migrating(), {"vcpu0": vcpu0, "migrator": migrator})
    assert (0,) in endings(scenario, lost, brute=True)
