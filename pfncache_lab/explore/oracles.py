"""oracles.py: ways to choose who runs next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..sim import ModelError, Task
from ..sim.errors import NOT_DETERMINED
from .schedule import BadSchedule, parse


class Replay:
    """Follows a schedule as far as the program can; a person at the buttons is this oracle too.

    Raises BadSchedule where the text names a task that the program does not have.
    """

    def __init__(self, schedule: str, keys: Mapping[str, str]) -> None:
        """Follow `schedule`, in which the tasks go by these `keys`."""
        self._steps = parse(schedule)
        self._next = 0
        self._names = {key: name for name, key in keys.items()}
        if strangers := sorted(set(self._steps) - set(self._names)):
            *others, last = (_with_key(name, key) for name, key in keys.items())
            tasks = f"{', '.join(others)} and {last}" if others else last
            raise BadSchedule(f"There is no task {strangers[0]!r} here; the tasks are {tasks}.")

    def choose(self, runnable: Sequence[Task], current: Task | None) -> Task | None:
        """Choose the task that the schedule names, or stop where it cannot run."""
        wanted = self._names.get(self.unused[:1])
        chosen = next((task for task in runnable if task.name == wanted), None)
        if chosen is not None:
            self._next += 1
        return chosen

    @property
    def unused(self) -> str:
        """The steps not taken: the schedule ended, or the task it asks for could not run."""
        return self._steps[self._next :]


def _with_key(name: str, key: str) -> str:
    return name if name == key else f"{key} ({name})"


class DepthFirst:
    """Takes the first choice everywhere; `backtrack` moves on to the next schedule in order.

    The first choice is to let the current task go on, so the first schedule has no preemption:
    no switch away from a task that could have continued. With a `bound`, no schedule has more
    preemptions than that. Few are enough for most bugs (Musuvathi and Qadeer, "Iterative Context
    Bounding", PLDI 2007), and a schedule with few switches is one that a person can read.
    """

    def __init__(self, bound: int | None = None) -> None:
        self._bound = bound
        self._path: list[_Choice] = []
        self._depth = 0
        self.cut = False
        """Whether the bound has hidden any schedule."""

    def choose(self, runnable: Sequence[Task], current: Task | None) -> Task | None:
        """Repeat the choices of the path so far, then take the first option.

        Raises ModelError when those who can run are not those who could when the path was made.
        """
        names = [task.name for task in runnable]
        if self._depth == len(self._path):
            self._path.append(self._options(names, runnable, current))
        choice = self._path[self._depth]
        if names != choice.runnable:
            raise ModelError(_other(self._depth, choice.runnable, names))
        self._depth += 1
        name = choice.options[choice.taken]
        return next(task for task in runnable if task.name == name)

    def _options(self, names: list[str], runnable: Sequence[Task], current: Task | None) -> _Choice:
        used = self._path[-1].preemptions if self._path else 0
        if current is None or current not in runnable:
            return _Choice(names, names, used, 0)
        others = [task.name for task in runnable if task is not current]
        if self._bound is not None and used >= self._bound:
            self.cut = self.cut or bool(others)
            others = []
        return _Choice(names, [current.name, *others], used, 1)

    def backtrack(self) -> bool:
        """Change the last choice that has an option left. False when there is none.

        Raises ModelError when the run ended before it had come to the end of the path.
        """
        if self._depth < len(self._path):
            raise ModelError(_other(self._depth, self._path[self._depth].runnable, []))
        self._depth = 0
        while self._path:
            choice = self._path[-1]
            if choice.taken + 1 < len(choice.options):
                choice.taken += 1
                return True
            self._path.pop()
        return False


def _other(depth: int, before: Sequence[str], now: Sequence[str]) -> str:
    return (
        f"At step {depth + 1} {_these(now)} can run; in an earlier run of the same schedule it was "
        f"{_these(before)}. {NOT_DETERMINED}"
    )


def _these(names: Sequence[str]) -> str:
    return " or ".join(names) or "nobody"


class _Choice:
    """One decision: the options in order, and how many preemptions lead up to and through it."""

    __slots__ = ("runnable", "options", "taken", "_used", "_price")

    def __init__(self, runnable: list[str], options: list[str], used: int, price: int) -> None:
        self.runnable = runnable
        self.options = options
        self.taken = 0
        self._used = used
        self._price = price  # of every option but the first, which lets the current task go on

    @property
    def preemptions(self) -> int:
        return self._used + (self._price if self.taken else 0)
