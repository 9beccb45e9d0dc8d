"""locks.py: the kernel's locks. What each excludes is decided here, and nowhere else.

    SpinLock    one holder; who waits spins
    Mutex       one holder; who waits sleeps
    RwLock      many readers or one writer; who waits spins; a hard interrupt may read

Each is used with the kernel's words (`gpc.lock.write_lock_irq()`) or as a block
(`with gpc.lock.write_irq():`). The irq forms keep interrupts out while the lock is held: without
them an interrupt handler that wants the lock spins on the CPU whose task should release it.

A lock of a new kind says here in which ways it can be held (Steps), and what these are called. All
that is checked when a lock is taken or released is in lock.py, the steps are in lock_steps.py.
"""

from __future__ import annotations

from .blocks import Block, goes_on
from .lock import Lock
from .lock_steps import Steps


class Exclusive(Lock):
    """A lock that one task holds at a time."""

    _steps = Steps("lock", "unlock", "trylock")

    def lock(self, subclass: int = 0) -> None:
        """Wait until nobody holds it, and take it."""
        self._take(self._steps, subclass)

    def unlock(self) -> None:
        """Give it back."""
        self._drop(self._steps)

    def trylock(self) -> bool:
        """Take it if nobody holds it. Returns whether that worked."""
        return self._try(self._steps)

    def __enter__(self) -> None:
        self.lock()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if goes_on(error):
            self.unlock()


class Mutex(Exclusive):
    """struct mutex: one task holds it, the others sleep. Not for atomic context."""

    spins = False


class SpinLock(Exclusive):
    """spinlock_t: one task holds it, the others spin. The holder must not sleep."""

    def lock_irq(self, subclass: int = 0) -> None:
        """Disable interrupts, and take it."""
        self._take(self._steps, subclass, disable_irqs=True)

    def unlock_irq(self) -> None:
        """Give it back, and enable interrupts."""
        self._drop(self._steps, enable_irqs=True)

    def irq(self) -> Block:
        """Return the block `with lock.irq():`."""
        return Block(self.lock_irq, self.unlock_irq)


class RwLock(Lock):
    """rwlock_t: many read or one writes, the others spin. No holder may sleep.

    The model does not queue a reader behind a waiting writer, as the kernel's does outside
    interrupts. It needs no queue to find what can go wrong: it tries every order of arrival, and
    the deadlocks that only a queue brings are those that lockdep reports.
    """

    _read = Steps("read_lock", "read_unlock", "read_trylock", shared=True)
    _write = Steps("write_lock", "write_unlock", "write_trylock")

    def read_lock(self, subclass: int = 0) -> None:
        """Wait until nobody writes, and read."""
        self._take(self._read, subclass)

    def read_unlock(self) -> None:
        """Read no longer."""
        self._drop(self._read)

    def read_trylock(self) -> bool:
        """Read if nobody writes. Returns whether that worked."""
        return self._try(self._read)

    def write_lock(self, subclass: int = 0) -> None:
        """Wait until nobody reads or writes, and write."""
        self._take(self._write, subclass)

    def write_unlock(self) -> None:
        """Write no longer."""
        self._drop(self._write)

    def write_trylock(self) -> bool:
        """Write if nobody reads or writes. Returns whether that worked."""
        return self._try(self._write)

    def read_lock_irq(self, subclass: int = 0) -> None:
        """Disable interrupts, and read."""
        self._take(self._read, subclass, disable_irqs=True)

    def read_unlock_irq(self) -> None:
        """Read no longer, and enable interrupts."""
        self._drop(self._read, enable_irqs=True)

    def write_lock_irq(self, subclass: int = 0) -> None:
        """Disable interrupts, and write."""
        self._take(self._write, subclass, disable_irqs=True)

    def write_unlock_irq(self) -> None:
        """Write no longer, and enable interrupts."""
        self._drop(self._write, enable_irqs=True)

    def read(self) -> Block:
        """Return the block `with lock.read():`."""
        return Block(self.read_lock, self.read_unlock)

    def write(self) -> Block:
        """Return the block `with lock.write():`."""
        return Block(self.write_lock, self.write_unlock)

    def read_irq(self) -> Block:
        """Return the block `with lock.read_irq():`."""
        return Block(self.read_lock_irq, self.read_unlock_irq)

    def write_irq(self) -> Block:
        """Return the block `with lock.write_irq():`."""
        return Block(self.write_lock_irq, self.write_unlock_irq)
