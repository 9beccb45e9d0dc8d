"""slots.py: the machines of lesson 02, and an update of their memslots that is one step."""

from __future__ import annotations

from typing import Any

from ...explore import Condition, Scenario
from ...kvm.kvm_host import (
    KVM_ADDRESS_SPACE_NUM,
    KVM_MEM_READONLY,
    KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS,
    KvmMemorySlot,
    KvmMemslots,
)
from ...kvm.kvm_types import KVM_HVA_ERR_BAD, constant
from ...kvm.memslots import gfn_to_hva
from ...kvm.vm import Vm, create_vm
from ...mm import FIRST_HVA, PAGE_SIZE, copy_from_user, copy_to_user, mmap
from ...sim import (
    ConditionBroken,
    Struct,
    rcu_assign_pointer,
    shared,
    srcu_read_lock,
    srcu_read_unlock,
)
from ..exercise import Built

LOW = KvmMemorySlot(0, 0, 0x10, 2, FIRST_HVA)
MOVED = LOW._replace(userspace_addr=FIRST_HVA + 2 * PAGE_SIZE)


class GfnToHvaCache(Struct):
    """struct gfn_to_hva_cache: a frame, its user address, and the generation that said so."""

    gfn = shared(0x10)
    hva = shared(KVM_HVA_ERR_BAD)
    generation = shared(0)


class Generation(int):
    """A generation, in which the bit of an update is shown apart."""

    def __repr__(self) -> str:
        plain = self & ~KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS
        return str(plain) if plain == self else f"{plain} | 1 << 63"


class Guest(Vm):
    """A machine that shows the generation of its memslots beside each step."""

    cache: constant[GfnToHvaCache] = constant()

    def snapshot(self) -> dict[str, Any]:
        """Return what a picture shows of the machine."""
        return {"generation": Generation(self.kvm.snapshot()["memslots0"].generation)}


def one_slot() -> Guest:
    """Make a guest of two pages, in a process that has four."""
    vm = Guest()
    create_vm(pages=2, spare_pages=2, frames=4, vm=vm)
    mmap(vm.mm, FIRST_HVA + 2 * PAGE_SIZE, 2 * PAGE_SIZE)
    for page in (2, 3):
        copy_to_user(vm.mm, FIRST_HVA + page * PAGE_SIZE, b"page %d" % page)
    return vm


def several_slots() -> Vm:
    """Make a guest with a slot of two pages, a hole, and a slot of one page that is read-only."""
    vm = one_slot()
    rom = KvmMemorySlot(1, 0, 0x14, 1, FIRST_HVA + 3 * PAGE_SIZE, KVM_MEM_READONLY)
    publish(vm, LOW, rom)
    return vm


def publish(vm: Vm, *slots: KvmMemorySlot) -> None:
    """Publish these slots, under the next generation: an update without its waits. One step."""
    generation = vm.kvm.memslots0.generation + KVM_ADDRESS_SPACE_NUM
    rcu_assign_pointer(vm.kvm, "memslots0", KvmMemslots(generation, slots))


def keep_and_store(vm):
    """Look up gfn 0x10, leave the read section, and store."""
    idx = srcu_read_lock(vm.kvm.srcu)
    hva = gfn_to_hva(vm.kvm, 0x10)
    srcu_read_unlock(vm.kvm.srcu, idx)
    copy_to_user(vm.mm, hva, b"noon")


def move_slot(vm):
    """Publish slot 0 at another place of the process."""
    new = vm.slot._replace(userspace_addr=FIRST_HVA + 2 * PAGE_SIZE)
    slots = KvmMemslots(4, (new,))
    rcu_assign_pointer(vm.kvm, "memslots0", slots)


def guest_reads_noon(vm: Vm) -> bool:
    """See whether the guest finds it. Raises ConditionBroken, which tells what it finds."""
    hva = gfn_to_hva(vm.kvm, 0x10)
    data = copy_from_user(vm.mm, hva, 4)
    if data != b"noon":
        raise ConditionBroken(f"The guest's gfn 0x10 is at hva {hva:#_x}, and it reads {data!r}.")
    return True


KEPT = Scenario(
    "a kept hva",
    one_slot,
    {"kernel": keep_and_store, "userspace": move_slot},
    [Condition("the guest reads noon", guest_reads_noon)],
)
BEFORE = Scenario("before", one_slot, {"kernel": keep_and_store})
SEVERAL = Scenario("several slots", several_slots, {"kernel": keep_and_store})


def after() -> Vm:
    """Make the guest as it is after the move."""
    vm = one_slot()
    publish(vm, MOVED)
    return vm


AFTER = Scenario("after", after, {"kernel": keep_and_store})

# -- a cache of one frame ---------------------------------------------------------------------

KEPT_HVA = FIRST_HVA + 0x5000
NEW_HVA = FIRST_HVA + 2 * PAGE_SIZE


def cache_of(generation: int, hva: int = KEPT_HVA, gfn: int = 0x10) -> GfnToHvaCache:
    """Make a cache that has kept `hva` under `generation`."""
    cache = GfnToHvaCache("cache")
    cache.gfn, cache.hva, cache.generation = gfn, hva, generation
    return cache


def caching() -> Guest:
    """Make a machine of one slot, and an empty cache."""
    vm = one_slot()
    vm.cache = cache_of(0, KVM_HVA_ERR_BAD)
    return vm


def moving(my: Built) -> Scenario:
    """Make the program in which userspace moves the slot while the kernel asks."""

    def kernel(vm):
        idx = srcu_read_lock(vm.kvm.srcu)
        my.cached_hva(vm.kvm, vm.cache)
        srcu_read_unlock(vm.kvm.srcu, idx)

    def fits(vm):
        hva, generation = vm.cache.hva, vm.cache.generation
        if {2: FIRST_HVA, 4: NEW_HVA}.get(generation) != hva:
            raise ConditionBroken(
                f"The cache says hva {hva:#_x} under generation {generation}. The memslots of that "
                "generation have never said so."
            )
        return True

    tasks = {"kernel": kernel, "userspace": move_slot}
    kept = Condition("the cache holds what its generation says", fits)
    return Scenario("a slot moves", caching, tasks, [kept])
