"""barriers.py: what memory barriers order.

A barrier is no step: no other task sees it. It changes what the next marked accesses tell others
about the plain ones around them (the fences of C11; Batty, Memarian and others, 2016):

    smp_wmb()   who loads what I store from now on, and then does smp_rmb(), knows what I did before
    smp_rmb()   I know now what the stores that I have loaded wanted to tell
    smp_mb()    both
"""

from __future__ import annotations

from . import machine
from .clock import join


def smp_wmb() -> None:
    """Let no later store be seen before an earlier one."""
    if machine.running is not None:
        task = machine.running.executing()
        task.context.published = task.context.clock.copy()
        task.context.clock[task.index] += 1


def smp_rmb() -> None:
    """Let no later load be done before an earlier one."""
    if machine.running is not None:
        context = machine.running.executing().context
        if context.observed is not None:
            join(context.clock, context.observed)


def smp_mb() -> None:
    """Let nothing later be seen before anything earlier."""
    smp_rmb()
    smp_wmb()
