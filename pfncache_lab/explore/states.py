"""states.py: a state of a run as one number, equal where the future of the run is equal.

A state is the state of every simulated object and, for each task, where it is in its code and what
it holds: its chain of frames, their locals, the operation it has announced. A hash that leaves out
something on which the future depends would make the search skip schedules in silence. So whatever
cannot be told apart raises CannotTell, and the search that needs no states takes over.

A hash of 64 bits can be equal for two states that differ; with a million states the chance of that
is one in thirty million.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Hashable, Mapping
from types import CodeType, FrameType
from typing import Any, NamedTuple

from ..sim import Machine, Op, Struct, Task, shared
from ..sim import machine as sim
from ..sim.world import STRIDE
from .hidden import UNSEEN, calls_back, globals_of, hidden
from .values import CannotTell, Values

NOTE_LIMIT = 64
"""Results that one statement may have gathered before its frame counts as not to be told apart."""

_OURS = sim.__name__.rpartition(".")[0] + "."
_EXPLORE = __name__.rpartition(".")[0] + "."


class Note(NamedTuple):
    """What a frame may have on its stack: the results of the operations of the statement so far."""

    code: CodeType
    offset: int
    known: tuple[Hashable, ...] = ()
    inner: tuple[Hashable, ...] = ()  # since the call began in which the frame now is

    def moved_on(self, frame: FrameType, results: tuple[Hashable, ...]) -> Note:
        """Tell what is known after an operation has returned, and plain fields were loaded."""
        here = frame.f_lasti
        inner = (*self.inner, *results)[-NOTE_LIMIT:]
        if here == self.offset:
            return self._replace(inner=inner)
        if not hidden(self.code, here).values:
            return Note(self.code, here)  # nothing lies on the stack, so all of it is forgotten
        return Note(self.code, here, self.known + inner)


Notes = tuple[Note, ...]


class States:
    """Makes the keys of one run."""

    def __init__(self, machine: Machine, checked: dict[int, CodeType] | None = None) -> None:
        """Begin a run. The functions in `checked`, by id(), need not be looked at again.

        Another run cannot change what they use from outside, or their own check would have failed.
        """
        self._machine = machine
        self._values = Values({id(t): n for n, t in sim.world.things.items()})
        self._known = len(sim.world.things)
        self._checked = {} if checked is None else checked
        if machine.memory is not None:
            raise CannotTell("in a weak memory, an old store may still be seen")
        for thing in sim.world.things.values():
            _check_fields(thing)

    def world_key(self) -> Hashable:
        """Make the key of all shared objects."""
        things = sim.world.things
        if len(things) != self._known:
            self._learn()
        return tuple([self._values.key(thing.state()) for thing in things.values()])

    def task_key(self, task: Task, notes: Notes, ran: bool) -> tuple[int, bool, Notes]:
        """Make the key of a task; tell whether it may change without a step of it; take notes.

        `notes` are those of the last time; since then the task has taken a step if it `ran`.
        """
        if task.pending is None:
            return 0, False, ()
        frames = self._frames(task)
        noted = _noted(notes, frames, task.results, self._values) if ran or not notes else notes
        self._values.mutable = False
        parts: list[Hashable] = [self._op(task.pending)]
        exits = 0
        self._loops: list[str] = []
        for depth, (frame, note) in enumerate(zip(frames, noted, strict=True)):
            inside = depth + 1 < len(frames) and not _is_ours(frames[depth + 1])
            if inside and calls_back(frame.f_code):
                raise CannotTell(f"{frame.f_code.co_name} is called back from inside a builtin")
            exits += self._frame(frame, note, parts)
        held = [hold.lock.id for hold in task.context.held]
        if exits > len(held):
            raise CannotTell(f"{task.name} is inside a `with` block that takes no lock")
        if len(self._loops) > len(task.walks):
            raise CannotTell(UNSEEN.format(self._loops[-1]))
        for walk in task.walks:
            parts += [self._values.key(walk.items), walk.position]
        context = task.context
        parts += [tuple(held), context.irqs_off, context.preempt_off, context.hard_irq]
        return hash(tuple(parts)), self._values.mutable, noted

    @staticmethod
    def spin_key(task: Task) -> Hashable:
        """Make the key of what a task would wait for if it spun now: others change it.

        Once anything has changed, its next spin will not wait, whatever else changes.
        """
        changed = any([thing.version != version for thing, version in task.seen.items()])
        return task.stored or changed or tuple(sorted([thing.id for thing in task.seen]))

    # -- parts ---------------------------------------------------------------------------------

    def _learn(self) -> None:
        """Take in objects made by tasks: in the order of their numbers, whoever was first."""
        things = sim.world.things
        if any(_has_plain_fields(thing) for n, thing in things.items() if n >= STRIDE):
            raise CannotTell("a struct with plain fields is made by a task, which needs no lock")
        for number in sorted(things):
            things[number] = things.pop(number)
            self._values.numbers = {id(t): n for n, t in things.items()}
        self._known = len(things)

    def _op(self, op: Op) -> Hashable:
        """Make the key of a pending operation: its parts, by the names of its slots."""
        cell = getattr(op, "cell", None)
        if cell is not None and getattr(cell, "plain", False):
            raise CannotTell(f"{cell.name} is accessed marked and plain, and so can be a race")
        parts: list[Hashable] = [id(type(op))]
        for kind in type(op).__mro__:
            for name in getattr(kind, "__slots__", ()):
                if name not in ("task", "reads", "writes"):
                    parts.append(self._part(getattr(op, name, None)))
        if hasattr(op, "__dict__"):
            parts += [self._part(value) for value in vars(op).values()]
        return tuple(parts)

    def _part(self, value: Any) -> Hashable:
        if isinstance(value, Op):
            return self._op(value)
        number = getattr(value, "id", None)
        return ("#", number) if type(number) is int else self._values.key(value)

    def _frames(self, task: Task) -> list[FrameType]:
        """List the frames of a task that are not the scheduler's, the outermost first."""
        frame: FrameType | None
        if task is self._machine.current:
            frame = sys._getframe(2)
        else:
            assert task.greenlet is not None
            frame = task.greenlet.gr_frame
        found = []
        while frame is not None:
            module = frame.f_globals.get("__name__", "")
            if module != sim.__name__ and not module.startswith(_EXPLORE):
                found.append(frame)
            frame = frame.f_back
        return found[::-1]

    def _frame(self, frame: FrameType, note: Note, parts: list[Hashable]) -> int:
        """Add the key of one frame; returns how many unknown `with` blocks it is in."""
        code, exits = frame.f_code, 0
        parts += [id(code), frame.f_lasti]
        ours = _is_ours(frame)
        if not ours:
            place = hidden(code, frame.f_lasti)
            if place.trouble:
                raise CannotTell(place.trouble)
            self._loops += [code.co_name] * place.iterators
            if place.values:
                if len(note.known) >= NOTE_LIMIT:
                    raise CannotTell(f"{code.co_name} has a statement of too many operations")
                parts.append(note.known)
            self._check_globals(frame)
        shown = frame.f_locals
        if not ours:
            exits = sum(not _is_lock_of(shown, exit) for exit in place.exits)
        for name in (*code.co_varnames, *code.co_cellvars, *code.co_freevars):
            if name in shown:
                parts.append(self._local(code, name, shown[name], ours))
            else:
                parts.append("unbound")
        return exits

    def _local(self, code: CodeType, name: str, value: Any, ours: bool) -> Hashable:
        try:
            if not ours or type(value) in (int, bool, str):
                return self._values.key(value)
            number = getattr(value, "id", None)
            return number if type(number) is int else None
        except CannotTell as what:
            raise CannotTell(f"{name} in {code.co_name} is {what}") from None

    def _check_globals(self, frame: FrameType) -> None:
        """See that what the function uses from outside does not change during a run."""
        code = frame.f_code
        if id(code) in self._checked:  # the hash of a code goes through all of it, each time
            return
        names, stores = globals_of(code)
        if stores:
            raise CannotTell(f"{code.co_name} stores to a global variable")
        for name in names:
            value = frame.f_globals.get(name, getattr(builtins, name, None))
            values = Values(self._values.numbers)
            try:
                values.key(value)
            except CannotTell:
                values.mutable = not callable(value)
            if values.mutable:
                raise CannotTell(f"{code.co_name} uses the global {name}, which is not simulated")
        self._checked[id(code)] = code


