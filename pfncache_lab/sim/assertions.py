"""assertions.py: what a program says of itself, and the machine checks.

None of these is a step: each asks only about the task itself, or about what it has loaded already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from . import machine
from .context import Hold
from .errors import Bug, KernelBug, NotHeld, Warn
from .lock import Lock
from .site import here


def lockdep_assert_held(lock: Lock) -> None:
    """Say that the caller holds `lock`, for reading or for writing."""
    _assert_hold(lock, "hold", lambda hold: hold is not None)


def lockdep_assert_held_write(lock: Lock) -> None:
    """Say that the caller holds `lock`, and nobody else does."""
    _assert_hold(lock, "hold for writing", lambda hold: hold is not None and not hold.shared)


def lockdep_assert_held_read(lock: Lock) -> None:
    """Say that the caller holds `lock` for reading."""
    _assert_hold(lock, "hold for reading", lambda hold: hold is not None and hold.shared)


def lockdep_assert_not_held(lock: Lock) -> None:
    """Say that the caller does not hold `lock`: it will be taken here, or in what is called."""
    _assert_hold(lock, "not hold", lambda hold: hold is None)


def WARN_ON_ONCE(condition: object, text: str = "") -> bool:
    """Report a state that the program had ruled out. The run ends there. Returns False."""
    if condition:
        _report(Warn(f"{_who()} warns{f' that {text}' if text else ''} ({here()})."))
    return False


def BUG_ON(condition: object, text: str = "") -> None:
    """Report a state in which the program must not go on."""
    if condition:
        _report(Bug(f"{_who()} cannot go on{f', because {text}' if text else ''} ({here()})."))


def _assert_hold(lock: Lock, must: str, holds: Callable[[Hold | None], bool]) -> None:
    if machine.running is None:
        return
    task = machine.running.executing()
    hold = task.context.hold(lock)
    if holds(hold):
        return
    now = f"holds it {hold.since()}" if hold else f"does not; {lock.held_by()} it"
    _report(
        NotHeld(f"Whoever comes here must {must} {lock.name} ({here()}), and {task.name} {now}.")
    )


def _who() -> str:
    return machine.running.executing().name if machine.running else "The set-up"


def _report(bug: KernelBug) -> NoReturn:
    if machine.running is None:
        raise bug
    machine.running.report(bug)
