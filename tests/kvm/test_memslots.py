"""Memslots: what an update does in which order, and what readers and notifiers see of it."""

from errno import EEXIST, EINVAL, ENOMEM

import pytest

from pfncache_lab.explore import Scenario
from pfncache_lab.kvm.kvm_host import (
    KVM_MEM_LOG_DIRTY_PAGES,
    KVM_MEM_READONLY,
    KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS,
    KVM_MEMSLOT_INVALID,
    Kvm,
    KvmMemorySlot,
)
from pfncache_lab.kvm.kvm_main import kvm_create_vcpu
from pfncache_lab.kvm.kvm_types import KVM_HVA_ERR_BAD, KVM_HVA_ERR_RO_BAD
from pfncache_lab.kvm.memory_region import KvmUserspaceMemoryRegion, kvm_set_memory_region
from pfncache_lab.kvm.memslots import (
    gfn_to_hva,
    gfn_to_hva_memslot,
    gfn_to_memslot,
    hva_to_gfn_memslot,
    kvm_memslots,
    memslots_in_hva_range,
)
from pfncache_lab.sim import (
    NotHeld,
    Struct,
    atomic_dec_and_test,
    atomic_inc,
    marked,
    rcuwait_wake_up,
    srcu_read_lock,
    srcu_read_unlock,
)
from tests.kvm.running import Alone, endings, returned

HVA = 0x7F5A_A000_0000
IN_PROGRESS = KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS


def region(slot=0, flags=0, gpa=0x10_000, size=0x2000, hva=HVA):
    return KvmUserspaceMemoryRegion(slot, flags, gpa, size, hva)


class Shared(Struct):
    kvm: Kvm
    seen = marked(())


def with_slot(**changed):
    """A machine with two pages at gfn 0x10."""
    shared = Shared()
    shared.kvm = Kvm()
    assert kvm_set_memory_region(shared.kvm, region(**changed)) == 0
    return shared


# -- looking up ------------------------------------------------------------------------------------


def reading(look):
    """Call `look` with the machine, in a read section."""

    def task(s):
        idx = srcu_read_lock(s.kvm.srcu)
        found = look(s.kvm)
        srcu_read_unlock(s.kvm.srcu, idx)
        return found

    return task


def test_a_frame_has_the_address_that_its_slot_gives_it():
    assert returned(with_slot, reading(lambda kvm: gfn_to_hva(kvm, 0x11))) == HVA + 0x1000
    slot = KvmMemorySlot(0, 0, 0x10, 2, HVA)
    assert hva_to_gfn_memslot(HVA + 0x1FFF, slot) == 0x11


@pytest.mark.parametrize("gfn", [0x0F, 0x12])
def test_a_frame_in_no_slot_has_none(gfn):
    assert returned(with_slot, reading(lambda kvm: gfn_to_memslot(kvm, gfn))) is None
    assert returned(with_slot, reading(lambda kvm: gfn_to_hva(kvm, gfn))) == KVM_HVA_ERR_BAD


def test_a_slot_that_is_read_only_or_about_to_go_has_no_address_to_write_to():
    slot = KvmMemorySlot(0, 0, 0x10, 2, HVA)
    assert gfn_to_hva_memslot(slot, 0x10) == HVA
    assert gfn_to_hva_memslot(slot._replace(flags=KVM_MEM_READONLY), 0x10) == KVM_HVA_ERR_RO_BAD
    assert gfn_to_hva_memslot(slot._replace(flags=KVM_MEMSLOT_INVALID), 0x10) == KVM_HVA_ERR_BAD


def test_a_look_costs_one_step_and_needs_a_read_section():
    alone = Alone(with_slot, reading(lambda kvm: kvm_memslots(kvm).generation))
    assert [text.split()[0] for text in alone.did] == ["srcu_read_lock", "load", "srcu_read_unlock"]
    bug = Alone(with_slot, lambda s: kvm_memslots(s.kvm)).bug
    assert isinstance(bug, NotHeld)
    assert "vcpu0 looks at the memslots" in str(bug)


