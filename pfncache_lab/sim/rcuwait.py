"""rcuwait.py: a task goes to sleep, and another one wakes it. Mirrors linux/rcuwait.h.

The sleeper announces that it will sleep *before* it looks at what it waits for. A wake-up that
comes after the look finds the announcement, and takes it back:

    sleeper                                   waker
    set_current_state(TASK_UNINTERRUPTIBLE)
    looks: nothing to do yet
                                              changes it
                                              rcuwait_wake_up(): the sleeper is to run again
    schedule(): returns at once

The other way round, the wake-up finds nobody asleep, and the sleeper sleeps for ever.
"""

# ruff: noqa: D102  # What the methods of an operation are for stands in op.py.
from __future__ import annotations

from collections.abc import Callable, Hashable

from . import machine
from .barriers import smp_mb
from .clock import Clock, join, joined
from .machine import Task
from .named import Named
from .op import Op, OpOn, by_state
from .sleeping import might_sleep

TASK_RUNNING = "running"
TASK_INTERRUPTIBLE = "interruptible"
TASK_UNINTERRUPTIBLE = "uninterruptible"

NOBODY, NOBODY_ASLEEP = "nobody", "nobody asleep"
"""What a wake-up has found, if not a sleeper."""


class Sleeper(Named):
    """One task's state: does schedule() return, or sleep?"""

    def __init__(self, name: str = "", order_class: str = "") -> None:
        """Make the state of a task that runs."""
        super().__init__(name, order_class)
        self.value = TASK_RUNNING
        self.clock: Clock | None = None
        self.early = ""
        """Who tried to wake it last while it was awake."""

    def state(self) -> Hashable:
        """Return it."""
        return self.value


class RcuWait(Named):
    """A place for one sleeper."""

    def __init__(self, name: str = "", order_class: str = "") -> None:
        """Make one with nobody there."""
        super().__init__(name, order_class)
        self.task: Task | None = None

    def state(self) -> Hashable:
        """Return who is there."""
        return self.task.index if self.task else None

    def __repr__(self) -> str:
        who = f"{self.task.name} is there" if self.task else "nobody is there"
        return f"<RcuWait {self.name}, {who}>"


def prepare_to_rcuwait(wait: RcuWait) -> None:
    """Let rcuwait_wake_up() find this task from now on."""
    if running := wait._machine():
        task = running.executing()
        _sleeper(task)  # so that the waker need not make it
        running.step(_Enter(wait, task))


def finish_rcuwait(wait: RcuWait) -> None:
    """Leave the place, awake."""
    if running := wait._machine():
        running.step(_Enter(wait, None))
        set_current_state(TASK_RUNNING)


def set_current_state(state: str) -> None:
    """Announce whether the next schedule() is to sleep. Orders as smp_mb() does."""
    if running := machine.running:
        running.step(_SetState(_sleeper(running.executing()), state))
        smp_mb()


def schedule() -> None:
    """Sleep until somebody wakes this task, if it has announced that; else go on."""
    might_sleep("call schedule()")
    if running := machine.running:
        running.step(_Schedule(_sleeper(running.executing())))


def rcuwait_wake_up(wait: RcuWait) -> bool:
    """Wake who is there. Nobody there, or somebody awake: then there is nothing to do.

    Returns whether somebody slept, and does no more.
    """
    smp_mb()  # or what was stored before could be seen after the look at who is there
    if running := wait._machine():
        return running.step(_WakeUp(wait)) not in (NOBODY, NOBODY_ASLEEP)
    return False


def rcuwait_wait_event(wait: RcuWait, condition: Callable[[], object]) -> None:
    """Sleep until `condition`, which somebody changes before rcuwait_wake_up()."""
    prepare_to_rcuwait(wait)
    while True:
        set_current_state(TASK_UNINTERRUPTIBLE)
        if condition():
            break
        schedule()
    finish_rcuwait(wait)


def _sleeper(task: Task) -> Sleeper:
    """Find the state of a task. Tasks that never sleep have none."""
    if task.context.sleeper is None:
        task.context.sleeper = Sleeper(f"the state of {task.name}")
    return task.context.sleeper


class _Enter(OpOn[RcuWait]):
    __slots__ = ("task",)
    kind = "enter"

    def __init__(self, wait: RcuWait, task: Task | None) -> None:
        super().__init__(wait)
        self.task = task

    def effect(self) -> None:
        self.on.task = self.task

    def future(self) -> str:
        return f"{'prepare to wait on' if self.task else 'leave'} {self.on.name}"


class _SetState(OpOn[Sleeper]):
    __slots__ = ("value",)
    kind = "set"

    def __init__(self, sleeper: Sleeper, value: str) -> None:
        super().__init__(sleeper)
        self.value = value

    def effect(self) -> None:
        self.on.value = self.value

    def future(self) -> str:
        return f"set {self.on.name} to {self.value}"


class _Schedule(OpOn[Sleeper]):
    __slots__ = ()
    kind = "schedule"
    waits = True

    def __init__(self, sleeper: Sleeper) -> None:
        super().__init__(sleeper, commute=True)

    def enabled(self) -> bool:
        return self.on.value == TASK_RUNNING

    def effect(self) -> None:
        if self.on.clock is not None:
            join(machine.me().context.clock, self.on.clock)

    def future(self) -> str:
        return "schedule"

    def reason(self) -> str:
        early = f". {self.on.early}" if self.on.early else ""
        return f"it sleeps until somebody wakes it{early}"


class _WakeUp(Op):
    __slots__ = ("wait", "reads")
    kind = "wake up"
    releases = True

    def __init__(self, wait: RcuWait) -> None:
        self.wait = wait
        self.reads = (wait.id,)

    @by_state
    def writes(self) -> tuple[int, ...]:
        # Who stands there changes only by a write to `wait`, which this reads.
        return (_sleeper(self.wait.task).id,) if self.wait.task else ()

    def effect(self) -> str:
        task = self.wait.task
        if task is None:
            return NOBODY
        sleeper, waker = _sleeper(task), machine.me()
        if sleeper.value == TASK_RUNNING:
            sleeper.early = (
                f"{waker.name} woke it at step {_step()}, when it was still awake. "
                "Announce the sleep, with set_current_state(), before the last look"
            )
            return NOBODY_ASLEEP
        sleeper.value = TASK_RUNNING
        sleeper.clock = joined(sleeper.clock, waker.context.clock)
        waker.context.clock[waker.index] += 1
        return task.name

    def future(self) -> str:
        return f"wake up {self.wait.name}"

    def past(self, result: object) -> str:
        return f"{self.future()} → {result}"


def _step() -> int:
    assert machine.running is not None
    return len(machine.running.schedule)
