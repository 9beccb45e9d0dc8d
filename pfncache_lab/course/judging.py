"""judging.py: one answer, judged: what was observed, and in which words the reader is told."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType, SimpleNamespace
from typing import Any

from ..explore import Run
from ..viz import Album, Figure, Note, draw_timeline, film, show
from ..viz.frames import has_frames
from ..viz.stepper import WIDEST, first_line
from .apart import Died, loudly
from .asking import named, one_budget, short
from .borrowing import is_borrowed
from .exercise import Exercise, Incorrect, Shown
from .recognizing import recognized
from .sources import blank_line, returns_nothing
from .trial import Trial

PASSED = "passed"
NOT_ATTEMPTED = "not attempted"
INCORRECT = "incorrect"

LONGEST = 48
"""Steps of a two-CPU table; a run that never ends would fill a hundred screens."""

FIRST, LAST = 12, 6
"""Lines of a longer one that are shown: by then it has gone round twice."""


@dataclass(frozen=True)
class Verdict:
    """What a check found, as plain data: it may have crossed from one process to another."""

    kind: str
    """'passed', 'not attempted' or 'incorrect'."""
    message: str
    picture: Figure | None = None


def judged(exercise: Exercise, namespace: Mapping[str, Any], built: Mapping[str, Any]) -> Verdict:
    """Judge a reader's answer where it can do no harm, and let nothing pass that is not theirs."""

    def work() -> Verdict:
        return _borrowed(exercise, namespace) or judge(exercise, namespace, built)

    try:
        return loudly(lambda: _guarded(exercise, work))
    except Died as died:
        return Verdict(INCORRECT, str(died))


def judge(
    exercise: Exercise, namespace: Mapping[str, Any], built: Mapping[str, Any] | None = None
) -> Verdict:
    """Judge the answer that `namespace` holds under the exercise's names, and never raise for it.

    `built` is what else there is by now: see `supply`.
    """
    for name in exercise.names:
        if name not in namespace:
            said = f"There is no `{name}` yet. Run the cell of the exercise first."
            return Verdict(NOT_ATTEMPTED, said)
    answers = {name: namespace[name] for name in exercise.names}

    def work() -> Verdict:
        return _unattempted(answers) or _judge(exercise, answers, built or {})

    return _guarded(exercise, work)


def _guarded(exercise: Exercise, work: Callable[[], Verdict]) -> Verdict:
    """Look at the reader's answer, and turn whatever comes of it into a verdict."""
    try:
        return work()
    except Incorrect as wrong:
        return Verdict(INCORRECT, str(wrong), _still(wrong.shown))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # objects can be built so that they break whoever looks at them
        names = " or ".join(f"`{name}`" for name in exercise.names)
        said = f"The check could not judge {names}: looking at it raised {named(error)}."
        return Verdict(INCORRECT, said)


def _borrowed(exercise: Exercise, namespace: Mapping[str, Any]) -> Verdict | None:
    """Say so when an answer is the course's own. It would pass, and that would mean nothing."""
    if not exercise.is_code:
        return None
    references = list(exercise.named(exercise.reference()).values())
    for name in exercise.names:
        if is_borrowed(namespace.get(name), exercise.names, references):
            said = (
                f"`{name}` is the course's own, or hands on what the course's own returns. You "
                "need not import it: until you have written yours, later lessons use ours anyway."
            )
            return Verdict(NOT_ATTEMPTED, said)
    return None


def _unattempted(answers: Mapping[str, Any]) -> Verdict | None:
    for name, answer in answers.items():
        line = blank_line(answer)
        if line is not None:
            where = f" (line {line})" if callable(answer) else ""
            return Verdict(NOT_ATTEMPTED, f"A blank is left in `{name}`{where}.")
    return None


def _judge(exercise: Exercise, answers: Mapping[str, Any], built: Mapping[str, Any]) -> Verdict:
    if exercise.is_code:
        _same_kind(exercise, answers)
    if exercise.check is not None:
        several = SimpleNamespace(**answers)
        answer = answers[exercise.answer] if isinstance(exercise.answer, str) else several
        with one_budget():
            try:
                correct = exercise.check(answer)
            except Incorrect as wrong:
                story = f"{wrong}\n{_no_return(exercise, answers)}".rstrip()
                raise Incorrect(story, wrong.shown) from None
    else:
        trial = Trial(exercise, answers, built)
        try:
            correct = trial.verdict()
        except Incorrect as wrong:
            why = _no_return(exercise, answers) or recognized(trial)
            said = [str(wrong), why, _again(exercise, wrong.shown)]
            raise Incorrect("\n".join(filter(None, said)), wrong.shown) from None
    return Verdict(PASSED, correct.shows, _film(correct.shown))


def _no_return(exercise: Exercise, answers: Mapping[str, Any]) -> str:
    """Say so when a function that should return something has no `return` that does."""
    references = exercise.named(exercise.reference())
    for name, answer in answers.items():
        if returns_nothing(answer) and not returns_nothing(references[name]):
            return f"`{name}` has no `return` with a value in it, so what it gives back is None."
    return ""


def _again(exercise: Exercise, shown: Shown | None) -> str:
    """Say how to see a schedule again that went wrong."""
    if not isinstance(shown, Run) or not shown.schedule:
        return ""
    which = "" if len(exercise.programs) == 1 else f', "{shown.scenario.name}"'
    return f'To see it again: lab.replay("{exercise.id}", "{shown.token}"{which})'


def _same_kind(exercise: Exercise, answers: Mapping[str, Any]) -> None:
    """Refuse a number where a function is asked for."""
    for name, reference in exercise.named(exercise.reference()).items():
        answer = answers[name]
        if not callable(reference):
            continue
        if inspect.isclass(reference) and not inspect.isclass(answer):
            raise Incorrect(f"`{name}` should be a class; it is {short(answer)}.")
        linked = any(hasattr(module, name) for module in exercise.modules)
        if not callable(answer) or (linked and not isinstance(answer, FunctionType)):
            raise Incorrect(f"`{name}` should be a function; it is {short(answer)}.")


def _still(shown: Shown | None) -> Figure | None:
    """Draw what went wrong; the message tells the rest, so the text twin is the table alone.

    Of a run that shows its memory it is a film, below the table: no single picture tells that.
    """
    if not isinstance(shown, Run) or shown.trace is None:
        return show(shown) if shown is not None else None
    table = shown.trace.table(WIDEST)
    if len(shown.trace.events) > LONGEST:
        lines = table.splitlines()
        middle = f"      (… {len(lines) - FIRST - LAST} lines more: they go round and round)"
        return Note("\n".join([*lines[:FIRST], middle, *lines[-LAST:]]), code=True)
    if has_frames(shown):
        return Album([Note(table, code=True), film(shown)], table)
    picture = draw_timeline(shown.trace, None, first_line(shown))
    return Figure([picture], table, label="Timeline of the schedule that goes wrong")


def _film(shown: Shown | None) -> Figure | None:
    if isinstance(shown, Run):
        return film(shown)
    return show(shown) if shown is not None else None
