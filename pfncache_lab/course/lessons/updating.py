"""updating.py: an update of the memslots, for lesson 02: its programs, and exercise 02.4."""

from __future__ import annotations

from ...explore import Condition, Scenario
from ...kvm import memslots
from ...kvm.kvm_host import KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS, KvmMemorySlot, KvmMemslots
from ...kvm.memslots import gfn_to_hva, gfn_to_hva_memslot, kvm_memslots, search_memslots
from ...mm import FIRST_HVA, PAGE_SIZE, copy_to_user, munmap
from ...sim import (
    ConditionBroken,
    rcu_assign_pointer,
    srcu_read_lock,
    srcu_read_unlock,
    synchronize_srcu,
)
from ..authoring import edited
from ..exercise import Built, Case, Exercise, Mutant, Program
from .slots import LOW, MOVED, Generation, Guest, caching, move_slot, one_slot

# -- the programs ----------------------------------------------------------------------------------


def slow_reader(vm):
    """Keep an hva from the slots it has found, and the generation of those it finds later."""
    idx = srcu_read_lock(vm.kvm.srcu)
    slot = search_memslots(kvm_memslots(vm.kvm), vm.cache.gfn)
    vm.cache.hva = gfn_to_hva_memslot(slot, vm.cache.gfn)
    vm.cache.generation = kvm_memslots(vm.kvm).generation
    srcu_read_unlock(vm.kvm.srcu, idx)


def asking_reader(vm):
    """Do the same, but keep nothing while an update is in progress; then ask once more."""
    idx = srcu_read_lock(vm.kvm.srcu)
    hva = gfn_to_hva(vm.kvm, vm.cache.gfn)
    generation = kvm_memslots(vm.kvm).generation
    if not generation & KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS:
        vm.cache.hva, vm.cache.generation = hva, generation
    srcu_read_unlock(vm.kvm.srcu, idx)
    idx = srcu_read_lock(vm.kvm.srcu)
    slots = kvm_memslots(vm.kvm)
    if vm.cache.generation == slots.generation:
        vm.result = (vm.cache.hva, slots)
    srcu_read_unlock(vm.kvm.srcu, idx)


def storing_reader(vm):
    """Look up, and store before the read section ends."""
    idx = srcu_read_lock(vm.kvm.srcu)
    vm.result = copy_to_user(vm.mm, gfn_to_hva(vm.kvm, 0x10), b"noon")
    srcu_read_unlock(vm.kvm.srcu, idx)


def is_not_believed(vm: Guest) -> bool:
    """See whether a look at the cache would believe an address that is not the guest's."""
    cache, published = vm.cache, vm.kvm.memslots0
    right = gfn_to_hva_memslot(search_memslots(published, cache.gfn), cache.gfn)
    if cache.generation == published.generation and cache.hva != right:
        raise ConditionBroken(
            f"hva {cache.hva:#_x} is kept under generation {cache.generation}, so it is believed; "
            f"gfn {cache.gfn:#x} is at {right:#_x}."
        )
    return True


def was_not_believed(vm: Guest) -> bool:
    """See whether the reader has believed an address that the slots it saw do not have."""
    if vm.result is None:
        return True
    hva, slots = vm.result
    right = gfn_to_hva_memslot(search_memslots(slots, vm.cache.gfn), vm.cache.gfn)
    if hva != right:
        raise ConditionBroken(
            f"the reader believes hva {hva:#_x}, which it has kept under generation "
            f"{slots.generation}; gfn {vm.cache.gfn:#x} is at {right:#_x}."
        )
    return True


BELIEVED_RIGHT = Condition("what the reader believes is right", was_not_believed)
NOT_BELIEVED = Condition("nobody believes a stale hva", is_not_believed)
ARRIVED = Condition("the store in the read section has arrived", lambda vm: vm.result == 0)

ONE_STORE = Scenario(
    "one store", caching, {"reader": slow_reader, "userspace": move_slot}, [NOT_BELIEVED]
)


def update(my: Built, vm: Guest, *new: KvmMemorySlot) -> None:
    """Let the answer publish these slots, under the lock that updates hold."""
    vm.kvm.slots_lock.lock()
    my.swap_memslots(vm.kvm, new)
    vm.kvm.slots_lock.unlock()


def while_somebody_is_slow(my: Built) -> Scenario:
    """Make the program in which a reader keeps what it has found in two sets, and asks again."""

    def userspace(vm):
        update(my, vm, MOVED)

    tasks = {"reader": asking_reader, "userspace": userspace}
    return Scenario("a slow reader", caching, tasks, [BELIEVED_RIGHT, NOT_BELIEVED])


def before_the_memory_goes(my: Built) -> Scenario:
    """Make the program in which userspace frees the old memory when the update is over."""

    def userspace(vm):
        update(my, vm, MOVED)
        munmap(vm.mm, FIRST_HVA, 2 * PAGE_SIZE)

    tasks = {"reader": storing_reader, "userspace": userspace}
    return Scenario("the old memory goes", one_slot, tasks, [ARRIVED])


# -- 02.4. Readers see these answers. --------------------------------------------------------------


def swap_memslots(kvm, slots):
    """Publish `slots`, a tuple, in place of the old ones. The caller holds kvm.slots_lock."""
    old = memslots.kvm_memslots(kvm).generation
    during = old | KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS
    rcu_assign_pointer(kvm, "memslots0", KvmMemslots(during, slots))
    synchronize_srcu(kvm.srcu)
    rcu_assign_pointer(kvm, "memslots0", KvmMemslots(old + 2, slots))


