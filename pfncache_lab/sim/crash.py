"""crash.py: a task raised an exception that it did not handle. What the kernel would call that."""

from __future__ import annotations

from types import TracebackType

from .errors import Crash, KernelBug, OutOfMemory, StackOverflow
from .site import Site

LONGEST = 200
"""Characters of somebody else's message that a verdict quotes."""


def crashed(name: str, error: BaseException) -> KernelBug:
    """Tell what `error`, which the task of this name has not handled, comes to."""
    where = _where(error.__traceback__)
    if isinstance(error, RecursionError):
        return StackOverflow(
            f"{name} called itself until its stack was full{where}. A function that calls itself "
            "must come closer to its end each time."
        )
    if isinstance(error, MemoryError):
        return OutOfMemory(f"{name} asked for more memory than there is{where}.")
    crash = Crash(f"{name} raised {type(error).__name__}: {_text(error)}.")
    crash.__cause__ = error
    return crash


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # the message is the program's as well, and may fail as well
        text = "its message cannot be shown"
    return text if len(text) <= LONGEST else text[:LONGEST] + " ..."


def _where(traceback: TracebackType | None) -> str:
    """Find the innermost line of the program in a traceback."""
    found = None
    while traceback is not None:
        if traceback.tb_frame.f_globals.get("__package__") != __package__:
            found = Site(traceback.tb_frame.f_code, traceback.tb_lasti)
        traceback = traceback.tb_next
    return f" ({found})" if found else ""
