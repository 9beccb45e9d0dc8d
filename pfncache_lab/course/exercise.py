"""exercise.py: what a lesson is made of, as plain data.

An author writes one module with a `LESSON`, and nothing else: look at `lessons/lesson_00.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..explore import Result, Run, Scenario

Shown = Run | Result
"""What a check can show the reader of their own answer."""


class Incorrect(Exception):
    """A check's way to say no: one sentence on what was observed, and the run that shows it."""

    def __init__(self, observed: str, shown: Shown | None = None) -> None:
        super().__init__(observed)
        self.shown = shown


@dataclass(frozen=True)
class Correct:
    """A check's way to say yes: what has been shown, in one sentence, and the reader's own run."""

    shows: str
    shown: Shown | None = None


@dataclass(frozen=True)
class Mutant:
    """A wrong answer that people give, and the words with which the check must turn it down."""

    answer: Any
    says: str


@dataclass(frozen=True)
class Exercise:
    """One exercise: what the reader defines, how it is judged, and how it is helped along."""

    id: str
    """Lesson and number: '00.1'."""
    title: str
    minutes: int
    dots: int
    """How hard it is, from 1 to 5."""
    answer: str
    """The name that the reader gives their answer, in the notebook's namespace."""
    check: Callable[[Any], Correct]
    """Judges the answer; raises Incorrect. Everything of the reader's is called through `ask`."""
    reference: Callable[[], Any]
    """Returns an answer that passes: the one that `solution` shows."""
    hints: tuple[str, str, str]
    """Three rungs: where to look, what to do, the answer in words."""
    mutants: Mapping[str, Mutant]
    alternatives: Sequence[Any] = ()
    """Other answers that must pass, written differently from the reference."""


@dataclass(frozen=True)
class Prediction:
    """The truth behind a question that the notebook asks before it runs something."""

    name: str
    answer: Callable[[], str]
    """Finds the right option by running the program: the machine is the key."""
    because: str


@dataclass(frozen=True)
class Lesson:
    """One lesson: its exercises in order, its predictions, and the programs it talks about."""

    number: int
    title: str
    exercises: Sequence[Exercise]
    predictions: Sequence[Prediction]
    scenarios: Sequence[Scenario]
