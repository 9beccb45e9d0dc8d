"""Anything in any order, today and in 5.17: an alarm is about something that is really there.

Today's cache must never raise one. Of the cache as it was merged, these are expected:

    one task alone    H1: after a refresh whose slot has gone, the cache names a page, and believes
                          in a reference and a mapping that it has given back. What comes of that:
                          Oops, DoubleFree, UseAfterFree, LostWrite, a page table's count off by one
                      H11a: an inactive cache that is refreshed is valid, and the notifier does not
                          find it: LostWrite, and Oops when it is activated, which forgets its page
                      H5, H6: references that nobody gives back, more and more
    two at once       Oops: a reader meets the placeholder, whose khva is NULL (H8b, H7b)
                      LostWrite: a page that the host has replaced meanwhile (H8a, H8c, H11a)
                      HeldLockInit: init() makes the lock new (H10)
                      Crash: two callers of destroy(), which they must not be: `active` has no lock
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations_with_replacement, product
from typing import Any

import hypothesis.strategies as some
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pfncache_lab.explore import DepthFirst, check
from pfncache_lab.kvm.history.bug import NOW, V5_17
from pfncache_lab.kvm.history.scene import scene
from pfncache_lab.kvm.kvm_types import is_error_noslot_pfn, kvm_is_error_gpa, kvm_is_error_hva
from pfncache_lab.mm import (
    PROT_READ,
    PROT_WRITE,
    Present,
    copy_from_user,
    copy_to_user,
    madvise_dontneed,
    memory_failure,
    migrate_page,
    mmap,
    mprotect,
    munmap,
    store,
    swap_out,
)
from pfncache_lab.sim import LockDep, Machine, new_world
from tests.kvm.cases import (
    CREATE,
    CREATE_AT_1,
    DELETE,
    DEVICE,
    FLAGS,
    HOLE,
    HVA,
    MOVE_AWAY,
    MOVE_BY_ONE,
    OUTSIDE,
    in_srcu,
    world,
)

IMAGES = {era.name: era.image({}) for era in (NOW, V5_17)}
QUICK = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

GPAS = some.sampled_from([0x10_000, 0x10_080, 0x10_FF8, 0x11_080, 0x12_080, 0x20_080, DEVICE, HOLE])
HVAS = some.sampled_from([HVA + 0x80, HVA + 0x1080, OUTSIDE, OUTSIDE + 0x80])
LENGTHS = some.sampled_from([1, 8, 9, 0x1000])
PAGES = some.sampled_from([0, 1, 2, 6])
UPDATES = [DELETE, CREATE, CREATE_AT_1, MOVE_AWAY, MOVE_BY_ONE, FLAGS]


def protect(prot):
    return lambda mm, hva: mprotect(mm, hva, 0x1000, prot)


EVENTS = [
    lambda mm, hva: madvise_dontneed(mm, hva, 0x1000),
    lambda mm, hva: munmap(mm, hva, 0x1000),
    lambda mm, hva: mmap(mm, hva, 0x1000),
    protect(PROT_READ),
    protect(PROT_READ | PROT_WRITE),
    lambda mm, hva: copy_to_user(mm, hva, b"u"),
    migrate_page,
    swap_out,
]


going_on = precondition(lambda self: not self.over)
CACHES = some.integers(0, 1)


class Today(RuleBasedStateMachine):
    """Two caches of a VM. Each rule is a task of its own, which is run alone."""

    era = NOW
    expected: tuple[str, ...] = ()
    """Kinds of bug, once there is an excuse for one."""

    @initialize()
    def begin(self):
        new_world()
        self.image = IMAGES[self.era.name]
        self.w: Any = world(self.image, self.image.make_cache)
        self.lockdep = LockDep()
        self.over = self.excused = False
        self.lost = 0

    def do(self, act):
        """Run a task, in a read section of kvm->srcu. Returns what it returns."""
        result: list[Any] = []
        machine = Machine(DepthFirst(), lockdep=self.lockdep)
        machine.spawn("vcpu0", lambda: result.append(act()))
        machine.run()
        if machine.bug is not None:
            assert self.excused and type(machine.bug).__name__ in self.expected, machine.bug
            self.over = True
        return result[0] if result else None

    def call(self, name, which, *args):
        gpc = self.w.caches[which]
        function = getattr(self.image, name)
        return self.do(lambda: in_srcu(self.w, lambda: function(self.w.kvm, gpc, *args)))

    @going_on
    @rule(which=CACHES, gpa=GPAS, length=LENGTHS)
    def activate(self, which, gpa, length):
        self.forgets(which)
        fits = gpa % 0x1000 + length <= 0x1000
        error = self.call("activate", which, gpa, length)
        assert error in ((0, -14, None) if fits else (-22, None))
        self.could_be_wrong(which)

    @going_on
    @rule(which=CACHES, uhva=HVAS, length=LENGTHS)
    def activate_hva(self, which, uhva, length):
        error = self.call("activate_hva", which, uhva, length)
        fits = uhva % 0x1000 + length <= 0x1000 and self.era is NOW  # in 5.17 there are none
        assert error in ((0, -14) if fits else (-22,))

    def has_address(self, gpc):
        return not (kvm_is_error_gpa(gpc.gpa) and kvm_is_error_hva(gpc.uhva))

    def forgets(self, which):
        """Today, nothing is forgotten."""

    def could_be_wrong(self, which):
        """Today, nothing could."""

    @going_on
    @rule(which=CACHES, length=LENGTHS)
    def refresh(self, which, length):
        gpc = self.w.caches[which]
        if self.has_address(gpc):  # H21 would warn
            gpa = gpc.gpa
            error = self.call("refresh", which, gpa, length)
            assert error in (0, -14, -22, None)
            self.could_be_wrong(which)

    @going_on
    @rule(which=CACHES, gpa=GPAS)
    def move(self, which, gpa):
        if self.w.caches[which].active:
            assert self.call("move", which, gpa, 1) in (0, -14, None)
            self.could_be_wrong(which)

    @going_on
    @rule(which=CACHES)
    def deactivate(self, which):
        self.call("deactivate", which)

    @going_on
    @rule(which=CACHES, value=some.sampled_from([b"a", b"b"]))
    def use(self, which, value):
        """What is stored through the cache is what the process finds at its address."""
        gpc = self.w.caches[which]
        hva = gpc.uhva

        def body():
            gpc.lock.read_lock_irq()
            usable = self.image.check(self.w.kvm, gpc, gpc.gpa, 1)
            if usable:
                store(gpc.khva, value)
            gpc.lock.read_unlock_irq()
            return usable

        if self.do(lambda: in_srcu(self.w, body)):
            found = self.do(lambda: copy_from_user(self.w.mm, hva, 1))
            assert found == value or self.excused

    @going_on
    @rule(page=PAGES, event=some.sampled_from(EVENTS))
    def host(self, page, event):
        self.do(lambda: event(self.w.mm, HVA + page * 0x1000))

    @going_on
    @rule(page=PAGES)
    def memory_fails(self, page):
        if len(self.w.ram.free) > 4:  # each failure costs a frame
            self.do(lambda: memory_failure(self.w.mm, HVA + page * 0x1000))

    @going_on
    @rule(update=some.sampled_from(UPDATES))
    def slots(self, update):
        self.do(lambda: update(self.w))

    @rule()
    def nothing(self):
        """There is always something to do, even when all is over."""

    # -- what must hold ------------------------------------------------------------------------

    @invariant()
    def holds(self):
        if not hasattr(self, "w") or self.over or self.excused:
            return
        kvm, caches = self.w.kvm, self.w.caches
        assert kvm.mn_active_invalidate_count == kvm.mmu_invalidate_in_progress == 0
        assert set(kvm.gpc_list[:]) == {gpc for gpc in caches if gpc.active}
        for gpc in caches:
            self.holds_of(gpc)
        self.counts(Counter(g.pfn for g in caches if not is_error_noslot_pfn(g.pfn)))

    def holds_of(self, gpc):
        assert gpc.active or not gpc.valid
        if gpc.valid and not kvm_is_error_hva(gpc.uhva):
            entry = self.w.mm.pte(gpc.uhva).value
            assert isinstance(entry, Present) and entry.page.pfn == gpc.pfn
            assert gpc.khva % 0x1000 == gpc.uhva % 0x1000
            assert gpc.khva - gpc.khva % 0x1000 == entry.page.khva

    def beyond(self):
        """References beyond those of page tables."""
        entries = Counter(pte.page.pfn for pte in self.w.mm.all_ptes() if pte.page)
        pages = [page for page in self.w.ram.pages.values() if page.counted]
        more = Counter({p.pfn: p.refcount - entries[p.pfn] for p in pages})
        assert not -more
        return +more

    def counts(self, cached):
        assert not self.beyond()
        assert {p.pfn: p.kmaps for p in self.w.ram.pages.values() if p.kmaps} == cached


class AsMerged(Today):
    """The cache of 5.17. What is expected of it stands at the head of this file."""

    era = V5_17
    expected = ("Oops", "DoubleFree", "UseAfterFree", "LostWrite", "SharedWrite")

    def has_address(self, gpc):
        return gpc.gpa != 0

    def forgets(self, which):
        """H11a: who was refreshed while inactive has a page, and init() forgets it."""
        gpc = self.w.caches[which]
        if not gpc.active and not is_error_noslot_pfn(gpc.pfn):
            self.excused = True

    def could_be_wrong(self, which):
        gpc = self.w.caches[which]
        h1 = kvm_is_error_hva(gpc.uhva) and not is_error_noslot_pfn(gpc.pfn)
        h11a = gpc.valid and not gpc.active
        self.excused = self.excused or h1 or h11a

    def counts(self, cached):
        """Each cache owns one reference. Those that are lost never come back."""
        pages = self.w.ram.pages
        owned = Counter({pfn: n for pfn, n in cached.items() if pages[pfn].counted})
        more = self.beyond()
        assert owned <= more
        lost = (more - owned).total()
        assert lost >= self.lost
        self.lost = lost
        assert {p.pfn: p.kmaps for p in pages.values() if p.kmaps} == cached


Today.TestCase.settings = AsMerged.TestCase.settings = QUICK
TestToday = Today.TestCase
TestAsMerged = AsMerged.TestCase


# -- two at once -----------------------------------------------------------------------------------

SETUPS = [
    "active_cache",
    "touched_cache",
    "invalid_cache",
    "stale_generation",
    "inactive_again",
]
TASKS = [
    "use_here",
    "refresh_here",
    "look_once",
    "move_there",
    "move_within_the_page",
    "activate_here",
    "deactivate_here",
    "replace_the_page",
    "move_the_page",
    "lose_the_slot",
]
PAIRS = list(combinations_with_replacement(TASKS, 2))


def two(era, setup, pair, **invariants):
    tasks = dict(zip("ab", pair, strict=True))
    return scene("two at once", setup, tasks, **invariants)(IMAGES[era.name])


@pytest.mark.slow
@given(some.sampled_from(SETUPS), some.sampled_from(PAIRS))
@settings(QUICK, max_examples=30)
def test_two_at_once_with_one_preemption(setup, pair):
    assert check(two(NOW, setup, pair), max_preemptions=1).failure is None
    failure = check(two(V5_17, setup, pair, invariants=()), max_preemptions=1).failure
    if failure is None:
        return
    kind = type(failure.bug).__name__
    if kind == "Oops":  # NULL, or what H1 has left
        assert "address 0x0" in str(failure.bug) or "lose_the_slot" in pair
    elif kind == "LostWrite":
        assert "replace_the_page" in pair
    elif kind == "HeldLockInit":
        assert "activate_here" in pair
    else:
        assert kind == "Crash" and "ValueError" in str(failure.bug)
        assert {"deactivate_here", "lose_the_slot"} & set(pair)


USERS = ["use_here", "refresh_here", "look_once"]
OTHERS = ["move_there", "deactivate_here", "replace_the_page", "move_the_page"]


@pytest.mark.slow
@pytest.mark.parametrize("pair", list(product(USERS, OTHERS)), ids=" and ".join)
def test_today_two_at_once_in_many_schedules(pair):
    """Every one, where that is no more than some hundreds; elsewhere, those that come first."""
    assert check(two(NOW, "touched_cache", pair), budget=200).failure is None
