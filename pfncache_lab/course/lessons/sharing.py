"""sharing.py: a disk, a bank and a shelf: programs that show which lock is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...explore import Condition, Scenario, replay, run
from ...sim import (
    BUG_ON,
    Completion,
    SpinLock,
    Struct,
    cmpxchg,
    complete,
    cpu_relax,
    fetch_add,
    marked,
    shared,
    wait_for_completion,
)
from ...viz import Figure, Note
from ...viz.lockgraph import lock_graph
from ..exercise import Built
from ..sources import blank_line
from ..trial import TakingTurns

# -- the programs ----------------------------------------------------------------------------------


class Disk(Struct):
    """A buffer under a spinlock, and a disk that will be done some time."""

    lock = SpinLock()
    buffer = shared(0, guarded_by="lock")

    def __init__(self) -> None:
        """Set up with the disk busy."""
        super().__init__()
        self.done = Completion("disk")


def read_block(shared):
    """Wait for the disk, under the lock."""
    shared.lock.lock()
    wait_for_completion(shared.done)
    shared.buffer = 1
    shared.lock.unlock()


def disk(shared):
    """Be done."""
    complete(shared.done)


class Account(Struct):
    """Money, under a lock of its own."""

    balance = shared(100, guarded_by="lock")

    def __init__(self, name: str, number: int) -> None:
        """Open account `number`."""
        super().__init__(name)
        self.number = number
        self.lock = SpinLock(f"{name}.lock", f"{name}.lock")


class Bank(Struct):
    """Three accounts, and how money is moved."""

    def __init__(self, transfer: Any) -> None:
        """Open the bank."""
        super().__init__()
        self.x, self.y, self.z = Account("x", 1), Account("y", 2), Account("z", 3)
        self.transfer = transfer

    def snapshot(self) -> dict[str, Any]:
        """Show the three balances."""
        return {name: getattr(self, name).snapshot()["balance"] for name in "xyz"}


def pay_y(bank):
    """Pay y from x: lock the one that pays, then the one that is paid."""
    bank.x.lock.lock()
    bank.y.lock.lock()
    bank.x.balance -= 10
    bank.y.balance += 10
    bank.y.lock.unlock()
    bank.x.lock.unlock()


def pay_x(bank):
    """Do the same, the other way round."""
    bank.y.lock.lock()
    bank.x.lock.lock()
    bank.y.balance -= 20
    bank.x.balance += 20
    bank.x.lock.unlock()
    bank.y.lock.unlock()


def x_to_y(bank):
    """Pay y."""
    bank.transfer(bank.x, bank.y, 10)


def y_to_x(bank):
    """Pay x."""
    bank.transfer(bank.y, bank.x, 20)


def y_to_z(bank):
    """Pay z."""
    bank.transfer(bank.y, bank.z, 10)


def z_to_x(bank):
    """Pay x, too."""
    bank.transfer(bank.z, bank.x, 10)


def audit(bank):
    """Count the money of x and y, smaller number first."""
    bank.x.lock.lock()
    bank.y.lock.lock()
    BUG_ON(bank.x.balance + bank.y.balance != 200, "money is missing")
    bank.y.lock.unlock()
    bank.x.lock.unlock()


def bank_of(name: str, transfer: Any, tasks: Mapping[str, Any], lockdep: bool = True) -> Scenario:
    """Make the program in which these tasks move money."""
    kept = Condition("x + y + z == 300", lambda bank: sum(bank.snapshot().values()) == 300)
    return Scenario(name, lambda: Bank(transfer), tasks, [kept], lockdep=lockdep)


ASLEEP = Scenario("asleep", Disk, {"a": read_block, "disk": disk})
CROSSED = bank_of("crossed", None, {"a": pay_y, "b": pay_x})
STUCK = bank_of("stuck", None, {"a": pay_y, "b": pay_x}, lockdep=False)


def what_lockdep_says() -> str:
    """Run the schedule in which nobody meets anybody."""
    found = replay(CROSSED, "aaaab")
    return "it reports a bug" if found.bug is not None else "nothing, both are done"


# -- with the reader's locks -----------------------------------------------------------------------


class Shelf(Struct):
    """What an rwlock protects, and how many readers have met inside."""

    book = shared(0)
    met = marked(0)

    def __init__(self, lock: Any) -> None:
        """Set up with a new lock."""
        super().__init__()
        self.lock = lock

    def snapshot(self) -> dict[str, Any]:
        """Show the fields of the lock as well, of a queue its length."""
        lock: dict[str, Any] = getattr(self.lock, "snapshot", dict)()
        if isinstance(lock.get("waiters"), tuple):
            lock["waiters"] = len(lock["waiters"])
        return {**lock, "book": super().snapshot()["book"]}


def write(shelf):
    """Write."""
    shelf.lock.write_lock()
    shelf.book += 1
    shelf.lock.write_unlock()


def read(shelf):
    """Read."""
    shelf.lock.read_lock()
    assert shelf.book >= 0
    shelf.lock.read_unlock()


def meet(shelf):
    """Stay inside until another reader is."""
    shelf.lock.read_lock()
    fetch_add(shelf, "met", 1)
    while shelf.met < 2:
        cpu_relax()
    shelf.lock.read_unlock()


def add_one(shelf):
    """Add one, under a mutex."""
    shelf.lock.lock()
    shelf.book += 1
    shelf.lock.unlock()


def shelf(
    name: str, lock: str, tasks: Mapping[str, Any], books: int
) -> Callable[[Built], Scenario]:
    """Make the program of these tasks, with the reader's lock."""
    done = Condition(f"book == {books}", lambda shelf: shelf.book == books)
    return lambda my: Scenario(name, lambda: Shelf(getattr(my, lock)()), tasks, [done])


