"""prefix.py: the machine as an explorer needs it: follow the beginning of a schedule, then go on.

Whoever wants all schedules of a program need not know what it does. One run tells which schedule
it took, and who else could have run at each step; the next begins like it and turns off somewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ..sim import Task
from .scenario import Run, Scenario
from .scenario import run as run_with
from .schedule import BadSchedule, parse
from .search import Result, replay


@dataclass(frozen=True, repr=False)
class Followed(Run):
    """One run that began with a given prefix."""

    prefix: str
    choices: tuple[str, ...]
    """For each step the letters of those who could have taken it: ('ab', 'ab', 'b')."""

    def __repr__(self) -> str:
        how = self.bug.__class__.__name__ if self.bug else "fine"
        return f"<Run {self.schedule}, prefix {self.prefix!r}, {how}>"


@dataclass(frozen=True, repr=False)
class Search(Result):
    """A search by prefixes: its runs in the order in which they were made."""

    @property
    def followed(self) -> tuple[Followed, ...]:
        """The runs, each with its prefix and its choices."""
        return tuple(one for one in self.runs if isinstance(one, Followed))


def follow(program: Scenario, prefix: str) -> Followed:
    """Run `program` once: the steps of `prefix` first; then nobody loses a turn before they must.

    After the prefix the task that has run last goes on as long as it can; when it cannot, the first
    of those who can is next. Raises BadSchedule when a step of the prefix cannot be taken.
    """
    oracle = _Follow(parse(prefix), program.keys)
    one = run_with(program, oracle)
    if len(one.schedule) < len(oracle.prefix) or not one.schedule.startswith(oracle.prefix):
        replay(program, prefix)  # raises, and says why in the words of the task
        raise BadSchedule(f"The prefix {prefix!r} cannot be followed.")
    choices = tuple(oracle.choices)
    followed = Followed(program, one.schedule, one.finished, one.bug, None, oracle.prefix, choices)
    if _log is not None:
        _log.append(followed)
        if len(_log) >= _most:
            raise TooManyRuns
    return followed


def attempt(program: Scenario, prefix: str) -> Followed | None:
    """Follow `prefix`, or return None where one of its steps cannot be taken."""
    try:
        return follow(program, prefix)
    except BadSchedule:
        return None


def searched(runs: Sequence[Followed], stopped: str = "") -> Search:
    """Put the runs of one search together, so that it can be drawn; say where it was stopped."""
    return Search(runs[0].scenario, tuple(runs), not stopped, stopped)


class TooManyRuns(BaseException):
    """A search under watch has made more runs than it may. No `except Exception` shall stop it."""


_log: list[Followed] | None = None
_most = 0


@contextmanager
def watching(most: int) -> Iterator[list[Followed]]:
    """Keep a list of all runs that `follow` makes in the body; raises TooManyRuns at `most`."""
    global _log, _most
    before = _log, _most
    _log, _most = [], most
    try:
        yield _log
    finally:
        _log, _most = before


class _Follow:
    """The oracle of `follow`."""

    def __init__(self, prefix: str, keys: Mapping[str, str]) -> None:
        self.prefix = prefix
        self.choices: list[str] = []
        self._keys = keys

    def choose(self, runnable: Sequence[Task], current: Task | None) -> Task | None:
        """Choose whom the prefix names; after it, the current task if that can go on."""
        letters = [self._keys[task.name] for task in runnable]
        step = len(self.choices)
        self.choices.append("".join(letters))
        if step < len(self.prefix):
            wanted = self.prefix[step]
            return runnable[letters.index(wanted)] if wanted in letters else None
        return current if current in runnable else runnable[0]
