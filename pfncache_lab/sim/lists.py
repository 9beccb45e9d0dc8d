"""lists.py: lists that a task can walk while other tasks run.

    for gpc in kvm.gpc_list:        kvm.gpc_list is a ListHead
        gpc.lock.read_lock_irq()    a step, in the middle of the loop

How far a `for` has come is known to its iterator alone, and the search by states cannot look into
that: such loops would be left to the search by traces. An iterator made here tells the machine its
position, so that two states differ if it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from . import machine

T = TypeVar("T")


class Walk(Generic[T]):
    """How far a loop has come."""

    __slots__ = ("items", "position")

    def __init__(self, items: Iterable[T]) -> None:
        self.items = tuple(items)
        self.position = 0


class each(Iterator[T], Generic[T]):
    """Walk over `items`, as they are now: `for slot in each(overlapping):`."""

    def __init__(self, items: Iterable[T]) -> None:
        self._walk = Walk(items)
        self._task = machine.running.current if machine.running is not None else None
        if self._task is not None:
            self._task.walks.append(self._walk)

    def __next__(self) -> T:
        walk = self._walk
        if walk.position == len(walk.items):
            raise StopIteration
        walk.position += 1
        return walk.items[walk.position - 1]

    def __del__(self) -> None:
        # A loop drops its iterator when it ends, whichever way.
        if self._task is not None:
            self._task.walks.remove(self._walk)


class ListHead(tuple[T, ...]):
    """struct list_head: a field holds one, and whoever adds or removes an entry stores another."""

    __slots__ = ()

    def __iter__(self) -> Iterator[T]:
        return each(self[:])


def list_add(new: T, head: ListHead[T]) -> ListHead[T]:
    """Return the list with `new` in front."""
    return ListHead((new, *head[:]))


def list_del(entry: T, head: ListHead[T]) -> ListHead[T]:
    """Return the list without `entry`. Raises ValueError if that is not in it."""
    at = head.index(entry)
    return ListHead(head[:at] + head[at + 1 :])
