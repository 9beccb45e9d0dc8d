"""states.py: a state of a run as one number, equal where the future of the run is equal.

A state is the state of every simulated object and, for each task, where it is in its code and what
it holds: its chain of frames, those of their locals that may still be read, and the operation it
has announced. A hash that leaves out something on which the future depends would make the search
skip schedules in silence. So whatever cannot be told apart raises CannotTell, and the search that
needs no states takes over.

A hash of 64 bits can be equal for two states that differ; with a million states the chance of that
is one in thirty million.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import cache
from types import FrameType
from typing import Any, NamedTuple

from ..sim import Op, Struct, Task, shared
from ..sim import machine as sim
from ..sim.cell import Cell
from ..sim.world import STRIDE
from .frames import Code
from .hidden import UNSEEN
from .values import CannotTell, Values

NOTE_LIMIT = 64
"""Results that one statement may have gathered before its frame counts as not to be told apart."""

DEEPEST = 60
"""Calls inside each other. Each step looks at all of them, so an endless recursion would take
minutes; the search by traces finds it at once."""


class Note(NamedTuple):
    """What a frame may have on its stack: the results of the operations of the statement so far."""

    code: Code
    offset: int
    known: tuple[Hashable, ...] = ()
    inner: tuple[Hashable, ...] = ()  # since the call began in which the frame now is

    def moved_on(self, here: int, results: tuple[Hashable, ...]) -> Note:
        """Tell what is known after an operation has returned, and plain fields were loaded."""
        if self.code.ours:
            return Note(self.code, here)  # it hides nothing, see frames.py
        inner = (*self.inner, *results)[-NOTE_LIMIT:]
        if here == self.offset:
            return Note(self.code, here, self.known, inner)
        if not self.code.place(here).values:
            return Note(self.code, here)  # nothing lies on the stack, so all of it is forgotten
        return Note(self.code, here, self.known + inner)


Notes = tuple[Note, ...]


class States:
    """Makes the keys of one run."""

    def __init__(self, codes: dict[int, Code] | None = None) -> None:
        """Begin a run. The functions in `codes`, by id(), need not be looked at again.

        Another run cannot change what they use from outside, or their own check would have failed.
        """
        self._codes = {} if codes is None else codes
        self._take_in()

    @property
    def grown(self) -> bool:
        """Whether there are objects that have not been taken in yet."""
        return len(sim.world.things) != self._size

    def objects(self) -> list[tuple[int, Hashable]]:
        """Make the key of each shared object and each field, with its number."""
        if self.grown:
            things = sim.world.things
            if any(_has_plain_fields(thing) for n, thing in things.items() if n >= STRIDE):
                raise CannotTell("a struct with plain fields is made by a task; it needs no lock")
            self._take_in()
        return [(number, self.object(number)) for number in self._parts]

    def object(self, number: int) -> Hashable:
        """Make the key of one."""
        thing = self._parts[number]
        return self._values.key(thing.value if type(thing) is Cell else thing.state())

    def versions(self) -> list[int]:
        """How often each field was stored to, and each lock released."""
        return [thing.version for thing in self._versioned]

    def news(self, before: list[int]) -> frozenset[int]:
        """Name what has another version now, by number."""
        changed = zip(self._versioned, before, strict=False)
        return frozenset([thing.id for thing, version in changed if thing.version != version])

    def stored(self, news: frozenset[int]) -> bool:
        """Whether one of these is a field, so that somebody has stored to it."""
        return any([type(self._parts[number]) is Cell for number in news])

    def task_key(self, task: Task, notes: Notes, ran: bool) -> tuple[int, bool, Notes]:
        """Make the key of a task; tell whether it may change without a step of it; take notes.

        `notes` are those of the last time; since then the task has taken a step if it `ran`.
        """
        if task.pending is None:
            return 0, False, ()
        if self.grown:  # the locals may hold what the task has made
            self._values = Values(_numbers())
        frames = self._frames(task)
        noted = notes
        if ran or not notes:
            results = tuple([self._values.key(result) for result in task.results])
            noted = _noted(notes, frames, results)
        self._values.mutable = False
        parts: list[Hashable] = [self.op_key(task.pending)]
        exits, called_back = 0, ""
        self._loops: list[str] = []
        for (frame, code), note in zip(frames, noted, strict=True):
            if called_back and not code.ours:
                raise CannotTell(f"{called_back} is called back from inside a builtin")
            called_back = code.name if code.calls_back else ""
            exits += self._frame(frame, code, note, parts)
        context = task.context
        held = [(hold.lock.id, hold.shared, hold.irqs_off) for hold in context.held]
        if exits > len(held):
            raise CannotTell(f"{task.name} is inside a `with` block that takes no lock")
        if len(self._loops) > len(task.walks):
            raise CannotTell(UNSEEN.format(self._loops[-1]))
        for walk in task.walks:
            parts += [self._values.key(walk.items), walk.position]
        if (turn := task.turn) is not None:
            depths = [depth for depth, (frame, _) in enumerate(frames) if frame is turn.frame]
            if depths:
                parts += [depths[0], turn.offset, self._values.key(turn.values)]
            else:  # its loop has ended
                task.turn = None
        parts += [tuple(held), context.irqs_off, context.preempt_off, context.hard_irq]
        return hash(tuple(parts)), self._values.mutable, noted

    # -- parts ---------------------------------------------------------------------------------

    def _take_in(self) -> None:
        things = sim.world.things
        self._size = len(things)
        self._values = Values(_numbers())
        self._parts: dict[int, Any] = {}
        for number, thing in things.items():  # a struct counts by its fields
            if isinstance(thing, Struct):
                self._parts.update({cell.id: cell for cell in thing._cells.values()})
            else:
                self._parts[number] = thing
        self._versioned = [thing for thing in self._parts.values() if hasattr(thing, "version")]

    def op_key(self, op: Op) -> Hashable:
        """Make the key of a pending operation: its parts, by the names of its slots."""
        kind: Any = type(op)
        cell = getattr(op, "cell", None)
        if cell is not None and getattr(cell, "plain", False):
            raise CannotTell(f"{cell.name} is accessed marked and plain, and so can be a race")
        parts: list[Hashable] = [id(kind)]
        parts += [self._part(getattr(op, name, None)) for name in _own_slots(kind)]
        if hasattr(op, "__dict__"):
            parts += [self._part(value) for value in vars(op).values()]
        return tuple(parts)

    def _part(self, value: Any) -> Hashable:
        if isinstance(value, Op):
            return self.op_key(value)
        number = getattr(value, "id", None)
        return ("#", number) if type(number) is int else self._values.key(value)

    def _frames(self, task: Task) -> list[tuple[FrameType, Code]]:
        """List the frames of a task that are not the scheduler's, the outermost first."""
        assert task.greenlet is not None
        frame: FrameType | None = task.greenlet.gr_frame
        found, codes = [], self._codes
        while frame is not None:
            code = codes.get(id(frame.f_code))
            if code is None:
                code = codes[id(frame.f_code)] = Code(frame, self._values.numbers)
            if not code.scheduler:
                found.append((frame, code))
            frame = frame.f_back
        if len(found) > DEEPEST:
            raise CannotTell(f"{task.name} is more than {DEEPEST} calls deep")
        return found[::-1]

    def _frame(self, frame: FrameType, code: Code, note: Note, parts: list[Hashable]) -> int:
        """Add the key of one frame; returns how many unknown `with` blocks it is in."""
        here, shown, exits = frame.f_lasti, frame.f_locals, 0
        place, ours, key = code.place(here), code.ours, self._values.key
        parts += (code.id, here)
        if not ours:
            self._loops += [code.name] * place.iterators
            if place.values:
                if len(note.known) >= NOTE_LIMIT:
                    raise CannotTell(f"{code.name} has a statement of too many operations")
                parts.append(note.known)
            for path in place.exits:
                exits += not _is_lock_of(shown, path)
        try:
            for name in place.names:
                if name not in shown:
                    parts.append("unbound")
                elif not ours or type(value := shown[name]) in _SIMPLE:
                    parts.append(key(shown[name]))
                else:  # of a simulated object its number, and nothing of anything else
                    number = getattr(value, "id", None)
                    parts.append(number if type(number) is int else None)
        except CannotTell as what:
            raise CannotTell(f"{name} in {code.name} is {what}") from None
        return exits


