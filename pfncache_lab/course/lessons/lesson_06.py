"""Lesson 06, Every schedule: write the explorer, bound it, and shrink what it finds."""

from __future__ import annotations

from typing import Any

from ...explore import every_schedule, follow, replay, searched
from ...sim import watched
from ..exercise import Correct, Exercise, Lesson, Prediction
from ..exploring import runs_made, shrunk
from .answers_06 import (
    BOUNDED_MUTANTS,
    EXPLORE_MUTANTS,
    SHRINK_MUTANTS,
    bounded,
    breadth_first,
    by_itself,
    counting_each_prefix,
    explore,
    from_the_end,
    last_choice_first,
    one_bound_after_the_other,
    shortest,
    shrink,
)
from .lesson_00 import COUNTER
from .programs_06 import (
    CRASH,
    DOOMED,
    LINE,
    LOCKED,
    PAYMENTS,
    POLITE,
    SUMS,
    TALLY,
    TRANSFER,
    UNEVEN,
)

# -- how it is judged ------------------------------------------------------------------------------

EXPLORED = (COUNTER, SUMS, LOCKED, UNEVEN, CRASH, TRANSFER, POLITE, COUNTER)
"""The first comes again at the end: an answer that remembers an earlier call is wrong."""

BOUNDED = ((POLITE, 1), (LINE, 0), (POLITE, 0), (LINE, 1), (POLITE, 2), (TRANSFER, 1), (SUMS, 3))

FAILING = (
    (COUNTER, "abab"),
    (PAYMENTS, "ababab"),
    (PAYMENTS, "abbabbbabaaa"),
    (POLITE, "ababba"),
    (TRANSFER, "ba"),
    (DOOMED, "aa"),
)


def check_explore(function: Any) -> Correct:
    """Judge an explorer by the runs that it makes: every schedule, and none twice."""
    counts: dict[str, int] = {}
    with watched():
        for program in EXPLORED:
            expected = [run.schedule for run in every_schedule(program)]
            runs = runs_made(function, expected, program)
            counts[program.name] = len(runs)
            if program is TRANSFER:
                mine = runs
        total = len(runs_made(function, 1680, TALLY))
    said = ", ".join(f"{name} {count}" for name, count in counts.items())
    return Correct(
        f"Every schedule, and none twice: {said}, tally {total}. This is your search of transfer.",
        searched(mine),
    )


def check_bounded(function: Any) -> Correct:
    """Judge a bounded explorer: the schedules within the bound, none twice, and no other."""
    counts = []
    with watched():
        for program, bound in BOUNDED:
            expected = [run.schedule for run in every_schedule(program, bound)]
            runs = runs_made(function, expected, program, bound)
            counts.append(f"{program.name} at {bound}: {len(runs)}")
            if (program, bound) == (POLITE, 1):
                mine = runs
    return Correct(
        f"As many runs as there are schedules within the bound. {', '.join(counts)}. "
        "This is your search of polite, with at most one preemption.",
        searched(mine, "at its bound of one preemption"),
    )


def check_shrink(function: Any) -> Correct:
    """Judge a shrinker by what it returns: it fails the same way, and no letter can go."""
    said, shown = [], None
    for program, schedule in FAILING:
        failing = follow(program, schedule)
        one = shrunk(function, program, failing)
        said.append(f"{program.name} {failing.schedule} to {one.prefix or 'no letter at all'}")
        if program is PAYMENTS and shown is None:
            shown = replay(program, one.schedule)
    return Correct(f"No letter can be left out of any: {', '.join(said)}.", shown)


# -- predictions -----------------------------------------------------------------------------------


def how_many() -> str:
    """Count the schedules of transfer."""
    return str(len(list(every_schedule(TRANSFER))))


def preemptions_needed() -> str:
    """Find the lowest bound at which polite goes wrong."""
    bounds = (n for n in range(7) if any(run.bug for run in every_schedule(POLITE, n)))
    return str(next(bounds))


