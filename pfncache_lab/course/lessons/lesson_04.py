"""Lesson 04, A lock from one instruction: a word that is looked at and set in one step."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Callable, Collection
from typing import Any

from ...explore import BadSchedule, Result, Run, explore, replay
from ...sim import (
    BUG_ON,
    Bug,
    Struct,
    cmpxchg,
    cpu_relax,
    marked,
    smp_store_release,
    test_and_set_bit,
    xchg,
)
from ..asking import short
from ..authoring import breaks, edited, first_break
from ..exercise import (
    Built,
    Case,
    Correct,
    Exercise,
    Incorrect,
    Lesson,
    Mutant,
    Prediction,
    Program,
)
from .counting import DATA_RACE, LOCKED, PATIENT, TWICE, add_one, add_two, counting
from .lesson_00 import FLAG

# -- 04.1: the lock. Readers see these answers, so they use what the set-up cell imports. ----------


class SpinLock(Struct):
    """A lock in one word of memory: 0 is free, 1 is taken."""

    locked = marked(0)

    def lock(self):
        """Wait until nobody holds it, and take it."""
        while cmpxchg(self, "locked", 0, 1) != 0:
            cpu_relax()

    def unlock(self):
        """Give it back. It is a bug if nobody holds it."""
        BUG_ON(cmpxchg(self, "locked", 1, 0) != 1)


SPIN_LOCK_STUB = '''\
class SpinLock(Struct):
    """A lock in one word of memory: 0 is free, 1 is taken."""

    locked = marked(0)

    def lock(self):
        """Wait until nobody holds it, and take it."""
        ____

    def unlock(self):
        """Give it back. It is a bug if nobody holds it."""
        ____
'''


TRY = 'cmpxchg(self, "locked", 0, 1)'
GIVE = 'BUG_ON(cmpxchg(self, "locked", 1, 0) != 1)'


def _wrong(happens: str, *changes: tuple[str, str]) -> Mutant:
    return Mutant(edited(SpinLock, *changes), f"This is what happens when {happens}")


class ByExchange(Struct):
    """Another instruction, another loop, and a look before each attempt."""

    locked = marked(0)

    def lock(self):
        """Try for ever."""
        while True:
            if not self.locked and not xchg(self, "locked", 1):
                return
            cpu_relax()

    def unlock(self):
        """Exchange, and see what was there."""
        if xchg(self, "locked", 0) == 0:
            BUG_ON(True, "nobody holds it")


class ByBit(Struct):
    """A bit, and a store that publishes."""

    locked = marked(0)

    def lock(self):
        """Set the bit; whoever finds it clear has it."""
        while test_and_set_bit(0, self, "locked"):
            cpu_relax()

    def unlock(self):
        """Look first: only the holder may be here, so nobody comes in between."""
        BUG_ON(not self.locked)
        smp_store_release(self, "locked", 0)


def _observed(*calls: str) -> Callable[[Built], str]:
    """Call these methods of a new lock, and say at which of them it complains."""

    def observe(my: Built) -> str:
        lock = my.SpinLock()
        for number, name in enumerate(calls, 1):
            try:
                getattr(lock, name)()
            except Bug:
                return f"BUG in call {number}"
        return "no complaint"

    return observe


# -- 04.2: break two locks -------------------------------------------------------------------------


def _patient_kept(run: Run) -> str:
    if len(set(run.schedule[:4])) == 1:
        return (
            "steal: the first task does all its work alone. Nobody has to wait, so nobody is ever "
            "on the path behind the `if`. Let somebody find the word taken."
        )
    return (
        "steal: every increment is counted. Whoever has waited sees 0 and then stores 1: two "
        "steps. Who could come in by the front door in between?"
    )


def _twice_kept(run: Run) -> str:
    return (
        "gift: nobody meets anybody at the counter. The second store of a does harm while somebody "
        "else is inside, and a third task comes for the word then."
    )


break_patient = breaks(PATIENT, _patient_kept, "ConditionBroken")
break_twice = breaks(TWICE, _twice_kept, "DataRace")


def check_both(my: Any) -> Correct:
    """Judge both schedules."""
    first, second = _said("steal", break_patient, my.steal), _said("gift", break_twice, my.gift)
    return Correct(f"steal: {first.shows}\ngift: {second.shows}", second.shown)


def _said(name: str, check: Callable[[Any], Correct], answer: Any) -> Correct:
    try:
        return check(answer)
    except Incorrect as wrong:
        text = str(wrong)
        raise Incorrect(text if text.startswith(name) else f"{name}: {text}", wrong.shown) from None


# -- 04.3: every schedule of a lock ----------------------------------------------------------------


def check_every_one(answer: Any) -> Correct:
    """Judge a list of schedules: each must be one, none twice, none missing."""
    if isinstance(answer, str) or not isinstance(answer, Collection):
        raise Incorrect(f"`every_one` should be a list of schedules; it is {short(answer)}.")
    for item in answer:
        if not isinstance(item, str):
            raise Incorrect(f"A schedule is a string; your list holds {short(item)}.")
    if not answer:
        raise Incorrect("The list is empty. Which of the two may come first?")
    runs = [_replayed(item) for item in answer]
    seen = Counts(one.schedule for one in runs)
    if again := [schedule for schedule, number in seen.items() if number > 1]:
        raise Incorrect(f"{again[0]!r} stands in your list more than once.")
    truth = explore(LOCKED)
    if len(seen) < len(truth.runs):
        raise Incorrect(f"These are {len(seen)} schedules, all of them right. {_missing(seen)}")
    return Correct(
        f"All {len(truth.runs)} schedules, and there are no others: the machine tried.",
        Result(LOCKED, tuple(replay(LOCKED, schedule) for schedule in sorted(seen)), True),
    )


def _missing(seen: Collection[str]) -> str:
    if not any(schedule.startswith("a") for schedule in seen):
        return "May a come first?"
    if not any(schedule.startswith("b") for schedule in seen):
        return "May b come first?"
    return "What if the second task arrives while the first is inside?"


def _replayed(schedule: str) -> Run:
    try:
        found = replay(LOCKED, schedule)
    except BadSchedule as problem:
        raise Incorrect(f"{schedule!r}: {problem}") from None
    if not found.finished:
        raise Incorrect(
            f"{schedule!r} stops before both tasks are done. Whoever finds the word taken has "
            "three more steps than it seems: see step 4 and 5 of the picture above.",
            found,
        )
    return found


def all_of_locked() -> list[str]:
    """Let the machine find them."""
    return [found.schedule for found in explore(LOCKED).runs]


# -- predictions -----------------------------------------------------------------------------------


def when_it_stops() -> str:
    """Run the plain counter without a lock."""
    [only] = explore(DATA_RACE).runs
    steps = len(only.schedule)
    return f"after step {steps}" if steps else "before the first step"


def how_many() -> str:
    """Count the schedules of two tasks and one lock."""
    return str(len(explore(LOCKED).runs))


LESSON = Lesson(
    number=4,
    title="A lock from one instruction",
    scenarios=[FLAG, DATA_RACE, LOCKED, PATIENT, TWICE],
    predictions=[
        Prediction(
            "plain",
            when_it_stops,
            "Nothing orders the two accesses, so no schedule can be good. There is nothing to try.",
        ),
        Prediction(
            "how many",
            how_many,
            "Either task may come first, and the other arrives too early or in time: 2 · 2.",
        ),
    ],
    exercises=[
        Exercise(
            id="04.1",
            title="A spinlock",
            minutes=12,
            dots=2,
            spec=(
                "Write both methods. (1) `lock()` tries to turn 0 into 1, in one instruction, "
                "until it is the one who did. (2) Between two attempts it calls `cpu_relax()`. "
                "(3) `unlock()` turns 1 back into 0, and passes on what was done inside. "
                "(4) `unlock()` of a lock that nobody holds is a `BUG_ON`."
            ),
            answer="SpinLock",
            stub=SPIN_LOCK_STUB,
            reference=lambda: SpinLock,
            cases=[
                Case("lock(), unlock()", _observed("lock", "unlock"), "no complaint"),
                Case(
                    "unlock() of a new lock",
                    _observed("unlock"),
                    "BUG in call 1",
                    "nobody holds it",
                ),
                Case(
                    "lock(), unlock(), unlock()",
                    _observed("lock", "unlock", "unlock"),
                    "BUG in call 3",
                    "it has been given back already",
                ),
            ],
            programs=[
                Program(counting("two tasks", "ab", add_one, 2), runs=6),
                Program(counting("three tasks", "abc", add_one, 3), runs=120, bound=2),
                Program(counting("two tasks that come twice", "ab", add_two, 4), runs=118),
            ],
            mutants={
                "look, then set": _wrong(
                    "looking at the word and setting it are two steps.",
                    (f"while {TRY} != 0:", "while self.locked:"),
                    ("cpu_relax()\n", "cpu_relax()\n        self.locked = 1\n"),
                ),
                "the answer ignored": _wrong(
                    "nobody looks at what `cmpxchg` returns.",
                    (f"while {TRY} != 0:", TRY),
                    ("            cpu_relax()\n", ""),
                ),
                "one attempt": _wrong(
                    "`lock()` waits once, and then goes on in any case.",
                    ("while cmpxchg", "if cmpxchg"),
                ),
                "the wrong way round": _wrong(
                    "the loop goes on after success: `cmpxchg` returns what was there before, so 0 "
                    "means that you have it.",
                    ("!= 0:", "== 0:"),
                ),
                "no cpu_relax": _wrong(
                    "a loop that waits for another task does not say so.", ("cpu_relax()", "pass")
                ),
                "waits, then stores": _wrong(
                    "a task that has waited takes the word with a store.",
                    (f"while {TRY} != 0:", f"if {TRY}:\n            while self.locked:"),
                    (
                        "            cpu_relax()\n",
                        "                cpu_relax()\n            self.locked = 1\n",
                    ),
                ),
                "a plain store": _wrong(
                    "the word is cleared by an ordinary store: it frees the lock, and passes "
                    "nothing on.",
                    (GIVE, "BUG_ON(self.locked == 0)\n        self.locked = 0"),
                ),
                "no check": _wrong(
                    "`unlock()` stores without looking.",
                    (GIVE, 'smp_store_release(self, "locked", 0)'),
                ),
                "never given back": _wrong(
                    "`unlock()` looks, and leaves the word as it is.",
                    (GIVE, "BUG_ON(self.locked != 1)"),
                ),
                "old and new swapped": _wrong(
                    "`unlock()` asks for 0 and stores 1: first the value that you expect, then "
                    "the new one.",
                    ('"locked", 1, 0) != 1', '"locked", 0, 1) != 1'),
                ),
            },
            alternatives=[ByExchange, ByBit, edited(SpinLock, (TRY, 'xchg(self, "locked", 1)'))],
            hints=(
                'What does `cmpxchg(self, "locked", 0, 1)` return if the word was free?',
                "Go round as long as it returns something other than 0. In `unlock()`, the same "
                "instruction in the other direction looks and stores at once.",
                "lock: while cmpxchg of locked from 0 to 1 returns anything but 0, call cpu_relax. "
                "unlock: BUG_ON that cmpxchg of locked from 1 to 0 returns anything but 1.",
            ),
            kernel="[`arch_spin_lock()`](https://github.com/torvalds/linux/blob/v5.17/include/"
            "asm-generic/qspinlock.h).",
            out_of_scope="Not asked for: who waits longest need not be next, and the word does not "
            "say who holds it.",
        ),
        Exercise(
            id="04.2",
            title="Two locks that fail",
            minutes=15,
            dots=3,
            spec=(
                "For each, write down a schedule that breaks it. `steal` shall lose an increment "
                "of `patient`; `gift` shall lead `twice` into a data race."
            ),
            answer=("steal", "gift"),
            stub='steal = "____"\ngift = "____"',
            check=check_both,
            reference=lambda: {"steal": first_break(PATIENT)(), "gift": "aabac"},
            hints=(
                "In both, three tasks matter: one that has held the word, and two that want it.",
                "patient: let b wait, let a give the word back, and let b see the 0. Then do not "
                "let b go on. twice: when does a store by a free the lock of somebody else?",
                "patient: when b has seen the 0, c takes the word by cmpxchg, b stores 1, and both "
                "load the counter. twice: a gives it back, b takes it, a gives it back again, and "
                "c takes it.",
            ),
            mutants={
                "one after the other": Mutant({"steal": "aaaabbbbcccc"}, "steal: the first task"),
                "nobody comes in between": Mutant(
                    {"steal": "abaaabbbbbcccc"}, "come in by the front door in between?"
                ),
                "stops half-way": Mutant({"steal": "aab"}, "steal: 'aab' stops before"),
                "harmless gift": Mutant({"gift": "aaabbcc"}, "gift: nobody meets anybody"),
                "nobody waits": Mutant({"gift": "aabacbbcc"}, "gift: "),
                "a stranger": Mutant({"gift": "aad"}, "gift: There is no task 'd' here"),
                "a list": Mutant({"gift": ["a", "a"]}, "gift: A schedule is a string"),
            },
            alternatives=[{"gift": first_break(TWICE)()}],
        ),
        Exercise(
            id="04.3",
            title="Every schedule of a lock",
            minutes=8,
            dots=2,
            spec=(
                "Two tasks run the program above, once each. Write down *all* its schedules, as a "
                "list of strings. A failed attempt costs a step, `cpu_relax()` costs one once the "
                "word has changed, and then comes another attempt."
            ),
            answer="every_one",
            stub="every_one = ...",
            check=check_every_one,
            reference=all_of_locked,
            hints=(
                "Who comes first? And where is the first one when the second arrives?",
                "If b arrives while a is inside, b fails, a gives the word back, and b needs three "
                "more steps after that and one to give it back.",
                "First a, then b, with two steps each. Or a, b fails, a gives it back, b relaxes, "
                "takes it and gives it back. And both again, with the names exchanged.",
            ),
            mutants={
                "one after the other": Mutant(["aabb", "bbaa"], "arrives while the first"),
                "a first": Mutant(["aabb", "ababbb"], "May b come first?"),
                "b first": Mutant(["bbaa", "babaaa"], "May a come first?"),
                "as without a lock": Mutant(
                    ["aabb", "abab", "abba", "baab", "baba", "bbaa"], "'abab' stops before both"
                ),
                "runs while it waits": Mutant(["abb"], "'abb': "),
                "twice the same": Mutant(["aabb", "v1:a2.b2"], "more than once"),
                "a number": Mutant(4, "should be a list of schedules; it is 4"),
                "one string": Mutant("aabb", "should be a list of schedules"),
                "nothing": Mutant([], "The list is empty"),
                "numbers": Mutant([1, 2], "A schedule is a string"),
            },
            alternatives=[
                ("babaaa", "bbaa", "aabb", "ababbb"),
                {"v1:a2.b2", "ababbb", "bbaa", "babaaa"},
            ],
        ),
    ],
)