def _noted(notes: Notes, frames: list[FrameType], results: list[Any], values: Values) -> Notes:
    """Carry the notes of the last step over to the frames of this one, outermost first."""
    found: list[Note] = []
    seen = tuple([values.key(result) for result in results])
    same = True
    for depth, frame in enumerate(frames):
        note = notes[depth] if same and depth < len(notes) else None
        if note is None or note.code is not frame.f_code:
            found.append(Note(frame.f_code, frame.f_lasti))
            same = False
        else:
            found.append(note.moved_on(frame, seen))
            same = frame.f_lasti == note.offset
    return tuple(found)


def _is_ours(frame: FrameType) -> bool:
    """Whether this is the code of a primitive, which hides nothing but what its operation shows."""
    name: str = frame.f_globals.get("__name__", "")
    return name.startswith(_OURS)


def _is_lock_of(shown: Mapping[str, Any], path: str) -> bool:
    """Whether `path` leads to a lock that is part of a struct, so that it cannot change."""
    variable, _, name = path.partition(".")
    struct = shown.get(variable)
    return isinstance(struct, Struct) and name in vars(struct)


def _check_fields(thing: object) -> None:
    """See that races on its fields would show without clocks, which are no part of a state.

    A field with a guard is checked at each access on its own. Another needs the order of all that
    has happened, and the reference search keeps that.
    """
    if not isinstance(thing, Struct):
        return
    for name, field in type(thing)._declared(shared).items():
        if not field.guarded_by:
            raise CannotTell(f"the plain field {name} has no guard, so its races depend on history")
    for name, value in vars(thing).items():
        if not name.startswith("_") and not hasattr(value, "state"):
            raise CannotTell(f"{type(thing).__name__}.{name} is shared and not simulated")


def _has_plain_fields(thing: object) -> bool:
    return isinstance(thing, Struct) and bool(type(thing)._declared(shared))
