"""progress.py: what the reader has done, in one small file beside their notebooks.

The file is read anew before each change and replaced in one step, so that two notebooks that are
open at once do not undo each other, and a crash leaves the old file or the new one.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FILE = "progress.json"
VERSION = 1


class Progress:
    """The reader's record: exercises passed, predictions made, hints taken."""

    def __init__(self, folder: Path) -> None:
        """Use the record in `folder`; there need not be one yet."""
        self._path = folder / FILE
        self.notice = ""
        """A sentence for the reader when the file could not be used, else empty."""

    def passed(self) -> list[str]:
        """The ids of the exercises that have passed, in the order in which they did."""
        return list(self._read()["passed"])

    def add_passed(self, exercise: str) -> None:
        """Remember that an exercise has passed; it stays passed."""
        record = self._read()
        if exercise not in record["passed"]:
            record["passed"].append(exercise)
            self._write(record)

    def prediction(self, name: str) -> str | None:
        """What the reader predicted, or None."""
        chosen = self._read()["predictions"].get(name)
        return str(chosen) if chosen is not None else None

    def add_prediction(self, name: str, chosen: str) -> None:
        """Remember what the reader predicts; the last choice counts."""
        record = self._read()
        record["predictions"][name] = chosen
        self._write(record)

    def hints(self, exercise: str) -> int:
        """How many hints the reader has taken for this exercise."""
        return int(self._read()["hints"].get(exercise, 0))

    def add_hint(self, exercise: str) -> None:
        """Count one more hint."""
        record = self._read()
        record["hints"][exercise] = self.hints(exercise) + 1
        self._write(record)

    def _read(self) -> dict[str, Any]:
        try:
            record = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return _empty()
        except (OSError, ValueError):
            return self._set_aside("cannot be read")
        if not _sound(record):
            return self._set_aside("is not a record that this version knows")
        return record  # type: ignore[no-any-return]

    def _set_aside(self, why: str) -> dict[str, Any]:
        """Keep a file that is no use under another name: it may hold somebody's only record."""
        spare = self._path.with_name("progress.damaged.json")
        self.notice = f"{FILE} {why}; I kept it as {spare.name} and started a new one."
        try:
            os.replace(self._path, spare)
        except OSError:
            self.notice = f"{FILE} {why}, and cannot be moved: nothing is remembered."
        return _empty()

    def _write(self, record: dict[str, Any]) -> None:
        """Replace the file in one step. A folder that cannot be written costs only the memory."""
        spare = self._path.with_name(f"{FILE}.{os.getpid()}")
        try:
            spare.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
            os.replace(spare, self._path)
        except OSError as problem:
            self.notice = f"{FILE} cannot be written ({problem.strerror}): nothing is remembered."


def _empty() -> dict[str, Any]:
    return {"version": VERSION, "passed": [], "predictions": {}, "hints": {}}


def _sound(record: Any) -> bool:
    return (
        isinstance(record, dict)
        and record.get("version") == VERSION
        and all(isinstance(record.get(key), type(value)) for key, value in _empty().items())
    )
