"""lock.py: what all locks have in common. The kinds of lock are in locks.py.

A lock knows its name, who holds it since when, and who waits; and it speaks in sentences. Before
it lets a task wait it checks what the kernel's debugging options check: that the task does not hold
it already, that it may sleep, and that the order of locks is right (lockdep.py).
"""

# ruff: noqa: D102  # What the methods of an operation are for stands in op.py.
from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar, Self

from . import machine
from .clock import Clock, join, joined
from .context import Hold
from .errors import BadUnlock, HeldLockInit, KernelBug, ModelError, RecursiveLock
from .machine import Machine, Task
from .op import Op
from .site import here
from .sleeping import might_sleep


class Lock:
    """A lock: `lock = SpinLock()` in a Struct gives each struct its own, named after the field."""

    spins: bool = True

    def __init__(self, name: str = "", order_class: str = "") -> None:
        """Make a lock. Locks of one `order_class` obey the same order; by default, the name."""
        self.id = machine.new_id(self)
        self.name = name or f"{type(self).__name__} {self.id}"
        self.order_class = order_class or self.name
        self.version = 0
        """How often it was released: what a task that spins on it waits for."""
        self.writer: Task | None = None
        self.readers: list[Task] = []
        self._clock: Clock | None = None
        self._readers_clock: Clock | None = None
        self._last_release = ""
        self._world = machine.world

    def __set_name__(self, owner: type, name: str) -> None:
        self.name, self.order_class = name, f"{owner.__name__}.{name}"

    def declared_in(self, prefix: str) -> Self:
        """Make the lock of one struct, after the one that its class declares."""
        return type(self)(prefix + self.name, self.order_class)

    def state(self) -> Hashable:
        """Return who holds it, for the search that remembers states."""
        readers = tuple(sorted(task.index for task in self.readers))
        return (self.writer.index if self.writer else None, readers)

    def init(self) -> None:
        """Make it as new: a step, for whoever holds it at this moment loses it."""
        if running := self._machine():
            running.executing()
            running.step(_Init(self))

    # -- the steps of every kind of lock -------------------------------------------------------

    def _take(self, op: Acquire, subclass: int = 0, disable_irqs: bool = False) -> None:
        """Take the lock by `op`, after the checks. Outside a run there is nobody to wait for."""
        if (running := self._machine()) is None:
            return
        task = running.executing()
        if not self.spins:
            might_sleep(f"take the sleeping lock {self.name}")
        wish = self._wish(op.shared, subclass)
        if mine := task.context.hold(self):
            running.report(
                RecursiveLock(_RECURSIVE.format(task.name, self.name, wish.site, mine.since()))
            )
        if disable_irqs:
            task.context.irqs_off += 1
        if lockdep := running.lockdep:
            bug = lockdep.wants(task, wish, unqueued=op.shared and task.context.hard_irq)
            if bug := bug or (lockdep.takes(task, wish) if self.spins else None):
                running.report(bug)
        running.step(op)
        self._taken(running, task, wish)

    def _try(self, op: TryAcquire) -> bool:
        """Take the lock if nobody has to be waited for; no deadlock can come of that."""
        if (running := self._machine()) is None:
            return True
        task, wish = running.executing(), self._wish(op.shared, 0)
        if not running.step(op):
            return False
        if (lockdep := running.lockdep) and self.spins and (bug := lockdep.takes(task, wish)):
            running.report(bug)
        self._taken(running, task, wish)
        return True

    def _taken(self, running: Machine, task: Task, hold: Hold) -> None:
        """Record that the task has it, and has seen what the holders before it did."""
        hold.step = len(running.schedule)
        context = task.context
        context.held.append(hold)
        context.taken[self.id] = None
        if self._clock is not None:
            join(context.clock, self._clock)
        if self._readers_clock is not None and not hold.shared:
            join(context.clock, self._readers_clock)

    def _drop(self, op: Release, enable_irqs: bool = False) -> None:
        if (running := self._machine()) is None:
            return
        task = running.executing()
        running.step(op)
        if enable_irqs:
            task.context.irqs_off -= 1

    def _wish(self, shared: bool, subclass: int) -> Hold:
        order_class = f"{self.order_class}/{subclass}" if subclass else self.order_class
        return Hold(self, shared, order_class, here())

    def _machine(self) -> Machine | None:
        running = machine.running
        if running is not None and self._world is not machine.world:
            raise ModelError(
                f"{self.name} was made before this run's set-up. A lock that outlives a run "
                "carries its holders into the next one; make it in the set-up."
            )
        return running

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
        return (
            f"{task.name} holds{' for reading' if self.readers else ''} {hold.since()}"
            if (hold)
            else f"{task.name} holds"
        )

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
    return [t for t, op in ops if isinstance(op, Acquire) and op.lock is lock and not op.enabled()]


