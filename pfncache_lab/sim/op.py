"""op.py: one visible operation, and all that a new primitive must declare about it.

The search leaves schedules out because two operations in a row commute, and it knows that only from
what they declare here. An access that is not declared is a schedule that is never tried: **every**
read or write of simulated shared state is an operation, an oracle's included, or is proved private.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from .task import Task


class Op:
    """Something a task does that other tasks can observe.

    The machine asks `enabled` as often as it likes, calls `effect` once, in the step in which it
    runs, and asks `past` for the sentence that the trace keeps.

    A new primitive says which objects it touches, by the numbers that `new_id` gave them:

        load                     reads=(x,)
        store, atomic add        writes=(x,)
        lock, write_lock         writes=(lock,)   waits, acquires
        unlock, write_unlock     writes=(lock,)   releases
        read_lock                reads=(lock,)    waits, acquires   readers commute
        read_unlock              reads=(lock,)    releases
        trylock, cmpxchg         reads=(x,) if it would fail now, else writes=(x,)
        complete, wake up        writes=(c,)      releases
        wait_for_completion      reads or writes=(c,)   waits

    Two operations are dependent when one writes what the other reads or writes.
    """

    __slots__ = ()
    kind: ClassVar[str]
    """What sort of operation this is, for pictures: 'load', 'store', 'spin'."""

    waits: ClassVar[bool] = False
    """Whether `enabled` can ever be False. Leaving this False for an operation that blocks hides
    schedules: the search would try to reverse it only with the step that let it through."""
    acquires: ClassVar[bool] = False
    """It takes what others may then wait for, and before it nobody had to wait. The orders worth
    trying are those of two acquisitions: an acquisition cannot go before the release it needs."""
    releases: ClassVar[bool] = False
    """It can let others through and never holds them up."""
    wants_change: ClassVar[bool] = False
    """It waits until any of the objects it reads is written by another task: a spin."""

    reads: tuple[int, ...] = ()
    """Objects it looks at. May be a property, asked while the operation is pending."""
    writes: tuple[int, ...] = ()
    """Objects it changes. What it writes it need not list under `reads` as well."""

    def enabled(self) -> bool:
        """Tell whether the operation can happen now. Must not change anything.

        The answer may depend only on the objects in `reads` and `writes`.
        """
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

    def blockers(self) -> Sequence[Task]:
        """Name the tasks without which it can never be enabled: the holders of a lock."""
        return ()
