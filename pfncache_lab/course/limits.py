"""limits.py: code that never ends is stopped, and the notebook's kernel lives on.

The reader's answer runs in the kernel's own process, so an endless loop in it would take the kernel
along. Inside `time_limit` an exception is thrown into such a loop. It derives from BaseException,
so that an `except Exception:` in the loop cannot swallow it, and it is thrown again and again, so
that `except BaseException:` cannot keep it off for ever.
"""

from __future__ import annotations

import ctypes
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SECONDS = 0.8
"""CPU time that one answer may take. The checks of the course need a hundredth of it."""

PATIENCE = 4
"""An answer that waits, or a machine that is busy elsewhere, may take so many times SECONDS."""

TICK = 0.05


class TimeLimit(BaseException):
    """The reader's code took longer than any right answer does."""


class _Meter:
    def __init__(self) -> None:
        self._cpu = time.process_time()
        self._wall = time.monotonic()

    def over(self) -> bool:
        cpu, wall = time.process_time() - self._cpu, time.monotonic() - self._wall
        return cpu > SECONDS or wall > SECONDS * PATIENCE


@contextmanager
def time_limit() -> Iterator[None]:
    """Raise TimeLimit in the body when it has run for too long."""
    in_main = threading.current_thread() is threading.main_thread()
    limit = _by_signal if in_main and hasattr(signal, "setitimer") else _by_thread
    with limit(_Meter()):
        yield


@contextmanager
def _by_signal(meter: _Meter) -> Iterator[None]:
    """Let a timer signal interrupt the body: this wakes a `time.sleep(1000)` as well."""

    def tick(number: int, frame: FrameType | None) -> None:
        if meter.over():
            raise TimeLimit

    before = signal.signal(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, TICK, TICK)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _by_thread(meter: _Meter) -> Iterator[None]:
    """Throw from a second thread, where there are no timer signals (Windows)."""
    done = threading.Event()
    victim = ctypes.c_ulong(threading.get_ident())

    def watch() -> None:
        while not done.wait(TICK):
            if meter.over():
                ctypes.pythonapi.PyThreadState_SetAsyncExc(victim, ctypes.py_object(TimeLimit))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