def by_replacing(kvm, slots):
    """Change one set into the next."""
    bit = KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS
    new = memslots.kvm_memslots(kvm)._replace(slots=slots)
    new = new._replace(generation=new.generation + bit)
    rcu_assign_pointer(kvm, "memslots0", new)
    synchronize_srcu(kvm.srcu)
    rcu_assign_pointer(kvm, "memslots0", new._replace(generation=(new.generation & ~bit) + 2))


def in_a_loop(kvm, slots):
    """Write both stores down once."""
    old = memslots.kvm_memslots(kvm).generation
    for generation in (old | 1 << 63, old + 2):
        rcu_assign_pointer(kvm, "memslots0", KvmMemslots(generation, slots))
        synchronize_srcu(kvm.srcu)


SWAP_STUB = '''\
def swap_memslots(kvm, slots):
    """Publish `slots`, a tuple, in place of the old ones. The caller holds kvm.slots_lock."""
    old = memslots.kvm_memslots(kvm).generation
    during = old | ____
    rcu_assign_pointer(kvm, "memslots0", KvmMemslots(during, slots))
    ____
    rcu_assign_pointer(kvm, "memslots0", KvmMemslots(____, slots))
'''


def _after(my: Built, *moves: KvmMemorySlot) -> str:
    """Say what is published after these updates, one after the other."""
    vm = one_slot()
    for move in moves:
        my.swap_memslots(vm.kvm, (move,))
    generation, slots = vm.kvm.memslots0
    which = "the new slots" if slots == moves[-1:] else "other slots"
    return f"{which}, generation {Generation(generation)!r}"


def _updating(says: str, *changes: tuple[str, str]) -> Mutant:
    return Mutant(edited(swap_memslots, *changes), f"This is what happens {says}")


BIT = "old | KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS"
WAIT = "    synchronize_srcu(kvm.srcu)\n"
FIRST = 'rcu_assign_pointer(kvm, "memslots0", KvmMemslots(during, slots))\n'

SWAP = Exercise(
    id="02.4",
    title="★ The update-in-progress bit",
    minutes=10,
    dots=4,
    spec=(
        "(1) Publish the new slots under the old generation with bit 63 set, "
        "`KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS`. (2) Wait until all who may still read the old ones "
        "have left: `synchronize_srcu(kvm.srcu)`. (3) Publish them again, without the bit, under "
        "the next generation: two more. The star says that you may skip it."
    ),
    answer="swap_memslots",
    stub=SWAP_STUB,
    reference=lambda: swap_memslots,
    cases=[
        Case(
            "after an update of generation 2",
            lambda my: _after(my, MOVED),
            "the new slots, generation 4",
            "the bit is gone, and the number is two more",
        ),
        Case(
            "after three updates",
            lambda my: _after(my, MOVED, LOW, MOVED),
            "the new slots, generation 8",
            "each of them adds two",
        ),
    ],
    programs=[Program(before_the_memory_goes, 195), Program(while_somebody_is_slow, 155)],
    mutants={
        "no bit": _updating(
            "when the new number is published at once: a slow reader then keeps an old address "
            "under it.",
            (BIT, "old + 2"),
        ),
        "no wait": _updating(
            "when nobody waits for the readers: the bit is over before they have left.",
            (WAIT, ""),
        ),
        "another bit": _updating(
            "when a bit other than the highest is set: readers look at bit 63, to know that what "
            "they find is not to be kept.",
            ("KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS", "1"),
        ),
        "waits first": _updating(
            "when the wait comes before the first store: who begins to read after the wait still "
            "finds the old slots.",
            (WAIT, ""),
            (FIRST, 'synchronize_srcu(kvm.srcu)\n    rcu_assign_pointer(kvm, "memslots0", '
                    "KvmMemslots(during, slots))\n"),
        ),
        "the old slots": _updating(
            "when the bit is set on the old slots, and the new ones come after the wait: by then "
            "there are new readers of the old ones.",
            ("KvmMemslots(during, slots)", "KvmMemslots(during, memslots.kvm_memslots(kvm).slots)"),
        ),
        "the bit stays": _updating(
            "when the bit is never cleared: what is kept is then looked up at the next update "
            "only, and nobody can tell that this one is over.",
            ("KvmMemslots(old + 2", "KvmMemslots(during + 2"),
        ),
        "the old number": _updating(
            "when the old number comes back: whoever has slept through the update believes what "
            "it has kept.",
            ("old + 2", "old"),
        ),
        "one more": _updating(
            "when you add one: that number belongs to the second address space.",
            ("old + 2", "old + 1"),
        ),
    },
    alternatives=[by_replacing, in_a_loop],
    hints=(
        "Which three things happen, in which order? The text above the exercise has them.",
        "Only bit 63 changes at first. What must be over before the last line, so that nobody is "
        "left who could keep an old address under its number?",
        "Into the old generation goes the bit, by its long name. In the middle stands the wait for "
        "the readers of kvm.srcu. Last comes the number that is two above the old one.",
    ),
    kernel=(
        "`kvm_swap_active_memslots()` in [virt/kvm/kvm_main.c]"
        "(https://github.com/torvalds/linux/blob/v5.17/virt/kvm/kvm_main.c)."
    ),
)  # fmt: skip
