"""atomics.py: marked access to any field, and the operations that load and store in one step.

Where C takes the address of a field, these take the struct and the field's name:

    READ_ONCE(gpc->valid)                   READ_ONCE(gpc, "valid")
    cmpxchg(&vcpu->mode, old, new)          cmpxchg(vcpu, "mode", old, new)
    atomic_inc(&kvm->users_count)           atomic_inc(kvm, "users_count")
    test_and_set_bit(nr, &vcpu->requests)   test_and_set_bit(nr, vcpu, "requests")

As in the kernel, what returns a value orders everything before it and after it, what returns
nothing orders nothing, and a cmpxchg that fails has only looked.
"""

# ruff: noqa: D102  # What the methods of an operation are for stands in op.py.
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import machine
from .barriers import full_barrier
from .cell import Cell
from .clock import Clock, join, joined
from .machine import Task
from .memory import Load, Store, Struct, fit_for_a_field
from .op import Op, by_state
from .shown import shown


def READ_ONCE(struct: Struct, field: str) -> Any:
    """Load a field in one step, on purpose without its lock."""
    return _step(Load(struct._cells[field]))


def WRITE_ONCE(struct: Struct, field: str, value: Any) -> None:
    """Store to a field in one step, for those who load it without the lock."""
    _step(Store(struct._cells[field], fit_for_a_field(value)))


def smp_load_acquire(struct: Struct, field: str) -> Any:
    """Load a field; what comes after it sees all that came before the store that it reads."""
    return _step(_LoadAcquire(struct._cells[field]))


def smp_store_release(struct: Struct, field: str, value: Any) -> None:
    """Store to a field; who loads the value with acquire sees all that came before."""
    _step(_StoreRelease(struct._cells[field], fit_for_a_field(value)))


def rcu_assign_pointer(struct: Struct, field: str, value: Any) -> None:
    """Publish an object that is ready: a store with release."""
    smp_store_release(struct, field, value)


def rcu_dereference(struct: Struct, field: str) -> Any:
    """Load a pointer to use what it points to. The dependency orders as much as acquire does."""
    return smp_load_acquire(struct, field)


def cmpxchg(struct: Struct, field: str, old: Any, new: Any) -> Any:
    """Store `new` if the field holds `old`; returns what it held, so `old` means success."""
    return _step(_Compare(struct._cells[field], old, fit_for_a_field(new)))


def xchg(struct: Struct, field: str, value: Any) -> Any:
    """Store `value`, and return what was there."""
    fit_for_a_field(value)
    return _step(_Change(struct._cells[field], "xchg", f"← {shown(value)}", lambda _: value))


def fetch_add(struct: Struct, field: str, number: int) -> int:
    """Add `number`, and return what was there before."""
    old: int = _step(_Change(struct._cells[field], "add", f"{number:+}", lambda v: v + number))
    return old


def atomic_read(struct: Struct, field: str) -> int:
    """Load a counter; orders nothing."""
    value: int = READ_ONCE(struct, field)
    return value


def atomic_set(struct: Struct, field: str, value: int) -> None:
    """Store to a counter; orders nothing."""
    WRITE_ONCE(struct, field, value)


def atomic_add(number: int, struct: Struct, field: str) -> None:
    """Add in one step; orders nothing."""
    cell = struct._cells[field]
    _step(_Change(cell, "add", f"{number:+}", lambda v: v + number, ordered=False))


def atomic_inc(struct: Struct, field: str) -> None:
    """Add one; orders nothing."""
    atomic_add(1, struct, field)


def atomic_dec(struct: Struct, field: str) -> None:
    """Subtract one; orders nothing."""
    atomic_add(-1, struct, field)


def atomic_inc_return(struct: Struct, field: str) -> int:
    """Add one, and return the sum."""
    return fetch_add(struct, field, 1) + 1


def atomic_dec_and_test(struct: Struct, field: str) -> bool:
    """Subtract one, and return whether nothing is left."""
    return fetch_add(struct, field, -1) == 1


def test_bit(number: int, struct: Struct, field: str) -> bool:
    """Return whether this bit is set; orders nothing."""
    return bool(READ_ONCE(struct, field) >> number & 1)


