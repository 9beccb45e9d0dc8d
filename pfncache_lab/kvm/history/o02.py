"""O2: a refresh that keeps itself from ending. Open.

Mapping a page may need memory, and making room for it may invalidate something. Then each turn of
the refresh causes the very thing that it has to see the end of.

A branch in David Woodhouse's tree takes the mapping out of the loop; it is not merged.
"""

from __future__ import annotations

from ...mm.mmu_notifier import (
    MmuNotifierRange,
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from ...mm.types import FIRST_HVA, PAGE_SIZE
from ...sim import WRITE_ONCE
from ..kvm_host import Kvm
from ..pfn import hva_to_pfn as today
from .bug import Bug
from .scene import scene

WRAP = 4
"""The sequence counts modulo this, not modulo 2**64 as in the kernel: else no state comes again."""


def hva_to_pfn(kvm: Kvm, addr: int, atomic: bool, write_fault: bool) -> int:
    """Translate, and make room for the mapping that comes next."""
    pfn = today(kvm, addr, atomic, write_fault)
    other_page = MmuNotifierRange(kvm.mm, FIRST_HVA + PAGE_SIZE, FIRST_HVA + 2 * PAGE_SIZE)
    mmu_notifier_invalidate_range_start(other_page)
    mmu_notifier_invalidate_range_end(other_page)
    return pfn


def kvm_mmu_invalidate_end(kvm: Kvm) -> None:
    """Count an invalidation that ends."""
    WRITE_ONCE(kvm, "mmu_invalidate_seq", (kvm.mmu_invalidate_seq + 1) % WRAP)
    kvm.mmu_invalidate_in_progress -= 1


BUG = Bug(
    label="O2",
    title="a refresh whose mapping needs memory may keep itself from ending",
    commit="",
    introduced="5.19",
    fixed="open",
    invariant="I9",
    strategy="states",
    broken={"hva_to_pfn": hva_to_pfn, "kvm_mmu_invalidate_end": kvm_mmu_invalidate_end},
    # The cache is activated in the task: a set-up that did it would never end. And all invariants
    # are looked at, for without any the search takes the steps of a task that is alone to be its
    # own affair, and remembers none of its states.
    scene=scene("a mapping that needs memory", "inactive_cache", {"refresher": "activate_here"}),
)
