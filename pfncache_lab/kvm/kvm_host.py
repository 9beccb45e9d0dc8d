"""kvm_host.py: a virtual machine and its vCPUs, each field with the lock that protects it.

Mirrors include/linux/kvm_host.h, v5.17 with the names of v6.1. Structs carry state only; what is
done with them is in the module that does it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..sim import (
    ListHead,
    Mutex,
    RcuWait,
    RwLock,
    SpinLock,
    Srcu,
    Struct,
    marked,
    shared,
)
from .ipi import Cpu
from .kvm_types import WithConstants, constant

if TYPE_CHECKING:
    from ..mm import MmStruct

KVM_ADDRESS_SPACE_NUM = 2
"""Address spaces that an x86 VM can have: the second one is that of SMM."""
KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS = 1 << 63
"""Set in a generation while readers of the memslots before it may be left."""

DIRTY_BITMAPS = 2
"""Slots of one address space that can log at once."""

KVM_MEM_LOG_DIRTY_PAGES = 1
KVM_MEM_READONLY = 2
KVM_MEMSLOT_INVALID = 1 << 16
"""The slot is about to go: it is listed, and translates nothing any more."""

OUTSIDE_GUEST_MODE = 0
IN_GUEST_MODE = 1
EXITING_GUEST_MODE = 2
READING_SHADOW_PAGE_TABLES = 3


class DirtyBitmap(Struct):
    """The dirty log of one memslot: bit n stands for the slot's n-th page."""

    bits = marked(0)


class KvmMemorySlot(NamedTuple):
    """struct kvm_memory_slot: `npages` pages of the guest from `base_gfn` on are user memory.

    A slot does not change: an update publishes another one under the same id.
    """

    id: int
    as_id: int
    base_gfn: int
    npages: int
    userspace_addr: int
    flags: int = 0
    dirty_bitmap: DirtyBitmap | None = None

    def __repr__(self) -> str:
        gfns = f"gfn {self.base_gfn:#x} to {self.base_gfn + self.npages - 1:#x}"
        state = f", flags {self.flags:#x}" if self.flags else ""
        return f"<slot {self.id}: {gfns} at hva {self.userspace_addr:#_x}{state}>"


class KvmMemslots(NamedTuple):
    """struct kvm_memslots: the slots of one address space, as they are published, by base_gfn.

    The generation tells a reader that has kept what it looked up whether to look again.
    """

    generation: int
    slots: tuple[KvmMemorySlot, ...] = ()

    def __repr__(self) -> str:
        generation = self.generation & ~KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS
        update = " in progress" if generation != self.generation else ""
        return f"<generation {generation}{update}: {', '.join(map(repr, self.slots)) or 'no slot'}>"


class Kvm(WithConstants):
    """struct kvm: one virtual machine.

    `mmu_lock` is a spinlock where the architecture has chosen so: KVM_HAVE_MMU_RWLOCK off.
    """

    lock = Mutex()
    """Creating vCPUs, and whatever else is rare. Taken before the mutex of any vCPU."""
    slots_lock = Mutex()
    """Serialises memslot updates. Notifiers never take it: an update waits for them."""
    slots_arch_lock = Mutex()
    """The part of an update that allocates; released before the wait for readers."""
    srcu = Srcu()
    """Readers of the memslots."""
    mmu_lock: RwLock | SpinLock = RwLock()
    mn_invalidate_lock = SpinLock()
    gpc_lock = SpinLock()

    mm: constant[MmStruct] = constant()
    vcpus: constant[tuple[KvmVcpu, ...]] = constant(())
    arch: constant[Any] = constant()
    """What the architecture keeps for it: struct kvm_arch."""
    nr_as_ids = constant(1)
    """Address spaces in use. Those of SMM cost each notifier a step more."""
    dirty_bitmaps: constant[tuple[DirtyBitmap, ...]] = constant()
    """Those of address space 0, and then those of the other; memory for no more slots that log."""
    dirty_ring_size = constant(0)
    """Entries in the ring of each vCPU; 0 if the dirty log is in bitmaps."""

    # Stored under slots_lock, loaded in a read section of srcu; a field for each address space.
    memslots0 = marked(KvmMemslots(0))
    memslots1 = marked(KvmMemslots(1))

    # Stored under mn_invalidate_lock. The cache loads the count without it.
    mn_active_invalidate_count = marked(0)
    """Notifiers between their start and their end, whatever range they are about."""
    mn_memslots_update_rcuwait = RcuWait()

    # Stored under mmu_lock, for writing. The sequence is loaded without it.
    mmu_invalidate_seq = marked(0)
    """Notifiers that have ended, and overlapped with a memslot."""
    mmu_invalidate_in_progress = shared(0, guarded_by="mmu_lock")
    """Notifiers that overlap with a memslot and have not ended."""
    mmu_invalidate_range_start = shared(0, guarded_by="mmu_lock")
    mmu_invalidate_range_end = shared(0, guarded_by="mmu_lock")
    """The user addresses that all of those in progress lie in; it grows until none is left."""

    sptes = shared[tuple[tuple[int, int], ...]]((), guarded_by="mmu_lock")
    """What the page tables of the guest map: pairs of gfn and pfn."""

    gpc_list = shared[ListHead[Any]](ListHead(), guarded_by="gpc_lock")
    """The active caches: of whichever version of struct gfn_to_pfn_cache is linked."""

    vm_bugged = marked(False)
    vm_dead = marked(False)

    def __init__(self, name: str = "kvm", *, mmu_rwlock: bool = True) -> None:
        """Make a machine without memory and vCPUs; kvm_create_vm() makes one that can run."""
        super().__init__(name)
        self.dirty_bitmaps = tuple(
            [DirtyBitmap(f"{name}.dirty_bitmap{n}") for n in range(2 * DIRTY_BITMAPS)]
        )
        if not mmu_rwlock:
            self.mmu_lock = SpinLock(f"{name}.mmu_lock", "Kvm.mmu_lock")


class KvmVcpu(WithConstants):
    """struct kvm_vcpu: one CPU of the guest. Its thread is the task that has loaded it."""

    kvm: constant[Kvm] = constant()
    vcpu_id = constant(0)
    vcpu_idx = constant(0)
    host_cpu: constant[Cpu] = constant()
    """The CPU of the host on which its thread runs, always the same one."""

    arch: constant[Any] = constant()
    """What the architecture keeps for it: struct kvm_vcpu_arch."""

    mutex = Mutex()
    """Held by whoever does an ioctl on it: while it runs, by its thread."""
    wait = RcuWait()
    """Where its thread sleeps while the guest has halted."""
    cpu = marked(-1)
    """The number of the host's CPU that has loaded it, or -1."""
    mode = marked(OUTSIDE_GUEST_MODE)
    requests = marked(0)
    """A bit for each request that somebody has made and the vCPU not yet consumed."""
    runnable = marked(False)
    """Whether an event is there that ends the guest's halt."""
    dirty_ring = marked[tuple[tuple[int, int], ...]](())
    """(address space << 16 | slot, page of the slot) of each page dirtied, the oldest first: all
    that were ever pushed. Stored by its thread alone."""
    dirty_ring_reset = marked(0)
    """How many of them userspace has given back. Stored under slots_lock."""