def test_slots_are_found_by_user_address_too():
    slots = with_slot().kvm.memslots0
    found = [
        len(memslots_in_hva_range(slots, start, end))
        for start, end in [
            (HVA - 0x1000, HVA),
            (HVA - 0x1000, HVA + 1),
            (HVA + 0x1000, HVA + 0x3000),
            (HVA + 0x2000, HVA + 0x3000),
        ]
    ]
    assert found == [0, 1, 1, 0]


# -- what userspace may ask ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"flags": 4},
        {"size": 0x1234},
        {"gpa": 0x10_080},
        {"hva": HVA + 8},
        {"hva": 1 << 47},
        {"slot": 2 << 16},
        {"slot": 0x7FFF},
        {"gpa": (1 << 64) - 0x1000},
        {"slot": 1, "size": 0},  # there is none to delete
        {"hva": HVA + 0x5000},  # in place
        {"size": 0x1000},
        {"flags": KVM_MEM_READONLY},
    ],
    ids=str,
)
def test_what_is_no_region_is_refused_and_changes_nothing(wrong):
    alone = Alone(with_slot, lambda s: kvm_set_memory_region(s.kvm, region(**wrong)))
    assert alone.returned == -EINVAL
    assert alone.shared.kvm.memslots0 == with_slot().kvm.memslots0


def test_a_slot_must_not_overlap_with_another():
    def other(gpa):
        return returned(with_slot, lambda s: kvm_set_memory_region(s.kvm, region(1, gpa=gpa)))

    results = [other(gpa) for gpa in (0xE000, 0xF000, 0x10_000, 0x11_000, 0x12_000)]
    assert results == [0, -EEXIST, -EEXIST, -EEXIST, 0]


def test_the_same_region_again_changes_nothing():
    alone = Alone(with_slot, lambda s: kvm_set_memory_region(s.kvm, region()))
    assert alone.returned == 0
    assert alone.shared.kvm.memslots0.generation == 2


