"""mmu_notifier.py: tell others that pages of an address space are about to go.

    invalidate_range_start     the pages are still mapped, and still referenced. Once it returns,
                               nobody may use or make a mapping of the range
    ... the page table changes, and references are dropped ...
    invalidate_range_end       new mappings may be made

Each start has one end for the same range. Many ranges may be in flight at once, overlapping or
nested, by different tasks. `start` may sleep if the range is blockable, and `end` must not fail.
Mirrors mm/mmu_notifier.c and linux/mmu_notifier.h.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

from ..sim import WARN_ON_ONCE, ModelError, each, machine, might_sleep
from .mm_struct import MmStruct
from .types import EAGAIN


class Event(Enum):
    """Why a range is invalidated: enum mmu_notifier_event."""

    UNMAP = "unmap"
    CLEAR = "clear"
    PROTECTION_VMA = "protection of an area"
    PROTECTION_PAGE = "protection of a page"


MMU_NOTIFY_UNMAP = Event.UNMAP
MMU_NOTIFY_CLEAR = Event.CLEAR
MMU_NOTIFY_PROTECTION_VMA = Event.PROTECTION_VMA
MMU_NOTIFY_PROTECTION_PAGE = Event.PROTECTION_PAGE


class MmuNotifierRange(NamedTuple):
    """struct mmu_notifier_range: hva from `start` up to, not including, `end`."""

    mm: MmStruct
    start: int
    end: int
    event: Event = Event.UNMAP
    blockable: bool = True


class MmuNotifier(NamedTuple):
    """struct mmu_notifier: who wants to be told, and the functions that tell them."""

    invalidate_range_start: Callable[[MmuNotifier, MmuNotifierRange], int]
    """0, or -EAGAIN if it would have to sleep and the range is not blockable."""
    invalidate_range_end: Callable[[MmuNotifier, MmuNotifierRange], object]
    release: Callable[[MmuNotifier, MmStruct], object] | None = None
    """The address space ends."""
    owner: Any = None
    """Whose it is: what container_of() finds in C."""


def mmu_notifier_register(mn: MmuNotifier, mm: MmStruct) -> int:
    """Let `mn` know from now on what becomes of `mm`. Belongs in the set-up. Returns 0."""
    if machine.running is not None:
        raise ModelError("Register a notifier in the set-up: who is told stays the same in a run.")
    mm.__dict__["_notifiers"] += (mn,)
    return 0


def mmu_notifier_range_blockable(range: MmuNotifierRange) -> bool:
    """Tell whether `start` may sleep for this range."""
    return range.blockable


def mmu_notifier_invalidate_range_start(range: MmuNotifierRange) -> None:
    """Tell everybody that the range is about to go. May sleep."""
    might_sleep("call mmu_notifier_invalidate_range_start()")
    for mn in each(range.mm.notifiers):
        ret = mn.invalidate_range_start(mn, range)
        WARN_ON_ONCE(ret, "a notifier refused a range for which it may sleep")


def mmu_notifier_invalidate_range_start_nonblock(range: MmuNotifierRange) -> int:
    """Tell everybody, and nobody may sleep. Returns 0, or -EAGAIN if somebody would have to.

    Then those who have been told are told that it is over; the page table must stay as it is.
    """
    range = range._replace(blockable=False)
    told = 0
    ret = 0
    for mn in each(range.mm.notifiers):
        ret = mn.invalidate_range_start(mn, range)
        if ret:
            break
        told += 1
    if not ret:
        return 0
    WARN_ON_ONCE(ret != -EAGAIN, f"a notifier returned {ret}, which is not -EAGAIN")
    for mn in each(range.mm.notifiers[:told]):
        mn.invalidate_range_end(mn, range)
    return ret


def mmu_notifier_invalidate_range_end(range: MmuNotifierRange) -> None:
    """Tell everybody that new mappings of the range may be made."""
    for mn in each(range.mm.notifiers):
        mn.invalidate_range_end(mn, range)


def mmu_notifier_release(mm: MmStruct) -> None:
    """Tell everybody that the address space ends."""
    for mn in each(mm.notifiers):
        if mn.release is not None:
            mn.release(mn, mm)
