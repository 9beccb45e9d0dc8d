"""sleeping.py: who may sleep, and how a task says what it expects of its context.

A task that sleeps while others spin for its lock may keep them spinning for ever: on one CPU the
spinner never lets the sleeper run. Hence whatever *may* sleep says so, even when it would not.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, ParamSpec, TypeVar

from . import machine
from .errors import BadUnlock, SleepInAtomic
from .site import here

P = ParamSpec("P")
T = TypeVar("T")


def might_sleep(what: str = "sleep") -> None:
    """Report a task that must not sleep here: `what` says what it was about to do.

    Belongs at the head of every function that may sleep, on whatever path. Not a step.
    """
    if machine.running is None:
        return
    task = machine.running.executing()
    if why := task.context.why_atomic():
        remedy = (
            "What runs in an interrupt must not wait: leave the work to a task."
            if task.context.hard_irq
            else "Release that first, or do this before."
        )
        machine.running.report(
            SleepInAtomic(f"{task.name} is about to {what} ({here()}), {why}. {remedy}")
        )


def hard_irq(handler: Callable[P, T]) -> Callable[P, T]:
    """Make `handler`, the body of a task, run as an interrupt handler does.

    It must not sleep, and the locks that it takes must be taken with interrupts disabled elsewhere.
    """

    @functools.wraps(handler)
    def body(*args: P.args, **kwargs: P.kwargs) -> T:
        if machine.running is not None:
            machine.running.executing().context.hard_irq = True
        return handler(*args, **kwargs)

    return body


@contextmanager
def preempt_disabled() -> Iterator[None]:
    """Keep this CPU: between preempt_disable() and preempt_enable()."""
    preempt_disable()
    try:
        yield
    finally:
        preempt_enable()


def preempt_disable() -> None:
    """Begin a part of the program that must not sleep, because it keeps its CPU."""
    if machine.running is not None:
        machine.running.executing().context.preempt_off += 1


def preempt_enable() -> None:
    """End such a part."""
    if machine.running is not None:
        context = machine.running.executing().context
        if not context.preempt_off:
            _report_too_many("preemption")
        context.preempt_off -= 1


def local_irq_disable() -> None:
    """Let no interrupt in on this CPU; until local_irq_enable() the task must not sleep."""
    if machine.running is not None:
        machine.running.executing().context.irqs_off += 1


def local_irq_enable() -> None:
    """Let interrupts in again, if that was the outermost local_irq_disable()."""
    if machine.running is not None:
        context = machine.running.executing().context
        if not context.irqs_off:
            _report_too_many("interrupts")
        context.irqs_off -= 1


def _report_too_many(what: str) -> NoReturn:
    running = machine.running
    assert running is not None
    running.report(
        BadUnlock(
            f"{running.executing().name} enables {what} ({here()}), and has not disabled {what}. "
            "That is once too often; look at the paths that lead here."
        )
    )
