"""gpc.py: a scenario of the size and shape of the course's larger ones, to time the search on.

vCPUs use a cached translation and refresh it when it is not valid; the memory manager moves the
page and invalidates the cache. It has the locks and marked accesses of the real thing, and none of
its details.
"""

from __future__ import annotations

from functools import partial

from pfncache_lab.explore import Scenario
from pfncache_lab.sim import Mutex, RwLock, Struct, cpu_relax, fetch_add, marked, shared


class Vm(Struct):
    """What all tasks share."""

    mmu_lock = RwLock()
    mn_lock = Mutex()
    lock = RwLock()
    refresh_lock = Mutex()
    count = marked(0)
    seq = marked(0)
    pte = marked(100)
    active = shared(True, guarded_by="lock")
    valid = shared(False, guarded_by="lock")
    pfn = shared(0, guarded_by="lock")
    khva = shared(0, guarded_by="lock")


def retry(s: Vm, seen: int) -> bool:
    """mmu_notifier_retry_cache()."""
    return s.count > 0 or s.seq != seen


def hva_to_pfn_retry(s: Vm) -> None:
    """Translate, until no invalidation has come in between."""
    s.valid = False
    while True:
        seen = s.seq
        s.lock.write_unlock()
        pfn = s.pte
        s.lock.write_lock()
        if not retry(s, seen):
            break
        s.lock.write_unlock()
        cpu_relax()
        s.lock.write_lock()
    s.valid = True
    s.pfn = pfn
    s.khva = pfn


def refresh(s: Vm) -> None:
    """Make the cache valid."""
    s.refresh_lock.lock()
    s.lock.write_lock()
    if s.active and not s.valid:
        hva_to_pfn_retry(s)
    s.lock.write_unlock()
    s.refresh_lock.unlock()


def vcpu(rounds: int, s: Vm) -> None:
    """Use the cache, so many times."""
    for _ in range(rounds):
        s.lock.read_lock()
        while not s.valid:
            s.lock.read_unlock()
            refresh(s)
            cpu_relax()
            s.lock.read_lock()
        assert s.pfn
        s.lock.read_unlock()


def refresher(rounds: int, s: Vm) -> None:
    """Refresh it, so many times."""
    for _ in range(rounds):
        refresh(s)


def invalidate(rounds: int, s: Vm) -> None:
    """Move the page, so many times."""
    for _ in range(rounds):
        s.mn_lock.lock()
        fetch_add(s, "count", 1)
        s.mn_lock.unlock()
        s.lock.write_lock()
        if s.valid:
            s.valid = False
        s.lock.write_unlock()
        s.mmu_lock.write_lock()
        s.mmu_lock.write_unlock()
        fetch_add(s, "pte", 1)
        s.mn_lock.lock()
        fetch_add(s, "seq", 1)
        fetch_add(s, "count", -1)
        s.mn_lock.unlock()


def gpc(vcpus: int = 1, mms: int = 1, refreshers: int = 0, rounds: int = 1) -> Scenario:
    """Make a scenario of so many tasks of each sort."""
    tasks = {f"vcpu{i}": partial(vcpu, rounds) for i in range(vcpus)}
    tasks |= {f"mm{i}": partial(invalidate, rounds) for i in range(mms)}
    tasks |= {f"refresh{i}": partial(refresher, rounds) for i in range(refreshers)}
    return Scenario("gpc", Vm, tasks)
