"""Every operation of the hypervisor against every other: no bug, and all searches agree."""

from itertools import combinations_with_replacement

import pytest

from pfncache_lab.explore import Scenario
from pfncache_lab.kvm.dirty import kvm_vm_ioctl_get_dirty_log, mark_page_dirty
from pfncache_lab.kvm.kvm_host import KVM_MEM_LOG_DIRTY_PAGES
from pfncache_lab.kvm.kvm_types import is_error_noslot_pfn
from pfncache_lab.kvm.memory_region import KvmUserspaceMemoryRegion, kvm_set_memory_region
from pfncache_lab.kvm.memslots import gfn_to_hva
from pfncache_lab.kvm.pfn import hva_to_pfn, kvm_release_pfn_clean, mmu_notifier_retry_hva
from pfncache_lab.kvm.requests import (
    KVM_REQ_OUTSIDE_GUEST_MODE,
    KVM_REQ_TLB_FLUSH,
    kvm_make_all_cpus_request,
    kvm_vcpu_kick,
)
from pfncache_lab.kvm.vcpu import EXIT_REASON_IO, vcpu_run
from pfncache_lab.kvm.vm import create_vm
from pfncache_lab.mm import (
    FIRST_HVA,
    PAGE_SIZE,
    check_page_refs,
    madvise_dontneed,
    munmap,
    oom_reap_task_mm,
)
from pfncache_lab.sim import smp_rmb, srcu_read_lock, srcu_read_unlock
from tests.kvm.running import endings

HVA = FIRST_HVA


def setup():
    return create_vm(2, pages=1, flags=KVM_MEM_LOG_DIRTY_PAGES)


def region(gpa, size, flags=KVM_MEM_LOG_DIRTY_PAGES):
    return lambda vm: kvm_set_memory_region(
        vm.kvm, KvmUserspaceMemoryRegion(0, flags, gpa, size, HVA)
    )


def look_up(vm):
    idx = srcu_read_lock(vm.kvm.srcu)
    gfn_to_hva(vm.kvm, 0x10)
    srcu_read_unlock(vm.kvm.srcu, idx)


def fault(vm):
    """What a fault of the guest does, once."""
    seq = vm.kvm.mmu_invalidate_seq
    smp_rmb()
    pfn = hva_to_pfn(vm.kvm, HVA, False, True)
    with vm.kvm.mmu_lock.write():
        if not (is_error_noslot_pfn(pfn) or mmu_notifier_retry_hva(vm.kvm, seq, HVA)):
            vm.kvm.sptes = ((0x10, pfn),)
    kvm_release_pfn_clean(pfn)


def run_and_mark(vm):
    vcpu_run(vm.kvm.vcpus[0], marking)


def marking(vcpu):
    """A guest that wants something, upon which a page is written to."""
    idx = srcu_read_lock(vcpu.kvm.srcu)
    mark_page_dirty(vcpu.kvm, 0x10)
    srcu_read_unlock(vcpu.kvm.srcu, idx)
    return EXIT_REASON_IO


OPERATIONS = {
    "delete": region(0x10_000, 0),
    "move": region(0x20_000, PAGE_SIZE),
    "flags": region(0x10_000, PAGE_SIZE, 0),
    "look_up": look_up,
    "fault": fault,
    "madvise": lambda vm: madvise_dontneed(vm.mm, HVA, PAGE_SIZE),
    "munmap": lambda vm: munmap(vm.mm, HVA, PAGE_SIZE),
    "run": run_and_mark,
    "flush": lambda vm: kvm_make_all_cpus_request(vm.kvm, KVM_REQ_TLB_FLUSH),
    "evict": lambda vm: kvm_make_all_cpus_request(vm.kvm, KVM_REQ_OUTSIDE_GUEST_MODE),
    "kick": lambda vm: kvm_vcpu_kick(vm.kvm.vcpus[0]),
    "oom": lambda vm: oom_reap_task_mm(vm.mm),
    "read_log": lambda vm: kvm_vm_ioctl_get_dirty_log(vm.kvm, 0),
}
PAIRS = [
    pair
    for pair in combinations_with_replacement(OPERATIONS, 2)
    if pair != ("run", "run")  # a vCPU has one thread
]


def at_rest(vm):
    """What must be as it was, whatever has happened in between."""
    kvm = vm.kvm
    mapped = [entry.pfn for entry in vm.mm.entries().values()]
    return (
        kvm.mn_active_invalidate_count,
        kvm.mmu_invalidate_in_progress,
        kvm.memslots0.generation >> 63,
        all(pfn in mapped for _, pfn in kvm.sptes),
        check_page_refs(vm.ram),
    )


@pytest.mark.slow
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_two_operations_at_once(one, other):
    tasks = {f"{one}0": OPERATIONS[one], f"{other}1": OPERATIONS[other]}
    assert endings(Scenario("two", setup, tasks), at_rest) == {(0, 0, 0, True, True)}
