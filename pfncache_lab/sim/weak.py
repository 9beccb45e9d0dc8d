"""weak.py: a memory in which a load may return an older store. The model `lkmm-lite`.

A marked field keeps all that was ever stored to it. Each task has a view: for each field, the
oldest store that it may still load. A load may return that one or any later one, and the view moves
up to it. Two loads can so be seen in another order than the program's, and so can two stores, or a
store and a load after it.

What orders tasks moves views as well. Views are the tail of the vector clocks (clock.py), so every
lock, barrier, release and completion passes them on without knowing (Kang, Hur, Lahav, Vafeiadis
and Dreyer, "A Promising Semantics", POPL 2017, without the promises; loom does the same).

Which store a load returns is a choice, and a choice belongs to the oracle. So each task gets a
companion, which can do one thing: let the load that is announced return an older store. It looks
like any other task, and every search, bound and replay works with it.

Not modelled: a load that is seen after a later store. Address dependencies order nothing here;
rcu_dereference() does. Changes in one step (cmpxchg() and the like) use the latest store.
"""

# ruff: noqa: D102  # What the methods of an operation are for stands in op.py.
from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from . import machine
from .cell import Cell
from .clock import Clock, join
from .op import Op
from .world import World

if TYPE_CHECKING:
    from .machine import Machine, Task


def companion_name(name: str) -> str:
    """Name the companion of a task."""
    return f"{name}'s CPU"


class WeakMemory:
    """The memory of one run."""

    def __init__(self, running: Machine, world: World) -> None:
        """Let marked fields be loaded late, and give each task a companion.

        Structs that the tasks make later are not among them: they are as in an ordinary run.
        """
        tasks = list(running.tasks)
        self.first = 2 * len(tasks)
        """Where the views begin in a clock."""
        self.size = self.first
        for cell in _marked_fields(world):
            cell.slot, cell.history = self.size, [(cell.value, None)]
            self.size += 1
        self.fence_id = machine.new_id(self)
        self.fences: Clock = [0] * self.size
        """What the tasks that did smp_mb() knew: each of them knows what the ones before it did."""
        for task in tasks:
            running.spawn(companion_name(task.name), partial(_companion, task), companion=True)

    def state(self) -> None:
        """Return nothing: a search that remembers states does not know this memory."""

    def fence(self, clock: Clock) -> None:
        """Exchange views with the other fences. Nothing else: a fence alone orders no accesses."""
        theirs = self.fences
        for i in range(self.first, self.size):
            clock[i] = theirs[i] = max(clock[i], theirs[i])


def _marked_fields(world: World) -> Iterator[Cell]:
    for thing in world.things.values():
        cells: dict[str, Cell] = getattr(thing, "_cells", {})
        yield from (cell for cell in cells.values() if not cell.plain)


def load(cell: Cell, task: Task) -> Any:
    """Load a field: the latest store, or the older one that has been chosen."""
    assert cell.history is not None
    context = task.context
    chosen, context.choice = context.choice, None
    at = len(cell.history) - 1 if chosen is None else max(chosen, context.clock[cell.slot])
    value, message = cell.history[at]
    context.clock[cell.slot] = at
    task.seen.setdefault(cell, at)
    if message is not None:
        context.observe(message)
    return value


def catch_up(task: Task) -> None:
    """Move the views of a task that spins: every store is seen in the end, or it spins for ever."""
    if machine.running is None or machine.running.memory is None:
        return
    for thing, version in task.seen.items():
        if isinstance(thing, Cell) and thing.history is not None and thing.version > version:
            clock = task.context.clock
            clock[thing.slot] = max(clock[thing.slot], version + 1)


def _companion(task: Task) -> None:
    running = machine.running
    assert running is not None
    while True:
        running.step(_Older(task))


class _Older(Op):
    """Let the load that a task has announced return a store before the one that it would."""

    __slots__ = ("task",)
    kind = "older"
    waits = True

    def __init__(self, task: Task) -> None:
        self.task = task

    def enabled(self) -> bool:
        return self._older() is not None

    def _older(self) -> int | None:
        pending, context = self.task.pending, self.task.context
        if pending is None or pending.kind != "load":
            return None
        cell: Cell = pending.cell  # type: ignore[attr-defined]
        if cell.history is None:
            return None
        now = len(cell.history) - 1 if context.choice is None else context.choice
        return now - 1 if now > context.clock[cell.slot] else None

    def effect(self) -> None:
        self.task.context.choice = self._older()

    def future(self) -> str:
        return f"let {self.task.name} load an older store"


class Fence(Op):
    """smp_mb(), where it can be seen."""

    __slots__ = ("memory", "writes")
    kind = "fence"

    def __init__(self, memory: WeakMemory) -> None:
        self.memory = memory
        self.writes = (memory.fence_id,)

    def effect(self) -> None:
        context = machine.me().context
        if context.observed is not None:
            join(context.clock, context.observed)
        self.memory.fence(context.clock)

    def future(self) -> str:
        return "smp_mb"
