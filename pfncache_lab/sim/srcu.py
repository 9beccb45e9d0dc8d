"""srcu.py: readers that may sleep, and a writer that waits until the old ones are gone.

synchronize_srcu() waits for the read sections that had begun when it was called, and for no others:
a reader that comes later sees what was published before, so it does no harm. Mirrors linux/srcu.h.
"""

# ruff: noqa: D102  # What the methods of an operation are for stands in op.py.
from __future__ import annotations

from collections.abc import Hashable, Sequence

from . import machine
from .blocks import goes_on
from .clock import Clock, join, joined
from .context import Hold
from .errors import BadUnlock, LockLeak, RecursiveLock
from .machine import Task
from .named import Named
from .op import OpOn
from .site import here, program_frame
from .sleeping import might_sleep

NESTING = 100
"""Read sections that one task can be in at once."""


class Srcu(Named):
    """struct srcu_struct."""

    spins = False

    def __init__(self, name: str = "", order_class: str = "") -> None:
        """Make one that nobody reads."""
        super().__init__(name, order_class)
        self.sections: dict[int, Task] = {}
        """The read sections that have begun and not ended."""
        self.waits: dict[Task, set[int]] = {}
        """For each task in synchronize_srcu(), the sections that it still waits for."""
        self.readers_clock: Clock | None = None
        self.writers_clock: Clock | None = None

    def state(self) -> Hashable:
        """Return the read sections, and who waits for which."""
        waits = sorted((task.index, tuple(sorted(left))) for task, left in self.waits.items())
        return (tuple(sorted(self.sections)), tuple(waits))

    def new_section(self, task: Task) -> int:
        """Number a read section. The numbers come again: else a loop never sees a state twice."""
        for section in range(task.index * NESTING, (task.index + 1) * NESTING):
            if section not in self.sections:
                return section
        assert machine.running is not None
        machine.running.report(
            LockLeak(
                f"{task.name} is in {NESTING} read sections of {self.name} ({here()}): it begins "
                "them and does not end them."
            )
        )

    def __repr__(self) -> str:
        names = sorted({task.name for task in self.sections.values()})
        return f"<Srcu {self.name}, {'read by ' + ' and '.join(names) if names else 'unread'}>"


def srcu_read_lock(srcu: Srcu) -> int:
    """Begin a read section; it may sleep. Returns what srcu_read_unlock() wants."""
    if (running := srcu._machine()) is None:
        return 0
    task = running.executing()
    hold = Hold(srcu, True, srcu.order_class, program_frame(2))
    if running.lockdep and (bug := running.lockdep.wants(task, hold, unqueued=True)):
        running.report(bug)
    section: int = running.step(_ReadLock(srcu))
    hold.step = len(running.schedule)
    task.context.held.append(hold)
    return section


def srcu_read_unlock(srcu: Srcu, section: int) -> None:
    """End the read section that srcu_read_lock() has begun."""
    if running := srcu._machine():
        task = running.executing()
        running.step(_ReadUnlock(srcu, section))
        holds = [hold for hold in task.context.held if hold.lock is srcu]
        task.context.held.remove(holds[-1])


class srcu_read:
    """Read for the length of a `with` block."""

    def __init__(self, srcu: Srcu) -> None:
        self.srcu = srcu

    def __enter__(self) -> None:
        self._section = srcu_read_lock(self.srcu)

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if goes_on(error):
            srcu_read_unlock(self.srcu, self._section)


def synchronize_srcu(srcu: Srcu) -> None:
    """Sleep until every read section has ended that had begun before."""
    might_sleep(f"wait for the readers of {srcu.name}")
    if (running := srcu._machine()) is None:
        return
    task = running.executing()
    if mine := task.context.hold(srcu):
        running.report(
            RecursiveLock(
                f"{task.name} waits for the readers of {srcu.name} ({here()}), and is one of them "
                f"{mine.since()}. It waits for itself, for ever."
            )
        )
    wish = Hold(srcu, False, srcu.order_class, program_frame(2))
    if running.lockdep and (bug := running.lockdep.wants(task, wish, unqueued=False)):
        running.report(bug)
    running.step(_Begin(srcu))
    running.step(_WaitForReaders(srcu, task))


class _ReadLock(OpOn[Srcu]):
    __slots__ = ()
    kind = "srcu_read_lock"

    def __init__(self, srcu: Srcu) -> None:
        super().__init__(srcu, commute=True)

    def effect(self) -> int:
        srcu, task = self.on, machine.me()
        section = srcu.new_section(task)
        srcu.sections[section] = task
        if srcu.writers_clock is not None:
            join(task.context.clock, srcu.writers_clock)
        return section


class _ReadUnlock(OpOn[Srcu]):
    __slots__ = ("section",)
    kind = "srcu_read_unlock"
    releases = True

    def __init__(self, srcu: Srcu, section: int) -> None:
        super().__init__(srcu, commute=True)
        self.section = section

    def effect(self) -> None:
        srcu, task = self.on, machine.me()
        if srcu.sections.pop(self.section, None) is not task:
            assert machine.running is not None
            machine.running.report(_bad_unlock(srcu, task, self.section))
        for left in srcu.waits.values():
            left.discard(self.section)
        srcu.readers_clock = joined(srcu.readers_clock, task.context.clock)
        task.context.clock[task.index] += 1


def _bad_unlock(srcu: Srcu, task: Task, section: int) -> BadUnlock:
    return BadUnlock(
        f"{task.name} ends the read section {section!r} of {srcu.name} ({here()}), and is in no "
        "such section. Hand over what srcu_read_lock() has returned, once, in the same task."
    )


class _Begin(OpOn[Srcu]):
    __slots__ = ()
    kind = "synchronize_srcu"

    def effect(self) -> None:
        srcu, task = self.on, machine.me()
        srcu.writers_clock = joined(srcu.writers_clock, task.context.clock)
        task.context.clock[task.index] += 1
        srcu.waits[task] = set(srcu.sections)


class _WaitForReaders(OpOn[Srcu]):
    """It changes nothing, but counts as a write: readers commute, and they must not pass it."""

    __slots__ = ("task",)
    kind = "wait for the readers of"
    waits = True

    def __init__(self, srcu: Srcu, task: Task) -> None:
        super().__init__(srcu)
        self.task = task

    def enabled(self) -> bool:
        return not self.on.waits[self.task]

    def effect(self) -> None:
        del self.on.waits[self.task]
        if self.on.readers_clock is not None:
            join(machine.me().context.clock, self.on.readers_clock)

    def blockers(self) -> Sequence[Task]:
        return [self.on.sections[section] for section in sorted(self.on.waits[self.task])]

    def reason(self) -> str:
        return f"it waits for {' and '.join(t.name for t in self.blockers())} to end reading"
