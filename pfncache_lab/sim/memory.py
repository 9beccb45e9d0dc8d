"""memory.py: shared memory, as the tasks see it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Generic, Self, TypeVar, overload

from . import machine
from .op import Op

T = TypeVar("T")


class Struct:
    """A C struct in shared memory. Its fields are class attributes: `counter = marked(0)`.

    Outside a run (in set-up, in a condition checked at the end) fields are ordinary attributes.
    """

    def __init__(self) -> None:
        self._values: dict[str, Any] = {n: f.initial for n, f in self._fields().items()}
        self._versions: dict[str, int] = dict.fromkeys(self._values, 0)
        first = machine.new_id(self, len(self._values))
        self._ids = {name: first + i for i, name in enumerate(self._values)}

    @classmethod
    def _fields(cls) -> dict[str, marked[Any]]:
        owners = reversed(cls.__mro__)
        return {n: f for c in owners for n, f in vars(c).items() if isinstance(f, marked)}

    def snapshot(self) -> dict[str, Any]:
        """Copy the values of all fields, without a scheduling point: for pictures and tests."""
        return dict(self._values)

    def state(self) -> Hashable:
        """Return the values of all fields, for the search that remembers states."""
        return tuple(self._values.values())

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self._values.items())
        return f"{type(self).__name__}({fields})"


class marked(Generic[T]):
    """A shared field whose every access is marked: what READ_ONCE() and WRITE_ONCE() are in C.

    Each load and each store is one step, and another task may run in front of it. That is why
    `shared.counter += 1` is two steps: it loads, adds in a register, and stores.
    """

    def __init__(self, initial: T) -> None:
        self.initial = initial

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, struct: None, owner: type) -> Self: ...
    @overload
    def __get__(self, struct: Struct, owner: type) -> T: ...
    def __get__(self, struct: Struct | None, owner: type) -> T | Self:
        if struct is None:
            return self
        running = machine.running
        value: T = (
            struct._values[self.name] if running is None else running.step(_Load(struct, self.name))
        )
        return value

    def __set__(self, struct: Struct, value: T) -> None:
        if machine.running is None:
            struct._values[self.name] = value
        else:
            machine.running.step(_Store(struct, self.name, value))


def cpu_relax() -> None:
    """Say "I am spinning": belongs in the body of every loop that waits for another task.

    An iteration that has stored nothing can only repeat itself until somebody changes what it has
    loaded. So the task is not chosen again before that: the loop stays as it is in the kernel,
    and the number of schedules stays finite. Mirrors cpu_relax() (asm/processor.h).
    """
    if machine.running is not None:
        machine.running.step(_Spin(machine.running.current))


class _Load(Op):
    __slots__ = ("struct", "field", "reads")
    kind = "load"

    def __init__(self, struct: Struct, field: str) -> None:
        self.reads = (struct._ids[field],)
        self.struct = struct
        self.field = field

    def effect(self) -> Any:
        _me().seen.setdefault((self.struct, self.field), self.struct._versions[self.field])
        return self.struct._values[self.field]

    def future(self) -> str:
        return f"load {self.field}"

    def past(self, result: Any) -> str:
        return f"load {self.field} → {result!r}"


class _Store(Op):
    __slots__ = ("struct", "field", "value", "writes")
    kind = "store"

    def __init__(self, struct: Struct, field: str, value: Any) -> None:
        self.writes = (struct._ids[field],)
        self.struct = struct
        self.field = field
        self.value = value

    def effect(self) -> None:
        _me().stored = True
        self.struct._versions[self.field] += 1
        self.struct._values[self.field] = self.value

    def future(self) -> str:
        return f"store {self.field} ← {self.value!r}"


class _Spin(Op):
    """Wait until a field changes that the task has loaded since it last spun."""

    __slots__ = ("task", "reads")
    kind = "spin"
    waits = True
    wants_change = True

    def __init__(self, task: machine.Task | None) -> None:
        assert task is not None
        self.task = task
        self.reads = tuple(struct._ids[field] for struct, field in task.seen)

    def enabled(self) -> bool:
        if self.task.stored:  # its own store is progress: the next iteration may differ
            return True
        return any(struct._versions[field] != v for (struct, field), v in self.task.seen.items())

    def effect(self) -> None:
        self.task.seen.clear()
        self.task.stored = False

    def future(self) -> str:
        return "spin"

    def past(self, result: Any) -> str:
        return "spin once more"

    def reason(self) -> str:
        fields = sorted({field for _, field in self.task.seen})
        return f"it spins until {' or '.join(fields) or 'something'} changes"


def _me() -> machine.Task:
    assert machine.running is not None and machine.running.current is not None
    return machine.running.current
