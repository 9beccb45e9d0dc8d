"""lockup.py: a task that keeps the CPU and does nothing that others could observe is stopped.

The machine only has control between two steps. A loop without a step in it never gives it back, so
a timer has to interrupt it. The verdict is settled at the first interruption; what follows only
serves to get out of the loop.
"""

from __future__ import annotations

import ctypes
from types import FrameType
from typing import TYPE_CHECKING

from greenlet import getcurrent

from .errors import SoftLockup
from .limits import Meter
from .site import Site

if TYPE_CHECKING:
    from .machine import Machine

LOCKUP_SECONDS = 0.25
"""CPU time between two steps. A task of the course needs a thousandth of it."""

THROWS = 10
"""So often a task may swallow what is thrown at it. Then it is left where it is."""


class Lockup(BaseException):
    """Thrown into a task that keeps the CPU, to get it out of its loop."""


class Watchdog:
    """Looks at one machine, tick by tick, and asks whether it has got any further."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._seen: object = None
        self._throws = 0

    def tick(self, frame: FrameType | None) -> type[BaseException] | None:
        """Return Lockup if the task that runs has made no step for too long."""
        machine = self._machine
        progress = (len(machine.schedule), machine.current)
        if progress != self._seen:
            self._seen, self._meter, self._throws = progress, Meter(LOCKUP_SECONDS), 0
        if machine.current is None or frame is None or not self._meter.over():
            return None
        if getcurrent() is machine.hub:
            return None  # no task runs: the search is thinking
        self._throws += 1
        if machine.bug is None:
            machine.condemn(SoftLockup(_sentence(machine, frame)))
        if self._throws > THROWS and machine.current.greenlet is getcurrent():
            _abandon(machine)
        return Lockup


def _sentence(machine: Machine, frame: FrameType) -> str:
    assert machine.current is not None
    inner: FrameType | None = frame
    while inner is not None and inner.f_globals.get("__package__") == __package__:
        inner = inner.f_back
    line = f" ({Site(inner.f_code, inner.f_lasti)})" if inner is not None else ""
    return (
        f"{machine.current.name} keeps the CPU after step {len(machine.schedule)}{line}: it loops, "
        "and does nothing that another task could see or change. A loop that waits must load a "
        "shared field each time round, and call cpu_relax()."
    )


def _abandon(machine: Machine) -> None:
    """Leave a task where it is, for good, because it swallows whatever is thrown at it.

    A greenlet that is collected gets one more exception, which it would swallow too, and the loop
    would go on where nobody watches. So it is made immortal.
    """
    task, hub = machine.current, machine.hub
    assert task is not None and hub is not None
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(task.greenlet))
    task.greenlet = None
    hub.switch()
