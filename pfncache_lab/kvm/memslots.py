"""memslots.py: from a guest frame to a user address, and updates of that while others look.

A reader takes the published set of slots in a read section of kvm.srcu, and what it has found there
stays good until the section ends. Mirrors include/linux/kvm_host.h and the memslot part of
virt/kvm/kvm_main.c, v5.17.

An update publishes a new set and waits twice. Before, until no notifier is between its start and
its end: the end must find the slots that the start has found, or the counts of mmu_lock are never
lowered. Afterwards, until no reader is left who has the set before:

    generation   4 → 4 | 1 << 63 as long as old readers may be left → 6
"""

from __future__ import annotations

from ..mm import ENOMEM, PAGE_SHIFT
from ..sim import (
    TASK_UNINTERRUPTIBLE,
    NotHeld,
    each,
    finish_rcuwait,
    machine,
    prepare_to_rcuwait,
    rcu_assign_pointer,
    rcu_dereference,
    schedule,
    set_current_state,
    synchronize_srcu,
)
from .kvm_host import (
    DIRTY_BITMAPS,
    KVM_ADDRESS_SPACE_NUM,
    KVM_MEM_LOG_DIRTY_PAGES,
    KVM_MEM_READONLY,
    KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS,
    KVM_MEMSLOT_INVALID,
    DirtyBitmap,
    Kvm,
    KvmMemorySlot,
    KvmMemslots,
)
from .kvm_mm import KVM_MMU_LOCK, KVM_MMU_UNLOCK
from .kvm_types import KVM_HVA_ERR_BAD, KVM_HVA_ERR_RO_BAD, Gfn
from .requests import kvm_flush_remote_tlbs

# -- looking up ------------------------------------------------------------------------------------


def __kvm_memslots(kvm: Kvm, as_id: int) -> KvmMemslots:
    """Return the published slots of an address space: one step.

    The caller is in a read section of kvm.srcu, or holds slots_lock. Mirrors __kvm_memslots().
    """
    _assert_memslots_stay(kvm)
    field = "memslots1" if as_id else "memslots0"
    slots: KvmMemslots = rcu_dereference(kvm, field)
    return slots


def kvm_memslots(kvm: Kvm) -> KvmMemslots:
    """Return the published slots of address space 0: one step. Its generation is in it."""
    return __kvm_memslots(kvm, 0)


def _assert_memslots_stay(kvm: Kvm) -> None:
    """Report a look at the memslots by a task that nothing protects: they may be freed."""
    if machine.running is None:
        return
    task = machine.running.executing()
    if not (task.context.hold(kvm.srcu) or task.context.hold(kvm.slots_lock)):
        machine.running.report(
            NotHeld(
                f"{task.name} looks at the memslots, and is in no read section of {kvm.srcu.name}. "
                "An update could free them meanwhile. Call srcu_read_lock() before, and use what "
                "you have found until srcu_read_unlock() only."
            )
        )


def search_memslots(slots: KvmMemslots, gfn: int) -> KvmMemorySlot | None:
    """Return the slot that covers `gfn`, or None. No step."""
    for slot in slots.slots:
        if slot.base_gfn <= gfn < slot.base_gfn + slot.npages:
            return slot
    return None


def gfn_to_memslot(kvm: Kvm, gfn: int) -> KvmMemorySlot | None:
    """Return the slot of address space 0 that covers `gfn`, or None. One step."""
    return search_memslots(kvm_memslots(kvm), gfn)


def id_to_memslot(slots: KvmMemslots, slot_id: int) -> KvmMemorySlot | None:
    """Return the slot with this id, or None. No step."""
    for slot in slots.slots:
        if slot.id == slot_id:
            return slot
    return None


def gfn_to_hva_memslot(slot: KvmMemorySlot | None, gfn: int) -> int:
    """Return the user address of frame `gfn`, which is to be written to. No step.

    KVM_HVA_ERR_BAD without a slot, or if it is about to go; KVM_HVA_ERR_RO_BAD if it is read-only.
    """
    if slot is None or slot.flags & KVM_MEMSLOT_INVALID:
        return KVM_HVA_ERR_BAD
    if slot.flags & KVM_MEM_READONLY:
        return KVM_HVA_ERR_RO_BAD
    return slot.userspace_addr + ((gfn - slot.base_gfn) << PAGE_SHIFT)


def gfn_to_hva(kvm: Kvm, gfn: int) -> int:
    """Return the user address of a frame of address space 0, for writing. One step."""
    return gfn_to_hva_memslot(gfn_to_memslot(kvm, gfn), gfn)


def hva_to_gfn_memslot(hva: int, slot: KvmMemorySlot) -> Gfn:
    """Return the guest frame that has this user address in `slot`."""
    return Gfn(slot.base_gfn + ((hva - slot.userspace_addr) >> PAGE_SHIFT))


def memslots_in_hva_range(slots: KvmMemslots, start: int, end: int) -> tuple[KvmMemorySlot, ...]:
    """List the slots that overlap with the user addresses [start, end). No step."""
    return tuple(
        [
            slot
            for slot in slots.slots
            if slot.userspace_addr < end
            and start < slot.userspace_addr + (slot.npages << PAGE_SHIFT)
        ]
    )


# -- the update ------------------------------------------------------------------------------------


