"""catalog.py: which lessons there are, and which exercise builds what."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache
from typing import Any

from .exercise import Exercise, Lesson


@cache
def lessons() -> tuple[Lesson, ...]:
    """Return all lessons, in order: every module `lesson_NN` there is."""
    from . import lessons as package

    found = (module.name for module in pkgutil.iter_modules(package.__path__))
    names = sorted(name for name in found if name.startswith("lesson_"))
    modules = [importlib.import_module(f"{package.__name__}.{name}") for name in names]
    return tuple(module.LESSON for module in modules)


def lesson(number: int) -> Lesson:
    """Return one lesson."""
    found: Lesson = importlib.import_module(f"{__package__}.lessons.lesson_{number:02d}").LESSON
    return found


def before(one: Lesson, course: Sequence[Lesson]) -> list[Lesson]:
    """Return the lessons that come before this one."""
    return [other for other in course if other.number < one.number]


def builder(name: str, among: Sequence[Lesson]) -> Exercise:
    """Return the last exercise that builds `name`: later lessons improve on what earlier ones did.

    Raises LookupError when there is none.
    """
    for one in reversed(among):
        for exercise in reversed(one.exercises):
            if name in exercise.names and exercise.is_code:
                return exercise
    raise LookupError(f"No earlier lesson builds {name!r}.")


def reference_of(name: str, among: Sequence[Lesson]) -> Any:
    """Return what stands for `name` as long as the reader has not built it."""
    exercise = builder(name, among)
    return exercise.named(exercise.reference())[name]
