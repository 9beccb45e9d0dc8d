"""asking.py: call the reader's code, and turn whatever it does into a sentence."""

from __future__ import annotations

import builtins
import io
import sys
import textwrap
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from itertools import islice
from types import FrameType
from typing import Any

from ..sim import KernelBug, limits
from ..sim.limits import Meter, TimeLimit, time_limit
from ..sim.shown import shown
from .exercise import Incorrect

LONGEST = 200
"""Characters of somebody else's text that a sentence quotes."""

LINES_SHOWN = 20
"""Lines that an answer prints which are let through."""

FRAMES_SHOWN = 3
"""Lines of the reader's that lead up to an exception and are shown."""


Listener = Callable[[str, float], None]
"""Is told what is done next, and how much CPU time it may take."""

listener: Listener | None = None
"""Whoever watches this process from outside, if anybody does."""


class PatientMeter(Meter):
    """A meter that does not wait for an answer that sleeps.

    A machine that is busy elsewhere makes an answer slow as well; but then it has not given the
    processor away by itself, and that is what the system counts.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds
        self._asleep = 0.0
        self._last = self._look()

    def over(self) -> bool:
        """Whether the time is up."""
        before, self._last = self._last, self._look()
        wall, cpu, waits = (now - then for now, then in zip(self._last, before, strict=True))
        if waits > 0 and cpu < wall / 10 and wall < 10 * limits.TICK:
            self._asleep += wall
        return self._asleep > self.seconds or super().over()

    @staticmethod
    def _look() -> tuple[float, float, float]:
        return time.monotonic(), time.thread_time(), _times_given_away()


def _times_given_away() -> float:
    """Count how often this thread has given the processor away; 0 where nobody counts."""
    try:
        import resource
    except ImportError:
        return 0.0
    if not hasattr(resource, "RUSAGE_THREAD"):
        return 0.0  # of all threads together: the notebook's own wait all the time
    return float(resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw)


_budget: PatientMeter | None = None


@contextmanager
def one_budget(seconds: float | None = None) -> Iterator[None]:
    """Let all calls in the body share the time of one answer: ten slow cases are slow, too."""
    global _budget
    before, _budget = _budget, PatientMeter(seconds or limits.SECONDS)
    try:
        yield
    finally:
        _budget = before


def ask(function: Callable[..., Any], *args: Any, call: str = "") -> Any:
    """Call the reader's function. Raises Incorrect when it crashes or does not come back.

    A sentence names the `call`, by default as it would be written.
    """
    call = call or _call_text(function, args)
    return observed(call, lambda: function(*args), files_of(function))


def ask_for_list(function: Callable[..., Any], *args: Any, most: int, call: str = "") -> list[Any]:
    """Call the reader's function for a list, or anything that can be iterated: a generator, a set.

    Takes no more than `most` items, so that one that never stops is only a wrong answer.
    """
    call = call or _call_text(function, args)
    result = ask(function, *args, call=call)
    if isinstance(result, str) or not isinstance(result, Iterable):
        raise Incorrect(f"{call} returned {short(result)}, which is no list.")
    return list(observed(call, lambda: list(islice(result, most)), files_of(function)))


def observed(what: str, action: Callable[[], Any], files: set[str]) -> Any:
    """Do what runs the reader's code, which is in `files`. Raises Incorrect, which names `what`."""
    budget = _budget or PatientMeter(limits.SECONDS)
    if listener is not None:
        listener(what, budget.seconds)
    try:
        with time_limit(budget), no_way_out():
            return action()
    except TimeLimit:
        raise Incorrect(
            f"{what} did not come back, so I stopped it. Does every loop end, and does every "
            "call of itself ask for something smaller?"
        ) from None
    except RecursionError:
        raise Incorrect(
            f"{what} called itself until Python gave up. Each call of itself must ask for "
            "something smaller, and one case must return without a call."
        ) from None
    except Incorrect:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and listener is None:
            raise  # the reader has pressed the stop button; nobody does that to a process apart
        kind = "ended with" if isinstance(error, KernelBug) else "raised"
        raise Incorrect(
            f"{what} {kind} {named(error).removesuffix('.')}{where(error, files)}"
        ) from None


def short(value: object) -> str:
    """Write a value of the reader's so that it fits into a sentence, whatever it is."""
    return shown(value)


def files_of(function: object) -> set[str]:
    """Name the file, or the cell, that defines a function of the reader's."""
    code = getattr(function, "__code__", None)
    return {code.co_filename} if code else set()


@contextmanager
def captured() -> Iterator[FirstLines]:
    """Keep the first lines that the body prints. An answer may print ten thousand."""
    printed = FirstLines()
    with redirect_stdout(printed), redirect_stderr(printed):
        yield printed


@contextmanager
def no_way_out() -> Iterator[None]:
    """Refuse `input()`, which would wait for the reader, and IPython's `exit()`.

    The latter would end the notebook's kernel, when the check is long over.
    """

    def refuse(*args: object) -> Any:
        raise SystemExit("an answer must not ask or leave")

    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    before = builtins.input
    builtins.input = refuse
    if shell is not None:
        shell.ask_exit = refuse
    try:
        yield
    finally:
        builtins.input = before
        if shell is not None:
            del shell.ask_exit


class FirstLines(io.TextIOBase):
    """Keeps the first lines that are written, and counts the others."""

    def __init__(self) -> None:
        self._kept: list[str] = []
        self._lines = 0

    def write(self, text: str) -> int:
        """Take some text."""
        if self._lines < LINES_SHOWN:
            self._kept.append(text[: LINES_SHOWN * LONGEST])
        self._lines += text.count("\n")
        return len(text)

    def summary(self) -> str:
        """Return the first lines, and say how many there were."""
        lines = "".join(self._kept).splitlines(keepends=True)[:LINES_SHOWN]
        rest = self._lines - len(lines)
        return "".join(lines) + (f"(… and {rest} lines more)\n" if rest > 0 else "")


def named(error: BaseException) -> str:
    """Name an exception and quote its message, as far as it has one that can be shown."""
    try:
        message = textwrap.shorten(_message(error), LONGEST)
    except Exception:  # the message is the reader's code as well
        message = ""
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _message(error: BaseException) -> str:
    """Return the message; of a cell that is no Python without the number that IPython gives it."""
    if not isinstance(error, SyntaxError):
        return str(error)
    line = f" (line {error.lineno})" if error.lineno and "line" not in error.msg else ""
    return f"{error.msg}{line}"


def where(error: BaseException, files: set[str]) -> str:
    """Point at the reader's own lines, and at no other: how they were reached is our business."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    stack = traceback.extract_tb(error.__traceback__)
    mine = [
        summary
        for frame, summary in zip(frames, stack, strict=True)
        if summary.line and (summary.filename in files or _in_a_notebook(frame))
    ]
    if not mine:
        return "."
    if len(mine) == 1:
        return f",\n  in line {mine[0].lineno} of your cell: {mine[0].line}"
    lines = [f"line {at.lineno} of your cell, in {at.name}(): {at.line}" for at in mine]
    return ",\n  in " + ",\n  then ".join(lines[-FRAMES_SHOWN:])


def _in_a_notebook(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__") == "__main__" and "__file__" not in frame.f_globals


def _call_text(function: Callable[..., Any], args: tuple[Any, ...]) -> str:
    name = getattr(function, "__name__", "your answer")
    return f"{name}({', '.join(map(short, args))})"
