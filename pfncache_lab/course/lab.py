"""lab.py: what a notebook talks to: `lab.check("00.1")`, `lab.hint("00.1")`, …"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ..explore import BadSchedule, Scenario, replay
from ..viz import Album, Figure, Note, film, show
from .apart import Died, loudly
from .catalog import lesson as find_lesson
from .catalog import lessons
from .cells import Cells
from .coursemap import certificate, course_map, next_step, so_far
from .exercise import Exercise, Lesson, Prediction
from .judging import INCORRECT, NOT_ATTEMPTED, PASSED, Verdict, judged
from .outcome import Outcome
from .progress import Progress
from .sources import BLANK, source_of
from .supply import references, supply
from .trial import Trial
from .work import CannotKeep, Work

FOLDER = "PFNCACHE_LAB_FOLDER"
"""Environment variable: keep the reader's record there, and not beside the notebook. CI sets it."""

T = TypeVar("T")


def folder() -> Path:
    """Return the folder of the reader's record: that of the notebook, unless CI wants another."""
    return Path(os.environ.get(FOLDER) or Path.cwd())


def setup(lesson: int, namespace: dict[str, Any]) -> Lab:
    """Open a lesson; the first cell of each notebook calls this.

    `namespace` is the notebook's `globals()`: there the checks find the reader's answers, by name,
    and there the reader finds what earlier lessons have built.
    """
    from .. import __version__

    lab = Lab(find_lesson(lesson), namespace, folder())
    said = [f"Setup complete: pfncache_lab {__version__}.", lab.whose(), lab.so_far()]
    print(" ".join(part for part in said if part))
    return lab


