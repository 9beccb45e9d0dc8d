"""vm.py: a small machine for a set-up: memory, a process, and a VM with one slot."""

from __future__ import annotations

from typing import Any

from ..mm import (
    FIRST_HVA,
    PAGE_SHIFT,
    PAGE_SIZE,
    PROT_READ,
    PROT_WRITE,
    MmStruct,
    Ram,
    copy_to_user,
    mmap,
)
from ..sim import marked
from .kvm_host import Kvm, KvmMemorySlot
from .kvm_main import kvm_create_vm
from .kvm_types import WithConstants, constant
from .memory_region import KvmUserspaceMemoryRegion, kvm_set_memory_region

FIRST_GPA = 0x10_000
"""Where the slot begins in the guest: gfn 0x10."""


class Vm(WithConstants):
    """What a scenario's tasks are called with: a machine and all that it stands on."""

    ram: constant[Ram] = constant()
    mm: constant[MmStruct] = constant()
    kvm: constant[Kvm] = constant()
    slot: constant[KvmMemorySlot] = constant()
    """The slot as it was made."""
    result = marked[Any](None)
    """For a task that has something to tell."""


def create_vm(
    nr_vcpus: int = 1,
    *,
    pages: int = 2,
    populated: int | None = None,
    spare_pages: int = 0,
    frames: int = 4,
    device_frames: int = 0,
    flags: int = 0,
    mmu_rwlock: bool = True,
    nr_as_ids: int = 1,
    dirty_ring_size: int = 0,
    vm: Vm | None = None,
) -> Vm:
    """Make a machine whose guest has `pages` pages of memory, `populated` of them faulted in.

    Each of those says which it is: b"page 0". The process has `spare_pages` more page-table
    entries, `flags` are those of the slot, and `vm` is one with more fields, to be filled. For
    set-ups, and to be called in the linked image: the notifier calls what is linked with it.
    """
    vm = vm or Vm()
    vm.ram = Ram(frames, device_frames)
    vm.mm = MmStruct("mm", FIRST_HVA, pages + spare_pages)
    mmap(vm.mm, FIRST_HVA, pages << PAGE_SHIFT, PROT_READ | PROT_WRITE)
    for page in range(pages if populated is None else populated):
        copy_to_user(vm.mm, FIRST_HVA + page * PAGE_SIZE, b"page %d" % page)
    vm.kvm = kvm_create_vm(
        vm.mm,
        nr_vcpus,
        mmu_rwlock=mmu_rwlock,
        nr_as_ids=nr_as_ids,
        dirty_ring_size=dirty_ring_size,
    )
    mem = KvmUserspaceMemoryRegion(0, flags, FIRST_GPA, pages << PAGE_SHIFT, FIRST_HVA)
    kvm_set_memory_region(vm.kvm, mem)
    vm.slot = vm.kvm.memslots0.slots[0]
    return vm
