"""lock.py: what all locks have in common. The kinds of lock are in locks.py.

A lock knows its name, who holds it since when, and who waits; and it speaks in sentences. Before
it lets a task wait it checks what the kernel's debugging options check: that the task does not hold
it already, that it may sleep, and that the order of locks is right (lockdep.py).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from . import machine
from .clock import Clock
from .context import Hold
from .errors import BadUnlock, RecursiveLock
from .lock_steps import Acquire, Init, Release, Steps, TryAcquire, irq_mismatch
from .machine import Task
from .named import Named
from .site import program_frame
from .sleeping import local_irq_enable, might_sleep


class Lock(Named):
    """A lock: `lock = SpinLock()` in a Struct gives each struct its own, named after the field."""

    spins: bool = True
    shareable = False
    """Whether several can hold it, in some way."""

    def __init_subclass__(cls) -> None:
        """Find out whether it is shareable, of its ways to be held."""
        super().__init_subclass__()
        ways = [way for way in vars(cls).values() if isinstance(way, Steps)]
        cls.shareable = cls.shareable or any(way.shared for way in ways)

    def __init__(self, name: str = "", order_class: str = "") -> None:
        """Make a lock. Locks of one `order_class` obey the same order; by default, the name."""
        super().__init__(name, order_class)
        self.version = 0
        """How often it was released: what a task that spins on it waits for."""
        self.writer: Task | None = None
        self.readers: list[Task] = []
        self.clock: Clock | None = None
        """What the last writer passes on to the next holder; and so on for the readers."""
        self.readers_clock: Clock | None = None
        self.last_release: tuple[str, int] | None = None

    def state(self) -> Hashable:
        """Return who holds it, for the search that remembers states."""
        readers = tuple(sorted(task.index for task in self.readers))
        return (self.writer.index if self.writer else None, readers)

    def init(self) -> None:
        """Make it as new: a step, for whoever holds it at this moment loses it."""
        if running := self._machine():
            running.step(Init(self))

    # -- the steps of every kind of lock -------------------------------------------------------

    def _take(self, steps: Steps, subclass: int = 0, disable_irqs: bool = False) -> None:
        """Take the lock, after the checks. Outside a run there is nobody to wait for."""
        if (running := self._machine()) is None:
            return
        task = running.executing()
        context = task.context
        if not self.spins and context.why_atomic():
            might_sleep(f"take the sleeping lock {self.name}")
        order_class = f"{self.order_class}/{subclass}" if subclass else self.order_class
        wish = Hold(self, steps.shared, order_class, program_frame(3))
        if context.held and (mine := context.hold(self)):
            running.report(
                RecursiveLock(_RECURSIVE.format(task.name, self.name, wish.site, mine.since()))
            )
        if disable_irqs:
            context.irqs_off += 1
            wish.irqs_off = True
        if lockdep := running.lockdep:
            unqueued = wish.shared and context.hard_irq
            bug = lockdep.wants(task, wish, unqueued) if context.held else None
            if bug := bug or (lockdep.takes(task, wish) if self.spins else None):
                running.report(bug)
        running.step(Acquire(self, task, steps.take, steps.shared, wish))

    def _try(self, steps: Steps) -> bool:
        """Take the lock if nobody has to be waited for; no deadlock can come of that."""
        if (running := self._machine()) is None:
            return True
        task = running.executing()
        wish = Hold(self, steps.shared, self.order_class, program_frame(3))
        take = Acquire(self, task, steps.take, steps.shared, wish)
        if not running.step(TryAcquire(take, steps.attempt)):
            return False
        if (lockdep := running.lockdep) and self.spins and (bug := lockdep.takes(task, wish)):
            running.report(bug)
        return True

    def _drop(self, steps: Steps, enable_irqs: bool = False) -> None:
        """Give the lock back."""
        if (running := self._machine()) is None:
            return
        task = running.executing()
        hold = task.context.hold(self)
        running.step(Release(self, task, steps.drop, steps.shared, hold))
        if hold is not None and hold.irqs_off is not enable_irqs:
            running.report(BadUnlock(irq_mismatch(self, task, hold)))
        if enable_irqs:
            local_irq_enable()

    # -- the sentences -------------------------------------------------------------------------

    @property
    def holders(self) -> Sequence[Task]:
        """The tasks that hold it."""
        return [self.writer] if self.writer else self.readers

    def held_by(self) -> str:
        """Say 'a holds since step 3 (line 12 of refresh(): ...)', or 'nobody holds'."""
        return " and ".join(map(self._holding, self.holders)) or "nobody holds"

    def _holding(self, task: Task) -> str:
        hold = task.context.hold(self)
        how = " for reading" if self.readers else ""
        return f"{task.name} holds{how} {hold.since()}" if hold else f"{task.name} holds{how}"

    def __repr__(self) -> str:
        held = f"which {self.held_by()}" if self.holders else "free"
        waiting = [task.name for task in _waiting_for(self)]
        tail = f"; waiting: {', '.join(waiting)}" if waiting else ""
        return f"<{type(self).__name__} {self.name}, {held}{tail}>"


_RECURSIVE = (
    "{0} takes {1} ({2}), but holds it already, {3}. It waits for itself, for ever. "
    "Take it once, in the outermost function."
)


def _waiting_for(lock: Lock) -> list[Task]:
    tasks = machine.running.tasks if machine.running else []
    ops = [(task, task.pending) for task in tasks]
    return [t for t, op in ops if isinstance(op, Acquire) and op.on is lock and not op.enabled()]