_SIMPLE = (int, bool, str)

_FOLLOWING = ("task", "hold", "turn", "reads", "writes", "progress", "wants_change")
"""Slots of an operation that follow from the rest of a state."""


@cache
def _own_slots(kind: Any) -> tuple[str, ...]:
    slots = [name for base in kind.__mro__ for name in getattr(base, "__slots__", ())]
    return tuple([name for name in slots if name not in _FOLLOWING])


def _numbers() -> dict[int, int]:
    """Number the simulated objects, by id()."""
    return {id(thing): number for number, thing in sim.world.things.items()}


def _noted(
    notes: Notes, frames: list[tuple[FrameType, Code]], results: tuple[Hashable, ...]
) -> Notes:
    """Carry the notes of the last step over to the frames of this one, outermost first."""
    found: list[Note] = []
    same = True
    for depth, (frame, code) in enumerate(frames):
        note = notes[depth] if same and depth < len(notes) else None
        if note is None or note.code is not code:
            found.append(Note(code, frame.f_lasti))
            same = False
        else:
            found.append(note.moved_on(frame.f_lasti, results))
            same = frame.f_lasti == note.offset
    return tuple(found)


def _is_lock_of(shown: Mapping[str, Any], path: str) -> bool:
    """Whether `path` leads to a lock that is part of a struct, so that it cannot change."""
    variable, _, name = path.partition(".")
    struct = shown.get(variable)
    return isinstance(struct, Struct) and name in vars(struct)


def check_fields() -> None:
    """See that races on the fields would show without clocks, which are no part of a state.

    A field with a guard is checked at each access on its own. Another needs the order of all that
    has happened, and the reference search keeps that.
    """
    for thing in sim.world.things.values():
        if not isinstance(thing, Struct):
            continue
        kind = type(thing)
        for name, field in kind._declared(shared).items():
            if not field.guarded_by:
                raise CannotTell(
                    f"the plain field {name} has no guard, so its races depend on history"
                )
        for name, value in vars(thing).items():
            if not name.startswith("_") and not hasattr(value, "state"):
                raise CannotTell(f"{kind.__name__}.{name} is shared and not simulated")


def _has_plain_fields(thing: object) -> bool:
    return isinstance(thing, Struct) and bool(type(thing)._declared(shared))
