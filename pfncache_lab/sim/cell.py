"""cell.py: where the value of one field is kept, and what the detectors remember about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .clock import Clock

if TYPE_CHECKING:
    from .lock import Lock
    from .races import Access


class Cell:
    """One field of one struct."""

    __slots__ = (
        "id",
        "name",
        "plain",
        "value",
        "version",
        "message",
        "guards",
        "slot",
        "history",
        "loads",
        "stores",
    )

    def __init__(self, id: int, name: str, value: Any, plain: bool = False) -> None:
        self.id = id
        self.name = name
        self.plain = plain
        self.value = value
        self.version = 0
        """How often its value has changed: what a task that spins on it waits for."""
        self.message: Clock | None = None
        """What its last store told those who load it: see barriers.py."""
        self.guards: list[Lock] | None = None
        """The locks that guard it, once they are known."""
        self.loads: dict[tuple[int, bool], Access] = {}
        self.stores: dict[tuple[int, bool], Access] = {}
        """The last access of each task, plain and marked: see races.py."""

        self.slot = 0
        self.history: list[tuple[Any, Clock | None]] | None = None
        """In a weak memory: every store with its message, and where a clock holds the view."""

    def store(self, value: Any) -> bool:
        """Put a value in. Returns whether it is another one than before.

        A task that spins with xchg() stores what is there already; that must wake nobody, and is
        no progress of its own.
        """
        changed = self.value is not value and (type(self.value), self.value) != (type(value), value)
        self.value = value
        if changed or self.history is not None:  # in a weak memory, the version counts stores
            self.version += 1
        return changed

    def publish(self, value: Any, message: Clock | None, clock: Clock) -> bool:
        """Put a value in, with what the store tells those who load it. Returns as store() does."""
        changed = self.store(value)
        self.message = message
        if self.history is not None:
            self.history.append((value, message))
            clock[self.slot] = self.version
        return changed

    def told(self, clock: Clock) -> Clock | None:
        """Return the message of the store that a task with this clock has just loaded."""
        return self.message if self.history is None else self.history[clock[self.slot]][1]
