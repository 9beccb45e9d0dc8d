"""live.py: one run that goes where a search wants to look, and what can be seen on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..sim import KernelBug, LockDep, ModelError, Task
from ..sim.errors import NOT_DETERMINED
from .branch import Moves
from .dependency import move_of
from .known import Effect, Known, Pending, Place, State, spins
from .scenario import Observer, Run, Scenario, finish, load
from .states import States, check_fields
from .watch import NOTHING, Watch, watch_of


class Live:
    """A run under way. It waits wherever it is, until it is told to take the next steps."""

    def __init__(self, scenario: Scenario, known: Known, lockdep: LockDep | None = None) -> None:
        """Begin: every task goes up to its first operation."""
        self._scenario = scenario
        self._known = known
        self._machine, self._shared = load(scenario, _Wait(), lockdep=lockdep)
        self._tasks = self._machine.tasks
        self._states = States(known.codes)
        if not known.entries:
            check_fields()
        self._machine.walk()

    @property
    def depth(self) -> int:
        """How many steps have been taken."""
        return len(self._machine.schedule)

    @property
    def bug(self) -> KernelBug | None:
        """What has gone wrong on the way."""
        return self._machine.bug

    def follow(self, path: Sequence[int], state: State) -> None:
        """Go on to the end of `path`, whose beginning has been taken already, and to `state`.

        Raises ModelError when it leads elsewhere: then an operation has changed what it does not
        declare, or the program is not determined by the schedule.
        """
        if self.depth == len(path):
            return
        self._machine.walk(path[self.depth :])
        if self.bug is None and not self._is_in(state):
            raise ModelError(
                f"Step {self.depth} of {self._tasks[path[-1]].name} does not lead where it led "
                f"before. {NOT_DETERMINED}"
            )

    def start(self) -> State:
        """Return the state before the first step."""
        places = [self._place(task, None, True) for task in self._tasks]
        return self._whole(places)

    def look(self, state: State) -> None:
        """Take down what the announced operations would do here, where this is not known."""
        for place, task in zip(state, self._tasks, strict=False):
            if place.pending is None and place.views.find(state) is None:
                op = task.pending
                assert op is not None
                where = tuple(sorted(self._known.where(op, task.index)))
                place.views.add(where, state, Pending(op.enabled(), move_of(op)))

    def step(self, state: State, number: int) -> State | None:
        """Let a task step from `state`, and learn from it; None if that was the end of the run."""
        task, versions = self._tasks[number], self._states.versions()
        op = task.pending
        assert op is not None
        where, anew = self._known.where(op, number), spins(op)
        task.seen = seen = _Seen(task.seen)
        task.results, task.touched = [], []
        task.context.taken = taken = _Taken(task.context.taken)
        self._machine.walk([number])
        if self.bug is not None:
            return None
        places = [self._place(t, state[t.index], t is task) for t in self._tasks]
        if self._states.grown:
            return self._whole(places)
        where.update([self._known.entries[cell] for cell in task.touched])
        after = self._partly(state, places, where)
        if places[number].steady and state[number].steady:
            news = self._states.news(versions)
            settled = anew or task.pending is None or self._states.stored(news)
            watched = self._watch(task) if settled else Watch(seen.looked_at, self._locks(taken))
            first = 2 * self._known.tasks
            changes = [(i, after[i]) for i in where if i >= first and after[i] != state[i]]
            effect = Effect(places[number], tuple(changes), news, watched, anew)
            state[number].steps.add(tuple(sorted(where)), state, effect)
        return after

    def announced(self) -> Moves:
        """Tell what the tasks have announced and not done."""
        return {t.index: move_of(t.pending) for t in self._tasks if t.pending is not None}

    def end(self, observe: Observer | None = None) -> Run:
        """End the run where it is, and tell how."""
        self.close()
        if observe is not None:
            observe(self._machine, self._shared)
        return finish(self._scenario, self._machine, self._shared)

    def close(self) -> None:
        """Give the run up."""
        self._machine.close()

    # -- a state -------------------------------------------------------------------------------

    def _place(self, task: Task, before: Place | None, ran: bool) -> Place:
        """Find where a task stands: anew if it ran, or if others may have changed what it holds."""
        if before is not None and before.steady and not ran:
            return before
        if task.pending is not None and spins(task.pending):
            self._known.spinners.add(task.index)
        notes = before.notes if before is not None else ()
        key, unsteady, notes = self._states.task_key(task, notes, ran)
        known = self._known.place(task, key, not unsteady)
        if known is None:
            op_key = self._states.op_key(task.pending) if task.pending else None
            known = self._known.new_place(task, key, not unsteady, notes, op_key)
        return known

    def _whole(self, places: list[Place]) -> State:
        """Put a state together, from all there is."""
        known = self._known
        objects = [
            (known.entry(number), known.value(key)) for number, key in self._states.objects()
        ]
        values = [0] * len(known.entries)  # 0: it has not been made
        for entry, value in objects:
            values[entry - 2 * known.tasks] = value
        state = (*places, *self._spins(), *values)
        self.look(state)
        return state

    def _partly(self, before: State, places: list[Place], where: set[int]) -> State:
        """Put a state together from the one before, and what a step has touched."""
        known, new = self._known, list(before)
        new[: 2 * known.tasks] = [*places, *self._spins()]
        for number, entry in known.entries.items():
            if entry in where:
                new[entry] = known.value(self._states.object(number))
        state = tuple(new)
        self.look(state)
        return state

    def _spins(self) -> list[Watch | None]:
        spinners = self._known.spinners
        return [self._watch(task) if task.index in spinners else None for task in self._tasks]

    def _watch(self, task: Task) -> Watch:
        return watch_of(task, self._known.exact)

    def _locks(self, taken: _Taken) -> frozenset[int]:
        return frozenset(taken.now) if self._known.exact else NOTHING

    def _is_in(self, state: State) -> bool:
        return all(
            state[self._known.entries[number]] == self._known.value(key)
            for number, key in self._states.objects()
        )


class _Seen(dict[Any, int]):
    """What a task has seen since it last spun. It knows what the task looks at now, or again."""

    def __init__(self, before: dict[Any, int]) -> None:
        super().__init__(before)
        self._now: list[int] = []

    @property
    def looked_at(self) -> frozenset[int]:
        """The numbers of what it has looked at since it was made."""
        return frozenset(self._now)

    def setdefault(self, thing: Any, version: int) -> int:
        """Note a look."""
        self._now.append(thing.id)
        return super().setdefault(thing, version)


class _Taken(dict[int, None]):
    """The locks that a task has taken since it last spun. It knows which it takes now, or again."""

    def __init__(self, before: dict[int, None]) -> None:
        super().__init__(before)
        self.now: list[int] = []

    def __setitem__(self, lock: int, nothing: None) -> None:
        self.now.append(lock)
        super().__setitem__(lock, nothing)


class _Wait:
    """Chooses nobody: the run waits."""

    def choose(self, runnable: Sequence[Task], current: Task | None) -> None:
        """Stop here for now."""
