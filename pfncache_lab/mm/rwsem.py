"""rwsem.py: the lock of an address space. Many read or one writes, and who waits sleeps.

Mirrors linux/rwsem.h. Readers do not queue behind a waiting writer: see RwLock.
"""

from __future__ import annotations

from ..sim import RwLock

PRIMITIVES = True


class RwSem(RwLock):
    """struct rw_semaphore: many readers or one writer; not for atomic context."""

    spins = False


def down_read(sem: RwSem) -> None:
    """Sleep until nobody writes, and read."""
    sem.read_lock()


def down_read_trylock(sem: RwSem) -> bool:
    """Read if nobody writes. Returns whether that worked."""
    return sem.read_trylock()


def up_read(sem: RwSem) -> None:
    """Read no longer."""
    sem.read_unlock()


def down_write(sem: RwSem, subclass: int = 0) -> None:
    """Sleep until nobody reads or writes, and write."""
    sem.write_lock(subclass)


def up_write(sem: RwSem) -> None:
    """Write no longer."""
    sem.write_unlock()
