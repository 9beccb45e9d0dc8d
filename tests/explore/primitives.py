"""The smallest primitives that the published programs need, written against the interface alone.

They are also the test of `sim.op`: each says what it touches, and whether it waits, in one line.
"""

from __future__ import annotations

from pfncache_lab.sim import Op, machine, new_id
from pfncache_lab.sim.op import by_state


class Do(Op):
    """An operation put together from functions."""

    def __init__(self, name, effect, reads=(), writes=()):
        self.name, self._effect = name, effect
        self.reads, self.writes = reads, writes

    def effect(self):
        return self._effect()

    def future(self):
        return self.name


class Wait(Do):
    waits = True

    def __init__(self, name, effect, enabled, **touches):
        super().__init__(name, effect, **touches)
        self._enabled = enabled

    def enabled(self):
        return self._enabled()


class Take(Wait):
    acquires = True


class Drop(Do):
    releases = True


for cls in (Do, Wait, Take, Drop):
    cls.kind = cls.__name__.lower()


class Compare(Op):
    """cmpxchg: it writes where it succeeds, and reads where it fails."""

    kind = "cmpxchg"

    def __init__(self, cell, old, new):
        self.cell, self.old, self.new = cell, old, new

    @by_state
    def reads(self):
        return () if self.cell.value == self.old else (self.cell.id,)

    @by_state
    def writes(self):
        return (self.cell.id,) if self.cell.value == self.old else ()

    def effect(self):
        seen = self.cell.value
        if seen == self.old:
            self.cell.value = self.new
        return seen

    def future(self):
        return f"cmpxchg cell {self.cell.id}"


class Try(Op):
    """trylock: it writes where it succeeds, and reads where it fails."""

    kind = "trylock"

    def __init__(self, lock):
        self.lock = lock

    @by_state
    def reads(self):
        return () if self.lock.owner is None else (self.lock.id,)

    @by_state
    def writes(self):
        return (self.lock.id,) if self.lock.owner is None else ()

    def effect(self):
        if self.lock.owner is not None:
            return False
        self.lock.owner = me()
        return True

    def future(self):
        return "trylock"


def me():
    assert machine.running is not None and machine.running.current is not None
    return machine.running.current.name


def step(op):
    assert machine.running is not None
    return machine.running.step(op)


class Cell:
    """One shared number."""

    def __init__(self, value=0):
        self.value = value
        self.id = new_id(self)

    def state(self):
        return self.value

    def read(self):
        return self._do(Do, "read", lambda: self.value, reads=(self.id,))

    def write(self, value):
        self._do(Do, "write", lambda: setattr(self, "value", value), writes=(self.id,))

    def add(self, n=1):
        """atomic_fetch_add."""

        def effect():
            self.value += n
            return self.value - n

        return self._do(Do, "add", effect, writes=(self.id,))

    def cmpxchg(self, old, new):
        return step(Compare(self, old, new))

    def wait(self, holds):
        """Wait until the value is such that `holds`."""
        enabled = lambda: holds(self.value)  # noqa: E731
        return self._do(Wait, "await", lambda: self.value, reads=(self.id,), enabled=enabled)

    def _do(self, kind, name, effect, **declared):
        return step(kind(f"{name} cell {self.id}", effect, **declared))


class Lock:
    """A mutex."""

    def __init__(self):
        self.owner = None
        self.id = new_id(self)

    def state(self):
        return self.owner

    def lock(self):
        free = lambda: self.owner is None  # noqa: E731
        take = lambda: setattr(self, "owner", me())  # noqa: E731
        step(Take("lock", take, free, writes=(self.id,)))

    def trylock(self):
        return step(Try(self))

    def unlock(self):
        drop = lambda: setattr(self, "owner", None)  # noqa: E731
        step(Drop("unlock", drop, writes=(self.id,)))


class RwLock:
    """Many readers or one writer."""

    def __init__(self):
        self.writer = None
        self.readers = []
        self.id = new_id(self)

    def state(self):
        return self.writer, tuple(sorted(self.readers))

    def read_lock(self):
        free = lambda: self.writer is None  # noqa: E731
        take = lambda: self.readers.append(me())  # noqa: E731
        step(Take("read_lock", take, free, reads=(self.id,)))

    def read_unlock(self):
        drop = lambda: self.readers.remove(me())  # noqa: E731
        step(Drop("read_unlock", drop, reads=(self.id,)))

    def write_lock(self):
        free = lambda: self.writer is None and not self.readers  # noqa: E731
        take = lambda: setattr(self, "writer", me())  # noqa: E731
        step(Take("write_lock", take, free, writes=(self.id,)))

    def write_unlock(self):
        drop = lambda: setattr(self, "writer", None)  # noqa: E731
        step(Drop("write_unlock", drop, writes=(self.id,)))


def cells(n):
    return [Cell() for _ in range(n)]
