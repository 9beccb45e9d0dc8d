"""stuck.py: nobody can run any more. Why, and what a task leaves behind when it ends.

Who waits for whom is a graph, and a circle in it is the whole story: the others only wait for the
circle. Without a circle somebody waits for what will never come, such as a wake-up that came early.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .errors import NOT_DETERMINED, Deadlock, KernelBug, Livelock, LockLeak

if TYPE_CHECKING:
    from .task import Task


def settle(tasks: Sequence[Task]) -> None:
    """End those who only serve others, when nobody can run. Raises what is wrong if others wait."""
    if waiting := [task for task in tasks if task.pending and not task.companion]:
        raise stuck(waiting)
    for companion in tasks:
        companion.pending = None


def stuck(tasks: Sequence[Task]) -> KernelBug:
    """Tell why none of `tasks` can run; each of them has announced what it wants."""
    if circle := _circle(tasks):
        return Deadlock(_tell_circle(circle))
    reasons = "".join(f"\n  {t.name}: {t.pending.reason()}." for t in tasks if t.pending)
    if any(task.pending and task.pending.wants_change for task in tasks):
        return Livelock(f"A task spins, and nobody is left who could change what it sees.{reasons}")
    return Deadlock(f"Nobody can run any more.{reasons}")


def _circle(tasks: Sequence[Task]) -> list[Task]:
    """Find tasks each of which waits for the next one, and the last one for the first."""
    for first in tasks:
        if circle := _back_to(first, [first]):
            return circle
    return []


def _back_to(first: Task, path: list[Task]) -> list[Task]:
    pending = path[-1].pending
    for blocker in pending.blockers() if pending else ():
        if blocker is first:
            return path
        if blocker not in path and (circle := _back_to(first, [*path, blocker])):
            return circle
    return []


def _tell_circle(circle: Sequence[Task]) -> str:
    names = [task.name for task in circle]
    lines = [f"\n  {_who_has_what(circle[i - 1], circle[i])}." for i in range(len(circle))]
    how = "wait for each other" if len(circle) == 2 else "wait for one another in a circle"
    remedy = "Let every task take these locks in the same order."
    return f"{' and '.join(names)} {how}, for ever.{''.join(lines)}\n  {remedy}"


def _who_has_what(waiter: Task, holder: Task) -> str:
    """Say what `holder` holds that `waiter` wants, and what it waits for in turn."""
    assert waiter.pending is not None and holder.pending is not None
    wanted = waiter.pending.writes + waiter.pending.reads
    holds = [hold for hold in holder.context.held if hold.lock.id in wanted]
    # A primitive may name a task among its blockers that holds nothing.
    what = f"holds {holds[0].lock.name} {holds[0].since()}" if holds else f"keeps {waiter.name}"
    return f"{holder.name} {what}, and wants to {holder.pending.future()}"


def still_running(steps: int, tasks: Sequence[Task | None]) -> str:
    """Say which of `tasks`, the first that has not ended, does not come to an end."""
    task = next(task for task in tasks if task and task.pending)
    assert task.pending is not None
    return (
        f"After {steps} steps {task.name} still runs; its next step is to "
        f"{task.pending.future()}. "
        "A loop that waits for another task needs cpu_relax() in its body."
    )


def not_determined(step: int, task: Task) -> str:
    """Say that a run cannot be repeated, since `task` cannot take this step again."""
    return (
        f"Step {step} of {task.name} was possible in an earlier run of the same schedule and is "
        f"not in this one. {NOT_DETERMINED}"
    )


def left_behind(task: Task) -> KernelBug | None:
    """Tell which lock `task`, which has come to its end, still holds."""
    context = task.context
    if not context.held:
        if context.irqs_off == 0 == context.preempt_off:
            return None
        what = "interrupts" if context.irqs_off else "preemption"
        return LockLeak(f"{task.name} ended with {what} disabled. Enable on every path out.")
    hold = context.held[-1]
    return LockLeak(
        f"{task.name} ended, and still holds {hold.lock.name} {hold.since()}. "
        "Whoever wants it next waits for ever. Release it on every path out of the function."
    )
