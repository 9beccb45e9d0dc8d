"""known.py: what a step does, kept from the first time that it was taken.

A task sees nothing but itself and the objects that it touches. So what a step of it does to the
shared state, and where it leaves the task, is settled by

    where the task stands      its frames and what they hold: the key that states.py makes
    the objects it touches     those of the operation, and the plain fields up to the next one

Wherever both are the same again, the step need not be run again. A search of thousands of states
runs the program for the few hundred steps that differ, and looks up the rest.

Two things must not be kept: a step of a task that holds something which others may change without a
step, and a step that makes an object. And a step that ends in a bug is run every time, for the
reader wants to see that run.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from operator import itemgetter
from typing import Any, Generic, NamedTuple, TypeVar

from ..sim import Op, Task
from ..sim import machine as sim
from .dependency import Move, move_of
from .frames import Code
from .states import Notes
from .watch import Watch

T = TypeVar("T")

State = tuple[Any, ...]
"""First where each task stands, a Place; then, for each task, what it would wait for if it spun
now: a Watch, or None if it has not been seen to spin, so that nobody asks; then a number for the
state of each object."""


class Pending(NamedTuple):
    """An operation that has been announced, in some state."""

    enabled: bool
    move: Move | None


FINISHED = Pending(False, None)


class Table(Generic[T]):
    """Facts that hold wherever a few entries of a state are what they were."""

    __slots__ = ("_facts",)

    def __init__(self) -> None:
        self._facts: list[tuple[tuple[int, ...], Callable[[State], Any], dict[Any, T]]] = []

    def find(self, state: State) -> T | None:
        """Return the fact that holds in this state, if it is known."""
        for _, entries, facts in self._facts:
            fact = facts.get(entries(state))
            if fact is not None:
                return fact
        return None

    def add(self, where: tuple[int, ...], state: State, fact: T) -> None:
        """Note a fact that holds wherever the entries at `where` are those of `state`."""
        for known, entries, facts in self._facts:
            if known == where:
                facts[entries(state)] = fact
                return
        entries = itemgetter(*where) if where else _none_of_them
        self._facts.append((where, entries, {entries(state): fact}))


def _none_of_them(state: State) -> None:
    return None


class Place:
    """Where one task stands, and what is known of what it does from there."""

    __slots__ = ("key", "steady", "notes", "pending", "views", "steps")

    def __init__(self, key: int, steady: bool, notes: Notes) -> None:
        self.key = key
        self.steady = steady
        """Whether the key stays the same for as long as the task takes no step."""
        self.notes = notes
        self.pending: Pending | None = None
        """The operation announced, where it is the same in all states."""
        self.views: Table[Pending] = NO_VIEWS
        """And where it is not: what a lock does depends on whether it is free."""
        self.steps: Table[Effect] = Table()


class Effect(NamedTuple):
    """What a step does."""

    place: Place
    """Where it leaves its task."""
    changes: tuple[tuple[int, int], ...]
    """Entries of the state, and their new numbers."""
    news: frozenset[int]
    """The objects of which a task that spins on them is told that they have changed."""
    watched: Watch
    """What it adds to that for which its task would spin."""
    anew: bool
    """Whether the task has spun just now, so that nothing from before counts."""


NO_VIEWS: Table[Pending] = Table()


class Known:
    """All that a search has learned of the program. It holds for every run."""

    def __init__(self, tasks: int, exact: bool = False) -> None:
        self.tasks = tasks
        self.exact = exact
        """Whether to know of each spin which objects it depends on: see watch.py."""
        self.entries: dict[int, int] = {}
        """For each object, by its number: where it is in a state."""
        self.spinners: set[int] = set()
        """The tasks that have been seen to spin. Only for them it matters what they have seen."""
        self.codes: dict[int, Code] = {}
        self._values: dict[Hashable, int] = {}
        self._places: dict[tuple[int, int, bool], Place] = {}
        self._views: dict[Hashable, Table[Pending]] = {}

    @property
    def extent(self) -> tuple[int, int]:
        """How much there is to a state."""
        return len(self.entries), len(self.spinners)

    def value(self, key: Hashable) -> int:
        """Return a number for this state of an object."""
        return self._values.setdefault(key, len(self._values))

    def entry(self, number: int) -> int:
        """Return where the object of this number is in a state."""
        return self.entries.setdefault(number, 2 * self.tasks + len(self.entries))

    def place(self, task: Task, key: int, steady: bool) -> Place | None:
        """Return the place of a task, if it has been there."""
        return self._places.get((task.index, key, steady))

    def new_place(
        self, task: Task, key: int, steady: bool, notes: Notes, op_key: Hashable
    ) -> Place:
        """Note that a task has come to a place for the first time."""
        place = self._places[task.index, key, steady] = Place(key, steady, notes)
        op = task.pending
        if op is None:
            place.pending = FINISHED
        elif _is_fixed(type(op)):
            place.pending = Pending(True, move_of(op))
        else:
            place.views = self._views.setdefault((task.index, op_key), Table())
        return place

    def where(self, op: Op, task: int) -> set[int]:
        """List the entries of a state on which it depends what this operation would do."""
        if spins(op):
            return {self.tasks + task}
        return {self._where(number) for number in (*op.reads, *op.writes)}

    def _where(self, number: int) -> int:
        entry = self.entries.get(number)
        return entry if entry is not None else self.entries[sim.world.parts[number]]

    def runnable(self, state: State) -> frozenset[int]:
        """Name the tasks that can run in a state that a run has been in."""
        views = [place.pending or place.views.find(state) for place in state[: self.tasks]]
        return frozenset([task for task, view in enumerate(views) if view and view.enabled])

    def after(self, state: State, task: int) -> State | None:
        """Return the state after a step of `task`, if what it does is known."""
        effect = state[task].steps.find(state)
        if effect is None:
            return None
        new = list(state)
        new[task] = effect.place
        for entry, value in effect.changes:
            new[entry] = value
        for other in self.spinners:
            entry = self.tasks + other
            if other != task:
                new[entry] = new[entry].after(effect.news, self.exact)
            elif effect.anew:
                new[entry] = effect.watched
            else:
                new[entry] = new[entry].after_own(effect.watched, effect.news, self.exact)
        return tuple(new)


def spins(op: Op) -> bool:
    """Whether this waits until anything changes, in which its own task has its say."""
    return type(op).wants_change is not False


def _is_fixed(kind: type[Op]) -> bool:
    """Whether such an operation can always run, and touches the same objects in all states."""
    return not (kind.waits or isinstance(kind.reads, property) or isinstance(kind.writes, property))