class Lab:
    """One open lesson."""

    def __init__(
        self,
        lesson: Lesson,
        namespace: dict[str, Any],
        folder: Path,
        course: Sequence[Lesson] | None = None,
    ) -> None:
        """Open `lesson` of a course for the answers in `namespace`, with the record in `folder`."""
        self._lesson = lesson
        self._course = lessons() if course is None else course
        self._namespace = namespace
        self._progress = Progress(folder)
        self._work = Work(folder)
        answers = {name for exercise in lesson.exercises for name in exercise.names}
        self._cells = Cells(namespace, answers, lesson.needs)
        self._supply()

    def __repr__(self) -> str:
        return f"<Lesson {self._lesson.number:02d}, {self._lesson.title}. {self.so_far()}>"

    def scenario(self, name: str) -> Scenario:
        """Return one of this lesson's programs."""
        return _find(self._lesson.scenarios, "name", name, "program")

    # -- exercises -----------------------------------------------------------------------------

    def check(self, exercise: str) -> Outcome:
        """Judge the reader's answer: passed, not attempted or incorrect."""
        asked = self._exercise(exercise)
        verdict = self._stale(asked) or self._judged(asked)
        before = exercise in self._progress.passed()
        notices = []
        if verdict.kind == PASSED:
            self._progress.add_passed(exercise)
            notices.append(self._keep(asked))
            notices.append(next_step(self._course, self._lesson, self._progress.passed()))
        elif before:
            notices.append("You have passed this exercise before, and it counts.")
        notice = " ".join(part for part in [*notices, self._progress.news()] if part)
        return Outcome(asked, verdict.kind, verdict.message, verdict.picture, notice)

    def replay(self, exercise: str, schedule: str, program: str = "") -> Figure:
        """Show one schedule of the program in which a check has run the reader's answer."""
        asked = self._exercise(exercise)
        try:
            return loudly(partial(self._film, asked, schedule, program))
        except Died as died:
            return Note(str(died))

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

    def reset(self, exercise: str) -> Figure:
        """Begin an exercise again. What had passed is kept under another name."""
        asked = self._exercise(exercise)
        self._progress.forget(exercise)
        self._work.set_aside(asked)
        for name in asked.names:
            self._namespace.pop(name, None)
        return Note(asked.stub, code=True)

    # -- whose work ----------------------------------------------------------------------------

    def use_reference(self, *names: str) -> Figure:
        """From now on use the course's own version of these, here and in later lessons."""
        return self._switch(names, True)

    def use_mine(self, *names: str) -> Figure:
        """From now on use the reader's own version of these again."""
        return self._switch(names, False)

    def whose(self) -> str:
        """Say of what this lesson needs which is the reader's work, and which is the course's."""
        return str(self._supplied)

    # -- predictions ---------------------------------------------------------------------------

    def predict(self, name: str, question: str, *options: str) -> Any:
        """Ask the reader to commit to an answer before the run; returns the buttons."""
        from .predicting import Question

        self._prediction(name)
        return Question(question, options, self._progress, name)

    def reveal(self, name: str, shown: Any = None) -> Figure:
        """Hold the reader's prediction against what the machine does.

        With something to show, a run or a picture, it stands above.
        """
        prediction = self._prediction(name)
        truth, chosen = prediction.answer(), self._progress.prediction(name)
        if chosen is None:
            verdict = "You have made no prediction yet. (Choose above, and run this cell again.)"
        elif chosen == truth:
            verdict = f"You predicted “{chosen}”, and so it is."
        else:
            verdict = f"You predicted “{chosen}”. The machine says: {truth}."
        said = f"{verdict}\n{prediction.because}" if chosen else verdict
        if shown is None:
            return Note(said)
        picture = shown if isinstance(shown, Figure) else show(shown)
        return Album([picture, Note(said)], f"{picture.text}\n\n{said}")

    # -- progress ------------------------------------------------------------------------------

    def progress(self) -> Figure:
        """Show the map of the course with what is done, and the next step."""
        passed = self._progress.passed()
        text = course_map(self._course, self._lesson, passed)
        then = next_step(self._course, self._lesson, passed)
        return Note(f"{text}\n\n{self.so_far()}\n{then}", code=True)

    def certificate(self) -> Figure:
        """Show the certificate, or what is missing. It counts checks that have passed, only."""
        return Note(certificate(self._course, self._progress.passed()), code=True)

    def so_far(self) -> str:
        """Say in a sentence how far the reader is, and whether the record could not be used."""
        line = so_far(self._lesson, self._progress.passed())
        return f"{line} {self._progress.news()}".rstrip()

    # -- behind the scenes ---------------------------------------------------------------------

    def _exercise(self, exercise: str) -> Exercise:
        return _find(self._lesson.exercises, "id", exercise, "exercise")

    def _prediction(self, name: str) -> Prediction:
        return _find(self._lesson.predictions, "name", name, "prediction")

    def _stale(self, exercise: Exercise) -> Verdict | None:
        """Say so when the cell of the answer has failed, so that an older answer is still there."""
        said = next(filter(None, map(self._cells.trouble, exercise.names)), None)
        if said is None:
            return None
        return Verdict(NOT_ATTEMPTED if BLANK in said else INCORRECT, said)

    def _judged(self, exercise: Exercise) -> Verdict:
        """Judge an answer among what the reader has built, and say when that is to blame."""
        verdict = judged(exercise, self._namespace, self._supplied.things)
        if verdict.kind != INCORRECT or not self._supplied.yours:
            return verdict
        ours = references(self._lesson, self._course)
        earlier = [name for name in self._supplied.yours if name not in exercise.names]
        theirs = {name: self._namespace.get(name) for name in earlier}
        self._namespace.update((name, ours[name]) for name in earlier)
        try:
            if judged(exercise, self._namespace, ours).kind != PASSED:
                return verdict
        finally:
            self._namespace.update(theirs)
        names = ", ".join(f'"{name}"' for name in earlier)
        blame = (
            "But with the course's version of what you have built before, it passes. So look there;"
            f" or go on with ours: lab.use_reference({names})"
        )
        return replace(verdict, message=f"{verdict.message}\n{blame}")

    def _film(self, exercise: Exercise, schedule: str, program: str) -> Figure:
        missing = [name for name in exercise.names if name not in self._namespace]
        if missing or not exercise.programs:
            what = f"`{missing[0]}` yet" if missing else f"program in exercise {exercise.id}"
            return Note(f"There is no {what}.")
        answers = {name: self._namespace[name] for name in exercise.names}
        trial = Trial(exercise, answers, self._supplied.things)
        scenarios = [one.make(trial.my) for one in exercise.programs]
        try:
            scenario = _find(scenarios, "name", program or scenarios[0].name, "program")
            return film(trial.on_their_lines(replay(scenario, schedule)))
        except (BadSchedule, NotInLesson) as problem:
            return Note(str(problem))

    def _keep(self, exercise: Exercise) -> str:
        """Save an answer that has passed, so that later lessons build on it."""
        if not exercise.is_code:
            return ""
        answers = {name: self._namespace[name] for name in exercise.names}
        try:
            self._work.keep(exercise, answers, self._supplied.things)
        except CannotKeep as problem:
            return f"I could not save it for later lessons, so they use the reference: {problem}."
        return ""

    def _switch(self, names: Sequence[str], wanted: bool) -> Figure:
        for name in names:
            if name not in self._lesson.needs:
                known = ", ".join(self._lesson.needs) or "nothing"
                raise NotInLesson(f"This lesson does not use {name!r}. It uses: {known}.")
        self._progress.set_reference(names, wanted)
        self._supply()
        return Note(self.whose())

    def _supply(self) -> None:
        """Put what earlier lessons have built into the notebook."""
        unwanted = self._progress.reference()
        self._supplied = supply(self._lesson, self._course, self._work, unwanted)
        answers = {name for exercise in self._lesson.exercises for name in exercise.names}
        for name, thing in self._supplied.things.items():
            if name not in answers or name not in self._namespace:
                self._namespace[name] = thing


def reference_source(exercise: Exercise) -> str:
    """Write the reference answer as the reader would: by `inspect`, never retyped."""
    return answer_source(exercise, exercise.reference())


def answer_source(exercise: Exercise, answer: Any) -> str:
    """Write an answer as a cell: the source of functions and classes, or assignments."""
    return "\n\n".join(_one_source(*pair) for pair in exercise.named(answer).items())


def _one_source(name: str, answer: Any) -> str:
    if not inspect.isfunction(answer) and not inspect.isclass(answer):
        return f"{name} = {answer!r}"
    source = source_of(answer) or ""
    return re.sub(rf"\b{answer.__name__}\b", name, source)


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
