"""kernel_names.py: the lock functions by the names that they have in C.

`spin_lock(kvm.gpc_lock)` is `kvm.gpc_lock.lock()`: for code that stands beside a C file. What the
irqsave forms return says nothing; it only has to be handed back.
"""

from __future__ import annotations

from .locks import Mutex, RwLock, SpinLock

IRQ_FLAGS = 0
"""What spin_lock_irqsave() returns: the machine counts how often interrupts are disabled."""


def spin_lock_init(lock: SpinLock) -> None:
    """Make a spinlock as new; nobody may hold it."""
    lock.init()


def spin_lock(lock: SpinLock, subclass: int = 0) -> None:
    """Wait until nobody holds it, and take it."""
    lock.lock(subclass)


def spin_unlock(lock: SpinLock) -> None:
    """Give it back."""
    lock.unlock()


def spin_trylock(lock: SpinLock) -> bool:
    """Take it if nobody holds it."""
    return lock.trylock()


def spin_lock_irq(lock: SpinLock) -> None:
    """Disable interrupts, and take it."""
    lock.lock_irq()


def spin_unlock_irq(lock: SpinLock) -> None:
    """Give it back, and enable interrupts."""
    lock.unlock_irq()


def spin_lock_irqsave(lock: SpinLock) -> int:
    """Disable interrupts if they are enabled, and take it."""
    lock.lock_irq()
    return IRQ_FLAGS


def spin_unlock_irqrestore(lock: SpinLock, flags: int) -> None:
    """Give it back, and leave interrupts as they were."""
    lock.unlock_irq()


def rwlock_init(lock: RwLock) -> None:
    """Make an rwlock as new; nobody may hold it."""
    lock.init()


def read_lock(lock: RwLock, subclass: int = 0) -> None:
    """Wait until nobody writes, and read."""
    lock.read_lock(subclass)


def read_unlock(lock: RwLock) -> None:
    """Read no longer."""
    lock.read_unlock()


def read_trylock(lock: RwLock) -> bool:
    """Read if nobody writes."""
    return lock.read_trylock()


def read_lock_irq(lock: RwLock) -> None:
    """Disable interrupts, and read."""
    lock.read_lock_irq()


def read_unlock_irq(lock: RwLock) -> None:
    """Read no longer, and enable interrupts."""
    lock.read_unlock_irq()


def read_lock_irqsave(lock: RwLock) -> int:
    """Disable interrupts if they are enabled, and read."""
    lock.read_lock_irq()
    return IRQ_FLAGS


def read_unlock_irqrestore(lock: RwLock, flags: int) -> None:
    """Read no longer, and leave interrupts as they were."""
    lock.read_unlock_irq()


def write_lock(lock: RwLock, subclass: int = 0) -> None:
    """Wait until nobody reads or writes, and write."""
    lock.write_lock(subclass)


def write_unlock(lock: RwLock) -> None:
    """Write no longer."""
    lock.write_unlock()


def write_trylock(lock: RwLock) -> bool:
    """Write if nobody reads or writes."""
    return lock.write_trylock()


def write_lock_irq(lock: RwLock) -> None:
    """Disable interrupts, and write."""
    lock.write_lock_irq()


def write_unlock_irq(lock: RwLock) -> None:
    """Write no longer, and enable interrupts."""
    lock.write_unlock_irq()


def write_lock_irqsave(lock: RwLock) -> int:
    """Disable interrupts if they are enabled, and write."""
    lock.write_lock_irq()
    return IRQ_FLAGS


def write_unlock_irqrestore(lock: RwLock, flags: int) -> None:
    """Write no longer, and leave interrupts as they were."""
    lock.write_unlock_irq()


def mutex_init(lock: Mutex) -> None:
    """Make a mutex as new; nobody may hold it."""
    lock.init()


def mutex_lock(lock: Mutex, subclass: int = 0) -> None:
    """Sleep until nobody holds it, and take it."""
    lock.lock(subclass)


def mutex_unlock(lock: Mutex) -> None:
    """Give it back."""
    lock.unlock()


def mutex_trylock(lock: Mutex) -> bool:
    """Take it if nobody holds it."""
    return lock.trylock()
