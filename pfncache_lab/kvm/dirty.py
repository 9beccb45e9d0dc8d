"""dirty.py: which pages of the guest were written to, and the migration that wants to know.

Stores of the host are invisible to the hardware, so whoever stores to a page of the guest marks it.
That takes a vCPU: the ring belongs to one, and as long as it has not returned to userspace, nobody
takes the last look. Mirrors virt/kvm/kvm_main.c and dirty_ring.c, v5.17.
"""

from __future__ import annotations

from errno import EINVAL, ENOENT, ENXIO

from ..mm import PAGE_SHIFT, PAGE_SIZE, copy_from_user
from ..sim import (
    WARN_ON_ONCE,
    Completion,
    Struct,
    each,
    marked,
    set_bit,
    wait_for_completion,
    xchg,
)
from .kvm_host import KVM_ADDRESS_SPACE_NUM, KVM_MEM_LOG_DIRTY_PAGES, Kvm, KvmMemorySlot, KvmVcpu
from .memory_region import KVM_MEM_SLOTS_NUM
from .memslots import __kvm_memslots, gfn_to_memslot, id_to_memslot
from .requests import kvm_get_running_vcpu


def mark_page_dirty(kvm: Kvm, gfn: int) -> None:
    """Log that a page of address space 0 was written to. Two steps, where it is logged."""
    mark_page_dirty_in_slot(kvm, gfn_to_memslot(kvm, gfn), gfn)


def mark_page_dirty_in_slot(kvm: Kvm, memslot: KvmMemorySlot | None, gfn: int) -> None:
    """Log that a page of `memslot` was written to; nothing without a slot, or if it logs nothing.

    Warns if the current task is not the thread of a vCPU of this machine.
    """
    vcpu = kvm_get_running_vcpu(kvm)
    WARN_ON_ONCE(vcpu is None, "a page is marked dirty, and no vCPU runs here")
    if vcpu is None or memslot is None or not kvm_slot_dirty_track_enabled(memslot):
        return
    rel_gfn = gfn - memslot.base_gfn
    if kvm.dirty_ring_size:
        kvm_dirty_ring_push(vcpu, memslot.as_id << 16 | memslot.id, rel_gfn)
    elif memslot.dirty_bitmap:
        set_bit(rel_gfn, memslot.dirty_bitmap, "bits")


def kvm_slot_dirty_track_enabled(memslot: KvmMemorySlot) -> bool:
    """Whether stores to this slot are logged."""
    return bool(memslot.flags & KVM_MEM_LOG_DIRTY_PAGES)


# -- the ring --------------------------------------------------------------------------------------


def kvm_dirty_ring_push(vcpu: KvmVcpu, slot: int, offset: int) -> None:
    """Append an entry to the ring of the vCPU that runs here. Two steps.

    The thread of the vCPU alone appends, so nothing comes in between that it would overwrite.
    """
    vcpu.dirty_ring = (*vcpu.dirty_ring, (slot, offset))


def kvm_dirty_ring_soft_full(vcpu: KvmVcpu) -> bool:
    """Whether userspace must empty the ring before the vCPU may run on. Two steps."""
    return len(vcpu.dirty_ring) - vcpu.dirty_ring_reset >= vcpu.kvm.dirty_ring_size


def dirty_ring_fetch(vcpu: KvmVcpu, fetched: int) -> tuple[tuple[int, int], ...]:
    """Return the entries after the first `fetched`: what userspace does, in the shared memory."""
    return vcpu.dirty_ring[fetched:]


def kvm_vm_ioctl_reset_dirty_pages(kvm: Kvm, fetched: tuple[int, ...]) -> int:
    """Make room in the rings: of each vCPU, userspace has seen so many entries. May sleep.

    Returns how many entries are free again, or -EINVAL if there are no rings.
    """
    if not kvm.dirty_ring_size:
        return -EINVAL
    cleared = 0
    kvm.slots_lock.lock()
    for vcpu in each(kvm.vcpus):
        cleared += fetched[vcpu.vcpu_idx] - vcpu.dirty_ring_reset
        vcpu.dirty_ring_reset = fetched[vcpu.vcpu_idx]
    kvm.slots_lock.unlock()
    return cleared


