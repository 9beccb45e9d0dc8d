"""task.py: a task of the simulated machine, and whoever decides which of them runs next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from greenlet import GreenletExit, greenlet

from .context import Context
from .op import Op

if TYPE_CHECKING:
    from .lists import Walk
    from .spinning import Turn


class Task:
    """A simulated thread of execution, and the operation it has announced."""

    __slots__ = (
        "index", "name", "body", "greenlet", "pending", "frame", "seen", "stored", "context",
        "results", "touched", "walks", "turn", "companion",
    )  # fmt: skip

    def __init__(
        self, index: int, name: str, body: Callable[[], object], companion: bool = False
    ) -> None:
        self.index = index
        self.name = name
        self.body = body
        self.greenlet: greenlet | None = None
        self.pending: Op | None = None
        self.frame: FrameType | None = None
        self.seen: dict[Any, int] = {}
        self.stored = False
        # What its steps returned, and what it has loaded from plain fields: the search by states
        # must tell two tasks apart that have seen different values.
        self.results: list[Any] = []
        # And which plain fields it has touched, by number: on these, and on the objects of the
        # operation, depends what a step has done.
        self.touched: list[int] = []
        self.walks: list[Walk[Any]] = []
        """The loops over lists that it is in: see lists.py."""
        self.turn: Turn | None = None
        """What its variables were when it last spun: see spinning.py."""
        self.context = Context()
        self.companion = companion
        """Whether it is no task of the program: see weak.py. Nobody waits for it to finish."""

    @property
    def runnable(self) -> bool:
        """Whether its next operation can happen now."""
        return self.pending is not None and self.pending.enabled()

    def unwind(self) -> list[BaseException]:
        """End it, wherever it is. Returns what it raised instead of ending."""
        try:
            if self.greenlet is not None and not self.greenlet.dead:
                self.greenlet.throw(GreenletExit)
        except BaseException as interrupt:
            return [interrupt]
        return []

    def __repr__(self) -> str:
        if self.pending is None:
            return f"<Task {self.name}, finished>"
        return f"<Task {self.name}, about to {self.pending.future()}>"


class Oracle(Protocol):
    """Decides who runs next. Depth-first search, replay and a person are all oracles."""

    def choose(self, runnable: Sequence[Task], current: Task | None) -> Task | None:
        """Return one of `runnable`, or None to stop the run here.

        `runnable` is never empty and keeps the order in which the tasks were spawned. `current` is
        the task that took the last step; it need not be runnable.
        """