def set_bit(number: int, struct: Struct, field: str) -> None:
    """Set a bit in one step; orders nothing."""
    cell, bit = struct._cells[field], 1 << number
    _step(_Change(cell, "set bit", f"{number}", lambda v: v | bit, ordered=False))


def clear_bit(number: int, struct: Struct, field: str) -> None:
    """Clear a bit in one step; orders nothing."""
    cell, bit = struct._cells[field], 1 << number
    _step(_Change(cell, "clear bit", f"{number}", lambda v: v & ~bit, ordered=False))


def test_and_set_bit(number: int, struct: Struct, field: str) -> bool:
    """Set a bit, and return whether it was set already."""
    cell, bit = struct._cells[field], 1 << number
    return bool(_step(_Change(cell, "set bit", f"{number}", lambda v: v | bit)) & bit)


def test_and_clear_bit(number: int, struct: Struct, field: str) -> bool:
    """Clear a bit, and return whether it was set."""
    cell, bit = struct._cells[field], 1 << number
    return bool(_step(_Change(cell, "clear bit", f"{number}", lambda v: v & ~bit)) & bit)


def _step(op: Load | Store | _Compare) -> Any:
    """Take a step; outside a run there are no other tasks to see it."""
    return machine.running.step(op) if machine.running else op.alone()


class _LoadAcquire(Load):
    __slots__ = ()

    def effect(self) -> Any:
        value, clock = super().effect(), machine.me().context.clock
        if (message := self.cell.told(clock)) is not None:
            join(clock, message)
        return value

    def future(self) -> str:
        return f"load {self.cell.name} (acquire)"


class _StoreRelease(Store):
    __slots__ = ()

    def message(self, task: Task) -> Clock:
        clock = task.context.clock
        message = clock.copy()
        clock[task.index] += 1
        return message

    def future(self) -> str:
        return f"store {self.cell.name} ← {shown(self.value)} (release)"


class _Change(Store):
    """Load, compute and store, with nobody in between."""

    __slots__ = ("name", "what", "change", "ordered", "before")
    kind = "change"

    def __init__(
        self,
        cell: Cell,
        name: str,
        what: str,
        change: Callable[[Any], Any],
        ordered: bool = True,
    ) -> None:
        super().__init__(cell, None)
        self.name = name
        self.what = what
        self.change = change
        self.ordered = ordered

    def effect(self) -> Any:
        cell, task = self.cell, machine.me()
        old, self.before = cell.value, cell.message
        task.seen.setdefault(cell, cell.version)
        if self.before is not None:
            task.context.observe(self.before)
        if self.ordered:
            full_barrier(task)
        self.value = self.change(old)
        super().effect()
        return old

    def message(self, task: Task) -> Clock | None:
        """Pass on what the store before it said."""
        mine = super().message(task)
        if mine is None or self.before is None:
            return mine or self.before
        return joined(mine, self.before)

    def alone(self) -> Any:
        old = self.cell.value
        self.value = self.change(old)
        super().alone()
        return old

    def future(self) -> str:
        return f"{self.name} {self.cell.name} {self.what}"

    def past(self, result: Any) -> str:
        return f"{self.future()}, was {shown(result)}"


class _Compare(Op):
    """Store if the field holds what is expected; if not, it has only been loaded."""

    __slots__ = ("cell", "old", "load", "change")
    kind = "cmpxchg"

    def __init__(self, cell: Cell, old: Any, new: Any) -> None:
        self.cell = cell
        self.old = old
        self.load = Load(cell)
        self.change = _Change(cell, "cmpxchg", f"{shown(old)} → {shown(new)}", lambda _: new)

    @property
    def succeeds(self) -> bool:
        return bool(self.cell.value == self.old)

    @by_state
    def reads(self) -> tuple[int, ...]:
        return () if self.succeeds else (self.cell.id,)

    @by_state
    def writes(self) -> tuple[int, ...]:
        return (self.cell.id,) if self.succeeds else ()

    def effect(self) -> Any:
        return self.change.effect() if self.succeeds else self.load.effect()

    def alone(self) -> Any:
        return self.change.alone() if self.succeeds else self.load.alone()

    def future(self) -> str:
        return self.change.future()

    def past(self, result: Any) -> str:
        return f"{self.future()}, was {shown(result)}"