# -- the bitmap ------------------------------------------------------------------------------------


def kvm_vm_ioctl_get_dirty_log(kvm: Kvm, slot: int) -> int:
    """Return the bitmap of a slot, and clear it. May sleep.

    Returns -ENXIO if the log is in rings, -EINVAL for no possible slot, -ENOENT for one that is not
    there or logs nothing. A page that is marked after that belongs to the next log.
    """
    if kvm.dirty_ring_size:
        return -ENXIO
    as_id, slot_id = slot >> 16, slot & 0xFFFF
    if as_id >= KVM_ADDRESS_SPACE_NUM or slot_id >= KVM_MEM_SLOTS_NUM:
        return -EINVAL
    kvm.slots_lock.lock()
    memslot = id_to_memslot(__kvm_memslots(kvm, as_id), slot_id)
    bits = -ENOENT
    if memslot and memslot.dirty_bitmap:
        bits = xchg(memslot.dirty_bitmap, "bits", 0)
    kvm.slots_lock.unlock()
    return bits


# -- live migration --------------------------------------------------------------------------------


class Migration(Struct):
    """What has arrived at the destination, of one slot, and what is known of the rings.

    Make it in the set-up, from memory as it is there: that is the first round.
    """

    stopped = Completion()
    """The vCPUs have returned to userspace, and are not run any more."""
    pages = marked[tuple[bytes, ...]](())
    """The contents of the slot's pages at the destination."""
    fetched = marked[tuple[int, ...]](())


def migration_begin(kvm: Kvm, slot: KvmMemorySlot) -> Migration:
    """Copy the slot as it is now. For set-ups."""
    migration = Migration("migration")
    migration.fetched = (0,) * len(kvm.vcpus)
    migration.pages = tuple([migration_read(kvm, slot, page) for page in range(slot.npages)])
    return migration


def migration_round(migration: Migration, kvm: Kvm, slot: KvmMemorySlot) -> None:
    """Copy the pages that have been logged as dirty since the last round. May sleep."""
    if kvm.dirty_ring_size:
        dirty = migration_from_rings(migration, kvm, slot)
    else:
        dirty = kvm_vm_ioctl_get_dirty_log(kvm, slot.as_id << 16 | slot.id)
    for page in each([page for page in range(slot.npages) if dirty >> page & 1]):
        contents = migration_read(kvm, slot, page)
        pages = migration.pages
        migration.pages = (*pages[:page], contents, *pages[page + 1 :])


def migration_from_rings(migration: Migration, kvm: Kvm, slot: KvmMemorySlot) -> int:
    """Return what the rings say of this slot since the last time, as a bitmap."""
    dirty, fetched = 0, migration.fetched
    for vcpu in each(kvm.vcpus):
        entries = dirty_ring_fetch(vcpu, fetched[vcpu.vcpu_idx])
        for logged, page in entries:
            if logged == slot.as_id << 16 | slot.id:
                dirty |= 1 << page
        at = vcpu.vcpu_idx
        fetched = (*fetched[:at], fetched[at] + len(entries), *fetched[at + 1 :])
    migration.fetched = fetched
    return dirty


def migration_last_round(migration: Migration, kvm: Kvm, slot: KvmMemorySlot) -> None:
    """Wait until the vCPUs have stopped, and take the last look. May sleep.

    What is marked dirty later is lost: the guest goes on at the destination without it.
    """
    wait_for_completion(migration.stopped)
    migration_round(migration, kvm, slot)


def migration_read(kvm: Kvm, slot: KvmMemorySlot, page: int) -> bytes:
    """Read a page of the slot as userspace does."""
    contents = copy_from_user(kvm.mm, slot.userspace_addr + (page << PAGE_SHIFT), PAGE_SIZE)
    return contents if isinstance(contents, bytes) else b""


def migration_lost(migration: Migration, kvm: Kvm, slot: KvmMemorySlot) -> tuple[int, ...]:
    """List the pages of the slot that are different at the destination. For final conditions."""
    here = [migration_read(kvm, slot, page) for page in range(slot.npages)]
    return tuple([page for page in range(slot.npages) if here[page] != migration.pages[page]])
