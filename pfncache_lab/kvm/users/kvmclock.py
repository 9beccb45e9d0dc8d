"""kvmclock.py: the guest's clock, in a page that the guest has chosen. Mirrors arch/x86/kvm/x86.c.

The guest reads it without asking anybody, and as it reads the host may write. So there is a version
in front: odd while the rest is being written. A reader who sees an odd version, or another one
afterwards than before, starts again.
"""

from __future__ import annotations

from typing import NamedTuple

from ...mm import load, store
from ...sim import read_lock_irqsave, read_unlock_irqrestore, smp_wmb
from ..kvm_host import KvmVcpu
from ..kvm_types import GfnToPfnCache
from ..pfncache import kvm_gpc_activate, kvm_gpc_check, kvm_gpc_deactivate, kvm_gpc_refresh
from .arch import PVCLOCK_DATA, PVCLOCK_SIZE
from .reader import kvm_gpc_mark_dirty_in_slot

KVM_MSR_ENABLED = 1
"""The lowest bit of the MSR: the rest of it is an address only with this."""


class PvclockVcpuTimeInfo(NamedTuple):
    """struct pvclock_vcpu_time_info, without its version."""

    tsc_timestamp: int
    system_time: int
    tsc_to_system_mul: int = 1 << 31
    tsc_shift: int = 0
    flags: int = 0

    def to_bytes(self) -> bytes:
        """Return the 28 bytes that come after the version."""
        words = [
            (0, 4),  # padding
            (self.tsc_timestamp, 8),
            (self.system_time, 8),
            (self.tsc_to_system_mul, 4),
            (self.tsc_shift, 1),
            (self.flags, 1),
            (0, 2),
        ]
        return b"".join([value.to_bytes(size, "little") for value, size in words])


def kvm_write_system_time(vcpu: KvmVcpu, system_time: int) -> None:
    """The guest has written MSR_KVM_SYSTEM_TIME: an address, and a bit that says on or off.

    Whether the address can be used, nobody tells the guest: what activate returns is dropped, and
    the guest looks at a page that never changes. Mirrors kvm_write_system_time().
    """
    if system_time & KVM_MSR_ENABLED:
        kvm_gpc_activate(vcpu.arch.pv_time, system_time & ~KVM_MSR_ENABLED, PVCLOCK_SIZE)
    else:
        kvm_gpc_deactivate(vcpu.arch.pv_time)


def kvm_setup_guest_pvclock(
    hv_clock: PvclockVcpuTimeInfo, vcpu: KvmVcpu, gpc: GfnToPfnCache
) -> None:
    """Write the time into the guest's page; may sleep. Without a page there is nothing to do.

    The thread of the vCPU calls this, in a read section of kvm->srcu; `gpc` is its pv_time or its
    Xen vcpu_time_info_cache. Mirrors kvm_setup_guest_pvclock().
    """
    flags = read_lock_irqsave(gpc.lock)
    while not kvm_gpc_check(gpc, PVCLOCK_SIZE):
        read_unlock_irqrestore(gpc.lock, flags)
        if kvm_gpc_refresh(gpc, PVCLOCK_SIZE):
            return
        flags = read_lock_irqsave(gpc.lock)
    write_pvclock(gpc.khva, hv_clock)
    kvm_gpc_mark_dirty_in_slot(gpc)  # before the unlock (H16)
    read_unlock_irqrestore(gpc.lock, flags)


def write_pvclock(khva: int, hv_clock: PvclockVcpuTimeInfo) -> None:
    """Write version, time, version: three steps, each visible to the guest on its own."""
    version = int.from_bytes(load(khva, 4), "little") | 1
    store(khva, version.to_bytes(4, "little"))
    smp_wmb()  # the odd version before anything of the new time
    store(khva + PVCLOCK_DATA, hv_clock.to_bytes())
    smp_wmb()  # and all of it before the even one
    store(khva, ((version + 1) % (1 << 32)).to_bytes(4, "little"))