LESSON = Lesson(
    number=6,
    title="Every schedule",
    needs=("schedules",),
    scenarios=[COUNTER, TRANSFER, POLITE, PAYMENTS, TALLY],
    predictions=[
        Prediction(
            "how many",
            how_many,
            "Locks forbid most of the 70. And the two schedules that deadlock are not among the "
            "70: they end after two steps.",
        ),
        Prediction(
            "polite",
            preemptions_needed,
            "Each must see that the other wants to go through. a has to lose its turn between its "
            "store and its load, and so has b before it takes its wish back.",
        ),
    ],
    exercises=[
        Exercise(
            id="06.1",
            title="Write the explorer",
            minutes=12,
            dots=3,
            spec=(
                "Take a prefix, follow it, keep the run. Then look at its choices: each that the "
                "run did not take is the end of a new prefix. Whose choices lie within the prefix? "
                "Every schedule must be run, and none twice."
            ),
            answer="explore",
            stub='''\
def explore(program):
    """Return all runs of the program, one for each schedule."""
    found = []
    todo = [""]  # prefixes that are still to be run
    while todo:
        prefix = todo.pop()
        one = follow(program, prefix)
        found.append(one)
        todo += ____  # which prefixes does this run bring up?
    return found
''',
            check=check_explore,
            reference=lambda: explore,
            hints=(
                "Go through `one.choices` step by step. At which step must you begin, so that no "
                "schedule is run twice?",
                "The steps within the prefix were looked at when an earlier run brought it up. "
                "Begin behind it. Each letter of a choice that is not the one taken is a new way.",
                "For each step from the length of the prefix to the end of the schedule, and for "
                "each letter of the choice there, if it is not the letter taken: put on the list "
                "the schedule up to that step, without it, and then that letter.",
            ),
            mutants=EXPLORE_MUTANTS,
            alternatives=[breadth_first, by_itself, last_choice_first],
        ),
        Exercise(
            id="06.2",
            title="Bound it",
            minutes=12,
            dots=3,
            spec=(
                "Copy your `explore`, and keep with each prefix how many preemptions it has. Leave "
                "out each prefix that would have more than `bound`. A switch costs nothing when "
                "the task before it had finished or had to wait; nor does the first step."
            ),
            answer="bounded",
            stub='''\
def bounded(program, bound):
    """Return all runs with at most `bound` preemptions, and make no other run."""
    ...  # your explore, with pairs on the list: a prefix, and its preemptions
''',
            check=check_bounded,
            reference=lambda: bounded,
            hints=(
                "`follow` adds no preemption after the prefix. So what a new prefix costs is known "
                "when you make it.",
                "Turning off at step i is a preemption when the task of step i - 1 is among the "
                "choices of step i. Step 0 has none before it; and in Python [-1] is the last.",
                "The price is what the prefix has used, and one more if i is not 0 and the task "
                "before could go on. If it is at most the bound, put prefix and price on the list.",
            ),
            mutants=BOUNDED_MUTANTS,
            alternatives=[counting_each_prefix, one_bound_after_the_other],
        ),
        Exercise(
            id="06.3",
            title="★ Shrink what it found",
            minutes=10,
            dots=3,
            spec=(
                "Leave out one letter. If what is left fails in the same way, go on with that. "
                "Stop when no letter can go. The same way means the same type of bug. "
                "`attempt(program, prefix)` is `follow`, but returns None where the prefix cannot "
                "be run."
            ),
            answer="shrink",
            stub='''\
def shrink(program, failing):
    """Return a prefix that fails as `failing` does, and from which no letter can be left out."""
    prefix = failing.schedule
    i = 0
    while i < len(prefix):
        shorter = prefix[:i] + prefix[i + 1 :]
        one = attempt(program, shorter)
        if one and ____:  # is it the same failure?
            prefix, i = ____
        else:
            i += 1
    return prefix
''',
            check=check_shrink,
            reference=lambda: shrink,
            hints=(
                "What must be true of `one`, before you believe in the shorter prefix?",
                "It must be a run, and its bug must have the type of the first one. Then letters "
                "that had to stay may have become superfluous.",
                "If there is a run, and the type of its bug is the type of failing.bug: take the "
                "shorter one for the prefix, and begin again at 0.",
            ),
            mutants=SHRINK_MUTANTS,
            alternatives=[from_the_end, shortest],
        ),
    ],
)
