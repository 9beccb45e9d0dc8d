"""exercise.py: what a lesson is made of, as plain data.

An author writes one module with a `LESSON`, and nothing else. The guide is in this package's
`__init__`; the example is `tests/course/sample.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ..explore import Report, Result, Run, Scenario

Shown = Run | Result | Report
"""What a check can show the reader of their own answer."""

Built = Any
"""What is built so far, each thing an attribute: the reader's where it is theirs, else ours."""


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
class Case:
    """One situation, judged without a second task: what is done, and what must be seen."""

    what: str
    """As a reader would write it, or in words: 'gpa_to_gfn(0x10_080)', 'a hole between slots'."""
    observe: Callable[[Built], object]
    """Does it with what is built, and returns what is to be seen: a result, or a sentence."""
    expected: object
    because: str = ""
    """Why it must be so: a clause that goes on after a colon."""


@dataclass(frozen=True)
class Program:
    """A program that must go well in every schedule."""

    make: Callable[[Built], Scenario]
    """Makes it of what is built."""
    runs: int
    """How many runs the search of the reference takes, exactly. The tests compare it."""
    bound: int | None = None
    """The most preemptions that are tried; None tries every schedule."""


@dataclass(frozen=True)
class Mutant:
    """A wrong answer that people give, and the words with which the check must turn it down.

    In an exercise with cases or programs, `says` is what a reader is told whose answer behaves the
    same, to the last observation: begin with "This is what happens when …".
    """

    answer: Any
    """As the reader would define it. Of several names, only those that are wrong: a dict."""
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
    spec: str
    """What the notebook asks, in Markdown: a sentence, and the steps with the kernel's numbers."""
    answer: str | tuple[str, ...]
    """The name, or the names, that the reader defines in the notebook."""
    stub: str
    """What stands in the cell at first, with `____` where the reader goes on."""
    reference: Callable[[], Any]
    """Returns an answer that passes: the one that `solution` shows. Of several names: a dict."""
    hints: tuple[str, str, str]
    """Three rungs: where to look, what to do, the answer in words."""
    mutants: Mapping[str, Mutant]
    alternatives: Sequence[Any] = ()
    """Other answers that must pass, written differently from the reference."""
    cases: Sequence[Case] = ()
    programs: Sequence[Program] = ()
    check: Callable[[Any], Correct] | None = None
    """In place of cases and programs, for an answer that is no code: see `authoring`. It
    is given the answer, or an object with an attribute for each of several names."""
    modules: Sequence[ModuleType] = ()
    """The modules of the simulated kernel in which the answer takes the place of a function."""
    kernel: str = ""
    """The source that it is modelled on, in Markdown: a link to the commit."""
    out_of_scope: str = ""
    """What the answer need not do, as a sentence."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the reader defines."""
        return (self.answer,) if isinstance(self.answer, str) else self.answer

    @property
    def is_code(self) -> bool:
        """Whether the answer is functions or classes, on which later lessons can build."""
        return re.search(r"^(def|class) ", self.stub, re.MULTILINE) is not None

    def named(self, answer: Any) -> dict[str, Any]:
        """Return an answer by its names; what a dict leaves out is the reference's."""
        if isinstance(self.answer, str):
            return {self.answer: answer}
        return {**self.reference(), **answer}  # of a mutant, a dict of what is wrong

    def text(self) -> str:
        """Write what stands above the answer's cell in the notebook."""
        dots = "●" * self.dots + "○" * (5 - self.dots)
        parts = [
            f"### Exercise {self.id} · {self.title}",
            f"{dots}, {self.minutes} min. {self.spec}",
            self.out_of_scope,
            f"In the kernel: {self.kernel}" if self.kernel else "",
        ]
        return "\n\n".join(part for part in parts if part)


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
    predictions: Sequence[Prediction] = ()
    scenarios: Sequence[Scenario] = ()
    needs: Sequence[str] = ()
    """What earlier lessons have built and this one uses: set-up puts it into the notebook."""
