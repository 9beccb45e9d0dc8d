"""progress.py: what the reader has done, in one small file beside their notebooks.

Two notebooks may be open at once, so each change reads the file anew, under a lock: without it the
second to write would undo the first, and this of all courses should not lose an update. The file is
replaced in one step, so that a crash leaves the old one or the new one.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

FILE = "progress.json"
VERSION = 2
SECONDS_TO_LOCK = 5

Record = dict[str, Any]


class Progress:
    """The reader's record: exercises passed, predictions made, hints taken, whose work is used."""

    def __init__(self, folder: Path) -> None:
        """Use the record in `folder`; there need not be one yet."""
        self._path = folder / FILE
        self._lock_file = folder / f".{FILE}.lock"
        self._unsaved: Record | None = None
        self.notice = ""
        """A sentence for the reader when the file could not be used, else empty."""

    def passed(self) -> list[str]:
        """The ids of the exercises that have passed, in the order in which they did."""
        return list(self._read()["passed"])

    def add_passed(self, exercise: str) -> None:
        """Remember that an exercise has passed; it stays passed."""
        if exercise not in self.passed():
            self._change(lambda record: record["passed"].append(exercise))

    def prediction(self, name: str) -> str | None:
        """What the reader predicted, or None."""
        chosen: str | None = self._read()["predictions"].get(name)
        return chosen

    def add_prediction(self, name: str, chosen: str) -> None:
        """Remember what the reader predicts; the last choice counts."""
        self._change(lambda record: record["predictions"].update({name: chosen}))

    def hints(self, exercise: str) -> int:
        """How many hints the reader has taken for this exercise."""
        return int(self._read()["hints"].get(exercise, 0))

    def set_hints(self, exercise: str, taken: int) -> None:
        """Remember how many hints the reader has taken."""
        self._change(lambda record: record["hints"].update({exercise: taken}))

    def forget(self, exercise: str) -> None:
        """Begin an exercise again: it has not passed, and no hint is taken."""

        def change(record: Record) -> None:
            record["passed"] = [one for one in record["passed"] if one != exercise]
            record["hints"].pop(exercise, None)

        self._change(change)

    def reference(self) -> list[str]:
        """The names for which the reader wants the reference, although they have their own."""
        return list(self._read()["reference"])

    def set_reference(self, names: Sequence[str], wanted: bool) -> None:
        """Remember whether the reference is wanted for these names."""

        def change(record: Record) -> None:
            others = [name for name in record["reference"] if name not in names]
            record["reference"] = sorted({*others, *names} if wanted else others)

        self._change(change)

    def _change(self, change: Callable[[Record], object]) -> None:
        """Read, change and write under the lock; without a file, remember as long as we live."""
        from filelock import FileLock, Timeout  # here: it takes a tenth of importing all of us

        record = self._read()
        change(record)
        try:
            with FileLock(self._lock_file, timeout=SECONDS_TO_LOCK):
                record = self._read()
                change(record)
                self._write(record)
        except (OSError, Timeout) as problem:
            why = getattr(problem, "strerror", None) or "another notebook holds it"
            self.notice = f"{FILE} cannot be written ({why}): I remember only while this is open."
            self._unsaved = record
        else:
            self._unsaved, self.notice = None, ""

    def _read(self) -> Record:
        if self._unsaved is not None:
            return copy.deepcopy(self._unsaved)
        try:
            record: Record = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return _empty()
        except OSError as problem:
            self.notice = f"{FILE} cannot be read ({problem.strerror}): I start without it."
            return _empty()
        except (ValueError, RecursionError):
            return self._set_aside()
        record = _upgraded(record)
        return record if _sound(record) else self._set_aside()

    def _set_aside(self) -> Record:
        """Keep a file that is no use under another name: it may hold somebody's only record."""
        names = (f"progress.damaged{number or ''}.json" for number in count())
        spare = next(path for path in map(self._path.with_name, names) if not path.exists())
        try:
            os.replace(self._path, spare)
        except OSError as problem:
            self.notice = f"{FILE} is damaged and cannot be moved ({problem.strerror})."
        else:
            self.notice = f"{FILE} was damaged; I kept it as {spare.name} and started a new one."
        return _empty()

    def _write(self, record: Record) -> None:
        """Replace the file in one step."""
        spare = self._path.with_name(f".{FILE}.new")
        spare.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        os.replace(spare, self._path)


def _empty() -> Record:
    return {"version": VERSION, "passed": [], "predictions": {}, "hints": {}, "reference": []}


def _upgraded(record: Any) -> Any:
    """Read what an earlier version has written. Version 1 knew of no choice of the reference."""
    if isinstance(record, dict) and record.get("version") == 1:
        return {**record, "version": VERSION, "reference": []}
    return record


def _sound(record: Any) -> bool:
    """Tell whether this is a record as we write it, to the last element."""
    if not isinstance(record, dict) or record.get("version") != VERSION:
        return False
    passed, predictions, hints, reference = (record.get(key) for key in list(_empty())[1:])
    return (
        isinstance(passed, list)
        and isinstance(predictions, dict)
        and isinstance(hints, dict)
        and isinstance(reference, list)
        and all(isinstance(name, str) for name in [*passed, *predictions.values(), *reference])
        and all(isinstance(number, int) for number in hints.values())
    )
