"""Lesson 00, You are the scheduler: two programs that break when somebody else runs in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import combinations
from math import comb
from typing import Any

from ...explore import Condition, Result, Run, Scenario, explore, replay
from ...sim import Struct, cpu_relax, marked
from ..asking import ask_for_list, short
from ..authoring import breaks, first_break
from ..exercise import Correct, Exercise, Incorrect, Lesson, Mutant, Prediction

# -- the programs ----------------------------------------------------------------------------------


class Counted(Struct):
    """What the two tasks of the first program share."""

    counter = marked(0)


class Flagged(Struct):
    """What the two tasks of the second program share."""

    flag = marked(False)
    counter = marked(0)


def increment(shared):
    """Add one."""
    shared.counter += 1


def increment_if_clear(shared):
    """Wait for the flag to be clear, set it, add one, and clear it again."""
    while shared.flag:
        cpu_relax()
    shared.flag = True
    shared.counter += 1
    shared.flag = False


BOTH_COUNT = Condition("counter == 2", lambda shared: shared.counter == 2)

COUNTER = Scenario("counter", Counted, {"a": increment, "b": increment}, [BOTH_COUNT])
FLAG = Scenario("flag", Flagged, dict.fromkeys("ab", increment_if_clear), [BOTH_COUNT])

# -- 00.1 and 00.2: a schedule that breaks the program -----------------------------------------


def _kept(run: Run) -> str:
    """Say why this schedule is harmless, by name where it is one of the usual ones."""
    if len(set(run.schedule[: len(run.schedule) // 2])) == 1:
        return (
            f"With {run.schedule} one task does all its work before the other begins, and nothing "
            "is lost. Switch tasks in between."
        )
    return (
        f"With {run.schedule} the counter ends at 2, and nothing is lost. Look at the two loads of "
        "the counter: what must the second one not see?"
    )


# -- 00.3: every schedule. Readers see these answers, so each brings what it imports. ------------


def schedules(a, b):
    """Return every order of `a` steps of task a and `b` steps of task b, as a list of strings."""
    if a == 0 or b == 0:
        return ["a" * a + "b" * b]
    a_first = ["a" + rest for rest in schedules(a - 1, b)]
    b_first = ["b" + rest for rest in schedules(a, b - 1)]
    return a_first + b_first


SCHEDULES_STUB = '''\
def schedules(a, b):
    """Return every order of `a` steps of task a and `b` steps of task b, as a list of strings."""
    if a == 0 or b == 0:
        return ["a" * a + "b" * b]  # only one task is left: nothing to choose
    a_first = ____  # all schedules that begin with a
    b_first = ____  # all schedules that begin with b
    return a_first + b_first
'''

CASES = ((1, 1), (2, 1), (0, 3), (3, 0), (0, 0), (2, 2), (1, 4), (4, 4), (1, 1))
"""The first comes again at the end: an answer that remembers an earlier call is wrong."""


def check_schedules(function: Any) -> Correct:
    """Judge an enumeration: each case exactly, then its six schedules on the machine."""
    if not callable(function):
        raise Incorrect(f"`schedules` should be a function; it is {short(function)}.")
    answers = {(a, b): _check_case(function, a, b) for a, b in CASES}
    six = sorted(answers[2, 2])
    result = Result(COUNTER, tuple(replay(COUNTER, schedule) for schedule in six), True)
    return Correct(
        f"{len(answers)} cases, up to {comb(8, 4)} schedules for two tasks of four steps. "
        f"I ran your six on the counter: {len(result.failures)} of them lose an increment.",
        result,
    )


def _check_case(function: Callable[..., Any], a: int, b: int) -> list[str]:
    call, right = f"schedules({a}, {b})", set(_orders(a, b))
    got = ask_for_list(function, a, b, most=4 * len(right) + 100)
    for item in got:
        if type(item) is not str:
            raise Incorrect(f"{call} holds {short(item)}, which is no string.")
        if item not in right:
            raise Incorrect(f"{call} holds {short(item)}. {_stranger(item, a, b)}")
    twice = [item for item, n in Counter(got).items() if n > 1]
    if twice:
        raise Incorrect(
            f"{call} holds {twice[0]!r} more than once. Two schedules differ only when some step "
            "is another task's: the two steps of one task cannot change places."
        )
    if missing := sorted(right - set(got)):
        raise Incorrect(
            f"{call} has {len(got)} of {len(right)} schedules. {missing[0]!r}, for one, is missing."
        )
    return got


def _orders(a: int, b: int) -> list[str]:
    """Say the same as `schedules` in another way: choose which of the places belong to a."""
    places = range(a + b)
    chosen = combinations(places, a)
    return ["".join("a" if place in mine else "b" for place in places) for mine in chosen]


def _stranger(item: str, a: int, b: int) -> str:
    if len(item) != a + b:
        return f"It has {_steps(len(item))}, and the two tasks have {a + b} together."
    return f"Task a takes {_steps(a)} and task b {_steps(b)}; here a takes {item.count('a')}."


def _steps(n: int) -> str:
    return "1 step" if n == 1 else f"{n} steps"


def by_choosing_places(a, b):
    """Choose the places of a."""
    from itertools import combinations

    found = []
    for mine in combinations(range(a + b), a):
        found.append("".join("a" if i in mine else "b" for i in range(a + b)))
    return found


def by_filtering(a, b):
    """Try all strings, keep the right ones: a generator."""
    from itertools import product

    for letters in product("ab", repeat=a + b):
        if letters.count("a") == a:
            yield "".join(letters)


def by_permuting(a, b):
    """Permute the letters; a set drops what is the same."""
    from itertools import permutations

    return {"".join(p) for p in permutations("a" * a + "b" * b)}


def only_a_first(a, b):
    """Forget that b may begin."""
    if a == 0 or b == 0:
        return ["a" * a + "b" * b]
    return ["a" + rest for rest in only_a_first(a - 1, b)]


def the_same_twice(a, b):
    """Permute the letters as if the steps of one task could change places."""
    from itertools import permutations

    return ["".join(p) for p in permutations("a" * a + "b" * b)]


def any_letters(a, b):
    """Forget how many steps each task has."""
    from itertools import product

    return ["".join(letters) for letters in product("ab", repeat=a + b)]


def letters_lost(a, b):
    """Forget to put the first letter in front."""
    if a == 0 or b == 0:
        return ["a" * a + "b" * b]
    return letters_lost(a - 1, b) + letters_lost(a, b - 1)


def nothing_left(a, b):
    """Return no schedule where one task is done, instead of the one that there is."""
    if a == 0 or b == 0:
        return []
    return ["a" + rest for rest in nothing_left(a - 1, b)] + [
        "b" + rest for rest in nothing_left(a, b - 1)
    ]


def forgets_when_b_is_done(a, b):
    """Think of the end of a only."""
    if b == 0:
        return []
    if a == 0:
        return ["b" * b]
    b_first = ["b" + rest for rest in forgets_when_b_is_done(a, b - 1) or ["a" * a]]
    return ["a" + rest for rest in forgets_when_b_is_done(a - 1, b)] + b_first


def remembers(a, b, seen=[]):  # noqa: B006
    """Leave out what an earlier call has returned."""
    from itertools import combinations

    every = ["".join("ba"[i in c] for i in range(a + b)) for c in combinations(range(a + b), a)]
    new = [schedule for schedule in every if schedule not in seen]
    seen.extend(new)
    return new


def only_the_number(a, b):
    """Count them instead."""
    from math import comb

    return comb(a + b, a)


def never_smaller(a, b):
    """Ask for the same again."""
    if a == 0 or b == 0:
        return ["a" * a + "b" * b]
    return ["a" + rest for rest in never_smaller(a, b)]


def never_ends(a, b):
    """Wait for a list that does not grow."""
    found = ["ab"]
    while len(found) < a + b:
        found = ["ab"]
    return found


def crashes(a, b):
    """Add a letter to a list."""
    if a == 0 or b == 0:
        return ["a" * a + "b" * b]
    return "a" + crashes(a - 1, b)


# -- predictions -----------------------------------------------------------------------------------


def final_counters() -> str:
    """Run all schedules of the counter, and list the values it can end with."""
    traces = [replay(COUNTER, run.schedule).trace for run in explore(COUNTER).runs]
    ends = {trace.end["counter"] for trace in traces if trace}
    return " or ".join(map(str, sorted(ends)))


def does_the_flag_help() -> str:
    """Run all schedules of the flag."""
    return "no, some schedule breaks it" if explore(FLAG).failures else "yes, in every schedule"


def how_many() -> str:
    """Count the schedules of the counter."""
    return str(len(explore(COUNTER).runs))


LESSON = Lesson(
    number=0,
    title="You are the scheduler",
    scenarios=[COUNTER, FLAG],
    predictions=[
        Prediction(
            "counter",
            final_counters,
            "0 cannot be: whoever stores last stores at least 1.",
        ),
        Prediction(
            "flag",
            does_the_flag_help,
            "The flag is a shared field like any other, and looking at it is a step of its own.",
        ),
        Prediction(
            "how many",
            how_many,
            "Choose which two of the four places are a's: 4 · 3 / 2 = 6.",
        ),
    ],
    exercises=[
        Exercise(
            id="00.1",
            title="Break counter += 1",
            minutes=5,
            dots=1,
            spec=(
                "(One dot of five: this one is easy.) Write down the schedule with which you won, "
                'one letter per step. Then run both cells. Stuck? Run `lab.hint("00.1")` in place '
                'of the check; there are three hints, and then `lab.solution("00.1")`.'
            ),
            answer="lost_update",
            stub='lost_update = "____"',
            check=breaks(COUNTER, _kept),
            reference=first_break(COUNTER),
            hints=(
                "Look at the column of the shared state. Which value does each task load?",
                "An increment is lost when both tasks load the same value. When must b load?",
                "Let a load. Then, before a stores, let b load. The order of the stores is yours.",
            ),
            mutants={
                "one after the other": Mutant("aabb", "all its work before the other begins"),
                "b first": Mutant("bbaa", "all its work before the other begins"),
                "stops half-way": Mutant("aba", "stops before the program does"),
                "a third task": Mutant("abac", "There is no task 'c' here"),
                "too many steps": Mutant("aaab", "asks for a, but a has finished"),
                "after the end": Mutant("aabbb", "The run is over after 'aabb'"),
                "capitals": Mutant("ABAB", "'A' has no place in a schedule"),
                "a list": Mutant(["a", "b", "a", "b"], "A schedule is a string"),
            },
            alternatives=["abab", "abba", "baab", "baba", "v1:a.b2.a"],
        ),
        Exercise(
            id="00.2",
            title="Break the flag",
            minutes=8,
            dots=2,
            spec="Write down a schedule that loses an increment in spite of the flag.",
            answer="no_lock",
            stub='no_lock = "____"',
            check=breaks(FLAG, _kept),
            reference=first_break(FLAG),
            hints=(
                "Each task first loads the flag, then stores to it. Those are two steps.",
                "Both tasks get past the `while` when both load False. Then think of 00.1.",
                "Let a load the flag, then let b load it: both saw False, both go on. From there "
                "lose an update as before, and let each of them run to its end.",
            ),
            mutants={
                "one after the other": Mutant("aaaaabbbbb", "all its work before the other"),
                "both inside, nothing lost": Mutant("abaaaabbbb", "must the second one not see"),
                "the answer to 00.1": Mutant("abab", "stops before the program does"),
                "a spinning task": Mutant("aabbb", "it spins until flag changes"),
                "no letters": Mutant("", "stops before the program does"),
            },
            alternatives=["ababababab", "baaabbbbaa"],
        ),
        Exercise(
            id="00.3",
            title="Find every schedule",
            minutes=10,
            dots=3,
            spec=(
                "Write a function that returns all of them. The first step is a's or b's; what "
                "comes after it is a smaller question of the same kind. Fill in the two blanks, or "
                "write it in your own way."
            ),
            answer="schedules",
            stub=SCHEDULES_STUB,
            check=check_schedules,
            reference=lambda: schedules,
            hints=(
                "The first step is a's or b's. What is left to order after a's first step?",
                "After a's first step there are a - 1 and b steps left. You have a function for "
                "that: the one you are writing.",
                "a_first: the letter a in front of each schedule of (a - 1, b). "
                "b_first: the letter b in front of each schedule of (a, b - 1).",
            ),
            mutants={
                "only a first": Mutant(only_a_first, "has 1 of 2 schedules. 'ba'"),
                "the same twice": Mutant(the_same_twice, "more than once"),
                "any letters": Mutant(any_letters, "Task a takes 1 step and task b 1 step; here a"),
                "letters lost": Mutant(letters_lost, "It has 1 step, and the two tasks have 2"),
                "b has no steps": Mutant(forgets_when_b_is_done, "schedules(3, 0) has 0 of 1"),
                "remembers": Mutant(remembers, "schedules(1, 1) has 0 of 2"),
                "nothing left": Mutant(nothing_left, "has 0 of 2 schedules"),
                "only the number": Mutant(only_the_number, "returned 2, which is no list"),
                "never smaller": Mutant(never_smaller, "called itself until Python gave up"),
                "never ends": Mutant(never_ends, "did not come back, so I stopped it"),
                "crashes": Mutant(crashes, "raised TypeError"),
            },
            alternatives=[by_choosing_places, by_filtering, by_permuting],
        ),
    ],
)
