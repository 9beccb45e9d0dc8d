"""recognizing.py: a popular mistake is known by what it does, and not by how it is written.

An answer is recognized when it does in every situation of its exercise what one of the mutants
does: the same results, the same exceptions, and in each program the same failing schedule with the
same steps. The sentence says "This is what happens when …", and that is true of both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ..explore.schedule import digest
from .asking import one_budget
from .exercise import Incorrect
from .trial import Trial

SECONDS = 0.3
"""CPU time for what one mutant does: only as much as the answer is worth."""


def recognized(trial: Trial) -> str:
    """Return what the lesson says about the mutant that behaves like this answer, or nothing."""
    exercise = trial.exercise
    seen: list[Any] = []
    mine = behavior(trial)
    for mutant in exercise.mutants.values():
        other = behavior(Trial(exercise, exercise.named(mutant.answer), trial.built))
        if _agree(mine, seen, other):
            return mutant.says
    return ""


def _agree(mine: Iterator[Any], seen: list[Any], other: Iterator[Any]) -> bool:
    """Compare situation by situation; `seen` keeps how many of mine were looked at already."""
    for number, theirs in enumerate(other):
        if number == len(seen):
            seen.append(next(mine))
        if seen[number] != theirs:
            return False
    return True


def behavior(trial: Trial) -> Iterator[Any]:
    """Yield what an answer does in each situation, in a form that can be compared."""
    for case in trial.exercise.cases:
        with one_budget(SECONDS):
            try:
                yield trial.case(case)
            except Incorrect as wrong:
                yield _without_lines(str(wrong))
    for program in trial.exercise.programs:
        try:
            failure = trial.search(program).failure
        except Incorrect as wrong:
            yield _without_lines(str(wrong))
        else:
            yield failure and failure.trace and (type(failure.bug), digest(failure.trace))


def _without_lines(text: str) -> str:
    """Cut off where it happened: an exception in another line is the same mistake."""
    return re.sub(r",\n  in .*", "", text, flags=re.DOTALL).removesuffix(".")
