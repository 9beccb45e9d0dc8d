"""Lesson 05, Locks that sleep, locks that must not: readers together, sleepers, and an order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...explore import Scenario
from ...sim import (
    Completion,
    SpinLock,
    Struct,
    cmpxchg,
    complete,
    cpu_relax,
    fetch_add,
    marked,
    shared,
    smp_store_release,
    wait_for_completion,
)
from ..authoring import edited
from ..exercise import Built, Case, Exercise, Lesson, Mutant, Prediction, Program
from .buffers import GET_BUFFER
from .sharing import (
    ASLEEP,
    CROSSED,
    STUCK,
    Bank,
    MutexOneExit,
    RwByTwo,
    add_one,
    audit,
    bank_of,
    by_comparing,
    how_it_waits,
    meet,
    read,
    shelf,
    what_lockdep_says,
    write,
    x_to_y,
    y_to_x,
    y_to_z,
    z_to_x,
)

# -- 05.1: an rwlock. Readers see these answers, so they use what the set-up cell imports. ---------


class RwLock(Struct):
    """Many readers or one writer. `count` counts the readers; -1 is a writer."""

    count = marked(0)

    def read_lock(self):
        """Wait until nobody writes, and be one reader more."""
        while True:
            readers = self.count
            if readers >= 0 and cmpxchg(self, "count", readers, readers + 1) == readers:
                return
            cpu_relax()

    def read_unlock(self):
        """Be one reader less."""
        fetch_add(self, "count", -1)

    def write_lock(self):
        """Wait until nobody reads or writes, and write."""
        while cmpxchg(self, "count", 0, -1) != 0:
            cpu_relax()

    def write_unlock(self):
        """Write no longer."""
        smp_store_release(self, "count", 0)


RW_STUB = '''\
class RwLock(Struct):
    """Many readers or one writer. `count` counts the readers; -1 is a writer."""

    count = marked(0)

    def read_lock(self):
        """Wait until nobody writes, and be one reader more."""
        ____

    def read_unlock(self):
        """Be one reader less."""
        ____

    def write_lock(self):
        """Wait until nobody reads or writes, and write."""
        ____

    def write_unlock(self):
        """Write no longer."""
        smp_store_release(self, "count", 0)
'''

MUTEX_STUB = '''\
class Mutex(Struct):
    """A lock whose waiters sleep: `guard` keeps the list of them still."""

    guard = SpinLock()
    taken = shared(False, guarded_by="guard")
    waiters: shared[tuple[Completion, ...]] = shared((), guarded_by="guard")

    def lock(self):
        """Take it; or queue up, and sleep until it is handed over."""
        ____

    def unlock(self):
        """Hand it over to the first who waits; with nobody there, it is free."""
        self.guard.lock()
        if self.waiters:
            first, *rest = self.waiters
            ____
        else:
            self.taken = False
        self.guard.unlock()
'''

TRANSFER_STUB = '''\
def transfer(source, target, amount):
    """Move money from one account to another, under both locks."""
    first, second = ____
    first.lock.lock()
    second.lock.lock()
    source.balance -= amount
    target.balance += amount
    second.lock.unlock()
    first.lock.unlock()
'''


# -- 05.2: a mutex ---------------------------------------------------------------------------------


class Mutex(Struct):
    """A lock whose waiters sleep: `guard` keeps the list of them still."""

    guard = SpinLock()
    taken = shared(False, guarded_by="guard")
    waiters: shared[tuple[Completion, ...]] = shared((), guarded_by="guard")

    def lock(self):
        """Take it; or queue up, and sleep until it is handed over."""
        self.guard.lock()
        if not self.taken:
            self.taken = True
            self.guard.unlock()
            return
        mine = Completion("my turn")
        self.waiters = (*self.waiters, mine)
        self.guard.unlock()
        wait_for_completion(mine)

    def unlock(self):
        """Hand it over to the first who waits; with nobody there, it is free."""
        self.guard.lock()
        if self.waiters:
            first, *rest = self.waiters
            self.waiters = tuple(rest)
            complete(first)
        else:
            self.taken = False
        self.guard.unlock()


# -- 05.4: an order --------------------------------------------------------------------------------


def transfer(source, target, amount):
    """Move money from one account to another, under both locks."""
    first, second = sorted((source, target), key=lambda account: account.number)
    first.lock.lock()
    second.lock.lock()
    source.balance -= amount
    target.balance += amount
    second.lock.unlock()
    first.lock.unlock()


def _bank(name: str, tasks: Mapping[str, Any]) -> Callable[[Built], Scenario]:
    return lambda my: bank_of(name, my.transfer, tasks)


def _rw(happens: str, *changes: tuple[str, str]) -> Mutant:
    return Mutant(edited(RwLock, *changes), f"This is what happens when {happens}")


def _mutex(happens: str, *changes: tuple[str, str]) -> Mutant:
    return Mutant(edited(Mutex, *changes), f"This is what happens when {happens}")


def _order(happens: str, *changes: tuple[str, str]) -> Mutant:
    return Mutant(edited(transfer, *changes), f"This is what happens when {happens}")


def _paid(my: Built) -> str:
    bank = Bank(my.transfer)
    bank.transfer(bank.y, bank.x, 30)
    return str(bank.snapshot())


SORTED = "sorted((source, target), key=lambda account: account.number)"


QUEUE = """        mine = Completion("my turn")
        self.waiters = (*self.waiters, mine)
        self.guard.unlock()
