"""kvm_mm.py: mmu_lock, whichever kind of lock it is. Mirrors virt/kvm/kvm_mm.h, v5.17."""

from __future__ import annotations

from ..sim import RwLock
from .kvm_host import Kvm


def KVM_MMU_LOCK(kvm: Kvm) -> None:
    """Take mmu_lock, for writing if it is an rwlock."""
    if isinstance(kvm.mmu_lock, RwLock):
        kvm.mmu_lock.write_lock()
    else:
        kvm.mmu_lock.lock()


def KVM_MMU_UNLOCK(kvm: Kvm) -> None:
    """Release what KVM_MMU_LOCK() has taken."""
    if isinstance(kvm.mmu_lock, RwLock):
        kvm.mmu_lock.write_unlock()
    else:
        kvm.mmu_lock.unlock()


def KVM_MMU_READ_LOCK(kvm: Kvm) -> None:
    """Take mmu_lock, for reading if it is an rwlock."""
    if isinstance(kvm.mmu_lock, RwLock):
        kvm.mmu_lock.read_lock()
    else:
        kvm.mmu_lock.lock()


def KVM_MMU_READ_UNLOCK(kvm: Kvm) -> None:
    """Release what KVM_MMU_READ_LOCK() has taken."""
    if isinstance(kvm.mmu_lock, RwLock):
        kvm.mmu_lock.read_unlock()
    else:
        kvm.mmu_lock.unlock()
