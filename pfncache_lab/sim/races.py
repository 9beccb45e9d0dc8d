"""races.py: two tasks touch the same field, one of them writes, and nothing orders the two.

Each task has a vector clock, which it passes on with whatever orders tasks: a lock, a barrier, a
completion. An access is remembered with the clock of its task; a later one, by a task whose clock
does not cover it, could as well have happened at the same time: a data race. It is found in every
run in which both happen, also where they are far apart. Only the last access of each task need be
kept, for a clock that covers it covers those before (Flanagan and Freund, "FastTrack", PLDI 2009).

A field that says which lock guards it is also checked the way lockdep_assert_held() does. That
finds the task that forgot the lock even when it runs alone.

Two marked accesses never race, a plain and a marked one can: KCSAN says the same.
"""

# ruff: noqa: D102  # What the methods of an operation are for stands in op.py.
from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from . import machine
from .cell import Cell
from .clock import Clock
from .errors import DataRace, Unguarded
from .machine import Machine, Task
from .op import Op
from .shown import shown
from .site import Site, program_frame

if TYPE_CHECKING:
    from .lock import Lock
    from .memory import Struct, shared


class Access:
    """Who touched a field, at which count of its own clock, and where."""

    __slots__ = ("by", "count", "marked", "held", "step", "is_step", "code", "offset")

    def __init__(
        self, running: Machine, task: Task, frame: FrameType, marked: bool, is_step: bool = False
    ) -> None:
        self.by = task.name  # the task itself knows the field: it would keep the run alive
        self.count = task.context.clock[task.index]
        self.marked = marked
        self.held = tuple(task.context.held)
        self.step = len(running.schedule)
        self.is_step = is_step
        self.code = frame.f_code
        self.offset = frame.f_lasti

    def tell(self, did: str) -> str:
        """Say who did it, and where, and holding what."""
        held = " and ".join(hold.lock.name for hold in self.held) or "no lock"
        how = f"{did} (marked)" if self.marked else did
        when = f"{'at' if self.is_step else 'after'} step {self.step}"
        when = when if self.step else "before the first step"
        site = Site(self.code, self.offset)
        return f"{self.by} {how} it {when}, holding {held} ({site})"


def plain_load(struct: Struct, field: shared[Any]) -> Any:
    """Load a plain field."""
    running = machine.running
    assert running is not None
    task = running.executing()
    cell = struct._cells[field.name]
    guards = () if struct._maker is task else cell.guards or field.guards(struct)
    for guard in guards:
        if task.context.hold(guard):
            break
    else:
        if guards:
            running.step(_Unguarded(cell, "loads", guards))
    access = Access(running, task, sys._getframe(_PROGRAM), False)
    check(cell, access, task, "loads", guards)
    cell.loads[task.index, False] = access
    task.touched.append(cell.id)
    task.seen.setdefault(cell, cell.version)
    task.results.append(cell.value)
    if running.recorder is not None:
        running.recorder.note(task, f"load {cell.name} → {shown(cell.value)}")
    return cell.value


def plain_store(struct: Struct, field: shared[Any], value: Any) -> None:
    """Store to a plain field."""
    running = machine.running
    assert running is not None
    task = running.executing()
    cell = struct._cells[field.name]
    guards = () if struct._maker is task else cell.guards or field.guards(struct)
    for guard in guards:
        hold = task.context.hold(guard)
        if hold is None or hold.shared:
            running.step(_Unguarded(cell, "stores", guards))
    access = Access(running, task, sys._getframe(_PROGRAM), False)
    check(cell, access, task, "stores", guards)
    cell.stores[task.index, False] = access
    task.touched.append(cell.id)
    task.stored |= cell.store(value)
    if running.recorder is not None:
        running.recorder.note(task, f"store {cell.name} ← {shown(value)}")


class _Unguarded(Op):
    """An access that should have held a lock. It is a step, so that it has a place in the story.

    Others may come before it, and then the report can name the access that it races with.
    """

    __slots__ = ("cell", "does", "guards", "lacks", "writes")
    kind = "race"

    def __init__(self, cell: Cell, does: str, guards: Sequence[Lock]) -> None:
        self.cell = cell
        self.does = does
        self.guards = guards
        held = any(map(machine.me().context.hold, guards))
        self.lacks = _names(guards) + (" for writing" if held else "")
        self.writes = (cell.id,)

    def effect(self) -> NoReturn:
        running = machine.running
        assert running is not None
        task = running.executing()
        access = Access(running, task, program_frame(), False, True)
        check(self.cell, access, task, self.does, self.guards)
        _report_unguarded(self.cell, access, self)

    def future(self) -> str:
        return f"{self.does.removesuffix('s')} {self.cell.name} without {self.lacks}"


def marked_access(cell: Cell, does: str) -> None:
    """Note a marked access to a plain field: READ_ONCE() without the lock, for one."""
    running = machine.running
    assert running is not None
    task = running.executing()
    access = Access(running, task, program_frame(), True, True)
    check(cell, access, task, does)
    kept = cell.loads if does == "loads" else cell.stores
    kept[task.index, True] = access


_PROGRAM = 3
"""How many frames up from here the program's own line is: past the methods in memory.py."""


def check(cell: Cell, access: Access, task: Task, does: str, guards: Sequence[Lock] = ()) -> None:
    """Report `access` if some conflicting one before it is not known to have happened before."""
    clock, marked = task.context.clock, access.marked
    if cell.stores and (other := _unordered(cell.stores, clock, marked)):
        _report_race(cell, other.tell("stored"), access, does, guards)
    if does == "stores" and cell.loads and (other := _unordered(cell.loads, clock, marked)):
        _report_race(cell, other.tell("loaded"), access, does, guards)


def _unordered(
    others: Mapping[tuple[int, bool], Access], clock: Clock, marked: bool
) -> Access | None:
    for (index, was_marked), other in others.items():
        if other.count > clock[index] and not (marked and was_marked):
            return other
    return None


def _report_race(
    cell: Cell, other: str, access: Access, does: str, guards: Sequence[Lock]
) -> NoReturn:
    remedy = (
        f"{cell.name} is guarded by {_names(guards)}. Take that around both accesses."
        if guards
        else "Take the same lock around both; or publish with smp_store_release() what is then "
        "read after smp_load_acquire()."
    )
    if access.marked or "(marked)" in other:
        remedy = "The other side must be marked as well, with READ_ONCE() or WRITE_ONCE()."
    _report(
        f"Data race on {cell.name}: nothing orders these two accesses.\n"
        f"  {other}.\n  {access.tell(does)}.\n  {remedy}"
    )


def _report_unguarded(cell: Cell, access: Access, op: _Unguarded) -> NoReturn:
    _report(
        f"Data race on {cell.name}: it is guarded by {_names(op.guards)}, and this access does not "
        f"hold {op.lacks}.\n  {access.tell(op.does)}.\n"
        f"  Another task may touch it at the same moment. Take {op.lacks} around the access.",
        Unguarded,
    )


def _report(text: str, kind: type[DataRace] = DataRace) -> NoReturn:
    assert machine.running is not None
    machine.running.report(kind(text))


def _names(locks: Sequence[Lock]) -> str:
    return " and ".join(lock.name for lock in locks)
