"""gpc.py: a scenario of the size and shape of the course's larger ones, to time the search on.

vCPUs use a cached translation and refresh it when it is not valid; the memory manager invalidates
it. It has the locks and marked accesses of the real thing, and none of its details.
"""

from __future__ import annotations

from functools import partial

from pfncache_lab.explore import Scenario
from pfncache_lab.sim import Mutex, RwLock, SpinLock, Struct, cpu_relax, fetch_add, marked, shared


class Cache(Struct):
    """What all tasks share."""

    mmu_lock = RwLock()
    mn_lock = SpinLock()
    lock = RwLock()
    refresh_lock = Mutex()
    count = marked(0)
    seq = marked(0)
    pte = marked(100)
    valid = shared(False, guarded_by="lock")
    pfn = shared(0, guarded_by="lock")


def retry(s: Cache, seen: int) -> bool:
    """mmu_notifier_retry_cache()."""
    return s.count > 0 or s.seq != seen


def hva_to_pfn_retry(s: Cache) -> None:
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


def refresh(s: Cache) -> None:
    """Make the cache valid."""
    with s.refresh_lock, s.lock.write():
        if not s.valid:
            hva_to_pfn_retry(s)


def vcpu(rounds: int, s: Cache) -> None:
    """Use the cache, so many times."""
    done = 0
    while done < rounds:
        s.lock.read_lock()
        while not s.valid:
            s.lock.read_unlock()
            refresh(s)
            cpu_relax()
            s.lock.read_lock()
        s.lock.read_unlock()
        done += 1


def refresher(rounds: int, s: Cache) -> None:
    """Refresh it, so many times."""
    done = 0
    while done < rounds:
        refresh(s)
        done += 1


def invalidate(rounds: int, s: Cache) -> None:
    """Move the page, so many times."""
    done = 0
    while done < rounds:
        with s.mn_lock:
            fetch_add(s, "count", 1)
        with s.lock.write():
            if s.valid:
                s.valid = False
        with s.mmu_lock.write():
            pass
        fetch_add(s, "pte", 1)
        with s.mn_lock:
            fetch_add(s, "seq", 1)
            fetch_add(s, "count", -1)
        done += 1


def gpc(vcpus: int = 1, mms: int = 1, refreshers: int = 0, rounds: int = 1) -> Scenario:
    """Make a scenario of so many tasks of each sort."""
    tasks = {f"vcpu{i}": partial(vcpu, rounds) for i in range(vcpus)}
    tasks |= {f"mm{i}": partial(invalidate, rounds) for i in range(mms)}
    tasks |= {f"refresh{i}": partial(refresher, rounds) for i in range(refreshers)}
    return Scenario("gpc", Cache, tasks)
