"""lock_steps.py: the steps that a lock consists of: take it, try to, give it back."""

# ruff: noqa: D102  # What the methods of an operation are for stands in op.py.
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from . import machine
from .clock import join, joined
from .context import Hold
from .errors import BadUnlock, HeldLockInit, KernelBug
from .machine import Task
from .op import Op, OpOn, by_state
from .site import here

if TYPE_CHECKING:
    from .lock import Lock


class Steps(NamedTuple):
    """One way to hold a lock: alone or, if `shared`, together with others.

    The three words are what the trace calls its steps: "read_lock", "read_unlock", "read_trylock".
    """

    take: str
    drop: str
    attempt: str
    shared: bool = False


class _LockOp(OpOn["Lock"]):
    __slots__ = ("task", "kind", "shared", "hold")

    def __init__(self, lock: Lock, task: Task, kind: str, shared: bool, hold: Hold | None) -> None:
        """Announce it; `hold` says how the task will hold the lock, or how it does."""
        self.on = lock
        self.reads = (lock.id,) if shared else ()
        self.writes = () if shared else (lock.id,)
        self.task = task
        self.kind = kind
        self.shared = shared
        self.hold = hold


class Acquire(_LockOp):
    """Take a lock, once it can be had."""

    __slots__ = ()
    waits = acquires = True

    def enabled(self) -> bool:
        lock = self.on
        return lock.writer is None and (self.shared or not lock.readers)

    def effect(self) -> None:
        lock, task, hold, running = self.on, self.task, self.hold, machine.running
        assert hold is not None and running is not None
        hold.step = len(running.schedule)
        context = task.context
        context.held.append(hold)
        context.taken[lock.id] = None
        if lock.clock is not None:  # it has seen what the holders before it did
            join(context.clock, lock.clock)
        if self.shared:
            lock.readers.append(task)
            return
        lock.writer = task
        if lock.readers_clock is not None:
            join(context.clock, lock.readers_clock)

    def reason(self) -> str:
        return f"it waits to {self.future()}, which {self.on.held_by()}"

    def blockers(self) -> Sequence[Task]:
        return self.on.holders


class TryAcquire(Op):
    """Take a lock if it can be had at once. One that cannot has only been looked at.

    But readers commute, and so count as having only looked, too, while they decide whether a writer
    gets in. So a writer who fails because of readers must count as a write, or nobody would try it
    before them.
    """

    __slots__ = ("acquire", "kind")

    def __init__(self, acquire: Acquire, kind: str) -> None:
        self.acquire = acquire
        self.kind = kind

    @by_state
    def reads(self) -> tuple[int, ...]:
        return () if self.writes else (self.acquire.on.id,)

    @by_state
    def writes(self) -> tuple[int, ...]:
        acquire = self.acquire
        return acquire.writes if acquire.enabled() or acquire.on.readers else ()

    def effect(self) -> bool:
        lock = self.acquire.on
        if not self.acquire.enabled():
            self.acquire.task.seen.setdefault(lock, lock.version)
            return False
        self.acquire.effect()
        return True

    def future(self) -> str:
        return f"{self.kind} {self.acquire.on.name}"

    def past(self, result: object) -> str:
        return f"{self.future()} → {result}"


class Release(_LockOp):
    """Give a lock back."""

    __slots__ = ()
    releases = True

    def effect(self) -> None:
        lock, task, hold, running = self.on, self.task, self.hold, machine.running
        context = task.context
        assert running is not None
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
        lock.last_release = task.name, len(running.schedule)
        context.clock[task.index] += 1


def _bad_unlock(op: Release, task: Task, hold: Hold | None) -> KernelBug:
    lock = op.on
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
        before = f" It was last released by {last} at step {step}."
    return BadUnlock(
        f"{what}, and nobody holds it.{before} One unlock is too many; look at the paths that "
        "lead here."
    )


def irq_mismatch(lock: Lock, task: Task, hold: Hold) -> str:
    """Say that a lock was taken with interrupts disabled and not so released, or vice versa."""
    what = f"{task.name} took {lock.name} {hold.since()}"
    if hold.irqs_off:
        return (
            f"{what} with an _irq function, and releases it with one that leaves interrupts "
            f"disabled ({here()}). Use the _irq form of the unlock."
        )
    return (
        f"{what} without disabling interrupts, and releases it with an _irq function ({here()}). "
        "That would enable interrupts for a caller who may have disabled them."
    )


class Init(OpOn["Lock"]):
    """Make a lock as new."""

    __slots__ = ()
    kind = "initialise"

    def effect(self) -> None:
        running = machine.running
        assert running is not None
        if self.on.holders:
            running.report(
                HeldLockInit(
                    f"{machine.me().name} initialises {self.on.name} ({here()}), but "
                    f"{self.on.held_by()}. The lock forgets its holder, and the next one gets in "
                    "as well. Initialise a lock once, before anybody else can see it."
                )
            )
        self.on.version += 1
