"""The two halves of the notifier: in which order, and what happens outside of the memslots."""

from typing import Any

import pytest

from pfncache_lab.explore import Condition, Scenario
from pfncache_lab.explore.dpor import SourceDpor
from pfncache_lab.kvm import MODULES
from pfncache_lab.kvm.kvm_host import Kvm
from pfncache_lab.kvm.kvm_main import kvm_destroy_vm, kvm_mmu_notifier_release
from pfncache_lab.kvm.memory_region import KvmUserspaceMemoryRegion, kvm_set_memory_region
from pfncache_lab.kvm.pfn import hva_to_pfn, kvm_release_pfn_clean, mmu_notifier_retry_hva
from pfncache_lab.kvm.vm import create_vm
from pfncache_lab.mm import (
    FIRST_HVA,
    PAGE_SIZE,
    MmuNotifierRange,
    madvise_dontneed,
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
    mmu_notifier_invalidate_range_start_nonblock,
    munmap,
)
from pfncache_lab.sim import (
    Deadlock,
    NotHeld,
    each,
    link,
    smp_rmb,
    srcu_read_lock,
    srcu_read_unlock,
)
from tests.kvm.running import Alone, bug_in, endings, returned, searched

HVA = FIRST_HVA
LATER = FIRST_HVA + 2 * PAGE_SIZE  # in no memslot


def start(vm, at=HVA, pages=1):
    mmu_notifier_invalidate_range_start(MmuNotifierRange(vm.mm, at, at + pages * PAGE_SIZE))


def end(vm, at=HVA, pages=1):
    mmu_notifier_invalidate_range_end(MmuNotifierRange(vm.mm, at, at + pages * PAGE_SIZE))


def both(at=HVA, pages=1):
    def task(vm):
        start(vm, at, pages)
        end(vm, at, pages)

    return task


# -- the order -------------------------------------------------------------------------------------

START = [
    "lock kvm.mn_invalidate_lock",
    "add kvm.mn_active_invalidate_count +1, was 0",
    "unlock kvm.mn_invalidate_lock",
    "lock kvm.gpc_lock",
    "unlock kvm.gpc_lock",
    "srcu_read_lock kvm.srcu",
    "load kvm.memslots0",
    "write_lock kvm.mmu_lock",
    "write_unlock kvm.mmu_lock",
    "srcu_read_unlock kvm.srcu",
]
END = [
    "srcu_read_lock kvm.srcu",
    "load kvm.memslots0",
    "write_lock kvm.mmu_lock",
    "add kvm.mmu_invalidate_seq +1, was 0",
    "write_unlock kvm.mmu_lock",
    "srcu_read_unlock kvm.srcu",
    "lock kvm.mn_invalidate_lock",
    "add kvm.mn_active_invalidate_count -1, was 1",
    "unlock kvm.mn_invalidate_lock",
    "wake up kvm.mn_memslots_update_rcuwait → nobody",
]


def did(alone):
    return [text.split(" (acquire)")[0].split(" → <generation")[0] for text in alone.did]


def test_both_halves_do_this_in_this_order():
    alone = Alone(create_vm, both(), "notifier")
    assert did(alone) == START + END
    stores = [note for note in alone.notes if note.startswith("store")]
    assert stores == [
        "store kvm.mmu_invalidate_in_progress ← 1",
        f"store kvm.mmu_invalidate_range_start ← {HVA:#_x}",
        f"store kvm.mmu_invalidate_range_end ← {HVA + PAGE_SIZE:#_x}",
        "store kvm.mmu_invalidate_in_progress ← 0",
    ]


def test_outside_of_the_memslots_mmu_lock_is_not_taken_and_the_sequence_stays():
    alone = Alone(create_vm, both(LATER), "notifier")
    assert did(alone) == [
        text for text in START + END if "mmu_lock" not in text and "mmu_invalidate" not in text
    ]
    assert alone.shared.kvm.mmu_invalidate_seq == 0


def test_the_caches_come_between_the_two_counts():
    """Goal: the order that H8 turns on. Method: link another function in, and look around."""

    def look(kvm, first, last, may_block):
        with kvm.mmu_lock.read():
            in_progress = kvm.mmu_invalidate_in_progress
        seen.append((kvm.mn_active_invalidate_count, in_progress, first, last, may_block))

    seen: list[Any] = []
    image = link(MODULES, {"gfn_to_pfn_cache_invalidate_start": look})
    Alone(image.create_vm, both(), "notifier")
    assert seen == [(1, 0, HVA, HVA + PAGE_SIZE, True)]