def how_it_waits(my: Built) -> str:
    """Tell what a task does that finds the mutex taken."""
    scenario = shelf("meeting", "Mutex", dict.fromkeys("ab", add_one), 2)(my)
    trace = run(scenario, TakingTurns(), record=True).trace
    assert trace is not None
    return "it spins" if any(event.kind == "spin" for event in trace.events) else "it sleeps"


def your_order(transfer: Any) -> Figure:
    """Draw in which order the reader's `transfer` takes the locks, in one run of three tasks."""
    if blank_line(transfer) is not None:
        return Note("A blank is left in transfer. Your own graph will stand here.")
    tasks = {"a": x_to_y, "b": y_to_z, "c": z_to_x}
    try:
        return lock_graph(run(bank_of("order", transfer, tasks, False), TakingTurns(), record=True))
    except Exception as problem:
        return Note(f"I could not draw this run: {type(problem).__name__}: {problem}")


# -- right answers, written differently ------------------------------------------------------------


class RwByTwo(Struct):
    """The same, with other loops, and a marked subtraction by hand."""

    count = marked(0)

    def read_lock(self):
        """Count up from whatever is there."""
        seen = self.count
        while seen < 0 or cmpxchg(self, "count", seen, seen + 1) != seen:
            cpu_relax()
            seen = self.count

    def read_unlock(self):
        """Count down from whatever is there."""
        seen = self.count
        while cmpxchg(self, "count", seen, seen - 1) != seen:
            seen = self.count

    def write_lock(self):
        """Try for ever."""
        while True:
            if cmpxchg(self, "count", 0, -1) == 0:
                break
            cpu_relax()

    def write_unlock(self):
        """Take the -1 back."""
        fetch_add(self, "count", 1)


class MutexOneExit(Struct):
    """Wake up after the guard is given back; decide first, act later."""

    guard = SpinLock()
    taken = shared(False, guarded_by="guard")
    waiters: shared[tuple[Completion, ...]] = shared((), guarded_by="guard")

    def lock(self):
        """Sleep only if there is something to wait for."""
        mine = None
        self.guard.lock()
        if self.taken:
            mine = Completion("my turn")
            self.waiters = self.waiters + (mine,)
        self.taken = True
        self.guard.unlock()
        if mine is not None:
            wait_for_completion(mine)

    def unlock(self):
        """Wake outside of the guard."""
        self.guard.lock()
        queue = self.waiters
        self.taken = len(queue) > 0
        self.waiters = queue[1:]
        self.guard.unlock()
        if queue:
            complete(queue[0])


def by_comparing(source, target, amount):
    """Compare by hand, and give back in the order of taking."""
    first, second = source, target
    if target.number < source.number:
        first, second = target, source
    first.lock.lock()
    second.lock.lock()
    target.balance += amount
    source.balance -= amount
    first.lock.unlock()
    second.lock.unlock()
