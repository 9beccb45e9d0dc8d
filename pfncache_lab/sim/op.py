"""op.py: one visible operation, and all that a new primitive must declare about it.

The search leaves schedules out because two operations in a row commute, and it knows that only from
what they declare here. An access that is not declared is a schedule that is never tried: **every**
read or write of simulated shared state is an operation, an oracle's included, or is proved private.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, cast

from .errors import ModelError

if TYPE_CHECKING:
    from .task import Task

T = TypeVar("T")


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

    Two operations are dependent when one writes what the other reads or writes. Most operations
    are about one object, and OpOn declares that for them.

    Readers of a lock change it, and are declared as if they only looked, for they commute. So
    whoever can tell whether one is there must be declared as a write, even one that changes
    nothing: a write_trylock that readers make fail, a spin that waits until they are gone.
    """

    __slots__ = ()
    kind: str
    """What sort of operation this is, for pictures: 'load', 'store', 'spin'."""

    waits: ClassVar[bool] = False
    """Whether `enabled` can ever be False. Leaving this False for an operation that blocks hides
    schedules: the search would try to reverse it only with the step that let it through."""
    acquires: ClassVar[bool] = False
    """It takes what others may then wait for, and before it nobody had to wait. The orders worth
    trying are those of two acquisitions: an acquisition cannot go before the release it needs."""
    releases: ClassVar[bool] = False
    """It can let others through and never holds them up."""
    wants_change: bool = False
    """It waits until any of the objects it reads is written by another task: a spin."""

    reads: tuple[int, ...] = ()
    """Objects it looks at. What depends on the state of an object is declared with `by_state`."""
    writes: tuple[int, ...] = ()
    """Objects it changes. What it writes it need not list under `reads` as well."""

    def __init_subclass__(cls) -> None:
        """Refuse an operation that blocks and does not say so: nobody would ask `enabled`."""
        super().__init_subclass__()
        if cls.enabled is not Op.enabled and not cls.waits:
            raise ModelError(f"{cls.__name__} has its own enabled(), and so needs `waits = True`.")

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


def by_state(ask: Callable[[Any], T]) -> T:
    """Make `reads` or `writes` a property: asked as long as the operation is pending, as it is now.

    For the type checker it stays the attribute that it is in Op.
    """
    return cast(T, property(ask))


class Thing(Protocol):
    """What an operation is about."""

    id: int
    name: str


N = TypeVar("N", bound=Thing)


class OpOn(Op, Generic[N]):
    """An operation on one object. It counts as a write, which is dependent on every other.

    Those that `commute` with each other, such as readers, have only looked at the object, as far
    as others can tell.
    """

    __slots__ = ("on", "reads", "writes")

    def __init__(self, on: N, *, commute: bool = False) -> None:
        """Announce it."""
        self.on = on
        self.reads = (on.id,) if commute else ()
        self.writes = () if commute else (on.id,)

    def future(self) -> str:
        """Name it by its kind: 'complete done'."""
        return f"{self.kind} {self.on.name}"