def test_a_range_may_forbid_to_sleep():
    def look(kvm, first, last, may_block):
        seen.append(may_block)

    def task(vm):
        range_ = MmuNotifierRange(vm.mm, HVA, HVA + PAGE_SIZE)
        return mmu_notifier_invalidate_range_start_nonblock(range_)

    seen: list[Any] = []
    image = link(MODULES, {"gfn_to_pfn_cache_invalidate_start": look})
    assert returned(image.create_vm, task, "oom_reaper") == 0
    assert seen == [False]


def test_the_range_of_several_covers_all_of_them_until_the_last_has_ended():
    def fields(kvm):
        return (
            kvm.mmu_invalidate_in_progress,
            kvm.mmu_invalidate_range_start - HVA,
            kvm.mmu_invalidate_range_end - HVA,
        )

    def task(vm):
        found = []
        for step, at in each([(start, 3), (start, 0), (end, 3), (end, 0), (start, 1)]):
            step(vm, HVA + at * PAGE_SIZE)
            with vm.kvm.mmu_lock.read():
                found.append(fields(vm.kvm))
        return found

    page = PAGE_SIZE
    assert returned(lambda: create_vm(pages=4), task, "notifier") == [
        (1, 3 * page, 4 * page),
        (2, 0, 4 * page),
        (1, 0, 4 * page),
        (0, 0, 4 * page),
        (1, page, 2 * page),
    ]


@pytest.mark.parametrize("mmu_rwlock", [True, False])
def test_mmu_lock_is_a_spinlock_where_the_architecture_says_so(mmu_rwlock):
    alone = Alone(lambda: create_vm(mmu_rwlock=mmu_rwlock), both(), "notifier")
    taken = {text for text in alone.did if "lock kvm.mmu_lock" in text}
    write = "write_" if mmu_rwlock else ""
    assert taken == {f"{write}lock kvm.mmu_lock", f"{write}unlock kvm.mmu_lock"}


def test_the_second_address_space_is_looked_at_if_there_is_one():
    alone = Alone(lambda: create_vm(nr_as_ids=2), both(LATER), "notifier")
    assert sum("load kvm.memslots" in text for text in alone.did) == 4


# -- what the guest has mapped ---------------------------------------------------------------------


def test_what_the_guest_has_mapped_is_taken_away_at_the_start():
    def setup():
        vm = create_vm(pages=3)
        vm.kvm.sptes = ((0x10, 0x901), (0x11, 0x902), (0x12, 0x903))
        return vm

    alone = Alone(setup, lambda vm: start(vm, HVA + PAGE_SIZE), "notifier")
    assert alone.shared.kvm.sptes == ((0x10, 0x901), (0x12, 0x903))
    assert alone.shared.kvm.vcpus[0].requests == 1  # KVM_REQ_TLB_FLUSH
    alone = Alone(setup, lambda vm: kvm_mmu_notifier_release(vm.mm.notifiers[0], vm.mm), "exit")
    assert alone.shared.kvm.sptes == ()


# -- with memslot updates --------------------------------------------------------------------------


def move(vm):
    mem = KvmUserspaceMemoryRegion(0, 0, 0x20_000, 2 * PAGE_SIZE, HVA)
    vm_result = kvm_set_memory_region(vm.kvm, mem)
    assert vm_result == 0


def quiet(vm):
    kvm: Kvm = vm.kvm
    return (
        kvm.mn_active_invalidate_count,
        kvm.mmu_invalidate_in_progress,
        kvm.mmu_invalidate_seq,
        kvm.memslots0.generation,
    )


def test_an_update_and_a_notifier_leave_the_counts_balanced():
    """The end finds the slots that the start has found: both see the slot, or one of its forms."""
    scenario = Scenario("move", create_vm, {"update": move, "notifier": both()})
    assert endings(scenario, quiet) == {(0, 0, 1, 6)}


