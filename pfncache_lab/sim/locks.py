"""locks.py: the kernel's locks. What each excludes is decided here, and nowhere else.

    SpinLock    one holder; who waits spins
    RwLock      many readers or one writer; who waits spins; a hard interrupt may read
    Mutex       one holder; who waits sleeps

Each is used with the kernel's words (`gpc.lock.write_lock_irq()`) or as a block
(`with gpc.lock.write_irq():`). The irq forms keep interrupts out while the lock is held: without
them an interrupt handler that wants the lock spins on the CPU whose task should release it.
"""

from __future__ import annotations

from collections.abc import Callable

from greenlet import GreenletExit

from .errors import KernelBug
from .lock import Lock
from .lock_steps import Acquire, Release, TryAcquire


class SpinLock(Lock):
    """spinlock_t: one task holds it, the others spin. The holder must not sleep."""

    def __init__(self, name: str = "", order_class: str = "") -> None:
        """Make a lock that nobody holds."""
        super().__init__(name, order_class)
        self._lock, self._unlock = Acquire(self), Release(self)
        self._trylock = TryAcquire(self._lock)

    def lock(self, subclass: int = 0) -> None:
        """Wait until nobody holds it, and take it."""
        self._take(self._lock, subclass)

    def unlock(self) -> None:
        """Give it back."""
        self._drop(self._unlock)

    def trylock(self) -> bool:
        """Take it if nobody holds it. Returns whether that worked."""
        return self._try(self._trylock)

    def lock_irq(self, subclass: int = 0) -> None:
        """Disable interrupts, and take it."""
        self._take(self._lock, subclass, disable_irqs=True)

    def unlock_irq(self) -> None:
        """Give it back, and enable interrupts."""
        self._drop(self._unlock, enable_irqs=True)

    def irq(self) -> Block:
        """Return the block `with lock.irq():`."""
        return Block(self.lock_irq, self.unlock_irq)

    def __enter__(self) -> None:
        self.lock()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if goes_on(error):
            self.unlock()


class Mutex(Lock):
    """struct mutex: one task holds it, the others sleep. Not for atomic context."""

    spins = False

    def __init__(self, name: str = "", order_class: str = "") -> None:
        """Make a mutex that nobody holds."""
        super().__init__(name, order_class)
        self._lock, self._unlock = Acquire(self), Release(self)
        self._trylock = TryAcquire(self._lock)

    def lock(self, subclass: int = 0) -> None:
        """Sleep until nobody holds it, and take it."""
        self._take(self._lock, subclass)

    def unlock(self) -> None:
        """Give it back."""
        self._drop(self._unlock)

    def trylock(self) -> bool:
        """Take it if nobody holds it. Returns whether that worked."""
        return self._try(self._trylock)

    def __enter__(self) -> None:
        self.lock()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if goes_on(error):
            self.unlock()


class RwLock(Lock):
    """rwlock_t: many read or one writes, the others spin. No holder may sleep.

    The model does not queue a reader behind a waiting writer, as the kernel's does outside
    interrupts. It needs no queue to find what can go wrong: it tries every order of arrival, and
    the deadlocks that only a queue brings are those that lockdep reports.
    """

    def __init__(self, name: str = "", order_class: str = "") -> None:
        """Make a lock that nobody holds."""
        super().__init__(name, order_class)
        self._read_lock, self._read_unlock = _ReadLock(self), _ReadUnlock(self)
        self._write_lock, self._write_unlock = _WriteLock(self), _WriteUnlock(self)
        self._read_trylock = _ReadTrylock(self._read_lock)
        self._write_trylock = _WriteTrylock(self._write_lock)

    def read_lock(self, subclass: int = 0) -> None:
        """Wait until nobody writes, and read."""
        self._take(self._read_lock, subclass)

    def read_unlock(self) -> None:
        """Read no longer."""
        self._drop(self._read_unlock)

    def read_trylock(self) -> bool:
        """Read if nobody writes. Returns whether that worked."""
        return self._try(self._read_trylock)

    def write_lock(self, subclass: int = 0) -> None:
        """Wait until nobody reads or writes, and write."""
        self._take(self._write_lock, subclass)

    def write_unlock(self) -> None:
        """Write no longer."""
        self._drop(self._write_unlock)

    def write_trylock(self) -> bool:
        """Write if nobody reads or writes. Returns whether that worked."""
        return self._try(self._write_trylock)

    def read_lock_irq(self, subclass: int = 0) -> None:
        """Disable interrupts, and read."""
        self._take(self._read_lock, subclass, disable_irqs=True)

    def read_unlock_irq(self) -> None:
        """Read no longer, and enable interrupts."""
        self._drop(self._read_unlock, enable_irqs=True)

    def write_lock_irq(self, subclass: int = 0) -> None:
        """Disable interrupts, and write."""
        self._take(self._write_lock, subclass, disable_irqs=True)

    def write_unlock_irq(self) -> None:
        """Write no longer, and enable interrupts."""
        self._drop(self._write_unlock, enable_irqs=True)

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


class Block:
    """A lock held for the length of a `with` block."""

    def __init__(self, enter: Callable[[], None], leave: Callable[[], None]) -> None:
        self._enter = enter
        self._leave = leave

    def __enter__(self) -> None:
        self._enter()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if goes_on(error):
            self._leave()


def goes_on(error: BaseException | None) -> bool:
    """Tell whether the task lives on after `error`. One that ends here must not unlock any more.

    The run is over, and its last state is what the reader will look at.
    """
    return not isinstance(error, KernelBug | GreenletExit)


class _ReadLock(Acquire):
    __slots__ = ()
    kind = "read_lock"
    shared = True


class _ReadUnlock(Release):
    __slots__ = ()
    kind = "read_unlock"
    shared = True


class _WriteLock(Acquire):
    __slots__ = ()
    kind = "write_lock"


class _WriteUnlock(Release):
    __slots__ = ()
    kind = "write_unlock"


class _ReadTrylock(TryAcquire):
    __slots__ = ()
    kind = "read_trylock"


class _WriteTrylock(TryAcquire):
    __slots__ = ()
    kind = "write_trylock"
