"""xen_runstate.py: tell a guest how its vCPU spends its time. Mirrors arch/x86/kvm/xen.c.

The record has 48 bytes, at any address: it may begin in one page and end in the next, so there are
two caches for it, and both are locked while it is written. No other code holds two caches at once.

The scheduler calls this, too, when it takes the vCPU's thread off its CPU. It holds the lock of its
run queue then, and may wait for nobody: neither for a page nor for gpc->lock. A record that is not
written now is written the next time.
"""

from __future__ import annotations

from ...mm import PAGE_SIZE, offset_in_page, store
from ...sim import local_irq_disable, local_irq_enable, smp_wmb
from ..kvm_host import KvmVcpu
from ..kvm_types import GfnToPfnCache
from ..pfncache import kvm_gpc_activate, kvm_gpc_check, kvm_gpc_refresh
from .arch import (
    RUNSTATE_RUNNABLE,
    RUNSTATE_RUNNING,
    RUNSTATE_SIZE,
    RUNSTATE_UPDATE_BYTE,
    XEN_RUNSTATE_UPDATE,
    Runstate,
)
from .reader import kvm_gpc_mark_dirty_in_slot


def kvm_xen_update_runstate(v: KvmVcpu, state: int) -> None:
    """Note that the vCPU has changed to `state`."""
    was = v.arch.xen.runstate
    now = was.entry_time + 1  # the model's clock: each change takes one tick
    before, after = was.times[: was.state], was.times[was.state + 1 :]
    times = (*before, was.times[was.state] + now - was.entry_time, *after)
    v.arch.xen.runstate = Runstate(state, now, times)


def kvm_xen_runstate_set_running(v: KvmVcpu) -> None:
    """Note that the thread of the vCPU has got a CPU; may sleep."""
    kvm_xen_update_runstate(v, RUNSTATE_RUNNING)
    kvm_xen_update_runstate_guest(v, False)


def kvm_xen_runstate_set_preempted(v: KvmVcpu) -> None:
    """Note that the scheduler takes the CPU away. It holds the lock of its run queue."""
    kvm_xen_update_runstate(v, RUNSTATE_RUNNABLE)
    kvm_xen_update_runstate_guest(v, True)


def kvm_xen_update_runstate_guest(v: KvmVcpu, atomic: bool) -> None:
    """Write the record into the guest's memory; sleeps if it must, unless `atomic`.

    The thread of the vCPU calls this, in a read section of kvm->srcu. Mirrors
    kvm_xen_update_runstate_guest().
    """
    gpc1, gpc2 = v.arch.xen.runstate_cache, v.arch.xen.runstate2_cache
    while True:
        length1 = kvm_xen_lock_runstate(gpc1, atomic)
        length2 = RUNSTATE_SIZE - length1
        if not length1:
            return
        if not length2:
            break
        if not runstate_read_lock(gpc2, 1, atomic):
            runstate_read_unlock(gpc1)
            return
        if kvm_gpc_check(gpc2, length2):
            break
        # Drop both: activate sleeps. Then begin again, for gpc1 may be gone meanwhile.
        rest = gpc1.gpa + length1
        runstate_read_unlock(gpc2)
        runstate_read_unlock(gpc1)
        if atomic or kvm_gpc_activate(gpc2, rest, length2):
            return

    kvm_xen_write_runstate(v.arch.xen.runstate, gpc1, length1, gpc2 if length2 else None)
    if length2:
        kvm_gpc_mark_dirty_in_slot(gpc2)
        runstate_read_unlock(gpc2)
    kvm_gpc_mark_dirty_in_slot(gpc1)
    runstate_read_unlock(gpc1)


def kvm_xen_lock_runstate(gpc1: GfnToPfnCache, atomic: bool) -> int:
    """Lock the first cache, valid. Returns how many bytes it has of the record, or 0: it cannot."""
    if not runstate_read_lock(gpc1, 0, atomic):
        return 0
    length = runstate_length1(gpc1.gpa)
    while not kvm_gpc_check(gpc1, length):
        runstate_read_unlock(gpc1)
        if atomic or kvm_gpc_refresh(gpc1, length):
            return 0
        runstate_read_lock(gpc1, 0, atomic)
        length = runstate_length1(gpc1.gpa)
    return length


def runstate_length1(gpa: int) -> int:
    """Return how many bytes of the record at `gpa` lie in its first page."""
    return min(RUNSTATE_SIZE, PAGE_SIZE - offset_in_page(gpa))


def runstate_read_lock(gpc: GfnToPfnCache, subclass: int, atomic: bool) -> bool:
    """Lock one of the two caches; `atomic`: if nobody has to be waited for. Returns whether.

    The second one comes with subclass 1. That says that it always comes second, or else lockdep
    takes two locks of one class for a deadlock (H15). (The kernel gives the subclass to the first
    one, after it has got it: lock_set_subclass().)
    """
    local_irq_disable()
    if not atomic:
        gpc.lock.read_lock(subclass)
        return True
    # Who holds it may be about to wake somebody, and so want the lock of the run queue that our
    # caller has (H14). And if somebody writes, the cache is not valid for long, or not yet.
    if gpc.lock.read_trylock():
        return True
    local_irq_enable()
    return False


def runstate_read_unlock(gpc: GfnToPfnCache) -> None:
    """Undo runstate_read_lock()."""
    gpc.lock.read_unlock()
    local_irq_enable()


def kvm_xen_write_runstate(
    runstate: Runstate, gpc1: GfnToPfnCache, length1: int, gpc2: GfnToPfnCache | None
) -> None:
    """Write the record, and say so in its own bytes before and after, for a guest that looks."""
    done, writing = runstate_bytes(runstate, 0), runstate_bytes(runstate, XEN_RUNSTATE_UPDATE)
    byte = RUNSTATE_UPDATE_BYTE
    flag = gpc1.khva + byte
    if gpc2 is not None and byte >= length1:
        flag = gpc2.khva + byte - length1
    store(flag, writing[byte : byte + 1])
    smp_wmb()  # "being written" before what is written
    store(gpc1.khva, writing[:length1])
    if gpc2 is not None:
        store(gpc2.khva, writing[length1:])
    smp_wmb()  # and all of it before "done"
    store(flag, done[byte : byte + 1])


def runstate_bytes(runstate: Runstate, flag: int) -> bytes:
    """Return struct vcpu_runstate_info: the state, since when, and the times so far."""
    words = (runstate.state, runstate.entry_time | flag, *runstate.times)
    return b"".join([word.to_bytes(8, "little") for word in words])
