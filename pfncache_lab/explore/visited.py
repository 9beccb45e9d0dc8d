"""visited.py: search the states that can be reached, each of them once.

A run that comes to a state in which the search has been before is given up: whatever follows has
been seen. With retry loops and little shared state that is far less than one run a trace. On top:

    sleep sets      as in dpor.py; with states, one must remember who was asleep at the first visit,
                    and later explore whoever is awake now (Godefroid 1996, section 5.3)
    private         an object that one task alone has touched cannot tell others anything
    left movers     a release can be done at once: to wait with it only keeps others out
                    (Lipton 1975)

The two reductions learn while they go: an object turns out to be shared, a lock to be looked at
without waiting for it. Then what was left out before may matter, and the search starts again.
Invariants look at every state, so for their sake none is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import CodeType

from ..sim import LockDep, Task
from .dependency import Move, dependent, move_of
from .livelock import Graph
from .scenario import Observer, Run, Scenario, finish, load
from .states import Notes, States
from .values import CannotTell

__all__ = ["CannotTell", "VisitedStates"]

TaskKey = tuple[int, bool, Notes]


class _Place:
    """A state in which more than one choice was left."""

    __slots__ = ("depth", "left", "moves", "asleep", "keys", "chosen")

    def __init__(
        self,
        depth: int,
        left: list[int],
        moves: dict[int, Move],
        asleep: dict[int, Move],
        keys: list[TaskKey],
        chosen: int,
    ) -> None:
        self.depth = depth
        self.left = left
        self.moves = moves
        self.asleep = asleep
        self.keys = keys
        self.chosen = chosen


class VisitedStates:
    """The search. It is the oracle of each run as well."""

    def __init__(
        self,
        scenario: Scenario,
        observe: Observer | None = None,
        lockdep: LockDep | None = None,
        *,
        reduce: bool = True,
        graph: Graph | None = None,
    ) -> None:
        """Prepare to search `scenario`; without `reduce`, every step from every state is taken.

        Then `graph` gathers states and steps.
        """
        scenario.needs_plain_memory("VisitedStates")
        self.scenario = scenario
        self.cyclic = False
        """Whether a state has come again within one run: then a run could go on for ever."""
        self._graph = graph
        self._path: dict[int, int] = {}  # the states on the way to here, and how far from the start
        self.redundant = 0
        self._observe = observe
        self._lockdep = lockdep
        self._reduce = reduce and not scenario.invariants
        self._users: dict[int, int] = {}  # which tasks touch an object, as bits
        self._looked_at: set[int] = set()  # objects that somebody looks at without waiting
        self._visited: dict[int, frozenset[int]] = {}
        self._moved_left: set[int] = set()
        self._checked: dict[int, CodeType] = {}
        self._places: list[_Place] = []
        self._asleep: dict[int, Move] = {}
        self._keys: list[TaskKey] = []
        self._cut = self._again = False

    @property
    def states(self) -> int:
        """How many states have been visited."""
        return len(self._visited)

    def runs(self) -> Iterator[Run]:
        """Yield each run that ends in a state not seen before. May raise CannotTell."""
        script: list[int] | None = []
        while script is not None:
            machine, shared = load(self.scenario, self, script=script, lockdep=self._lockdep)
            self._machine, self._of_run = machine, States(machine, self._checked)
            self._cut = self._again = False
            machine.run()
            if self._again:
                self._start_over()
                script = []
                continue
            if self._cut:
                self.redundant += 1
            else:
                if self._observe:
                    self._observe(machine, shared)
                yield finish(self.scenario, machine, shared)
            script = self._go_back([task.index for task in machine.schedule])

    def choose(self, runnable: Sequence[Task], current: Task | None) -> Task | None:
        """Stop in a state that is known; otherwise let the current task go on, if it can."""
        self._take_keys(current)
        if self._reduce:
            if self._learn(self._machine.tasks if current is None else [current]):
                return None
            if current in runnable and current and self._cannot_matter(current):
                self._asleep = self._asleep_after(current.index, self._asleep, _move(current))
                return current
        todo = self._todo(runnable)
        if not todo:
            self._cut = True
            return None
        chosen = current if current in todo and current else todo[0]
        self._branch(chosen, todo, runnable)
        return chosen

    # -- one place -----------------------------------------------------------------------------

    def _take_keys(self, current: Task | None) -> None:
        """Bring the keys of the tasks up to date: that of the one that ran, and the unsteady."""
        make, keys = self._of_run.task_key, self._keys
        if current is None or not keys:
            self._keys = [make(task, (), False) for task in self._machine.tasks]
            return
        for task in self._machine.tasks:
            if task is current or keys[task.index][1]:
                keys[task.index] = make(task, keys[task.index][2], task is current)

    def _learn(self, tasks: Sequence[Task]) -> bool:
        """Note what these tasks are about to touch, and whether that overthrows a reduction."""
        for task in tasks:
            if task.pending is None:
                continue
            move, bit = _move(task), 1 << task.index
            for thing in (*move.writes, *move.reads):
                users = self._users.get(thing, 0)
                self._users[thing] = users | bit
                if users and not users & bit and not users & (users - 1):
                    self._again = True
                if not (move.waits or move.releases) and thing not in self._looked_at:
                    self._looked_at.add(thing)
                    self._again = self._again or thing in self._moved_left
        return self._again

    def _cannot_matter(self, task: Task) -> bool:
        """Whether the task's next step may as well be done at once."""
        move = _move(task)
        things = (*move.writes, *move.reads)
        if all(self._users[thing] == 1 << task.index for thing in things):
            return True
        if move.wants_change:  # and it can run, so it has been woken: nobody can undo that
            return True
        if not move.releases or any(thing in self._looked_at for thing in things):
            return False
        self._moved_left.update(things)
        return True

    def _todo(self, runnable: Sequence[Task]) -> list[Task]:
        """List whom to try here: those awake, or if the state is known, those newly awake."""
        state = self._state()
        self._follow(state, runnable)
        before = self._visited.get(state)
        if before is None:
            self._visited[state] = frozenset(self._asleep)
            return [task for task in runnable if task.index not in self._asleep]
        self._visited[state] = before & self._asleep.keys()
        return [t for t in runnable if t.index in before and t.index not in self._asleep]

    def _follow(self, state: int, runnable: Sequence[Task]) -> None:
        """Take down the way that leads here."""
        schedule = self._machine.schedule
        self.cyclic = self.cyclic or state in self._path
        if self._graph is not None:
            self._graph.add_state(state, frozenset([task.index for task in runnable]))
            if self._path:
                self._graph.add_step(next(reversed(self._path)), schedule[-1].index, state)
        self._path.setdefault(state, len(schedule))

    def _state(self) -> int:
        spinning = [States.spin_key(task) for task in self._machine.tasks if task.pending]
        tasks = tuple([key for key, _, _ in self._keys])
        return hash((self._of_run.world_key(), tasks, tuple(spinning)))

    def _branch(self, chosen: Task, todo: Sequence[Task], runnable: Sequence[Task]) -> None:
        moves = {task.index: _move(task) for task in runnable}
        left = [task.index for task in todo if task is not chosen]
        depth = len(self._machine.schedule)
        if left:
            place = _Place(depth, left, moves, self._asleep, self._keys.copy(), chosen.index)
            self._places.append(place)
        self._asleep = self._asleep_after(chosen.index, self._asleep, moves[chosen.index])

    def _asleep_after(self, taken: int, asleep: dict[int, Move], move: Move) -> dict[int, Move]:
        if not self._reduce:
            return {}
        return {t: m for t, m in asleep.items() if t != taken and not dependent(m, move)}

    # -- from run to run -----------------------------------------------------------------------

    def _go_back(self, schedule: list[int]) -> list[int] | None:
        """Go back to the last place with a choice left; returns what leads there and on."""
        if not self._places:
            return None
        place = self._places[-1]
        place.asleep = {**place.asleep, place.chosen: place.moves[place.chosen]}
        place.chosen = place.left.pop(0)
        while next(reversed(self._path.values())) > place.depth:
            self._path.popitem()
        self._keys = place.keys.copy()
        move = place.moves[place.chosen]
        self._asleep = self._asleep_after(place.chosen, place.asleep, move)
        if not place.left:
            self._places.pop()
        return [*schedule[: place.depth], place.chosen]

    def _start_over(self) -> None:
        self._visited.clear()
        self._places.clear()
        self._moved_left.clear()
        self._path.clear()
        self._asleep, self._keys = {}, []
        self.redundant, self.cyclic = 0, False


def _move(task: Task) -> Move:
    assert task.pending is not None
    return move_of(task.pending)
