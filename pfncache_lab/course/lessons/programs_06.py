"""programs_06.py: what the explorers of lesson 06 are let loose on."""

from __future__ import annotations

from collections.abc import Callable

from ...explore import Condition, Scenario
from ...sim import BUG_ON, SpinLock, Struct, fetch_add, marked


class Accounts(Struct):
    """Two accounts, each with its lock."""

    alice = SpinLock()
    bob = SpinLock()
    payments = marked(0)


def alice_pays_bob(bank):
    """Lock the one who pays, then the one who is paid."""
    bank.alice.lock()
    bank.bob.lock()
    bank.bob.unlock()
    bank.alice.unlock()


def bob_pays_alice(bank):
    """Do the same, the other way round."""
    bank.bob.lock()
    bank.alice.lock()
    bank.alice.unlock()
    bank.bob.unlock()


def count_then_pay_bob(bank):
    """Count the payment, under no lock, and pay."""
    bank.payments += 1
    alice_pays_bob(bank)


def count_then_pay_alice(bank):
    """Do the same, the other way round."""
    bank.payments += 1
    bob_pays_alice(bank)


class Door(Struct):
    """Who wants to go through, and how many did."""

    a_wants = marked(False)
    b_wants = marked(False)
    through = marked(0)


def a_goes(door):
    """Go through, unless b wants to as well: then leave it to b."""
    door.a_wants = True
    if not door.b_wants:
        door.through += 1
    door.a_wants = False


def b_goes(door):
    """Go through, unless a wants to as well: then leave it to a."""
    door.b_wants = True
    if not door.a_wants:
        door.through += 1
    door.b_wants = False


class Tally(Struct):
    """A field for each task, and one for all."""

    a = marked(0)
    b = marked(0)
    c = marked(0)
    total = marked(0)


def tallying(name: str) -> Callable[[Tally], None]:
    """Make the task that works on the field `name`, and adds to the total once."""

    def work(tally: Tally) -> None:
        setattr(tally, name, 1)
        setattr(tally, name, 2)
        fetch_add(tally, "total", 1)

    return work


class Queue(Struct):
    """What stands in line at one lock."""

    lock = SpinLock()
    served = marked(0)


def one_step(queue):
    """Store once."""
    queue.served = 1


def two_steps(queue):
    """Load and store."""
    queue.served += 1


def three_steps(queue):
    """Load twice, and store."""
    queue.served = queue.served + queue.served


def stand_in_line(queue):
    """Store under the lock."""
    queue.lock.lock()
    queue.served = 1
    queue.lock.unlock()


def announce_and_stand_in_line(queue):
    """Say that you are here; then store under the lock."""
    queue.served = 0
    stand_in_line(queue)


def insist(queue):
    """Crash where somebody has been served before."""
    BUG_ON(queue.served > 1)
    queue.served = 2


DEADLY = {"a": alice_pays_bob, "b": bob_pays_alice}
PAYING = {"a": count_then_pay_bob, "b": count_then_pay_alice}
ALL_COUNTED = Condition("payments == 2", lambda bank: bank.payments == 2)
SOMEBODY = Condition("through >= 1", lambda door: door.through >= 1)
TOTAL = Condition("total == 3", lambda tally: tally.total == 3)

TRANSFER = Scenario("transfer", Accounts, DEADLY, lockdep=False)
PAYMENTS = Scenario("payments", Accounts, PAYING, [ALL_COUNTED], lockdep=False)
POLITE = Scenario("polite", Door, {"a": a_goes, "b": b_goes}, [SOMEBODY])
TALLY = Scenario("tally", Tally, {name: tallying(name) for name in "abc"}, [TOTAL])
SUMS = Scenario("sums", Queue, dict.fromkeys("ab", three_steps))
UNEVEN = Scenario("uneven", Queue, {"a": one_step, "b": two_steps, "c": one_step})
LOCKED = Scenario("locked", Queue, dict.fromkeys("ab", stand_in_line))
LINE = Scenario("line", Queue, dict.fromkeys("abc", announce_and_stand_in_line))
CRASH = Scenario("crash", Queue, {"a": insist, "b": insist, "c": one_step})
NEVER = Condition("served == 2", lambda queue: queue.served == 2)
DOOMED = Scenario("doomed", Queue, {"a": two_steps}, [NEVER])
