"""work.py: what the reader has built: kept as text when it passes, made again where it is needed.

Each exercise that has passed is a small file in `my_work/`, beside the notebooks. It is Python, to
be read and to be shown. It holds the answer, and what of the notebook's the answer uses.
"""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Collection, Mapping
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

from .asking import captured, named
from .authoring import made_all
from .exercise import Exercise
from .sources import globals_of, source_of, used_names

FOLDER = "my_work"


class CannotKeep(Exception):
    """An answer cannot stand on its own; the message says why."""


class Work:
    """The reader's folder of answers that have passed."""

    def __init__(self, folder: Path) -> None:
        """Use the work in `folder`, where the notebooks are; there need not be any yet."""
        self._folder = folder / FOLDER

    def path(self, exercise: Exercise) -> Path:
        """Where the answer to an exercise is kept: 'my_work/01.1_gpa_to_gfn.py'."""
        return self._folder / f"{exercise.id}_{exercise.names[0]}.py"

    def keep(
        self, exercise: Exercise, answers: Mapping[str, Any], supplied: Collection[str]
    ) -> None:
        """Write down an answer. What is `supplied` will be there again. Raises CannotKeep."""
        text = f'"""Exercise {exercise.id}, {exercise.title}: my answer, as it passed."""\n\n'
        text += standing_alone(answers, supplied)
        path = self.path(exercise)
        spare = path.with_suffix(f".{os.getpid()}")  # Another notebook may be saving it as well.
        try:
            self._folder.mkdir(exist_ok=True)
            spare.write_text(text, encoding="utf-8")
            os.replace(spare, path)
        except OSError as problem:
            raise CannotKeep(f"{FOLDER} cannot be written ({problem.strerror})") from None

    def text(self, exercise: Exercise) -> str | None:
        """Return the answer as it was kept, or None."""
        try:
            return self.path(exercise).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None

    def load(self, exercise: Exercise, supplied: Mapping[str, Any]) -> dict[str, Any] | None:
        """Make the answer again, among the names that are `supplied`; None if there is none.

        Raises CannotKeep when its file has been changed and does no longer run.
        """
        text = self.text(exercise)
        if text is None:
            return None
        try:
            with captured():
                names = made_all(text, str(self.path(exercise)), supplied)
            return {name: names[name] for name in exercise.names}
        except Exception as problem:
            raise CannotKeep(f"{self.path(exercise).name}: {named(problem)}") from None

    def set_aside(self, exercise: Exercise) -> None:
        """Take an answer out of use; it stays in the folder, as `….old`, and those before it do."""
        path = self.path(exercise)
        if path.exists():
            names = (path.with_suffix(f".old{number or ''}") for number in count())
            os.replace(path, next(name for name in names if not name.exists()))


def standing_alone(answers: Mapping[str, Any], supplied: Collection[str]) -> str:
    """Write answers with all that they use: imports first, then what the notebook defines.

    What is `supplied` is left out. Raises CannotKeep for what cannot be written down.
    """
    parts = _Parts(answers, set(supplied))
    for name, answer in answers.items():
        parts.add(name, answer)
    blocks = ["\n".join(sorted(parts.imports)), "\n".join(parts.constants), *parts.sources]
    return "\n\n\n".join(block.strip() for block in blocks if block) + "\n"


class _Parts:
    def __init__(self, answers: Mapping[str, Any], supplied: set[str]) -> None:
        self.answers = answers
        self.seen = set(supplied)
        self.imports: set[str] = set()
        self.constants: list[str] = []
        self.sources: list[str] = []

    def add(self, name: str, thing: Any, around: Mapping[str, Any] | None = None) -> None:
        """Add a function or class of the reader's, after whatever it uses.

        `around` are the names of who uses it: those of a class without methods cannot be found.
        """
        self.seen.add(name)
        source = source_of(thing)
        if source is None:
            raise CannotKeep(f"the source of `{name}` cannot be found")
        known = globals_of(thing) or around or {}
        for used in sorted(used_names(source) & set(known)):
            if used not in self.seen:
                self._use(used, self.answers.get(used, known[used]), known)
        written_as = getattr(thing, "__name__", name)
        if written_as != name:
            source += f"\n\n{name} = {written_as}\n"
        self.sources.append(source)

    def _use(self, name: str, value: Any, known: Mapping[str, Any]) -> None:
        if line := _import_of(name, value):
            self.seen.add(name)
            self.imports.add(line)
        elif inspect.isfunction(value) or inspect.isclass(value):
            self.add(name, value, known)
        elif isinstance(value, bool | int | float | str | bytes | tuple | type(None)):
            self.seen.add(name)
            self.constants.append(f"{name} = {value!r}")
        else:
            kind = type(value).__name__
            raise CannotKeep(f"it uses `{name}`, a {kind} that only this notebook has")


def _import_of(name: str, value: Any) -> str:
    """Write the import that gives `name` this value; nothing if it is the notebook's own."""
    if isinstance(value, ModuleType):
        return f"import {value.__name__} as {name}".removesuffix(f" as {value.__name__}")
    home, word = getattr(value, "__module__", None), getattr(value, "__name__", None)
    if not home or not word or home in ("__main__", "builtins"):
        return ""
    for module in ("pfncache_lab", "pfncache_lab.sim", home):
        try:
            known = getattr(importlib.import_module(module), word, None)
        except ImportError:
            return ""
        if known is value:
            return f"from {module} import {word} as {name}".removesuffix(f" as {word}")
    return ""
