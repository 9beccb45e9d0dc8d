"""answers_06.py: explorers that find every schedule, and others that people write."""

from __future__ import annotations

from ...explore import attempt, follow
from ..authoring import edited
from ..exercise import Mutant

# -- what the reader writes ------------------------------------------------------------------------


def explore(program):
    """Return all runs of the program, one for each schedule."""
    found = []
    todo = [""]  # prefixes that are still to be run
    while todo:
        prefix = todo.pop()
        one = follow(program, prefix)
        found.append(one)
        for i in range(len(prefix), len(one.schedule)):
            for other in one.choices[i]:
                if other != one.schedule[i]:
                    todo.append(one.schedule[:i] + other)
    return found


def bounded(program, bound):
    """Return all runs with at most `bound` preemptions, and make no other run."""
    found = []
    todo = [("", 0)]  # prefixes, each with its preemptions
    while todo:
        prefix, used = todo.pop()
        one = follow(program, prefix)
        found.append(one)
        for i in range(len(prefix), len(one.schedule)):
            could_go_on = i > 0 and one.schedule[i - 1] in one.choices[i]
            price = used + could_go_on
            for other in one.choices[i]:
                if other != one.schedule[i] and price <= bound:
                    todo.append((one.schedule[:i] + other, price))
    return found


def shrink(program, failing):
    """Return a prefix that fails as `failing` does, and from which no letter can be left out."""
    prefix = failing.schedule
    i = 0
    while i < len(prefix):
        shorter = prefix[:i] + prefix[i + 1 :]
        one = attempt(program, shorter)
        if one and type(one.bug) is type(failing.bug):
            prefix, i = shorter, 0
        else:
            i += 1
    return prefix


# -- mistakes, and other ways ----------------------------------------------------------------------


def one_list_of_letters(program):
    """Take one list of letters for all that turn off at a step."""
    found, todo = [], [""]
    while todo:
        prefix = todo.pop()
        one = follow(program, prefix)
        found.append(one)
        for i in range(len(prefix), len(one.schedule)):
            letters = list(one.schedule[:i])
            for other in one.choices[i]:
                if other != one.schedule[i]:
                    letters.append(other)
                    todo.append("".join(letters))
    return found


def breadth_first(program):
    """Take the oldest prefix first, and yield what it finds."""
    from collections import deque

    todo = deque([""])
    while todo:
        prefix = todo.popleft()
        one = follow(program, prefix)
        yield one
        steps = list(enumerate(zip(one.schedule, one.choices, strict=False)))
        for i, (taken, choice) in steps[len(prefix) :]:
            todo.extend(one.schedule[:i] + other for other in choice if other != taken)


def by_itself(program, prefix=""):
    """Call itself for each prefix."""
    one = follow(program, prefix)
    found = [one]
    for i in range(len(prefix), len(one.schedule)):
        for other in set(one.choices[i]) - {one.schedule[i]}:
            found += by_itself(program, one.schedule[:i] + other)
    return found


def last_choice_first(program):
    """Keep one path, and change its last choice that has an option left."""
    found = []
    path: list[list[str]] = []  # for each step who runs, and who is still to be tried
    while True:
        one = follow(program, "".join(options[0] for options in path))
        found.append(one)
        for taken, choice in list(zip(one.schedule, one.choices, strict=False))[len(path) :]:
            path.append([taken, *(other for other in choice if other != taken)])
        while path and len(path[-1]) == 1:
            path.pop()
        if not path:
            return found
        path[-1].pop(0)


def counting_each_prefix(program, bound):
    """Count the preemptions of a prefix from its start, each time."""

    def preemptions(schedule, choices):
        count = 0
        for i in range(1, len(schedule)):
            before = schedule[i - 1]
            count += schedule[i] != before and before in choices[i]
        return count

    found, todo = [], [""]
    while todo:
        prefix = todo.pop()
        one = follow(program, prefix)
        found.append(one)
        for i in range(len(prefix), len(one.schedule)):
            for other in one.choices[i].replace(one.schedule[i], ""):
                if preemptions(one.schedule[:i] + other, one.choices) <= bound:
                    todo.append(one.schedule[:i] + other)
    return found


def one_bound_after_the_other(program, bound, prefix=""):
    """Spend one preemption, and leave the rest to a call of itself."""
    one = follow(program, prefix)
    found = [one]
    for i in range(len(prefix), len(one.schedule)):
        left = bound
        if i and one.schedule[i - 1] in one.choices[i]:
            left -= 1
        if left >= 0:
            for other in one.choices[i]:
                if other != one.schedule[i]:
                    found += one_bound_after_the_other(program, left, one.schedule[:i] + other)
    return found