def kvm_set_memslot(kvm: Kvm, old: KvmMemorySlot | None, new: KvmMemorySlot | None) -> int:
    """Put `new` in the place of `old`; without `old` it creates, without `new` it deletes.

    Returns 0, or -ENOMEM if there is no dirty bitmap left; then `old` is what it was before.

    A slot that goes, or moves, is published first as one that translates nothing. Else a vCPU could
    fault a page in through it after kvm_arch_flush_shadow_memslot(). The caller holds slots_lock.
    """
    kvm.slots_arch_lock.lock()
    as_id = (new or old).as_id  # type: ignore[union-attr]
    slots = __kvm_memslots(kvm, as_id)
    if old and (new is None or new.base_gfn != old.base_gfn):
        slots = kvm_invalidate_memslot(kvm, slots, old)
    if new:
        bitmap = None
        if new.flags & KVM_MEM_LOG_DIRTY_PAGES:
            bitmap = new.dirty_bitmap or kvm_alloc_dirty_bitmap(kvm, slots, as_id)
            if bitmap is None:
                kvm_revert_memslot(kvm, slots, old)
                return -ENOMEM
        new = new._replace(dirty_bitmap=bitmap)
    kvm_swap_active_memslots(kvm, as_id, _replaced(slots, old, new))
    return 0


def kvm_invalidate_memslot(kvm: Kvm, slots: KvmMemslots, old: KvmMemorySlot) -> KvmMemslots:
    """Publish `old` as one that is about to go, and drop what the guest has mapped through it.

    Returns what is published now. Holds slots_arch_lock again, which the swap has released.
    """
    invalid = old._replace(flags=old.flags | KVM_MEMSLOT_INVALID)
    slots = kvm_swap_active_memslots(kvm, old.as_id, _replaced(slots, old, invalid))
    kvm_arch_flush_shadow_memslot(kvm, old)
    kvm.slots_arch_lock.lock()
    return slots


def kvm_revert_memslot(kvm: Kvm, slots: KvmMemslots, old: KvmMemorySlot | None) -> None:
    """Publish `old` again if it has been made invalid. Releases slots_arch_lock."""
    if old is None or old in slots.slots:
        kvm.slots_arch_lock.unlock()
    else:
        kvm_swap_active_memslots(kvm, old.as_id, _replaced(slots, old, old))


def kvm_swap_active_memslots(kvm: Kvm, as_id: int, slots: KvmMemslots) -> KvmMemslots:
    """Publish `slots`, and wait for the readers of those before. Releases slots_arch_lock.

    Returns what is published in the end. Nothing is fair about the first wait: notifiers that keep
    overlapping keep the update out.
    """
    field = "memslots1" if as_id else "memslots0"
    slots = slots._replace(generation=slots.generation | KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS)
    kvm.mn_invalidate_lock.lock()
    prepare_to_rcuwait(kvm.mn_memslots_update_rcuwait)
    while kvm.mn_active_invalidate_count:
        set_current_state(TASK_UNINTERRUPTIBLE)
        kvm.mn_invalidate_lock.unlock()
        schedule()
        kvm.mn_invalidate_lock.lock()
    finish_rcuwait(kvm.mn_memslots_update_rcuwait)
    rcu_assign_pointer(kvm, field, slots)
    kvm.mn_invalidate_lock.unlock()

    # A reader of the memslots may want it: it would wait for us, and we for it.
    kvm.slots_arch_lock.unlock()
    synchronize_srcu(kvm.srcu)

    # Not before: what a reader found in the old set would be kept under the new generation.
    generation = slots.generation & ~KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS
    slots = slots._replace(generation=generation + KVM_ADDRESS_SPACE_NUM)
    rcu_assign_pointer(kvm, field, slots)
    return slots


def kvm_arch_flush_shadow_memslot(kvm: Kvm, slot: KvmMemorySlot) -> None:
    """Take away from the guest all that it has mapped through `slot`."""
    KVM_MMU_LOCK(kvm)
    if kvm_unmap_gfns(kvm, slot.base_gfn, slot.base_gfn + slot.npages):
        kvm_flush_remote_tlbs(kvm)
    KVM_MMU_UNLOCK(kvm)


def kvm_unmap_gfns(kvm: Kvm, start: int, end: int) -> bool:
    """Unmap the guest frames [start, end) from the page tables of the guest, under mmu_lock.

    Returns whether one was mapped, so that vCPUs may still have it in their TLBs.
    """
    left = tuple([entry for entry in kvm.sptes if not start <= entry[0] < end])
    if left == kvm.sptes:
        return False
    kvm.sptes = left
    return True


def kvm_alloc_dirty_bitmap(kvm: Kvm, slots: KvmMemslots, as_id: int) -> DirtyBitmap | None:
    """Return a bitmap that no slot of this address space has, with no bit set; None if all have.

    They are as old as the machine: one that a task makes would be another one in each schedule.
    """
    used = [slot.dirty_bitmap for slot in slots.slots]
    for bitmap in each(kvm.dirty_bitmaps[as_id * DIRTY_BITMAPS :][:DIRTY_BITMAPS]):
        if bitmap not in used:
            bitmap.bits = 0
            return bitmap
    return None


def _replaced(
    slots: KvmMemslots, old: KvmMemorySlot | None, new: KvmMemorySlot | None
) -> KvmMemslots:
    """Return a set with `new` in the place of the slot that has the id of `old`."""
    left = [slot for slot in slots.slots if old is None or slot.id != old.id]
    both = [*left, new] if new else left
    both.sort(key=_base_gfn)
    return KvmMemslots(slots.generation, tuple(both))


def _base_gfn(slot: KvmMemorySlot) -> int:
    return slot.base_gfn