class _LockOp(Op):
    __slots__ = ("lock", "reads", "writes")
    shared: ClassVar[bool] = False

    def __init__(self, lock: Lock) -> None:
        self.lock = lock
        self.reads = (lock.id,) if self.shared else ()  # readers commute
        self.writes = () if self.shared else (lock.id,)

    def future(self) -> str:
        return f"{self.kind} {self.lock.name}"


class Acquire(_LockOp):
    """Take a lock, once it can be had."""

    __slots__ = ()
    kind = "lock"
    waits = acquires = True

    def enabled(self) -> bool:
        lock = self.lock
        return lock.writer is None and (self.shared or not lock.readers)

    def effect(self) -> None:
        if self.shared:
            self.lock.readers.append(machine.me())
        else:
            self.lock.writer = machine.me()

    def reason(self) -> str:
        return f"it waits to {self.kind} {self.lock.name}, which {self.lock.held_by()}"

    def blockers(self) -> Sequence[Task]:
        return self.lock.holders


class TryAcquire(Op):
    """Take a lock if it can be had at once. One that cannot has only been looked at."""

    __slots__ = ("acquire",)
    kind = "trylock"

    def __init__(self, acquire: Acquire) -> None:
        self.acquire = acquire

    @property
    def shared(self) -> bool:
        return self.acquire.shared

    @property
    def reads(self) -> tuple[int, ...]:  # type: ignore[override]
        return () if self.writes else (self.acquire.lock.id,)

    @property
    def writes(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.acquire.writes if self.acquire.enabled() else ()

    def effect(self) -> bool:
        lock = self.acquire.lock
        if not self.acquire.enabled():
            machine.me().seen.setdefault(lock, lock.version)
            return False
        self.acquire.effect()
        return True

    def future(self) -> str:
        return f"{self.kind} {self.acquire.lock.name}"

    def past(self, result: object) -> str:
        return f"{self.future()} → {result}"


class Release(_LockOp):
    """Give a lock back."""

    __slots__ = ()
    kind = "unlock"
    releases = True

    def effect(self) -> None:
        lock, task = self.lock, machine.me()
        context, running = task.context, machine.running
        assert running is not None
        hold = context.hold(lock)
        if hold is None or hold.shared is not self.shared:
            running.report(_bad_unlock(self, task, hold))
        context.held.remove(hold)
        lock.version += 1
        if self.shared:
            lock.readers.remove(task)
            lock._readers_clock = joined(lock._readers_clock, context.clock)
        else:
            lock.writer, lock._readers_clock = None, None
            lock._clock = context.clock.copy()
        lock._last_release = f"{task.name} at step {len(running.schedule)}"
        context.clock[task.index] += 1


def _bad_unlock(op: Release, task: Task, hold: Hold | None) -> KernelBug:
    lock = op.lock
    what = f"{task.name} wants to {op.future()} ({here()})"
    if hold is not None:
        how = "for reading" if hold.shared else "for writing"
        return BadUnlock(f"{what}, but holds it {how}, {hold.since()}. Use the other unlock.")
    if lock.holders:
        return BadUnlock(
            f"{what}, which it does not hold: {lock.held_by()}. Whoever takes a lock must be the "
            "one who releases it."
        )
    before = f" It was last released by {lock._last_release}." if lock._last_release else ""
    return BadUnlock(
        f"{what}, and nobody holds it.{before} One unlock is too many; look at the paths that "
        "lead here."
    )


class _Init(Op):
    __slots__ = ("lock", "writes")
    kind = "init"

    def __init__(self, lock: Lock) -> None:
        self.lock = lock
        self.writes = (lock.id,)

    def effect(self) -> None:
        if self.lock.holders and machine.running:
            machine.running.report(
                HeldLockInit(
                    f"{machine.me().name} initialises {self.lock.name} ({here()}), but "
                    f"{self.lock.held_by()}. The lock forgets its holder, and the next one gets in "
                    "as well. Initialise a lock once, before anybody else can see it."
                )
            )
        self.lock.version += 1

    def future(self) -> str:
        return f"initialise {self.lock.name}"
