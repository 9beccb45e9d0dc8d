"""invariants.py: what must hold of a cache, whichever version it is.

I1   a valid cache has the page that the host's page table has at its address
I2   a valid cache has a page, and a mapping of it
I3   who is valid is active, and who is active is on the list: where a notifier finds it
I4   every reference to a page is given back, once
I5   every mapping is taken back, once, and not used after that
I6   locks: initialised once, taken in one order, no sleeping under gpc->lock
I7   every request that is made is consumed
I8   every page that the host has written to is reported dirty, before the last look
I9   a refresh, or an update of the slots, comes to an end once the others have
I10  khva points at the byte that was asked for
I11  address, page and mapping of a cache belong together

I6, I7 and I9 are what the machine's own detectors say: lockdep, deadlock, livelock. The others are
functions here, of what the tasks share. They look at a cache only while nobody holds its lock for
writing: in between, half of a change is no mistake.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ...mm.checks import check_kernel_mappings, check_page_refs
from ...mm.pte_values import Present
from ...mm.types import NULL, PAGE_ALIGN_DOWN, offset_in_page
from ..kvm_types import is_error_noslot_pfn, kvm_is_error_gpa, kvm_is_error_hva


class Invariant(NamedTuple):
    """One of them."""

    label: str
    text: str
    holds: Callable[[Any], bool]


def at_rest(vm: Any) -> bool:
    """Tell whether nobody is in the middle of changing the cache."""
    lock = vm.gpc.lock
    written = lock.holders and not lock.readers
    return not written and not vm.kvm.gpc_lock.holders


def lets_in(vm: Any) -> bool:
    """Tell whether a reader who asks now would be let in."""
    gpc = vm.gpc
    return at_rest(vm) and gpc.valid and not kvm_is_error_hva(gpc.uhva)


def in_use(vm: Any) -> bool:
    """Tell whether a reader would be let in, and there is something that he would use."""
    return lets_in(vm) and not is_error_noslot_pfn(vm.gpc.pfn)


def mapped_pfn(vm: Any, hva: int) -> int | None:
    """Return the frame that the host has at this address, if it has one there."""
    entry = vm.mm.pte(hva).value
    return entry.pfn if isinstance(entry, Present) else None


def not_stale(vm: Any) -> bool:
    """I1."""
    return not in_use(vm) or mapped_pfn(vm, vm.gpc.uhva) == vm.gpc.pfn


def no_placeholder(vm: Any) -> bool:
    """I2. In 5.17 a cache may be for the guest alone: then there is no mapping."""
    gpc = vm.gpc
    if not lets_in(vm):
        return True
    mapped = gpc.khva != NULL or not getattr(gpc, "kernel_map", True)
    return mapped and not is_error_noslot_pfn(gpc.pfn)


def reachable(vm: Any) -> bool:
    """I3."""
    gpc, kvm = vm.gpc, vm.kvm
    if not at_rest(vm):
        return True
    return (not gpc.valid or gpc.active) and (not gpc.active or gpc in kvm.gpc_list)


def right_byte(vm: Any) -> bool:
    """I10."""
    gpc = vm.gpc
    asked_for = gpc.uhva if kvm_is_error_gpa(gpc.gpa) else gpc.gpa
    used = in_use(vm) and gpc.khva != NULL
    return not used or offset_in_page(gpc.khva) == offset_in_page(asked_for)


def belongs_together(vm: Any) -> bool:
    """I11: the frame is not one that the guest has at another address."""
    if not in_use(vm):
        return True
    others = [pte.hva for pte in vm.mm.all_ptes() if pte.hva != PAGE_ALIGN_DOWN(vm.gpc.uhva)]
    return vm.gpc.pfn not in [mapped_pfn(vm, hva) for hva in others]


def references_balance(vm: Any) -> bool:
    """I4, at the end: the cache of 5.17 owns one reference to its page, today's owns none."""
    gpc = vm.gpc
    owned = hasattr(gpc, "dirty") and not is_error_noslot_pfn(gpc.pfn)
    return check_page_refs(vm.ram, {gpc.pfn: 1} if owned else {})


def mappings_balance(vm: Any) -> bool:
    """I5, at the end: a cache that has a page has one mapping of it."""
    gpc = vm.gpc
    mapped = not is_error_noslot_pfn(gpc.pfn) and gpc.khva != NULL
    return check_kernel_mappings(vm.ram, {gpc.pfn: 1} if mapped else {})


def can_migrate(vm: Any) -> bool:
    """Part of I4: the host got what it wanted."""
    return bool(vm.progress.done)


I1 = Invariant("I1", "a valid cache has the page that the host has there", not_stale)
I2 = Invariant("I2", "a valid cache has a page, and a mapping of it", no_placeholder)
I3 = Invariant("I3", "who is valid is active, and who is active is on the list", reachable)
I4 = Invariant("I4", "every reference to a page is given back, once", references_balance)
I5 = Invariant("I5", "every mapping is taken back, once", mappings_balance)
I10 = Invariant("I10", "khva points at the byte that was asked for", right_byte)
I11 = Invariant("I11", "the page is not one that the guest has elsewhere", belongs_together)
MIGRATES = Invariant("I4", "the host can move its page", can_migrate)

EVERYWHERE = (I2, I3, I11, I1, I10)
"""Looked at before every step."""
AT_THE_END = (I4, I5)
"""Looked at when all tasks have finished."""
