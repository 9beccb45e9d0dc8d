"""op.py: one visible operation, and all that a new primitive must declare about it."""

from __future__ import annotations

from typing import Any, ClassVar


class Op:
    """Something a task does that other tasks can observe.

    The machine asks `enabled` as often as it likes, calls `effect` once, in the step in which it
    runs, and asks `past` for the sentence that the trace keeps.
    """

    __slots__ = ()
    kind: ClassVar[str]
    """What sort of operation this is, for pictures: 'load', 'store', 'spin'."""

    def enabled(self) -> bool:
        """Tell whether the operation can happen now. Must not change anything."""
        return True

    def effect(self) -> Any:
        """Do it, and return what the task gets back."""
        raise NotImplementedError

    def future(self) -> str:
        """Name the operation before it happens: 'load counter'."""
        raise NotImplementedError

    def past(self, result: Any) -> str:
        """Name it afterwards, with what came of it: 'load counter → 0'."""
        return self.future()

    def reason(self) -> str:
        """Say what the task waits for while the operation is not enabled."""
        return f"it waits to {self.future()}"
