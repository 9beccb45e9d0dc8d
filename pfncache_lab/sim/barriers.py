"""barriers.py: what memory barriers order.

A barrier is no step: no other task sees it. (In a weak memory smp_mb() is one.) It changes what the
next marked accesses tell others about the accesses around them (the fences of C11; Batty, Memarian
and others, 2016):

    smp_wmb()   who loads what I store from now on, and then does smp_rmb(), knows what I did before
    smp_rmb()   I know now what the stores that I have loaded wanted to tell
    smp_mb()    both
"""

from __future__ import annotations

from . import machine
from .clock import join
from .machine import Task
from .weak import Fence


def smp_wmb() -> None:
    """Let no later store be seen before an earlier one."""
    if machine.running is not None:
        _publish(machine.running.executing())


def smp_rmb() -> None:
    """Let no later load be done before an earlier one."""
    if machine.running is not None:
        _believe(machine.running.executing())


def smp_mb() -> None:
    """Let nothing later be seen before anything earlier."""
    if (running := machine.running) is not None:
        if running.memory is not None:
            running.step(Fence(running.memory))
        full_barrier(running.executing())


def full_barrier(task: Task) -> None:
    """Order as smp_mb() does, in the middle of a step."""
    assert machine.running is not None
    _believe(task)
    if (memory := machine.running.memory) is not None:
        memory.fence(task.context.clock)
    _publish(task)


def _believe(task: Task) -> None:
    context = task.context
    if context.observed is not None:
        join(context.clock, context.observed)


def _publish(task: Task) -> None:
    context = task.context
    context.published = context.clock.copy()
    context.clock[task.index] += 1