def test_an_update_that_does_not_wait_breaks_the_counts():
    """Goal: what the wait is for. Method: swap without it, under a notifier, and delete."""

    def kvm_swap_active_memslots(kvm, as_id, slots):
        kvm.memslots0 = slots
        kvm.slots_arch_lock.unlock()
        return slots

    def delete(vm):
        image = link(MODULES, {"kvm_swap_active_memslots": kvm_swap_active_memslots})
        image.kvm_set_memory_region(vm.kvm, KvmUserspaceMemoryRegion(0, 0, 0x10_000, 0, HVA))

    scenario = Scenario("delete", create_vm, {"update": delete, "notifier": both()})
    _, seen = searched(SourceDpor, scenario, look=quiet)
    assert {(0, 1), (0, 0)} == {ending[:2] for ending in seen}


# -- retry -----------------------------------------------------------------------------------------


def fault(vm):
    """What a fault of the guest does: look up, look whether that still holds, and map it."""
    seq = vm.kvm.mmu_invalidate_seq
    smp_rmb()
    pfn = hva_to_pfn(vm.kvm, HVA, False, True)
    vm.kvm.mmu_lock.write_lock()
    if not mmu_notifier_retry_hva(vm.kvm, seq, HVA):
        vm.kvm.sptes = ((0x10, pfn),)
    vm.kvm.mmu_lock.write_unlock()
    kvm_release_pfn_clean(pfn)


def fault_without_retry(vm):
    pfn = hva_to_pfn(vm.kvm, HVA, False, True)
    vm.kvm.mmu_lock.write_lock()
    vm.kvm.sptes = ((0x10, pfn),)
    vm.kvm.mmu_lock.write_unlock()
    kvm_release_pfn_clean(pfn)


def discard(vm):
    madvise_dontneed(vm.mm, HVA, PAGE_SIZE)


def maps_what_is_there(vm):
    here = [pte.pfn for hva, pte in vm.mm.entries().items() if hva == HVA]
    return all(pfn in here for gfn, pfn in vm.kvm.sptes)


CURRENT = [Condition("the guest maps the page that is there", maps_what_is_there)]


def test_a_fault_never_maps_a_page_that_is_gone():
    scenario = Scenario("fault", create_vm, {"vcpu0": fault, "madvise": discard}, CURRENT)
    seen = endings(scenario, lambda vm: (len(vm.kvm.sptes), maps_what_is_there(vm)))
    assert {there for _, there in seen} == {True}
    assert {mapped for mapped, _ in seen} == {0, 1}


def test_without_the_retry_it_does():
    scenario = Scenario("fault", create_vm, {"vcpu0": fault_without_retry, "madvise": discard})
    assert False in endings(scenario, maps_what_is_there)


def test_the_retry_is_asked_under_mmu_lock():
    assert isinstance(
        Alone(create_vm, lambda vm: mmu_notifier_retry_hva(vm.kvm, 0, HVA)).bug, NotHeld
    )


@pytest.mark.parametrize(
    ("prepare", "seq", "hva", "retry"),
    [
        (lambda vm: None, 0, HVA, False),
        (start, 0, HVA, True),
        (start, 0, HVA + PAGE_SIZE, False),
        (both(), 0, HVA, True),
        (both(), 0, HVA + PAGE_SIZE, True),
        (both(), 1, HVA, False),
    ],
)
def test_what_makes_a_lookup_out_of_date(prepare, seq, hva, retry):
    def task(vm):
        prepare(vm)
        with vm.kvm.mmu_lock.read():
            return mmu_notifier_retry_hva(vm.kvm, seq, hva)

    assert returned(create_vm, task, "notifier") is retry


# -- the rest --------------------------------------------------------------------------------------


def test_a_notifier_must_not_wait_for_a_memslot_update():
    """Who reads the memslots and wants slots_lock waits for an update that waits for readers."""

    def wrong(vm):
        idx = srcu_read_lock(vm.kvm.srcu)
        vm.kvm.slots_lock.lock()
        vm.kvm.slots_lock.unlock()
        srcu_read_unlock(vm.kvm.srcu, idx)

    scenario = Scenario("wrong", create_vm, {"update": move, "reader": wrong})
    assert isinstance(bug_in(scenario), Deadlock)


def test_a_machine_ends_when_nothing_is_under_way():
    assert Alone(create_vm, lambda vm: kvm_destroy_vm(vm.kvm), "main").bug is None


def test_unmapping_memory_tells_the_machine():
    alone = Alone(create_vm, lambda vm: munmap(vm.mm, HVA, PAGE_SIZE), "munmap")
    assert alone.shared.kvm.mmu_invalidate_seq == 1
