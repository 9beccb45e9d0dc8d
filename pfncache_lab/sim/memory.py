"""memory.py: shared memory, as the tasks see it.

    class Cache(Struct):
        lock = SpinLock()
        valid = shared(False, guarded_by="lock")    a plain field: see races.py
        count = marked(0)                           every access is a step

A plain access is no step. If nothing orders it with a conflicting one, that is a data race and the
end of the run; and if something does, then it makes no difference at which moment in between it
happens. So it is enough to try every order of the steps (Netzer and Miller 1992; Adve and Hill,
"Weak Ordering: A New Definition", ISCA 1990).
"""

# ruff: noqa: D102  # What the methods of an operation are for stands in op.py.
from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from reprlib import recursive_repr
from typing import Any, Generic, Self, TypeVar, overload

from . import machine, weak
from .cell import Cell
from .clock import Clock
from .errors import ModelError
from .lock import Lock
from .machine import Task
from .named import Named
from .op import Op
from .races import marked_access, plain_load, plain_store
from .shown import shown

T = TypeVar("T")


class Struct:
    """A C struct in shared memory. Its fields are class attributes: `counter = marked(0)`.

    Outside a run (in set-up, in a condition checked at the end) fields are ordinary attributes.
    """

    def __init__(self, name: str = "") -> None:
        """Make a struct; messages call its fields 'name.field', and without a name just 'field'."""
        prefix = f"{name}." if name else ""
        fields = self._declared(Field)
        first = machine.new_id(self, len(fields))
        self._fields: dict[str, Field[Any]]
        self._cells: dict[str, Cell]
        self._maker: Task | None
        self.__dict__["_fields"] = fields
        self.__dict__["_cells"] = {
            key: Cell(first + i, prefix + key, field.initial, isinstance(field, shared))
            for i, (key, field) in enumerate(fields.items())
        }
        # Who makes a struct needs no lock for it before others know of it. When that is would
        # depend on the schedule, so the maker is never held to `guarded_by`, only to the clocks.
        self.__dict__["_maker"] = machine.running and machine.running.current
        for key, named in self._declared(Named).items():
            self.__dict__[key] = named.declared_in(prefix)

    def __setattr__(self, name: str, value: Any) -> None:
        """Store to a field. Set-up may add attributes, too.

        A task may do that only to a struct that it has made itself; locks it may add to others.
        """
        if machine.running is not None:
            field = self._fields.get(name)
            if field is not None:
                field._store(self, fit_for_a_field(value))
                return
            self._refuse_undeclared(name, value)
        object.__setattr__(self, name, value)

    def _refuse_undeclared(self, name: str, value: Any) -> None:
        """Raise ModelError where a store would be seen by all tasks and be no step."""
        task = machine.me()
        if hasattr(getattr(type(self), name, None), "__set__"):  # a property
            return
        if name not in self.__dict__ and (self._maker is task or isinstance(value, Named)):
            return  # what is stored once, before others know of it, is the same for everybody
        kind, fields = type(self).__name__, ", ".join(self._cells) or "none so far"
        raise ModelError(
            f"{task.name} stores to {name!r}, which is no field of {kind}: nobody would "
            f"see the store as a step. Its fields: {fields}. "
            f"Another one is declared in the class: `{name} = marked({shown(value)})`."
        )

    @classmethod
    @cache  # a search makes the same struct anew for each of its runs
    def _declared(cls, kind: type[T]) -> dict[str, T]:
        owners = reversed(cls.__mro__)
        return {n: f for c in owners for n, f in vars(c).items() if isinstance(f, kind)}

    def snapshot(self) -> dict[str, Any]:
        """Copy the values of all fields, without a scheduling point: for pictures and tests."""
        return {name: cell.value for name, cell in self._cells.items()}

    def state(self) -> Hashable:
        """Return the values of all fields, for the search that remembers states."""
        return tuple([cell.value for cell in self._cells.values()])

    @recursive_repr("...")
    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={shown(cell.value)}" for name, cell in self._cells.items())
        return f"{type(self).__name__}({fields})"


class Field(Generic[T]):
    """A field of a Struct: the two kinds are below."""

    def __init__(self, initial: T) -> None:
        self.initial = fit_for_a_field(initial)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, struct: None, owner: type) -> Self: ...
    @overload
    def __get__(self, struct: Struct, owner: type) -> T: ...
    def __get__(self, struct: Struct | None, owner: type) -> T | Self:
        if struct is None:
            return self
        if machine.running is None:
            value: T = struct._cells[self.name].value
            return value
        return self._load(struct)

    def __set__(self, struct: Struct, value: T) -> None:
        """Store outside a run. In one, Struct.__setattr__ does."""
        struct._cells[self.name].value = fit_for_a_field(value)

    def _load(self, struct: Struct) -> T:
        raise NotImplementedError

    def _store(self, struct: Struct, value: T) -> None:
        raise NotImplementedError


