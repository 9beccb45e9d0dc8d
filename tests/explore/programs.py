"""Programs whose traces others have counted: GenMC, Nidhugg, Concuerror, and the papers on DPOR.

Each is a function that makes a scenario; its tasks share what its `setup` returns.
"""

from __future__ import annotations

from collections.abc import Callable
from string import ascii_lowercase
from types import SimpleNamespace
from typing import Any

from pfncache_lab.explore import Scenario
from tests.explore.primitives import Cell, Lock, cells

Body = Callable[[Any], object]


def program(tasks: list[Body], **shared: Callable[[], Any]) -> Scenario:
    """Make a scenario in which each shared thing is made anew by a function."""

    def setup():
        return SimpleNamespace(**{name: make() for name, make in shared.items()})

    return Scenario("program", setup, dict(zip(ascii_lowercase, tasks, strict=False)))


def lastzero(n: int) -> Scenario:
    """Find the last zero while each cell is set from the one before it (POPL 2014)."""

    def find(s):
        i = n
        while s.a[i].read() != 0:
            i -= 1

    def writer(j):
        return lambda s: s.a[j].write(s.a[j - 1].read() + 1)

    return program([find, *map(writer, range(1, n + 1))], a=lambda: cells(n + 1))


def readers(n: int) -> Scenario:
    """One writes, n read (POPL 2014)."""
    return program([lambda s: s.x.write(42)] + [lambda s: s.x.read()] * n, x=Cell)


def indexer(n: int, size: int = 128, most: int = 4) -> Scenario:
    """Tasks insert into a hash table; from 12 tasks on they collide (Flanagan, Godefroid 2005)."""

    def insert(task):
        def body(s):
            for m in range(1, most + 1):
                word = m * 11 + task
                at = word * 7 % size
                while s.table[at].cmpxchg(0, word) != 0:
                    at = (at + 1) % size

        return body

    return program([insert(t) for t in range(n)], table=lambda: cells(size))


def filesystem(n: int, blocks: int = 26, inodes: int = 32) -> Scenario:
    """Tasks allocate blocks for inodes; from 14 tasks on they collide (same paper)."""

    def create(task):
        def body(s):
            i = task % inodes
            s.locki[i].lock()
            if s.inode[i].read() == 0:
                b = i * 2 % blocks
                while True:
                    s.lockb[b].lock()
                    if not s.busy[b].read():
                        s.busy[b].write(1)
                        s.inode[i].write(b + 1)
                        s.lockb[b].unlock()
                        break
                    s.lockb[b].unlock()
                    b = (b + 1) % blocks
            s.locki[i].unlock()

        return body

    return program(
        [create(t) for t in range(n)],
        locki=lambda: [Lock() for _ in range(inodes)],
        lockb=lambda: [Lock() for _ in range(blocks)],
        inode=lambda: cells(inodes),
        busy=lambda: cells(blocks),
    )


def ainc(n: int) -> Scenario:
    return program([lambda s: s.x.add()] * n, x=Cell)


def binc(n: int) -> Scenario:
    def body(s):
        s.x.add()
        s.y.add()

    return program([body] * n, x=Cell, y=Cell)


def casrot(n: int) -> Scenario:
    def rotate(i):
        return lambda s: s.x.cmpxchg(i - 1, i)

    return program([rotate(i) for i in range(1, n + 1)], x=Cell)


def casw(n: int) -> Scenario:
    def body(i):
        def cas_then_write(s):
            s.x.cmpxchg(0, 1)
            s.x.write(i + 3)

        return cas_then_write

    return program([body(i) for i in range(n)], x=Cell)


def fib_bench(n: int) -> Scenario:
    """With main, which looks at both (SV-COMP)."""

    def first(s):
        for _ in range(n):
            s.i.write(s.i.read() + s.j.read())

    def second(s):
        for _ in range(n):
            s.j.write(s.j.read() + s.i.read())

    def main(s):
        if s.i.read() <= 10**9:
            s.j.read()

    return program([first, second, main], i=lambda: Cell(1), j=lambda: Cell(1))


