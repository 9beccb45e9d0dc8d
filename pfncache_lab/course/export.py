"""export.py: all that the reader has built, as one file: `my_pfncache.py`.

It is a module like any other. Its functions can be imported, and `pfncache-lab check` runs it under
the same checks as a notebook: in the same programs, with the same pictures.
"""

from __future__ import annotations

import ast
import tokenize
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from .asking import observed
from .authoring import made_all
from .catalog import before, builder
from .exercise import Exercise, Lesson
from .judging import judged
from .outcome import Outcome
from .sources import used_names
from .supply import references
from .work import Work


def exported(course: Sequence[Lesson], work: Work) -> str | None:
    """Write the reader's own module: imports, then each answer under its heading; None if empty.

    What is not built yet is imported from the course, so that the file stands on its own.
    """
    each = [(one, e, work.text(e)) for one in course for e in one.exercises]
    kept = [(one, e, text) for one, e, text in each if text is not None]
    built = {name for _, e, _ in kept for name in e.names}
    imports, bodies, mine = set[str](), list[str](), set[str]()
    for lesson, exercise, text in kept:
        theirs, body = _divided(text, built - set(exercise.names))
        heading = f"# -- {exercise.id} {exercise.title} "
        bodies.append(f"{heading:-<100}\n\n{body}")
        imports |= theirs | _ours(lesson, course, body, mine)
        mine |= set(exercise.names)
    if not bodies:
        return None
    head = '"""My own pfncache: every answer that has passed, in the order of the course."""'
    parts = [head, "\n".join(sorted(imports)), *bodies]
    return "\n\n\n".join(part.strip() for part in parts if part) + "\n"


def _divided(text: str, taken: Collection[str]) -> tuple[set[str], str]:
    """Divide the text of one answer into its imports and the rest.

    What it imports under a name that another answer has `taken` gets another name: a mutex may use
    the kernel's SpinLock, although its reader has built one in the lesson before.
    """
    tree, imports = ast.parse(text), set[str]()
    first = tree.body[1:] if ast.get_docstring(tree) else tree.body
    at = next((node for node in first if not isinstance(node, ast.Import | ast.ImportFrom)), None)
    body = "\n".join(text.splitlines()[_begin(at) - 1 :]) if at else ""
    for node in first[: first.index(at) if at else None]:
        assert isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names:
            name = alias.asname or alias.name
            if name in taken:
                body = _renamed(body, name, f"imported_{name}")
                alias.asname = f"imported_{name}"
        imports.add(ast.unparse(node))
    return imports, body


def _renamed(source: str, old: str, new: str) -> str:
    """Give a global name another name, and leave attributes, comments and strings alone."""
    lines, found, before = source.splitlines(keepends=True), list[tuple[int, int]](), ""
    for token in tokenize.generate_tokens(iter(lines).__next__):
        if token.type == tokenize.NAME and token.string == old and before != ".":
            found.append(token.start)
        before = token.string
    for row, column in reversed(found):
        line = lines[row - 1]
        lines[row - 1] = line[:column] + new + line[column + len(old) :]
    return "".join(lines)


def _begin(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _ours(lesson: Lesson, course: Sequence[Lesson], body: str, mine: set[str]) -> set[str]:
    """Import from the course what an answer uses of earlier lessons, and the reader has not."""
    earlier = before(lesson, course)
    missing = used_names(body) & set(lesson.needs) - mine
    found = set[str]()
    for name in missing:
        exercise = builder(name, earlier)
        home = exercise.named(exercise.reference())[name].__module__
        found.add(f"from {home} import {name}")
    return found


def check_file(course: Sequence[Lesson], path: Path) -> list[Outcome]:
    """Judge all that a file holds, as the notebooks would.

    Raises OSError or UnicodeDecodeError when it cannot be read, and Incorrect when it does not run.
    """
    text, own = path.read_text(encoding="utf-8"), {"__name__": path.stem, "__file__": str(path)}
    names = observed(f"Importing {path}", lambda: made_all(text, str(path), own), {str(path)})
    return [
        outcome
        for lesson in course
        for exercise in lesson.exercises
        if (outcome := _checked(exercise, names, references(lesson, course))) is not None
    ]


def _checked(
    exercise: Exercise, names: Mapping[str, Any], built: Mapping[str, Any]
) -> Outcome | None:
    """Judge one exercise with all that the file holds; None where the file does not have it.

    What it has imported from the course is not its own.
    """
    ours = exercise.named(exercise.reference())
    if any(name not in names for name in exercise.names):
        return None
    if exercise.is_code and any(names[name] is ours[name] for name in exercise.names):
        return None
    mine = {name: names[name] for name in built if name in names}
    verdict = judged(exercise, names, {**built, **mine})
    return Outcome(exercise, verdict.kind, verdict.message, verdict.picture)
