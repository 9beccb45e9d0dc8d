"""lab.py: what a notebook talks to: `lab.check("00.1")`, `lab.hint("00.1")`, …"""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from ..explore import Scenario
from ..viz import Figure, Note
from .asking import blank_line, named, one_budget
from .exercise import Exercise, Incorrect, Lesson, Prediction
from .outcome import INCORRECT, NOT_ATTEMPTED, PASSED, Outcome
from .progress import Progress

FOLDER = "PFNCACHE_LAB_FOLDER"
"""Environment variable: keep the reader's record there, and not beside the notebook. CI sets it."""

T = TypeVar("T")


def setup(lesson: int, namespace: dict[str, Any]) -> Lab:
    """Open a lesson; the first cell of each notebook calls this.

    `namespace` is the notebook's `globals()`: there the checks find the reader's answers, by name.
    """
    from .. import __version__

    module = importlib.import_module(f"{__package__}.lessons.lesson_{lesson:02d}")
    lab = Lab(module.LESSON, namespace, Path(os.environ.get(FOLDER) or Path.cwd()))
    print(f"Setup complete: pfncache_lab {__version__}. {lab.so_far()}")
    return lab


class Lab:
    """One open lesson."""

    def __init__(self, lesson: Lesson, namespace: Mapping[str, Any], folder: Path) -> None:
        """Open `lesson` for the answers in `namespace`, with the reader's record in `folder`."""
        self._lesson = lesson
        self._namespace = namespace
        self._progress = Progress(folder)

    def __repr__(self) -> str:
        return f"<Lesson {self._lesson.number:02d}, {self._lesson.title}. {self.so_far()}>"

    def scenario(self, name: str) -> Scenario:
        """Return one of this lesson's programs."""
        return _find(self._lesson.scenarios, "name", name, "program")

    # -- exercises -----------------------------------------------------------------------------

    def check(self, exercise: str) -> Outcome:
        """Judge the reader's answer: passed, not attempted or incorrect."""
        outcome = judge(self._exercise(exercise), self._namespace)
        if outcome.kind == PASSED:
            self._progress.add_passed(exercise)
        notice = self._progress.notice
        if outcome.kind != PASSED and exercise in self._progress.passed():
            notice = f"You have passed this exercise before, and it counts. {notice}".rstrip()
        return replace(outcome, notice=notice)

    def hint(self, exercise: str) -> Figure:
        """Show the next of three hints; after the third, all of them."""
        hints = self._exercise(exercise).hints
        taken = min(self._progress.hints(exercise) + 1, len(hints))
        self._progress.set_hints(exercise, taken)
        lines = [f"Hint {i} of {len(hints)}: {hint}" for i, hint in enumerate(hints[:taken], 1)]
        if taken == len(hints):
            lines.append(f'What is left is lab.solution("{exercise}").')
        return Note("\n".join(lines))

    def solution(self, exercise: str) -> Figure:
        """Show an answer that passes. It costs nothing."""
        return Note(reference_source(self._exercise(exercise)), code=True)

    # -- predictions ---------------------------------------------------------------------------

    def predict(self, name: str, question: str, *options: str) -> Any:
        """Ask the reader to commit to an answer before the run; returns the buttons."""
        from .predicting import Question

        self._prediction(name)
        return Question(question, options, self._progress, name)

    def reveal(self, name: str) -> Figure:
        """Hold the reader's prediction against what the machine does."""
        prediction = self._prediction(name)
        truth, chosen = prediction.answer(), self._progress.prediction(name)
        if chosen is None:
            verdict = "You have made no prediction yet. (Choose above, and run this cell again.)"
        elif chosen == truth:
            verdict = f"You predicted “{chosen}”, and so it is."
        else:
            verdict = f"You predicted “{chosen}”. The machine says: {truth}."
        return Note(f"{verdict}\n{prediction.because}" if chosen else verdict)

    # -- progress ------------------------------------------------------------------------------

    def progress(self) -> Figure:
        """Show what is done in this lesson, and the next step."""
        passed = self._progress.passed()
        marks = {True: "✓", False: "·"}
        rows = [f"{marks[e.id in passed]} {e.id} {e.title}" for e in self._lesson.exercises]
        return Note("\n".join([*rows, self.so_far()]))

    def so_far(self) -> str:
        """Say in a sentence how far the reader is, and whether the record could not be used."""
        passed = self._progress.passed()
        todo = [e for e in self._lesson.exercises if e.id not in passed]
        total = len(self._lesson.exercises)
        if todo:
            line = f"{total - len(todo)} of {total} exercises passed; next: {todo[0].id}."
        else:
            line = f"All {total} exercises of this lesson passed."
        return f"{line} {self._progress.notice}".rstrip()

    def _exercise(self, exercise: str) -> Exercise:
        return _find(self._lesson.exercises, "id", exercise, "exercise")

    def _prediction(self, name: str) -> Prediction:
        return _find(self._lesson.predictions, "name", name, "prediction")


def judge(exercise: Exercise, namespace: Mapping[str, Any]) -> Outcome:
    """Judge the answer that `namespace` holds under the exercise's name, and never raise for it."""
    name = exercise.answer
    if name not in namespace:
        said = f"There is no `{name}` yet. Run the cell of the exercise first."
        return Outcome(exercise, NOT_ATTEMPTED, said)
    try:
        with one_budget():
            return _judge(exercise, namespace[name])
    except Incorrect as wrong:
        return Outcome(exercise, INCORRECT, str(wrong), wrong.shown)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # objects can be built so that they break whoever looks at them
        said = f"The check could not judge `{name}`: looking at it raised {named(error)}."
        return Outcome(exercise, INCORRECT, said)


def _judge(exercise: Exercise, answer: Any) -> Outcome:
    line = blank_line(answer)
    if line is not None:
        where = f" (line {line})" if callable(answer) else ""
        said = f"A blank is left in `{exercise.answer}`{where}."
        return Outcome(exercise, NOT_ATTEMPTED, said)
    correct = exercise.check(answer)
    return Outcome(exercise, PASSED, correct.shows, correct.shown)


def reference_source(exercise: Exercise) -> str:
    """Write the reference answer as the reader would: by `inspect`, never retyped."""
    return answer_source(exercise, exercise.reference())


def answer_source(exercise: Exercise, answer: Any) -> str:
    """Write an answer as a cell: a function's own source, or an assignment."""
    if not inspect.isfunction(answer):
        return f"{exercise.answer} = {answer!r}"
    source = inspect.getsource(answer)
    return source.replace(f"{answer.__name__}(", f"{exercise.answer}(")


class NotInLesson(LookupError):
    """A name that the lesson does not know."""

    def _render_traceback_(self) -> list[str]:
        """Let a notebook show the sentence alone: how we came to say it helps nobody."""
        return [str(self)]


def _find(things: Sequence[T], key: str, wanted: str, kind: str) -> T:
    for thing in things:
        if getattr(thing, key) == wanted:
            return thing
    known = ", ".join(str(getattr(thing, key)) for thing in things)
    raise NotInLesson(f"This lesson has no {kind} {wanted!r}. It has: {known}.")
