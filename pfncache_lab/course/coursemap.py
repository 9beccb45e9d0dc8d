"""coursemap.py: the course as a map: what is done, where you are, what comes next."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from .exercise import Exercise, Lesson

DONE, OPEN = "✓", "·"


def so_far(lesson: Lesson, passed: Collection[str]) -> str:
    """Say in a sentence how far the reader is in a lesson."""
    todo = [e for e in lesson.exercises if e.id not in passed]
    total = len(lesson.exercises)
    if todo:
        return f"{total - len(todo)} of {total} exercises passed; next: {todo[0].id}."
    return f"All {total} exercises of this lesson passed."


def course_map(course: Sequence[Lesson], here: Lesson, passed: Collection[str]) -> str:
    """Draw the lessons with a mark for each exercise; the open lesson with their names."""
    width = max(len(lesson.title) for lesson in course) + 2
    rows = []
    for lesson in course:
        marks = "".join(_mark(exercise, passed) for exercise in lesson.exercises)
        is_here = lesson.number == here.number
        where = "  ← you are here" if is_here else ""
        rows.append(f"{lesson.number:02d} {lesson.title:{width}}{marks}{where}")
        if is_here:
            rows += [f"   {_mark(e, passed)} {e.id} {e.title}" for e in lesson.exercises]
    return "\n".join(rows)


def _mark(exercise: Exercise, passed: Collection[str]) -> str:
    return DONE if exercise.id in passed else OPEN


def next_step(course: Sequence[Lesson], here: Lesson, passed: Collection[str]) -> str:
    """Name the first exercise that is open, from here on, or else from the start."""
    order = [one for one in course if one.number >= here.number] + list(course)
    todo = [(one, e) for one in order for e in one.exercises if e.id not in passed]
    if not todo:
        return "Every exercise of the course has passed. lab.certificate() says so."
    lesson, exercise = todo[0]
    where = "" if lesson is here else f", in lesson {lesson.number:02d}"
    return f"Next step: {exercise.id} {exercise.title}{where}, {exercise.minutes} min."


def certificate(course: Sequence[Lesson], passed: Collection[str]) -> str:
    """Write the certificate when every check has passed, else what is missing for it."""
    exercises = [exercise for lesson in course for exercise in lesson.exercises]
    open_ones = [exercise for exercise in exercises if exercise.id not in passed]
    count = f"{len(exercises) - len(open_ones)} of {len(exercises)}"
    if open_ones:
        names = ", ".join(exercise.id for exercise in open_ones)
        return f"{count} checks have passed. The certificate waits for: {names}."
    return (
        "CERTIFICATE\n\n"
        f"All {len(exercises)} checks of {len(course)} lessons have passed.\n"
        "Nothing else was counted: no prediction, no hint, no cell that merely ran."
    )
