"""v5_17_user.py: the loop of users/reader.py, with the cache as it was merged.

The cache remembers that its page was written to, and reports it when it gives the page up. This is
how it was meant to be used, as include/linux/kvm_host.h of v5.17 describes it; its first users, in
the next commits, were Xen's shared_info and event channels.
"""

from __future__ import annotations

from ...mm import load, store
from ...sim import srcu_read
from ..kvm_host import Kvm
from .v5_17 import (
    GfnToPfnCache517,
    kvm_gfn_to_pfn_cache_check,
    kvm_gfn_to_pfn_cache_refresh,
)


def read_guest(kvm: Kvm, gpc: GfnToPfnCache517, gpa: int, length: int) -> bytes | int:
    """Read `length` bytes at `gpa`; may sleep. Returns them, or an error."""
    with srcu_read(kvm.srcu):
        gpc.lock.read_lock_irq()
        while not kvm_gfn_to_pfn_cache_check(kvm, gpc, gpa, length):
            gpc.lock.read_unlock_irq()
            error = kvm_gfn_to_pfn_cache_refresh(kvm, gpc, gpa, length, False)
            if error:
                return error
            gpc.lock.read_lock_irq()
        data: bytes = load(gpc.khva, length)
        gpc.lock.read_unlock_irq()
    return data


def write_guest(kvm: Kvm, gpc: GfnToPfnCache517, gpa: int, data: bytes) -> int:
    """Write `data` at `gpa`; may sleep. Returns 0, or an error.

    `dirty` is given to refresh: this cache is for writing, and its page is dirty from now on. It is
    for the cache to say so, later.
    """
    with srcu_read(kvm.srcu):
        gpc.lock.read_lock_irq()
        while not kvm_gfn_to_pfn_cache_check(kvm, gpc, gpa, len(data)):
            gpc.lock.read_unlock_irq()
            error = kvm_gfn_to_pfn_cache_refresh(kvm, gpc, gpa, len(data), True)
            if error:
                return error
            gpc.lock.read_lock_irq()
        store(gpc.khva, data)
        gpc.lock.read_unlock_irq()
    return 0
