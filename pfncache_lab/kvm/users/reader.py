"""reader.py: the loop that every user of a cache is a variation of.

    read_lock(gpc->lock)        from here on the page stays where it is
    while not check:            if it is there
        unlock, refresh, lock   refresh sleeps, so not under the lock. Then look again
    use khva
    mark it dirty               while gpa and memslot are those of this page
    read_unlock                 and forget khva

That refresh has succeeded proves nothing: between it and the lock, a notifier may have come. So the
loop has no bound. It ends once the host leaves the page alone for a moment.

Whoever must not sleep, an interrupt or the scheduler, cannot refresh, and has to know what to do
while the cache is not valid: later, or not at all.
"""

from __future__ import annotations

from errno import EWOULDBLOCK

from ...mm import load, store
from ...sim import srcu_read
from ..dirty import mark_page_dirty_in_slot
from ..kvm_types import GfnToPfnCache, gpa_to_gfn
from ..pfncache import kvm_gpc_check, kvm_gpc_refresh


def read_guest(gpc: GfnToPfnCache, length: int) -> bytes | int:
    """Read `length` bytes at the cache's address; may sleep. Returns them, or an error."""
    with srcu_read(gpc.kvm.srcu):
        gpc.lock.read_lock_irq()
        while not kvm_gpc_check(gpc, length):
            gpc.lock.read_unlock_irq()
            error = kvm_gpc_refresh(gpc, length)
            if error:
                return error
            gpc.lock.read_lock_irq()
        data: bytes = load(gpc.khva, length)
        gpc.lock.read_unlock_irq()
    return data


def write_guest(gpc: GfnToPfnCache, data: bytes) -> int:
    """Write `data` at the cache's address; may sleep. Returns 0, or an error."""
    with srcu_read(gpc.kvm.srcu):
        gpc.lock.read_lock_irq()
        while not kvm_gpc_check(gpc, len(data)):
            gpc.lock.read_unlock_irq()
            error = kvm_gpc_refresh(gpc, len(data))
            if error:
                return error
            gpc.lock.read_lock_irq()
        store(gpc.khva, data)
        kvm_gpc_mark_dirty_in_slot(gpc)
        gpc.lock.read_unlock_irq()
    return 0


def read_guest_atomic(gpc: GfnToPfnCache, length: int) -> bytes | int:
    """Read `length` bytes, if that can be done without sleeping; otherwise -EWOULDBLOCK."""
    with srcu_read(gpc.kvm.srcu):
        gpc.lock.read_lock_irq()
        valid = kvm_gpc_check(gpc, length)
        data: bytes = load(gpc.khva, length) if valid else b""
        gpc.lock.read_unlock_irq()
    return data if valid else -EWOULDBLOCK


def write_guest_atomic(gpc: GfnToPfnCache, data: bytes) -> int:
    """Write `data`, if that can be done without sleeping; otherwise -EWOULDBLOCK."""
    with srcu_read(gpc.kvm.srcu):
        gpc.lock.read_lock_irq()
        valid = kvm_gpc_check(gpc, len(data))
        if valid:
            store(gpc.khva, data)
            kvm_gpc_mark_dirty_in_slot(gpc)
        gpc.lock.read_unlock_irq()
    return 0 if valid else -EWOULDBLOCK


def kvm_gpc_mark_dirty_in_slot(gpc: GfnToPfnCache) -> None:
    """Tell the dirty log that the cache's page has been written to.

    The caller still holds gpc->lock: after the unlock, gpa and memslot may be those of another
    page (H16). A cache of a host address has no slot, and nothing is logged. Mirrors the function
    of that name in include/linux/kvm_host.h.
    """
    if gpc.memslot is not None:
        mark_page_dirty_in_slot(gpc.kvm, gpc.memslot, gpa_to_gfn(gpc.gpa))
