"""limits.py: code that never ends is stopped, and the process lives on.

The reader's code runs in the notebook's own process, so an endless loop in it would take the
notebook along. While something here keeps watch, a timer ticks, and a tick may throw an exception
into whatever runs. It derives from BaseException, so that an `except Exception:` in the loop cannot
swallow it, and it is thrown again and again, so that `except BaseException:` cannot keep it off for
ever.
"""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Any

from .headroom import headroom

SECONDS = 0.8
"""CPU time that one answer may take. The checks of the course need a hundredth of it."""

PATIENCE = 4
"""An answer that waits, or a machine that is busy elsewhere, may take so many times SECONDS."""

TICK = 0.05

Tick = Callable[[FrameType | None], type[BaseException] | None]
"""Called while the frame runs; returns what to throw into it, if anything."""


class TimeLimit(BaseException):
    """The reader's code took longer than any right answer does."""


class Meter:
    """Tells whether too much time has gone by since it was made."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._cpu = time.process_time()
        self._wall = time.monotonic()

    def over(self) -> bool:
        """Whether the time is up: the processor's, or several times as much on the clock."""
        cpu, wall = time.process_time() - self._cpu, time.monotonic() - self._wall
        return cpu > self._seconds or wall > self._seconds * PATIENCE


@contextmanager
def time_limit(meter: Meter | None = None) -> Iterator[None]:
    """Raise TimeLimit in the body when it has run for too long, or when `meter` says so."""
    meter = meter or Meter(SECONDS)
    with watched(lambda frame: TimeLimit if meter.over() else None):
        yield


class watched:
    """Let `tick` look at the body every TICK seconds; and keep the process from eating all memory.

    The outermost one starts the timer. So a search that runs a thousand machines, each of which
    keeps watch, puts a `with watched():` around all of them.
    """

    def __init__(self, tick: Tick | None = None) -> None:
        self._tick = tick
        self._timer: AbstractContextManager[None] | None = None

    def __enter__(self) -> None:
        if not _ticks:
            self._timer = _started()
            self._timer.__enter__()
        _ticks.append(self._tick)

    def __exit__(self, *error: Any) -> None:
        _ticks.remove(self._tick)
        if self._timer is not None:
            self._timer.__exit__(*error)


_ticks: list[Tick | None] = []


def _ask(frame: FrameType | None) -> type[BaseException] | None:
    """Ask each who keeps watch, the innermost first: it knows best what is going on."""
    if sys.gettrace() is not None:
        return None  # a person with a debugger may take all the time in the world
    answers = (tick(frame) for tick in reversed(_ticks) if tick is not None)
    return next((answer for answer in answers if answer is not None), None)


@contextmanager
def _started() -> Iterator[None]:
    in_main = threading.current_thread() is threading.main_thread()
    by_signal = in_main and hasattr(signal, "setitimer")
    timer: AbstractContextManager[None] = _by_signal() if by_signal else _by_thread()
    with headroom(), timer:
        yield


@contextmanager
def _by_signal() -> Iterator[None]:
    """Let a timer signal interrupt the body: this wakes a `time.sleep(1000)` as well."""

    def tick(number: int, frame: FrameType | None) -> None:
        if (answer := _ask(frame)) is not None:
            raise answer

    before = signal.signal(signal.SIGALRM, tick)
    # An event loop, such as the notebook's, wants to be woken by signals. It cannot run before the
    # body is done, and each tick would put a byte more into its pipe, until that is full.
    wakes = signal.set_wakeup_fd(-1)
    signal.setitimer(signal.ITIMER_REAL, TICK, TICK)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.set_wakeup_fd(wakes)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _by_thread() -> Iterator[None]:
    """Throw from a second thread, where there are no timer signals (Windows)."""
    done = threading.Event()
    victim = threading.get_ident()

    def watch() -> None:
        while not done.wait(TICK):
            if (answer := _ask(sys._current_frames().get(victim))) is not None:
                thread, error = ctypes.c_ulong(victim), ctypes.py_object(answer)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, error)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