CHANGES = {
    "create": (region(1, gpa=0x20_000), 4, [0x10, 0x20]),
    "delete": (region(size=0), 6, []),
    "move": (region(gpa=0x20_000), 6, [0x20]),
    "flags": (region(flags=KVM_MEM_LOG_DIRTY_PAGES), 4, [0x10]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_swap_makes_a_generation(change):
    """Two swaps where the slot must stop translating first: by one it would be gone at once."""
    mem, generation, gfns = CHANGES[change]
    alone = Alone(with_slot, lambda s: kvm_set_memory_region(s.kvm, mem))
    assert alone.returned == 0
    published = alone.shared.kvm.memslots0
    assert published.generation == generation
    assert [slot.base_gfn for slot in published.slots] == gfns


def test_the_dirty_log_comes_and_goes_with_the_flag():
    shared = with_slot(flags=KVM_MEM_LOG_DIRTY_PAGES)
    assert shared.kvm.memslots0.slots[0].dirty_bitmap.bits == 0
    kvm_set_memory_region(shared.kvm, region())
    assert shared.kvm.memslots0.slots[0].dirty_bitmap is None


def test_there_is_memory_for_so_many_logs_only():
    shared = with_slot(flags=KVM_MEM_LOG_DIRTY_PAGES)
    log = [region(n, KVM_MEM_LOG_DIRTY_PAGES, 0x20_000 * n) for n in (1, 2)]
    results = [kvm_set_memory_region(shared.kvm, mem) for mem in log]
    assert results == [0, -ENOMEM]
    assert len(shared.kvm.memslots0.slots) == 2


def test_a_move_for_which_there_is_no_memory_leaves_the_slot_where_it_was():
    """It has been made invalid by then, and published like that."""

    def setup():
        shared = with_slot(flags=KVM_MEM_LOG_DIRTY_PAGES)
        kvm_set_memory_region(shared.kvm, region(1, KVM_MEM_LOG_DIRTY_PAGES, 0x20_000))
        kvm_set_memory_region(shared.kvm, region(2, 0, 0x30_000))
        return shared

    def move(shared):
        before = shared.kvm.memslots0
        mem = region(2, KVM_MEM_LOG_DIRTY_PAGES, 0x40_000)
        return kvm_set_memory_region(shared.kvm, mem), before

    alone = Alone(setup, move)
    assert alone.bug is None
    error, before = alone.returned
    after = alone.shared.kvm.memslots0
    assert error == -ENOMEM
    assert after.slots == before.slots
    assert after.generation == before.generation + 4


def test_the_address_spaces_have_generations_of_their_own():
    shared = with_slot()
    shared.kvm.nr_as_ids = 2
    kvm_set_memory_region(shared.kvm, region(1 << 16))
    assert (shared.kvm.memslots0.generation, shared.kvm.memslots1.generation) == (2, 3)


# -- the order of an update ------------------------------------------------------------------------

SWAP = [
    "lock kvm.mn_invalidate_lock",
    "prepare to wait on kvm.mn_memslots_update_rcuwait",
    "load kvm.mn_active_invalidate_count → 0",
    "leave kvm.mn_memslots_update_rcuwait",
    "set the state of vcpu0 to running",
    "store kvm.memslots0 (release): {} in progress",
    "unlock kvm.mn_invalidate_lock",
    "unlock kvm.slots_arch_lock",
    "synchronize_srcu kvm.srcu",
    "wait for the readers of kvm.srcu",
    "store kvm.memslots0 (release): {}",
]


def swap(before, after):
    return [*SWAP[:5], SWAP[5].format(before), *SWAP[6:10], SWAP[10].format(after)]


def shortened(text):
    """A set of slots by its generation."""
    if " ← <generation " not in text:
        return text
    head, tail = text.split(" ← <generation ")
    return f"{head} (release): {tail.split(':')[0]}"


def test_a_slot_is_created_in_this_order():
    alone = Alone(with_slot, lambda s: kvm_set_memory_region(s.kvm, region(1, gpa=0x20_000)))
    head = ["lock kvm.slots_lock", "load", "lock kvm.slots_arch_lock", "load"]
    did = ["load" if "load kvm.memslots0" in text else shortened(text) for text in alone.did]
    assert did == [*head, *swap(2, 4), "unlock kvm.slots_lock"]


@pytest.mark.parametrize("change", ["delete", "move"])
def test_a_slot_that_goes_is_made_invalid_first(change):
    alone = Alone(with_slot, lambda s: kvm_set_memory_region(s.kvm, CHANGES[change][0]))
    head = ["lock kvm.slots_lock", "load", "lock kvm.slots_arch_lock", "load"]
    did = ["load" if "load kvm.memslots0" in text else shortened(text) for text in alone.did]
    assert did == [
        *head,
        *swap(2, 4),
        "write_lock kvm.mmu_lock",
        "write_unlock kvm.mmu_lock",
        "lock kvm.slots_arch_lock",
        *swap(4, 6),
        "unlock kvm.slots_lock",
    ]


def test_what_the_guest_has_mapped_through_a_slot_goes_with_it():
    def setup():
        shared = with_slot()
        shared.kvm.vcpus = (kvm_create_vcpu(shared.kvm, 0),)
        shared.kvm.sptes = ((0x11, 0x902), (0x20, 0x903))
        return shared

    alone = Alone(setup, lambda s: kvm_set_memory_region(s.kvm, region(size=0)))
    assert alone.shared.kvm.sptes == ((0x20, 0x903),)
    assert alone.shared.kvm.vcpus[0].requests == 1  # KVM_REQ_TLB_FLUSH


# -- readers ---------------------------------------------------------------------------------------


def move(s):
    kvm_set_memory_region(s.kvm, region(gpa=0x20_000))


def look(s):
    idx = srcu_read_lock(s.kvm.srcu)
    slots = kvm_memslots(s.kvm)
    s.seen = (slots.generation, tuple((slot.base_gfn, slot.flags) for slot in slots.slots))
    srcu_read_unlock(s.kvm.srcu, idx)


def test_a_reader_sees_five_generations_of_a_move():
    """Goal: which set goes with which generation. Method: every schedule of one look."""
    seen = endings(Scenario("move", with_slot, {"move": move, "look": look}), lambda s: s.seen)
    assert seen == {
        (2, ((0x10, 0),)),
        (2 | IN_PROGRESS, ((0x10, KVM_MEMSLOT_INVALID),)),
        (4, ((0x10, KVM_MEMSLOT_INVALID),)),
        (4 | IN_PROGRESS, ((0x20, 0),)),
        (6, ((0x20, 0),)),
    }


def look_twice(s):
    idx = srcu_read_lock(s.kvm.srcu)
    first = kvm_memslots(s.kvm).generation
    second = kvm_memslots(s.kvm).generation
    s.seen = (first, second)
    srcu_read_unlock(s.kvm.srcu, idx)


def test_in_a_read_section_the_old_set_never_has_a_new_generation():
    """Who has seen a set before the swap keeps the update from ending; who has not may see the
    same set under both generations, and nothing is wrong with that."""
    create = lambda s: kvm_set_memory_region(s.kvm, region(1, gpa=0x20_000))  # noqa: E731
    seen = endings(
        Scenario("create", with_slot, {"create": create, "look": look_twice}), lambda s: s.seen
    )
    assert seen == {
        (2, 2),
        (2, 2 | IN_PROGRESS),
        (2 | IN_PROGRESS, 2 | IN_PROGRESS),
        (2 | IN_PROGRESS, 4),
        (4, 4),
    }


# -- notifiers -------------------------------------------------------------------------------------


def begin(kvm):
    kvm.mn_invalidate_lock.lock()
    atomic_inc(kvm, "mn_active_invalidate_count")
    kvm.mn_invalidate_lock.unlock()


def end(kvm):
    kvm.mn_invalidate_lock.lock()
    wake = atomic_dec_and_test(kvm, "mn_active_invalidate_count")
    kvm.mn_invalidate_lock.unlock()
    if wake:
        rcuwait_wake_up(kvm.mn_memslots_update_rcuwait)


def invalidate(s):
    """A notifier, which remembers the generation at its start and at its end."""
    begin(s.kvm)
    first = s.kvm.memslots0.generation
    last = s.kvm.memslots0.generation
    s.seen = (first, last)
    end(s.kvm)


def create(s):
    kvm_set_memory_region(s.kvm, region(1, gpa=0x20_000))


def test_an_update_publishes_nothing_between_a_start_and_its_end():
    seen = endings(
        Scenario("swap", with_slot, {"update": create, "notifier": invalidate}),
        lambda s: (s.seen, s.kvm.memslots0.generation),
    )
    # It may become final meanwhile: the set is the same.
    assert seen == {
        ((2, 2), 4),
        ((2 | IN_PROGRESS, 2 | IN_PROGRESS), 4),
        ((2 | IN_PROGRESS, 4), 4),
        ((4, 4), 4),
    }


def test_an_update_waits_for_two_notifiers_that_overlap():
    """The first to end must not wake it for good: it looks at the count again."""
    scenario = Scenario("swap", with_slot, {"update": create, "one": both_ends, "two": both_ends})
    assert endings(scenario, lambda s: s.kvm.memslots0.generation) == {4}


def both_ends(s):
    begin(s.kvm)
    end(s.kvm)


def test_a_notifier_that_wakes_nobody_leaves_the_update_asleep():
    def silent(s):
        begin(s.kvm)
        s.kvm.mn_invalidate_lock.lock()
        atomic_dec_and_test(s.kvm, "mn_active_invalidate_count")
        s.kvm.mn_invalidate_lock.unlock()

    scenario = Scenario("swap", with_slot, {"update": create, "notifier": silent})
    assert endings(scenario, lambda s: "done", brute=True) == {"done", "Deadlock"}