class marked(Field[T]):
    """A shared field whose every access is marked: what READ_ONCE() and WRITE_ONCE() are in C.

    Each load and each store is one step, and another task may run in front of it. That is why
    `shared.counter += 1` is two steps: it loads, adds in a register, and stores.
    """

    def _load(self, struct: Struct) -> T:
        assert machine.running is not None
        value: T = machine.running.step(Load(struct._cells[self.name]))
        return value

    def _store(self, struct: Struct, value: T) -> None:
        assert machine.running is not None
        machine.running.step(Store(struct._cells[self.name], value))


class shared(Field[T]):
    """A plain shared field, and the locks that guard it: an access is no step.

    With `guarded_by="lock"` every access needs that lock, and a store needs it for writing. With
    several locks a store needs all of them, and for a load one will do. 'kvm.gpc_lock' is the lock
    of what the field `kvm` points to. Without `guarded_by`, anything that orders the accesses will
    do.
    """

    def __init__(self, initial: T, *, guarded_by: str | tuple[str, ...] = ()) -> None:
        super().__init__(initial)
        self.guarded_by = (guarded_by,) if isinstance(guarded_by, str) else guarded_by

    def guards(self, struct: Struct) -> list[Lock]:
        """Find the locks that guard this field of `struct`. A lock of its own stays the same."""
        cell = struct._cells[self.name]
        if cell.guards is not None:
            return cell.guards
        guards = [_follow(struct, path) for path in self.guarded_by]
        if not any("." in path for path in self.guarded_by):
            cell.guards = guards
        return guards

    def _load(self, struct: Struct) -> T:
        value: T = plain_load(struct, self)
        return value

    def _store(self, struct: Struct, value: T) -> None:
        plain_store(struct, self, value)


def fit_for_a_field(value: T) -> T:
    """Return `value`. Raises ModelError when it can change without anybody storing to the field.

    All runs would share the list that a class declares, a change in it would be no step, and a
    trace would show at each step how it was at the end.
    """
    if type(value) not in _FIT and isinstance(value, _CHANGEABLE):
        raise ModelError(
            f"A field holds a value, and a {type(value).__name__} can change while it is in there. "
            "Use a tuple and store a new one, or a Struct with a field for each part."
        )
    return value


_FIT = frozenset({int, bool, str, bytes, type(None)})
_CHANGEABLE = (list, dict, set, bytearray)


def _follow(struct: Struct, path: str) -> Lock:
    """Follow a path such as 'kvm.gpc_lock', without a step: which lock guards is no secret."""
    thing: Any = struct
    for name in path.split("."):
        cells = thing._cells if isinstance(thing, Struct) else {}
        if name in cells:
            thing = cells[name].value
            machine.me().touched.append(cells[name].id)
        else:
            thing = getattr(thing, name)
    lock: Lock = thing
    return lock


class Load(Op):
    """Load one marked field."""

    __slots__ = ("cell", "reads")
    kind = "load"

    def __init__(self, cell: Cell) -> None:
        self.reads = (cell.id,)
        self.cell = cell

    def effect(self) -> Any:
        cell = self.cell
        task = machine.me()
        if cell.history is not None:
            return weak.load(cell, task)
        if cell.plain:
            marked_access(cell, "loads")
        task.seen.setdefault(cell, cell.version)
        if cell.message is not None:
            task.context.observe(cell.message)
        return cell.value

    def alone(self) -> Any:
        """Do it outside a run."""
        return self.cell.value

    def future(self) -> str:
        return f"load {self.cell.name}"

    def past(self, result: Any) -> str:
        return f"load {self.cell.name} → {shown(result)}"


class Store(Op):
    """Store to one marked field."""

    __slots__ = ("cell", "value", "writes")
    kind = "store"

    def __init__(self, cell: Cell, value: Any) -> None:
        self.writes = (cell.id,)
        self.cell = cell
        self.value = value

    def effect(self) -> None:
        task = machine.me()
        if self.cell.plain:
            marked_access(self.cell, "stores")
        task.stored |= self.cell.publish(self.value, self.message(task), task.context.clock)

    def message(self, task: Task) -> Clock | None:
        """Return what this store tells those who load it."""
        return task.context.published

    def alone(self) -> Any:
        """Do it outside a run."""
        self.cell.value = self.value

    def future(self) -> str:
        return f"store {self.cell.name} ← {shown(self.value)}"
