"""apart.py: the reader's code runs in a process of its own, and only its story comes back.

What it does to its arguments, to Python or to the process is gone with the child: an endless loop
within one call of C, `os._exit()`, a list that was ours, `len = 3` in the builtins. The child is a
fork, so that it sees the notebook's names as they are, and nothing has to be copied there.

Only on Linux: on macOS a fork of a process with threads may crash in the system's libraries, and
Windows has none. There the same work is done in place, with the guards of `asking` alone.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from ..sim import limits
from . import asking

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

T = TypeVar("T")

FORKS = sys.platform.startswith("linux")

GRACE = 0.4
"""CPU time that a child may overrun what it has announced: its own guards come first."""

WALL = 5
"""The clock may show so many times the CPU time: the machine may be busy elsewhere."""

ORPHAN = 60
"""Seconds of CPU time after which the system ends a child, should nobody else be left to do it."""

LOOK = 0.1
"""Seconds between two looks at a child that says nothing."""


class Died(Exception):
    """The child was lost, or had to be stopped; the message says how."""


def apart(work: Callable[[], T]) -> T:
    """Do `work` in a child process and return what it returns. Raises Died.

    The result crosses a pipe, so it has to be plain data that can be pickled.
    """
    if not FORKS:
        return work()
    from multiprocessing import Pipe  # brings sockets and more, which only a check needs

    reading, writing = Pipe(duplex=False)
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Other threads: the child needs none.
        child = os.fork()
    if child == 0:
        _be_the_child(work, writing)
    writing.close()
    try:
        result: T = _listen(reading, child)
        return result
    finally:
        reading.close()
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # the child, if it lives, and whatever it has started
        with suppress(ChildProcessError):
            os.waitpid(child, 0)


def loudly(work: Callable[[], T]) -> T:
    """Do `work` apart, and let through the first lines that it prints. Raises Died."""

    def listening() -> tuple[T, str]:
        with asking.captured() as printed:
            result = work()
        return result, printed.summary()

    result, printed = apart(listening)
    print(printed, end="")
    return result


def _be_the_child(work: Callable[[], Any], writing: Connection) -> NoReturn:
    try:
        os.setsid()  # A group of its own: the notebook's stop button is for the parent.
        _limit_cpu()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        asking.listener = lambda what, seconds: writing.send(("doing", what, seconds))
        writing.send_bytes(pickle.dumps(("done", work(), 0)))
    except BaseException as error:
        with suppress(BaseException):
            writing.send(("failed", f"{type(error).__name__}: {error}", 0))
    finally:
        os._exit(0)  # Nothing of the notebook's may run twice: no atexit, no flush, no finally.


def _limit_cpu() -> None:
    """Let the system end a child whose notebook has been restarted: nobody else looks after it."""
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (ORPHAN, ORPHAN))


def _listen(reading: Connection, child: int) -> Any:
    doing, watch = "", _Watch(child)
    while True:
        if reading.poll(LOOK):
            try:
                kind, value, seconds = reading.recv()
            except Exception:  # the end of the file, or what somebody else has written into it
                raise Died(f"{doing or 'It'} {_ending(child)}") from None
            if kind == "done":
                return value
            if kind == "failed":
                raise Died(f"{doing or 'It'} could not be judged: {value}.")
            doing = value
            watch.allow(seconds)
        elif watch.over():
            raise Died(
                f"{doing or 'It'} did not come back, and could not be interrupted, so I stopped "
                "the process that it ran in. Is there a single call that never ends?"
            )


def _ending(child: int) -> str:
    """Say how a child came to its end that has not told us."""
    time.sleep(LOOK)  # It has closed the pipe, and its end may be a moment away.
    ended, status = os.waitpid(child, os.WNOHANG)
    if not ended:
        return "left Python, or closed what it was to answer through, so I stopped its process."
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        how = f"by signal {number} ({signal.strsignal(number)})"
    else:
        how = f"with exit code {os.WEXITSTATUS(status)}, and did not return"
    return f"ended the process that it ran in {how}. Your notebook has lost nothing."


class _Watch:
    """How much time a child has used since its last message."""

    def __init__(self, child: int) -> None:
        self._child = child
        self.allow(limits.SECONDS)

    def allow(self, seconds: float) -> None:
        """Begin anew, with so much CPU time."""
        self._seconds = seconds + GRACE
        self._cpu = self._used()
        self._wall = time.monotonic()

    def over(self) -> bool:
        """Whether the child has used more than that."""
        wall = time.monotonic() - self._wall
        return self._used() - self._cpu > self._seconds or wall > self._seconds * WALL

    def _used(self) -> float:
        """Read the CPU time of the child; 0 when it has ended, which the pipe will say."""
        try:
            with open(f"/proc/{self._child}/stat", encoding="ascii", errors="replace") as stat:
                user, system = stat.read().rpartition(")")[2].split()[11:13]
        except (OSError, ValueError):
            return 0.0
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
