"""progress.py: what the reader has done, in one small file beside their notebooks.

Two notebooks may be open at once, so each change reads the file anew, under a lock: without it the
second to write would undo the first, and this of all courses should not lose an update. The file is
replaced in one step, so that a crash leaves the old one or the new one. A file that cannot be used
is never written over: it may hold somebody's only record.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

FILE = "progress.json"
VERSION = 2
SECONDS_TO_LOCK = 5

Record = dict[str, Any]
Change = Callable[[Record], object]


class Progress:
    """The reader's record: exercises passed, predictions made, hints taken, whose work is used."""

    def __init__(self, folder: Path) -> None:
        """Use the record in `folder`; there need not be one yet."""
        self._path = folder / FILE
        self._lock_file = folder / f".{FILE}.lock"
        self._unwritten: list[Change] = []
        self._damage = self._trouble = ""

    def news(self) -> str:
        """Tell the reader of damage, once, and of trouble as long as it lasts; else nothing."""
        said, self._damage = f"{self._damage} {self._trouble}".strip(), ""
        return said

    def passed(self) -> list[str]:
        """The ids of the exercises that have passed, in the order in which they did."""
        return list(self._read()["passed"])

    def add_passed(self, exercise: str) -> None:
        """Remember that an exercise has passed; it stays passed."""

        def change(record: Record) -> None:
            if exercise not in record["passed"]:
                record["passed"].append(exercise)

        if exercise not in self.passed():
            self._change(change)

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

    def _change(self, change: Change) -> None:
        """Read, change and write under the lock; what cannot be written now is written later.

        It is kept as a change, and not as a record: what another notebook writes until then stays.
        """
        self._unwritten.append(change)
        try:
            with self._locked():
                self._write(self._with_unwritten(self._load_or_set_aside()))
        except Unusable as problem:
            self._trouble = f"{FILE} {problem}: I remember only while this is open."
        else:
            self._unwritten, self._trouble = [], ""

    def _read(self) -> Record:
        """Return what is in the file, and what could not be written there yet."""
        try:
            record = self._load()
            if record is None:
                with self._locked():
                    record = self._load_or_set_aside()
        except Unusable as problem:
            self._trouble = f"{FILE} {problem}: I remember only while this is open."
            record = _empty()
        else:
            self._trouble = self._trouble if self._unwritten else ""
        return self._with_unwritten(record)

    def _with_unwritten(self, record: Record) -> Record:
        for change in self._unwritten:
            change(record)
        return record

    @contextmanager
    def _locked(self) -> Iterator[None]:
        from filelock import FileLock, Timeout  # here: it takes a tenth of importing all of us

        lock = FileLock(self._lock_file, timeout=SECONDS_TO_LOCK)
        try:
            lock.acquire()
        except Timeout:
            raise Unusable("is held by another notebook") from None
        except OSError as problem:
            raise Unusable(f"cannot be written ({problem.strerror})") from None
        try:
            yield
        finally:
            lock.release()

    def _load(self) -> Record | None:
        """Return what the file holds, or None when it is damaged. Raises Unusable."""
        try:
            record: Any = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return _empty()
        except OSError as problem:
            raise Unusable(f"cannot be read ({problem.strerror})") from None
        except (ValueError, RecursionError):
            return None
        record = _upgraded(record)
        return record if _sound(record) else None

    def _load_or_set_aside(self) -> Record:
        """Return what the file holds; one that is damaged is moved out of the way.

        The lock must be held: else the new file of another notebook, which has seen the damage as
        well, would be moved in its place.
        """
        record = self._load()
        if record is not None:
            return record
        names = (f"progress.damaged{number or ''}.json" for number in count())
        spare = next(path for path in map(self._path.with_name, names) if not path.exists())
        try:
            os.replace(self._path, spare)
        except OSError as problem:
            raise Unusable(f"is damaged and cannot be moved ({problem.strerror})") from None
        self._damage = f"{FILE} was damaged; I kept it as {spare.name} and started a new one."
        return _empty()

    def _write(self, record: Record) -> None:
        """Replace the file in one step. Raises Unusable."""
        spare = self._path.with_name(f".{FILE}.new")
        try:
            spare.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
            os.replace(spare, self._path)
        except OSError as problem:
            raise Unusable(f"cannot be written ({problem.strerror})") from None


class Unusable(Exception):
    """The file cannot be used just now, and stays as it is; the message says why."""


def _empty() -> Record:
    return {"version": VERSION, "passed": [], "predictions": {}, "hints": {}, "reference": []}


def _upgraded(record: Any) -> Any:
    """Read what an earlier version has written; raises Unusable for what a later one has.

    Version 1 knew of no choice of the reference.
    """
    version = record.get("version") if isinstance(record, dict) else None
    if version == 1:
        return {**record, "version": VERSION, "reference": []}
    if isinstance(version, int) and version > VERSION:
        raise Unusable(f"is from a newer pfncache_lab (it has version {version}, I know {VERSION})")
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
