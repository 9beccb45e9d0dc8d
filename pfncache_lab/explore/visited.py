"""visited.py: search the states that can be reached, each of them once.

A run that comes to a state in which the search has been before is given up: whatever follows has
been seen. With retry loops and little shared state that is far less than one run a trace. On top:

    known steps     a step that has been taken before from where its task stands, and with the same
                    objects before it, is looked up and not run (known.py)
    sleep sets      as in dpor.py; with states, one must remember who was asleep at the first visit,
                    and later explore whoever is awake now (Godefroid 1996, section 5.3)
    reductions      some steps can be done at once, and need not be waited with (reductions.py)

Invariants look at every state, so for their sake none is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..sim import LockDep
from ..sim.machine import STEP_LIMIT
from .branch import NOBODY, Branch, Moves, Step, asleep_after
from .budget import Budget
from .dependency import Move, both
from .known import State
from .livelock import Graph
from .reductions import Reductions
from .scenario import Observer, Run, Scenario
from .values import CannotTell
from .walker import CutShort, Walker

__all__ = ["CannotTell", "VisitedStates"]

_Way = tuple[State | None, Step | None, Moves]
"""A state, the step to take from it, and who sleeps."""


class _Overthrown(Exception):
    """There is more to a state than the search has known so far."""


class VisitedStates:
    """The search."""

    def __init__(
        self,
        scenario: Scenario,
        observe: Observer | None = None,
        lockdep: LockDep | None = None,
        *,
        reduce: bool = True,
        graph: Graph | None = None,
        look_up: bool = True,
        budget: Budget | None = None,
    ) -> None:
        """Prepare to search `scenario`; without `reduce`, every step from every state is taken.

        Then `graph` gathers states and steps. Without `look_up`, every step is run.
        """
        scenario.needs_plain_memory("VisitedStates")
        self.scenario = scenario
        self.cyclic = False
        """Whether a state has come again within one run: then a run could go on for ever."""
        self.redundant = 0
        """Ways that were given up, in a state that was known."""
        self._observe = observe
        self._reduce = reduce and not scenario.invariants
        self._graph = graph
        self._budget = budget

        self._reductions = Reductions(len(scenario.tasks))
        look_up = look_up and not scenario.invariants
        self._walker = Walker(scenario, lockdep, look_up, learn=self._reductions.learn)
        self._path = self._walker.path

        self._numbers: dict[State, int] = {}
        self._visited: dict[int, frozenset[int]] = {}  # by state: who slept there
        self._ends: set[State] = set()
        self._way: dict[int, int] = {}  # the states on that way, and how far from the start
        self._branches: list[Branch] = []

    @property
    def states(self) -> int:
        """How many states have been visited."""
        return len(self._visited)

    def runs(self) -> Iterator[Run]:
        """Yield each run that ends in a state not seen before. May raise CannotTell."""
        try:
            while True:
                try:
                    yield from self._all_runs()
                    return
                except _Overthrown:
                    self._start_over()
        finally:
            self._walker.leave()

    def _all_runs(self) -> Iterator[Run]:
        begun = 0
        way: _Way | None = (self._walker.start(), None, NOBODY)
        while way is not None:
            run = self._go(*way)
            if self._budget is not None:
                self._budget.spend(len(self._path) - begun)
            if run is not None:
                yield run
            else:
                self.redundant += 1
            if self._reduce and self._reductions.overthrown:
                raise _Overthrown
            way = self._go_back()
            begun = len(self._path)

    def _go(self, state: State | None, step: Step | None, asleep: Moves) -> Run | None:
        """Go on from a state to the end of the run; None if that leads to what is known."""
        try:
            while state is not None:
                if step is not None:
                    if asleep:
                        asleep = asleep_after(step, asleep)
                    state = self._take(state, step[0])
                    if state is None:
                        break
                    if at_once := self._at_once(state, step):
                        step = at_once
                        continue
                moves = self._walker.moves(state)
                if not moves or len(self._path) >= STEP_LIMIT:
                    if moves or self._is_new_end(state):
                        break
                    return None
                step = self._choose(state, moves, asleep)
                if step is None:
                    return None
        except CutShort:
            state = None
        return self._walker.hand_over(state).end(self._observe)

    def _choose(self, state: State, moves: Moves, asleep: Moves) -> Step | None:
        """Choose who goes on, the last one if possible; nobody, where there is nothing to do."""
        todo = self._todo(state, moves, asleep)
        if not todo:
            return None
        last = self._path[-1] if self._path else -1
        taken = last if last in todo else todo[0]
        if len(todo) > 1:
            todo.remove(taken)
            self._branches.append(Branch(state, len(self._path), todo, moves, asleep, taken))
        return self._step(taken, moves[taken])

    def _step(self, task: int, move: Move) -> Step:
        return task, move, self._reduce and self._reductions.enters(move)

    def _is_new_end(self, state: State) -> bool:
        before = len(self._ends)
        self._ends.add(state)
        return len(self._ends) > before

    # -- one state -----------------------------------------------------------------------------

    def _at_once(self, state: State, step: Step) -> Step | None:
        """Return the next step of the task that took this one, if it need not be waited with.

        One that goes with an acquisition is part of it: for whoever sleeps on it, the step touches
        what both do.
        """
        if not self._reduce or len(self._path) >= STEP_LIMIT:
            return None
        task, before, enters = step
        enabled, move = self._walker.pending(state, task)
        if not enabled or move is None:
            return None
        if self._reductions.cannot_matter(task, move):
            return task, move, False
        if not enters or move.waits:
            return None
        branch = self._branches[-1] if self._branches else None
        if branch is not None and branch.depth == len(self._path) - 1:
            branch.moves = {**branch.moves, task: both(before, move)}
        return task, move, False

    def _todo(self, state: State, moves: Moves, asleep: Moves) -> list[int]:
        """List whom to try here: those awake, or if the state is known, those newly awake."""
        number = self._numbers.setdefault(state, len(self._numbers))
        self._follow(number, moves)
        before = self._visited.get(number)
        if before is None:
            self._visited[number] = frozenset(asleep)
            return [task for task in moves if task not in asleep]
        if not before:
            return []
        self._visited[number] = before & asleep.keys()
        return [task for task in moves if task in before and task not in asleep]

    def _follow(self, number: int, moves: Moves) -> None:
        """Take down the way that leads here."""
        self.cyclic = self.cyclic or number in self._way
        if self._graph is not None:
            self._graph.add_state(number, frozenset(moves))
            if self._way:
                self._graph.add_step(next(reversed(self._way)), self._path[-1], number)
        self._way.setdefault(number, len(self._path))

    # -- steps ---------------------------------------------------------------------------------

    def _take(self, state: State, task: int) -> State | None:
        """Take a step; returns the state after it, or None if that was the end of the run."""
        known = self._walker.known
        extent = known.extent
        after = self._walker.take(state, task)
        if extent != known.extent:
            raise _Overthrown
        return after

    # -- from one way to the next --------------------------------------------------------------

    def _go_back(self) -> _Way | None:
        """Go back to the last state with a choice left; returns it, the choice, and who sleeps."""
        if not self._branches:
            return None
        branch = self._branches[-1]
        if self._reduce:
            branch.asleep = {**branch.asleep, branch.taken: branch.moves[branch.taken]}
        taken = branch.taken = branch.left.pop(0)
        step = self._step(taken, branch.moves[taken])
        if not branch.left:
            self._branches.pop()
        while next(reversed(self._way.values())) > branch.depth:
            self._way.popitem()
        self._walker.back(branch.depth)
        return branch.state, step, branch.asleep

    def _start_over(self) -> None:
        self._walker.back(0)
        for found in (self._visited, self._ends, self._branches, self._way):
            found.clear()
        self._reductions.start_over()
        if self._graph is not None:
            self._graph.clear()
        self.redundant, self.cyclic = 0, False
