"""walker.py: go from state to state of a program, and run it only where a step is not known yet.

A search goes along a schedule, back to some place on it, and on from there in another way. It keeps
the states, so to go back costs nothing; and a step that has been taken before from where its task
stands, and with the same objects before it, is looked up (known.py). Only for a step that is not
known must there be a run that has come as far.
"""

from __future__ import annotations

from collections.abc import Callable

from ..sim import LockDep
from .branch import Moves
from .dependency import Move
from .known import Known, Pending, State
from .live import Live
from .scenario import Scenario


class CutShort(Exception):
    """A run has gone wrong on a way that had been taken before: a stack overflow may."""


class Walker:
    """Is somewhere in a program. Each question can raise CannotTell."""

    def __init__(
        self,
        scenario: Scenario,
        lockdep: LockDep | None = None,
        look_up: bool = True,
        exact: bool = False,
        learn: Callable[[int, Move], None] | None = None,
    ) -> None:
        """Prepare to walk; without `look_up`, every step is run.

        With `exact`, it can be asked on which objects a spin depends. It tells `learn` what each
        task would do, wherever it is asked, of those as well who have to wait.
        """
        self.known = Known(len(scenario.tasks), exact)
        self.path: list[int] = []
        """The steps that lead to here."""
        self._scenario = scenario
        self._lockdep = lockdep
        self._look_up = look_up
        self._learn = learn
        self._live: Live | None = None

    def start(self) -> State | None:
        """Return the state before the first step, or None if a task has gone wrong before it."""
        self.back(0)
        live = self._live or self._begin()
        return None if live.bug else live.start()

    def pending(self, state: State, task: int) -> Pending:
        """Tell what a task would do here. May raise CutShort."""
        place = state[task]
        pending: Pending = place.pending or place.views.find(state) or self._look(state, task)
        if self._learn is not None and pending.move is not None:
            self._learn(task, pending.move)
        return pending

    def moves(self, state: State) -> Moves:
        """Tell who can run here, and what each would do. May raise CutShort."""
        moves = {}
        for task in range(self.known.tasks):
            enabled, move = self.pending(state, task)
            if enabled and move is not None:
                moves[task] = move
        return moves

    def take(self, state: State, task: int) -> State | None:
        """Take a step; returns the state after it, or None if that was the end of the run."""
        after = self.known.after(state, task) if self._look_up else None
        if after is None:
            live = self._here(state)
            after = None if live.bug else live.step(state, task)
        self.path.append(task)
        return after

    def back(self, depth: int) -> None:
        """Go back to where so many steps had been taken."""
        del self.path[depth:]
        if self._live is not None and self._live.depth > depth:
            self.leave()

    def hand_over(self, state: State | None) -> Live:
        """Return the run that has come to this state, or went wrong on the way, to be ended."""
        live = self._here(state) if state is not None else self._live
        assert live is not None
        self._live = None
        return live

    def leave(self) -> None:
        """Give up the run that is under way."""
        if self._live is not None:
            self._live.close()
            self._live = None

    # -- the run that is under way -------------------------------------------------------------

    def _look(self, state: State, task: int) -> Pending:
        """Go and see what a task could do in this state."""
        live = self._here(state)
        if live.bug:
            raise CutShort
        live.look(state)
        seen: Pending = state[task].views.find(state)
        return seen

    def _here(self, state: State) -> Live:
        """Return a run that has come to this state, where the search is."""
        live = self._live or self._begin()
        live.follow(self.path, state)
        return live

    def _begin(self) -> Live:
        self._live = Live(self._scenario, self.known, self._lockdep)
        return self._live
