"""lock_steps.py: the steps that a lock consists of: take it, try to, give it back."""

# ruff: noqa: D102  # What the methods of an operation are for stands in op.py.
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from . import machine
from .clock import joined
from .context import Hold
from .errors import BadUnlock, HeldLockInit, KernelBug
from .machine import Task
from .op import Op
from .site import here

if TYPE_CHECKING:
    from .lock import Lock


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
            lock.readers_clock = joined(lock.readers_clock, context.clock)
        else:
            lock.writer, lock.readers_clock = None, None
            lock.clock = context.clock.copy()
        lock.last_release = task, len(running.schedule)
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
    before = ""
    if lock.last_release:
        last, step = lock.last_release
        before = f" It was last released by {last.name} at step {step}."
    return BadUnlock(
        f"{what}, and nobody holds it.{before} One unlock is too many; look at the paths that "
        "lead here."
    )


def irq_mismatch(op: Release, task: Task, hold: Hold) -> str:
    """Say that a lock was taken with interrupts disabled and not so released, or vice versa."""
    what = f"{task.name} took {op.lock.name} {hold.since()}"
    if hold.irqs_off:
        return (
            f"{what} with an _irq function, and releases it with one that leaves interrupts "
            f"disabled ({here()}). Use the _irq form of the unlock."
        )
    return (
        f"{what} without disabling interrupts, and releases it with an _irq function ({here()}). "
        "That would enable interrupts for a caller who may have disabled them."
    )


class Init(Op):
    """Make a lock as new."""

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
