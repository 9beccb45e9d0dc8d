"""What the order of the notifier is for: the smallest cache there can be, and what it may look at.

It keeps a page as long as `valid`. The notifier takes that back under gpc_lock; a refresh looks the
page up without a lock, and then, under gpc_lock, asks whether it may believe what it has found.
"""

import pytest

from pfncache_lab.explore import Scenario
from pfncache_lab.kvm import MODULES
from pfncache_lab.kvm.vm import Vm
from pfncache_lab.mm import (
    FIRST_HVA,
    PAGE_SIZE,
    MmuNotifierRange,
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from pfncache_lab.sim import link, marked, shared, smp_rmb
from tests.kvm.running import endings

HVA = FIRST_HVA
ELSEWHERE = FIRST_HVA + 2 * PAGE_SIZE  # in no memslot


class Cached(Vm):
    gone = marked(False)
    """Whether the page table leads to another page."""
    found_gone = marked(False)
    """What the cache has found."""
    valid = shared(False, guarded_by="kvm.gpc_lock")


def take_back(kvm, start, end, may_block):
    """The cache's part of the notifier."""
    vm = kvm.mm.cached
    vm.kvm.gpc_lock.lock()
    vm.valid = False
    vm.kvm.gpc_lock.unlock()


IMAGE = link(MODULES, {"gfn_to_pfn_cache_invalidate_start": take_back})


def setup():
    vm = Cached()
    IMAGE.create_vm(vm=vm)
    vm.mm.cached = vm
    return vm


def replaces_the_page(at=HVA):
    def task(vm):
        range_ = MmuNotifierRange(vm.mm, at, at + PAGE_SIZE)
        mmu_notifier_invalidate_range_start(range_)
        vm.gone = True
        mmu_notifier_invalidate_range_end(range_)

    return task


def refreshes(may_believe):
    """Look the page up, once, and keep it if nothing speaks against it."""

    def task(vm):
        seq = vm.kvm.mmu_invalidate_seq
        smp_rmb()
        found_gone = vm.gone
        vm.kvm.gpc_lock.lock()
        if may_believe(vm.kvm, seq):
            vm.found_gone = found_gone
            vm.valid = True
        vm.kvm.gpc_lock.unlock()

    return task


def count_then_sequence(kvm, seq):
    """As today: the count is raised first and lowered last."""
    if kvm.mn_active_invalidate_count:
        return False
    smp_rmb()
    return kvm.mmu_invalidate_seq == seq


def sequence_then_count(kvm, seq):
    """A notifier that ends in between is in neither."""
    return kvm.mmu_invalidate_seq == seq and not kvm.mn_active_invalidate_count


def sequence_alone(kvm, seq):
    return kvm.mmu_invalidate_seq == seq


def count_alone(kvm, seq):
    return not kvm.mn_active_invalidate_count


def in_progress_then_sequence(kvm, seq):
    """As in v5.17: it is raised after the caches were taken back."""
    kvm.mmu_lock.read_lock()
    in_progress = kvm.mmu_invalidate_in_progress
    kvm.mmu_lock.read_unlock()
    return not in_progress and kvm.mmu_invalidate_seq == seq


def stale(vm):
    """Whether the cache has a page that is not there any more."""
    return vm.valid and vm.gone and not vm.found_gone


@pytest.mark.parametrize(
    ("may_believe", "can_be_stale"),
    [
        (count_then_sequence, False),
        (sequence_then_count, True),
        (sequence_alone, True),
        (count_alone, True),
        (in_progress_then_sequence, True),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_a_refresh_may_look_at(may_believe, can_be_stale):
    tasks = {"refresh": refreshes(may_believe), "notifier": replaces_the_page()}
    seen = endings(Scenario("retry", setup, tasks), stale)
    assert seen == ({False, True} if can_be_stale else {False})


def test_outside_of_the_memslots_not_even_that_is_enough():
    """Candidate O6: the sequence stays, so a whole invalidation in between goes unnoticed."""
    tasks = {"refresh": refreshes(count_then_sequence), "notifier": replaces_the_page(ELSEWHERE)}
    assert endings(Scenario("retry", setup, tasks), stale) == {False, True}
