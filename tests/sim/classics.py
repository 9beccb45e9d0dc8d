"""The classic seven: the mistakes that everybody makes once, each as small as it can be."""

from pfncache_lab.explore import Condition, Scenario
from pfncache_lab.sim import (
    TASK_UNINTERRUPTIBLE,
    RcuWait,
    RwLock,
    SpinLock,
    Struct,
    finish_rcuwait,
    marked,
    prepare_to_rcuwait,
    rcuwait_wake_up,
    schedule,
    set_current_state,
    shared,
)
from tests.programs import add_one, counting

# -- lost update: load, add and store are not one thing --------------------------------------------


LOST_UPDATE = counting("ab")


class PlainCounter(Struct):
    counter_lock = SpinLock()
    counter = shared(0, guarded_by="counter_lock")


def add_one_locked(shared):
    with shared.counter_lock:
        shared.counter += 1


FORGOTTEN_LOCK = Scenario(
    "lost update, plain field", PlainCounter, {"a": add_one_locked, "b": add_one}
)

# -- AB-BA: two locks, two orders ------------------------------------------------------------------


class Accounts(Struct):
    alice = SpinLock()
    bob = SpinLock()


def alice_pays_bob(accounts):
    accounts.alice.lock()
    accounts.bob.lock()
    accounts.bob.unlock()
    accounts.alice.unlock()


def bob_pays_alice(accounts):
    accounts.bob.lock()
    accounts.alice.lock()
    accounts.alice.unlock()
    accounts.bob.unlock()


AB_BA = Scenario("AB-BA", Accounts, {"a": alice_pays_bob, "b": bob_pays_alice})

# -- check-then-act: what was true when it was checked need not be when it is used -----------------


class Ticket(Struct):
    desk = SpinLock()
    left = shared(1, guarded_by="desk")
    sold = shared(0, guarded_by="desk")


def tickets_left(ticket):
    with ticket.desk:
        return ticket.left


def buy(ticket):
    if tickets_left(ticket) > 0:
        with ticket.desk:
            ticket.left -= 1
            ticket.sold += 1


CHECK_THEN_ACT = Scenario(
    "check-then-act",
    Ticket,
    {"a": buy, "b": buy},
    [Condition("sold <= 1", lambda ticket: ticket.sold <= 1)],
)

# -- missing wake-up: the look comes before the announcement ---------------------------------------


class Mailbox(Struct):
    full = marked(False)
    wait = RcuWait()


def receive(box):
    prepare_to_rcuwait(box.wait)
    if not box.full:
        set_current_state(TASK_UNINTERRUPTIBLE)
        schedule()
    finish_rcuwait(box.wait)


def send(box):
    box.full = True
    rcuwait_wake_up(box.wait)


MISSING_WAKE_UP = Scenario("missing wake-up", Mailbox, {"a": receive, "b": send})

# -- double unlock: an error path that has unlocked already ----------------------------------------


class Device(Struct):
    device_lock = SpinLock()
    ready = shared(False, guarded_by="device_lock")


def probe(device):
    device.device_lock.lock()
    result = 0
    if not device.ready:
        device.device_lock.unlock()
        result = -1
    device.device_lock.unlock()
    return result


DOUBLE_UNLOCK = Scenario("double unlock", Device, {"a": probe})

# -- reader that writes: a lock held for reading lets others read ----------------------------------


class Cache(Struct):
    cache_lock = RwLock()
    hits = shared(0, guarded_by="cache_lock")


def look_up(cache):
    with cache.cache_lock.read():
        cache.hits += 1


READER_THAT_WRITES = Scenario("reader that writes", Cache, {"a": look_up, "b": look_up})

# -- publish before initialise: the pointer is there, what it points to is not ready ---------------


class Page(Struct):
    length = shared(0)


class Head(Struct):
    first = marked(None)


def publish(head):
    page = Page("page")
    head.first = page
    page.length = 4096


def use(head):
    if page := head.first:
        return page.length


PUBLISH_BEFORE_INITIALISE = Scenario("publish before initialise", Head, {"a": publish, "b": use})

CLASSICS = {
    "lost_update": (LOST_UPDATE, "ConditionBroken", 1),
    "forgotten_lock": (FORGOTTEN_LOCK, "DataRace", 0),
    "ab_ba": (AB_BA, "LockOrder", 0),
    "check_then_act": (CHECK_THEN_ACT, "ConditionBroken", 1),
    "missing_wake_up": (MISSING_WAKE_UP, "Deadlock", 1),
    "double_unlock": (DOUBLE_UNLOCK, "BadUnlock", 0),
    "reader_that_writes": (READER_THAT_WRITES, "Unguarded", 0),
    "publish_before_initialise": (PUBLISH_BEFORE_INITIALISE, "DataRace", 0),
}
