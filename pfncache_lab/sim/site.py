"""site.py: a place in the program, for messages: cheap to take, dear only when it is read."""

from __future__ import annotations

import linecache
import sys
from functools import cached_property
from types import CodeType, FrameType


class Site:
    """A place in somebody's source code.

    Locks and fields take one at each access, and almost none is ever read. So it keeps what costs
    nothing, and finds the line in the file only for a message.
    """

    def __init__(self, code: CodeType, offset: int) -> None:
        self._code = code
        self._offset = offset

    @cached_property
    def number(self) -> int:
        """The line's number in its file or notebook cell."""
        for start, end, line in self._code.co_lines():
            if start <= self._offset < end and line is not None:
                return line
        return self._code.co_firstlineno

    @cached_property
    def text(self) -> str:
        """The line itself."""
        return linecache.getline(self._code.co_filename, self.number).strip()

    def __str__(self) -> str:
        """Render as 'line 12 of refresh(): `gpc.lock.write_lock()`'."""
        where = f"line {self.number} of {self._code.co_name}()"
        return f"{where}: `{self.text}`" if self.text else where


def here() -> Site:
    """Return the line of the program that is being executed: the innermost not of this package."""
    frame = program_frame(2)
    return Site(frame.f_code, frame.f_lasti)


def program_frame(above: int = 1) -> FrameType:
    """Return the innermost frame that is not of this package; so many above are known to be.

    A module of another floor that sets `PRIMITIVES = True` counts as this package: each of its
    functions is one step, and the line that matters is its caller's.
    """
    frame = first = sys._getframe(above)
    while (names := frame.f_globals).get("__package__") == __package__ or "PRIMITIVES" in names:
        if frame.f_back is None:
            return first  # a companion's, see weak.py: it is all ours
        frame = frame.f_back
    return frame
