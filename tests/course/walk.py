"""walk.py: what is asked of every exercise, whichever lesson it is in."""

from __future__ import annotations

import ast

from pfncache_lab.course.exercise import Exercise, Lesson
from pfncache_lab.course.recognizing import behavior
from pfncache_lab.course.supply import references
from pfncache_lab.course.trial import Trial

Walk = list[tuple[Exercise, dict]]
"""Exercises, each with what earlier lessons have built."""


def walk(course: list[Lesson] | tuple[Lesson, ...]) -> Walk:
    """List the exercises of a course."""
    return [(e, references(lesson, course)) for lesson in course for e in lesson.exercises]


def behaviors(exercise: Exercise, answer: object, built: dict) -> list:
    """What an answer does in every situation."""
    return list(behavior(Trial(exercise, exercise.named(answer), built)))


def shape(source: str) -> list[tuple[str, str, str | None]]:
    """What a stub and its reference have in common: each name, its parameters, its docstring."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            found.append((node.name, ast.unparse(node.args), ast.get_docstring(node)))
        elif isinstance(node, ast.ClassDef):
            found.append((node.name, "", ast.get_docstring(node)))
    return found