def popl_optimal_example() -> Scenario:
    def r(s):
        if s.y.read() == 0:
            s.z.write(1)

    def q(s):
        if s.z.read() == 1 and s.y.read() == 0:
            s.x.write(2)

    tasks: list[Body] = [lambda s: s.x.write(1), lambda s: s.y.write(1), r, q]
    return program(tasks, x=Cell, y=Cell, z=Cell)


def combination_lock() -> Scenario:
    def second(s):
        s.x.write(1)
        s.a.write(1)
        if s.y.read() == 1:
            s.w.write(1)
            s.b.write(0)

    def third(s):
        if s.x.read() == 1:
            s.y.write(1)
            s.c.write(0)
            if s.v.read() == 1:
                s.z.read()

    def fourth(s):
        if s.w.read() == 1:
            s.v.write(1)
            s.d.write(0)

    return program(
        [lambda s: s.z.write(1), second, third, fourth], **dict.fromkeys("vwxyzabcd", Cell)
    )


def many_initials() -> Scenario:
    def fourth(s):
        y, z = s.y.read(), s.z.read()
        if y == 1 and z == 1:
            s.x.read()

    writers: list[Body] = [
        lambda s: s.x.write(1),
        lambda s: s.y.write(1),
        lambda s: s.z.write(1),
    ]
    return program([*writers, fourth], x=Cell, y=Cell, z=Cell)


def sleeping_races() -> Scenario:
    """Concuerror's sleeping_races_6."""

    def fourth(s):
        s.p[3].write(1)
        s.y.read()
        s.p[3].write(2)
        s.z.write(1)

    def fifth(s):
        s.p[4].write(1)
        if s.y.read() == 1:
            s.p[4].write(2)
            if s.z.read() == 1:
                s.p[4].write(3)
                if s.x.read() == 1:
                    s.p[4].write(4)
                    s.w.read()

    def writer(i, name):
        def body(s):
            s.p[i].write(1)
            getattr(s, name).write(1)

        return body

    writers = [writer(0, "w"), writer(1, "x"), writer(2, "y")]
    return program([*writers, fourth, fifth], **dict.fromkeys("wxyz", Cell), p=lambda: cells(5))


def mutex_order(n: int) -> Scenario:
    def body(s):
        s.m.lock()
        s.m.unlock()

    return program([body] * n, m=Lock)


def two_awaits() -> Scenario:
    """Mutual exclusion, broken: each waits for x to be 0 and then sets it."""

    def body(s):
        s.x.wait(lambda value: value == 0)
        s.x.write(1)

    return program([body] * 2, x=Cell)


def lost_update(tasks: int, rounds: int = 1) -> Scenario:
    def body(s):
        for _ in range(rounds):
            s.x.write(s.x.read() + 1)

    return program([body] * tasks, x=Cell)


def redundant_co(n: int) -> Scenario:
    def write(value):
        def body(s):
            for _ in range(n):
                s.x.write(value)

        return body

    def read(s):
        s.x.read()
        s.x.read()

    return program([write(1), write(2), read], x=Cell)


def opt_lock(n: int) -> Scenario:
    def body(me):
        def attempt(s):
            for _ in range(n):
                s.x.write(me)
                s.y.write(1)
                if s.x.read() == me:
                    s.y.read()
                    break

        return attempt

    return program([body(0), body(1)], x=Cell, y=Cell)


def store_buffering() -> Scenario:
    def first(s):
        s.x.write(1)
        s.y.read()

    def second(s):
        s.y.write(1)
        s.x.read()

    return program([first, second], x=Cell, y=Cell)


def message_passing() -> Scenario:
    def write(s):
        s.x.write(1)
        s.y.write(1)

    def read(s):
        s.y.read()
        s.x.read()

    return program([write, read], x=Cell, y=Cell)