def without_running(program, failing):
    """Keep the first half, and believe that it will do."""
    return failing.schedule[: len(failing.schedule) // 2]


def only_the_tail(program, failing):
    """Leave out letters at the end, and nowhere else."""
    prefix = failing.schedule
    while prefix:
        one = attempt(program, prefix[:-1])
        if not one or type(one.bug) is not type(failing.bug):
            break
        prefix = prefix[:-1]
    return prefix


def from_the_end(program, failing):
    """Try to leave out the last letters first, until a whole round finds nothing."""
    kind = type(failing.bug)
    prefix, before = failing.schedule, None
    while prefix != before:
        before = prefix
        for i in reversed(range(len(prefix))):
            shorter = prefix[:i] + prefix[i + 1 :]
            one = attempt(program, shorter)
            if one is not None and isinstance(one.bug, kind):
                prefix = shorter
    return prefix


def shortest(program, failing):
    """Try all prefixes, the shorter ones first."""
    from itertools import product

    for length in range(len(failing.schedule) + 1):
        for letters in product(sorted(set(failing.schedule)), repeat=length):
            one = attempt(program, "".join(letters))
            if one and type(one.bug) is type(failing.bug):
                return one.prefix


FIRST_FAILURE = ("found.append(one)", "found.append(one)\n        if one.bug:\n            break")
KEEP = "found.append(one)"

EXPLORE_MUTANTS = {
    "forgets the last choice": Mutant(
        edited(explore, ("len(one.schedule))", "len(one.schedule) - 1)")),
        "explore(crash) made",
    ),
    "starts over at the first choice": Mutant(
        edited(explore, ("range(len(prefix), ", "range(")),
        "A run brings up only choices that lie beyond its own prefix",
    ),
    "takes the same way again": Mutant(
        edited(explore, ("if other != one.schedule[i]:", "if other:")),
        "and only those that it did not take",
    ),
    "cuts one step too late": Mutant(
        edited(explore, ("one.schedule[:i]", "one.schedule[: i + 1]")),
        "more than once, for the prefixes '' and 'aab'",
    ),
    "turns off to somebody who cannot run": Mutant(
        edited(explore, ("in one.choices[i]", "in program.tasks")),
        "but a has finished",
    ),
    "stops at the first failure": Mutant(
        edited(explore, FIRST_FAILURE), "One failure is not all of them"
    ),
    "leaves failures alone": Mutant(
        edited(explore, (KEEP, KEEP + "\n        if one.bug:\n            continue")),
        "That run went wrong.",
    ),
    "one other, not all": Mutant(
        edited(
            explore,
            ("schedule[:i] + other)", "schedule[:i] + other)\n                    break"),
        ),
        "explore(uneven) made",
    ),
    "one list of letters for all": Mutant(one_list_of_letters, "each time for the prefix 'bac'"),
    "remembers": Mutant(
        edited(
            explore,
            (
                "(program)",
                "(program, found=[])",
            ),
            ("found = []\n    ", ""),
        ),
        "What an earlier call has found",
    ),
    "returns prefixes": Mutant(
        edited(explore, (KEEP, "found.append(prefix)")), "Keep what `follow` returns."
    ),
    "never takes a prefix off": Mutant(
        edited(explore, ("todo.pop()", "todo[0]")), "must not come again"
    ),
    "no return": Mutant(edited(explore, ("return found", "pass")), "returned None"),
}

BOUNDED_MUTANTS = {
    "charges every switch": Mutant(
        edited(bounded, ("i > 0 and one.schedule[i - 1] in one.choices[i]", "i > 0")),
        "bounded(line, 0) made 3 of 6 runs.",
    ),
    "charges the first step": Mutant(
        edited(bounded, ("i > 0 and ", "")), "bounded(polite, 1) made 6 of 10 runs."
    ),
    "charges only what is forced": Mutant(
        edited(bounded, ("] in one.choices[i]\n", "] not in one.choices[i]\n")),
        "bounded(polite, 1) ran aabababa, which has 5 preemptions.",
    ),
    "off by one": Mutant(
        edited(bounded, ("price <= bound", "price < bound")), "bounded(polite, 1) made 2 of 10 runs"
    ),
    "one too many": Mutant(
        edited(bounded, ("price <= bound", "used <= bound")), "which has 2 preemptions."
    ),
    "filters afterwards": Mutant(
        edited(
            bounded,
            (KEEP, "if used <= bound:\n            found.append(one)"),
            (" and price <= bound", ""),
        ),
        "know the number before you run a prefix",
    ),
    "forgets what was spent": Mutant(
        edited(bounded, ("price = used + could", "price = could")), "bounded(polite, 1) ran"
    ),
    "spends for its neighbors": Mutant(
        edited(bounded, ("price = used", "price = used = used")), "bounded(polite, 1) made"
    ),
    "no bound at 0": Mutant(
        edited(bounded, ("and price <= bound", "and (not bound or price <= bound)")),
        "bounded(line, 0) ran",
    ),
    "stops at the first failure": Mutant(
        edited(bounded, FIRST_FAILURE), "One failure is not all of them"
    ),
}

SAME = "type(one.bug) is type(failing.bug)"

SHRINK_MUTANTS = {
    "any failure will do": Mutant(
        edited(shrink, (SAME, "one.bug")), "The run was a Deadlock; this one is a ConditionBroken."
    ),
    "never runs it": Mutant(
        without_running, "shrink(payments, the run ababab) returned 'aba'. The run was a Deadlock"
    ),
    "only the tail": Mutant(only_the_tail, "Leave out letter"),
    "one pass": Mutant(
        edited(shrink, ("prefix, i = shorter, 0", "prefix = shorter")), "Leave out letter"
    ),
    "the same words": Mutant(
        edited(shrink, (SAME, "str(one.bug) == str(failing.bug)")), "is a Deadlock as well"
    ),
    "goes on with the whole schedule": Mutant(
        edited(shrink, ("= shorter, 0", "= one.schedule, 0")), "had made 3000 runs"
    ),
    "returns the run": Mutant(
        edited(shrink, ("return prefix", "return follow(program, prefix)")), "A prefix is a string"
    ),
}