"""
HAND_OVER = """            first, *rest = self.waiters
            self.waiters = tuple(rest)
            complete(first)
"""

LESSON = Lesson(
    number=5,
    title="Locks that sleep, locks that must not",
    scenarios=[ASLEEP, CROSSED, STUCK],
    predictions=[
        Prediction(
            "lockdep",
            what_lockdep_says,
            "It does not wait for the deadlock. Both orders have been seen, and that is enough.",
        ),
    ],
    exercises=[
        Exercise(
            id="05.1",
            title="Readers together, writers alone",
            minutes=12,
            dots=3,
            spec=(
                "`count` counts the readers; -1 is a writer. (1) `read_lock()` counts up from what "
                "it has seen, unless a writer is there or the count has changed meanwhile. "
                "(2) `read_unlock()` counts down in one instruction: `fetch_add`. (3) "
                "`write_lock()` turns 0 into -1. (4) `write_unlock()` publishes 0."
            ),
            answer="RwLock",
            stub=RW_STUB,
            reference=lambda: RwLock,
            programs=[
                Program(shelf("two writers", "RwLock", {"w": write, "v": write}, 2), runs=6),
                Program(shelf("two readers meet", "RwLock", {"r": meet, "s": meet}, 0), runs=142),
                Program(
                    shelf("a writer, two readers", "RwLock", {"w": write, "r": read, "s": read}, 1),
                    runs=222,
                    bound=2,
                ),
                Program(shelf("a writer, a reader", "RwLock", {"w": write, "r": read}, 1), runs=21),
            ],
            mutants={
                "the count forgotten": _rw(
                    "`read_lock()` stores 1, whoever is there already.", ("readers + 1)", "1)")
                ),
                "the last one leaves": _rw(
                    "a reader that leaves says that nobody reads.",
                    ('fetch_add(self, "count", -1)', 'smp_store_release(self, "count", 0)'),
                ),
                "readers alone": _rw(
                    "a reader waits for the other readers.", ("readers >= 0", "readers == 0")
                ),
                "the writer not seen": _rw(
                    "a reader does not look for a writer.", ("readers >= 0 and ", "")
                ),
                "counts in two steps": _rw(
                    "a reader looks and counts in two steps.",
                    ('cmpxchg(self, "count", readers, readers + 1) == readers:', "True:"),
                    (
                        "                return",
                        "                self.count = readers + 1\n                return",
                    ),
                ),
                "the readers not seen": _rw(
                    "a writer waits for the other writers, and not for readers.",
                    (
                        'while cmpxchg(self, "count", 0, -1) != 0:',
                        "while (seen := self.count) < 0 or "
                        'cmpxchg(self, "count", seen, -1) != seen:',
                    ),
                ),
                "in first, asks later": _rw(
                    "a reader counts itself in first, and asks afterwards: in between the writer's "
                    "-1 is a 0, and nobody sees the writer.",
                    (
                        """        while True:
            readers = self.count
            if readers >= 0 and cmpxchg(self, "count", readers, readers + 1) == readers:
                return
            cpu_relax()""",
                        """        while fetch_add(self, "count", 1) < 0:
            fetch_add(self, "count", -1)
            cpu_relax()""",
                    ),
                ),
                "no way out": _rw(
                    "a reader is in, and goes round again: the loop has no way out.",
                    ("                return", "                pass"),
                ),
                "no cpu_relax": _rw(
                    "a reader that waits does not say so.",
                    ("                return\n            cpu_relax()", "                return"),
                ),
                "sets in two steps": _rw(
                    "a writer looks and sets in two steps.",
                    (
                        'while cmpxchg(self, "count", 0, -1) != 0:\n            cpu_relax()',
                        "while self.count < 0:\n            cpu_relax()\n        self.count = -1",
                    ),
                ),
                "a plain store": _rw(
                    "the writer leaves by an ordinary store: it passes nothing on.",
                    ('smp_store_release(self, "count", 0)', "self.count = 0"),
                ),
                "never given back": _rw(
                    "the writer never leaves.", ('smp_store_release(self, "count", 0)', "pass")
                ),
            },
            alternatives=[RwByTwo],
            hints=(
                "Which values of `count` let a reader in? And which one a writer?",
                "A reader loads `count` first. Then it tries to turn what it has seen into one "
                "more; if that fails, or a writer is there, it relaxes and looks again.",
                "read_lock: for ever, load the count; if it is at least 0 and cmpxchg from it to "
                "one more returns it, return; else relax. write_lock: the loop of your spinlock, "
                "from 0 to -1.",
            ),
            kernel="[`queued_read_lock()`](https://github.com/torvalds/linux/blob/v5.17/include/"
            "asm-generic/qrwlock.h).",
            out_of_scope="Not asked for: a stream of readers may keep a writer out for ever.",
        ),
        Exercise(
            id="05.2",
            title="A mutex",
            minutes=15,
            dots=4,
            spec=(
                "`guard` is a spinlock; `taken` and `waiters` may be touched only under it. "
                "(1) `lock()` takes what is free. (2) Else it queues a `Completion` of its own, "
                "gives the guard back, and sleeps. (3) `unlock()` takes the first out of the queue "
                "and completes it: the mutex stays taken, it is theirs now. (4) With nobody there, "
                "it is free."
            ),
            answer="Mutex",
            stub=MUTEX_STUB,
            reference=lambda: Mutex,
            cases=[
                Case(
                    "b wants the mutex while a has it",
                    how_it_waits,
                    "it sleeps",
                    "that is what a mutex is for",
                ),
            ],
            programs=[
                Program(shelf("two tasks", "Mutex", dict.fromkeys("ab", add_one), 2), runs=12),
                Program(
                    shelf("three tasks", "Mutex", dict.fromkeys("abc", add_one), 3),
                    runs=114,
                    bound=2,
                ),
            ],
            mutants={
                "look, then queue": _mutex(
                    "the guard is given back between the look and the queue. The one who holds "
                    "the mutex leaves in between, and finds nobody to wake.",
                    (QUEUE, "        self.guard.unlock()\n        self.guard.lock()\n" + QUEUE),
                ),
                "spins": _mutex(
                    "a task that waits looks again and again, and does not sleep.",
                    (
                        f"{QUEUE}        wait_for_completion(mine)\n",
                        "        self.guard.unlock()\n        cpu_relax()\n        self.lock()\n",
                    ),
                ),
                "wakes nobody": _mutex("nobody is woken.", ("            complete(first)\n", "")),
                "handed over and free": _mutex(
                    "the mutex is handed over, and set free as well: two have it.",
                    ("complete(first)", "complete(first)\n            self.taken = False"),
                ),
                "stays in the queue": _mutex(
                    "the one who is woken stays in the queue, and is woken again.",
                    ("            self.waiters = tuple(rest)\n", ""),
                ),
                "wakes everybody": _mutex(
                    "everybody is woken, and nobody looks again.",
                    (
                        HAND_OVER,
                        "            for one in self.waiters:\n                complete(one)\n"
                        "            self.waiters = ()\n",
                    ),
                ),
                "sleeps with the guard": _mutex(
                    "a task goes to sleep with a spinlock in its hands.",
                    (QUEUE, QUEUE.replace("        self.guard.unlock()\n", "")),
                ),
                "an early return": _mutex(
                    "the early return forgets the guard.",
                    ("            self.guard.unlock()\n            return", "            return"),
                ),
                "never free": _mutex(
                    "the mutex stays taken when nobody waits.",
                    ("            self.taken = False", "            pass"),
                ),
            },
            alternatives=[MutexOneExit],
            hints=(
                "Between looking at `taken` and standing in the queue, who may come in?",
                "Look and queue under one hold of the guard. Sleep only after giving it back.",
                "lock: guard; if it is free, take it, give the guard back, return. Else append "
                "a new completion, give the guard back, wait for it. unlock: guard; complete the "
                "first and take it out, or else set taken to False; give the guard back.",
            ),
            kernel="[`__mutex_lock_common()`](https://github.com/torvalds/linux/blob/v5.17/kernel/"
            "locking/mutex.c).",
            out_of_scope="Not asked for: a trylock, and spinning for a while before the sleep.",
        ),
        GET_BUFFER,
        Exercise(
            id="05.4",
            title="One order",
            minutes=8,
            dots=2,
            spec=(
                "Write `transfer` so that it takes both locks, moves the money, and gives both "
                "back; and so that any number of transfers may run at once. Each account has a "
                "`number`. `audit()`, which is not yours, takes the smaller number first."
            ),
            answer="transfer",
            stub=TRANSFER_STUB,
            reference=lambda: transfer,
            cases=[
                Case(
                    "transfer(y, x, 30)",
                    _paid,
                    "{'x': 130, 'y': 70, 'z': 100}",
                    "y pays, and x is paid",
                ),
            ],
            programs=[
                Program(_bank("crossed, and an audit", {"a": x_to_y, "b": y_to_x, "d": audit}), 6),
                Program(_bank("in a circle", {"a": x_to_y, "b": y_to_z, "c": z_to_x}), 117),
            ],
            mutants={
                "as they come": _order(
                    "the one who pays is always locked first.", (SORTED, "(source, target)")
                ),
                "the other way round": _order(
                    "the one who is paid is always locked first.", (SORTED, "(target, source)")
                ),
                "greatest first": _order(
                    "you have one order, and `audit()` has the opposite one.",
                    ("account.number", "-account.number"),
                ),
                "by balance": _order(
                    "a balance is looked at without its lock. (An order by balance needs that, and "
                    "balances change.)",
                    ("account.number", "account.balance"),
                ),
                "one lock only": _order(
                    "one of the two accounts is not locked.",
                    ("    second.lock.lock()\n", ""),
                    ("    second.lock.unlock()\n", ""),
                ),
                "one is kept": _order(
                    "the second lock is never given back.", ("    second.lock.unlock()\n", "")
                ),
                "one after the other": _order(
                    "one lock is given back before the other is taken: in between, money is "
                    "missing, and `audit()` sees it.",
                    (f"first, second = {SORTED}", "first, second = source, target"),
                    ("    second.lock.lock()\n", ""),
                    (
                        "    target.balance += amount\n",
                        "    first.lock.unlock()\n    second.lock.lock()\n"
                        "    target.balance += amount\n",
                    ),
                    (
                        "    second.lock.unlock()\n    first.lock.unlock()",
                        "    second.lock.unlock()",
                    ),
                ),
            },
            alternatives=[by_comparing],
            hints=(
                "A circle needs somebody who goes against the order. Which order has `audit()`?",
                "Before you take anything, decide which of the two accounts comes first.",
                "Sort the two by number; lock the first, then the second; move the money; unlock.",
            ),
            kernel="[`double_rq_lock()`](https://github.com/torvalds/linux/blob/v5.17/kernel/sched/"
            "core.c).",
            out_of_scope="Not asked for: a transfer from an account to itself.",
        ),
    ],
)
