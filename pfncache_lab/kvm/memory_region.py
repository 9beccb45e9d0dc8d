"""memory_region.py: what userspace may ask of the memslots.

Mirrors kvm_set_memory_region() (virt/kvm/kvm_main.c), v5.17.
"""

from __future__ import annotations

from errno import EEXIST, EINVAL
from typing import NamedTuple

from ..mm import PAGE_SHIFT, PAGE_SIZE, access_ok
from ..sim import lockdep_assert_held
from .kvm_host import (
    KVM_ADDRESS_SPACE_NUM,
    KVM_MEM_LOG_DIRTY_PAGES,
    KVM_MEM_READONLY,
    Kvm,
    KvmMemorySlot,
    KvmMemslots,
)
from .memslots import __kvm_memslots, id_to_memslot, kvm_set_memslot

KVM_MEM_SLOTS_NUM = 32767
KVM_MEM_MAX_NR_PAGES = (1 << 31) - 1


class KvmUserspaceMemoryRegion(NamedTuple):
    """struct kvm_userspace_memory_region: what userspace asks for. All but `slot` in bytes."""

    slot: int
    """The id of the slot; in bits 16 and up, its address space."""
    flags: int
    guest_phys_addr: int
    memory_size: int
    """0 deletes the slot."""
    userspace_addr: int


def kvm_set_memory_region(kvm: Kvm, mem: KvmUserspaceMemoryRegion) -> int:
    """Create, delete, move a slot or change its flags: the ioctl. May sleep.

    Returns 0; -EINVAL for what is no region, for a slot to delete that is not there, and for a
    change of size, user address or KVM_MEM_READONLY; -EEXIST if it overlaps with another slot.
    """
    kvm.slots_lock.lock()
    r = __kvm_set_memory_region(kvm, mem)
    kvm.slots_lock.unlock()
    return r


def __kvm_set_memory_region(kvm: Kvm, mem: KvmUserspaceMemoryRegion) -> int:
    """Do that, with slots_lock held."""
    lockdep_assert_held(kvm.slots_lock)
    if not _is_region(mem):
        return -EINVAL
    as_id, slot_id = mem.slot >> 16, mem.slot & 0xFFFF
    slots = __kvm_memslots(kvm, as_id)
    old = id_to_memslot(slots, slot_id)
    if not mem.memory_size:
        return kvm_set_memslot(kvm, old, None) if old else -EINVAL
    new = KvmMemorySlot(
        slot_id,
        as_id,
        mem.guest_phys_addr >> PAGE_SHIFT,
        mem.memory_size >> PAGE_SHIFT,
        mem.userspace_addr,
        mem.flags,
        old.dirty_bitmap if old else None,
    )
    if old and not _may_become(old, new):
        return -EINVAL
    if old == new:
        return 0
    moves = not old or old.base_gfn != new.base_gfn
    if moves and kvm_check_memslot_overlap(slots, new):
        return -EEXIST
    return kvm_set_memslot(kvm, old, new)


def _is_region(mem: KvmUserspaceMemoryRegion) -> bool:
    """Whether these numbers can be those of a slot."""
    pages = PAGE_SIZE - 1
    return not (
        mem.flags & ~(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY)
        or mem.memory_size & pages
        or mem.guest_phys_addr & pages
        or mem.userspace_addr & pages
        or not access_ok(mem.userspace_addr, mem.memory_size)
        or mem.slot >> 16 >= KVM_ADDRESS_SPACE_NUM
        or mem.slot & 0xFFFF >= KVM_MEM_SLOTS_NUM
        or mem.guest_phys_addr + mem.memory_size >= 1 << 64
        or mem.memory_size >> PAGE_SHIFT > KVM_MEM_MAX_NR_PAGES
    )


def _may_become(old: KvmMemorySlot, new: KvmMemorySlot) -> bool:
    """Whether a slot may be changed like this; otherwise it must be deleted first."""
    return (
        new.userspace_addr == old.userspace_addr
        and new.npages == old.npages
        and not (new.flags ^ old.flags) & KVM_MEM_READONLY
    )


def kvm_check_memslot_overlap(slots: KvmMemslots, new: KvmMemorySlot) -> bool:
    """Whether another slot has one of the frames of `new`."""
    return any(
        [
            new.base_gfn < slot.base_gfn + slot.npages
            and slot.base_gfn < new.base_gfn + new.npages
            and slot.id != new.id
            for slot in slots.slots
        ]
    )
