"""Anything in any order, today and in 5.17: an alarm is about something that is really there.

Today's cache must never raise one. Of the cache as it was merged, these are expected:

    one task alone    H1: after a refresh whose slot has gone, the cache names a page, and believes
                          in a reference and a mapping that it has given back. What comes of that:
                          Oops, DoubleFree, UseAfterFree, LostWrite, a page table's count off by one
                      H11a: an inactive cache that is refreshed is valid, and the notifier does not
                          find it: LostWrite, and Oops when it is activated, which forgets its page
                      H5, H6: references that nobody gives back, more and more
                      H2: a vCPU never enters its guest again, once it was evicted
                      H3: nothing of what was written to is in the dirty log
    two at once       Oops: a reader meets the placeholder, whose khva is NULL (H8b, H7b)
                      LostWrite: a page that the host has replaced meanwhile (H8a, H8c, H11a)
                      HeldLockInit: init() makes the lock new (H10)
                      Crash: two callers of destroy(), which they must not be: `active` has no lock
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from errno import ENOENT
from itertools import combinations_with_replacement, product
from typing import Any

import hypothesis.strategies as some
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pfncache_lab.explore import DepthFirst, check
from pfncache_lab.kvm.dirty import kvm_vm_ioctl_get_dirty_log, mark_page_dirty_in_slot
from pfncache_lab.kvm.history import BUGS
from pfncache_lab.kvm.history.bug import NOW, V5_17, Functions
from pfncache_lab.kvm.history.scene import scene
from pfncache_lab.kvm.history.scenes import SLOT
from pfncache_lab.kvm.kvm_types import (
    KVM_GUEST_AND_HOST_USE_PFN,
    is_error_noslot_pfn,
    kvm_is_error_gpa,
    kvm_is_error_hva,
)
from pfncache_lab.kvm.memory_region import kvm_set_memory_region
from pfncache_lab.kvm.memslots import (
    gfn_to_hva_memslot,
    kvm_memslots,
    memslots_in_hva_range,
    search_memslots,
)
from pfncache_lab.kvm.pfncache import kvm_gpc_is_valid_len, set_address
from pfncache_lab.kvm.requests import (
    KVM_REQ_CLOCK_UPDATE,
    KVM_REQ_OUTSIDE_GUEST_MODE,
    KVM_REQ_TLB_FLUSH,
    kvm_make_all_cpus_request,
)
from pfncache_lab.kvm.vcpu import EXIT_REASON_IO, guest_store, vcpu_load, vcpu_put
from pfncache_lab.mm import (
    PROT_READ,
    PROT_WRITE,
    Present,
    copy_from_user,
    copy_to_user,
    ksm_merge,
    madvise_dontneed,
    memory_failure,
    migrate_page,
    mmap,
    mprotect,
    mremap,
    munmap,
    oom_reap_task_mm,
    store,
    swap_out,
)
from pfncache_lab.sim import LockDep, Machine, new_world
from tests.kvm.cases import (
    CREATE,
    CREATE_AT_1,
    DELETE,
    DEVICE,
    END,
    FLAGS,
    HOLE,
    HVA,
    MOVE_AWAY,
    MOVE_BY_ONE,
    OUTSIDE,
    START,
    UNMAPPED,
    in_srcu,
    world,
)

pytestmark = pytest.mark.slow  # all together

IMAGES = {era.name: era.image({}) for era in (NOW, V5_17)}
QUICK = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

HERE, THERE = 0x10_080, 0x11_080
GPAS = some.sampled_from(
    [HERE, HERE, THERE, THERE, 0x10_000, 0x10_FF8, 0x12_080, 0x20_080, DEVICE, HOLE, UNMAPPED]
)
HVAS = some.sampled_from([HVA + 0x80, HVA + 0x1080, OUTSIDE, OUTSIDE + 0x80])
LENGTHS = some.sampled_from([1, 8, 9, 0x1000])
PAGES = some.sampled_from([0, 0, 1, 1, 2, 6])
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
    lambda mm, hva: oom_reap_task_mm(mm),
    lambda mm, hva: ksm_merge(mm, hva, HVA),
    lambda mm, hva: mremap(mm, hva, 0x1000, HVA + 0x5000),
    lambda mm, hva: mremap(mm, HVA + 0x5000, 0x1000, hva),
]
REQUESTS = [KVM_REQ_TLB_FLUSH, KVM_REQ_CLOCK_UPDATE, KVM_REQ_OUTSIDE_GUEST_MODE]
going_on = precondition(lambda self: not self.over)
calm = precondition(lambda self: not self.over and not self.flight)
"""A refresh waits for invalidations to end, and so does an update of the slots."""
CACHES = some.integers(0, 1)
"""The second is used by the guest of a vCPU as well."""


class Today(RuleBasedStateMachine):
    """Two caches of a VM. Each rule is a task of its own, the thread of the vCPU, run alone."""

    era = NOW
    functions: Functions = {}
    """Linked in the place of the kernel's: what is wrong, where the search is to find it."""
    expected: tuple[str, ...] = ()
    """Kinds of bug, once there is an excuse for one."""

    @initialize()
    def begin(self):
        new_world()
        self.image = self.era.image(self.functions) if self.functions else IMAGES[self.era.name]
        self.w: Any = world(self.image, self.image.make_cache)
        self.kvm, self.vcpu = self.w.kvm, self.w.kvm.vcpus[0]
        self.lockdep = LockDep()
        self.over = self.excused = False
        self.lost = 0
        self.flight: list[int] = []
        """Pages whose invalidation has begun."""
        self.log = 0
        """What must be in the dirty log of slot 0."""
        self.let_the_guest_use(self.w.caches[1])
        self.activate_it(0, HERE, 1, False)
        self.activate_it(1, THERE, 1, False)

    def let_the_guest_use(self, gpc):
        self.image.kvm_gpc_init(gpc, self.kvm, self.vcpu, KVM_GUEST_AND_HOST_USE_PFN)

    def do(self, act, loaded=True):
        """Run a task. Returns what it returns."""
        result: list[Any] = []

        def task():
            if loaded:
                vcpu_load(self.vcpu)
            result.append(act())
            if loaded:
                vcpu_put(self.vcpu)

        machine = Machine(DepthFirst(), lockdep=self.lockdep)
        machine.spawn("vcpu0", task)
        machine.run()
        if machine.bug is not None:
            assert self.excused and type(machine.bug).__name__ in self.expected, machine.bug
            self.over = True
        return result[0] if result else None

    def call(self, name, which, *args):
        """Call a function of the cache, in a read section of kvm->srcu."""
        gpc = self.w.caches[which]
        function = getattr(self.image, name)
        return self.do(lambda: in_srcu(self.w, lambda: function(self.kvm, gpc, *args)))

    # -- the cache -----------------------------------------------------------------------------

    @calm
    @rule(which=CACHES, gpa=GPAS, length=LENGTHS, dirty=some.booleans())
    def activate(self, which, gpa, length, dirty):
        self.forgets(which)
        fits = gpa % 0x1000 + length <= 0x1000
        error = self.activate_it(which, gpa, length, dirty)
        assert error in ((0, -14, None) if fits else (-22, None))
        self.could_be_wrong(which)

    def activate_it(self, which, gpa, length, dirty):
        return self.call("activate", which, gpa, length)

    @calm
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

    @calm
    @rule(which=CACHES, length=LENGTHS, dirty=some.booleans())
    def refresh(self, which, length, dirty):
        gpc = self.w.caches[which]
        if self.has_address(gpc):  # H21 would warn
            assert self.refresh_it(which, gpc.gpa, length, dirty) in (0, -14, -22, None)
            self.could_be_wrong(which)

    def refresh_it(self, which, gpa, length, dirty):
        return self.call("refresh", which, gpa, length)

    @calm
    @rule(which=CACHES, gpa=GPAS)
    def move(self, which, gpa):
        if self.w.caches[which].active:
            assert self.call("move", which, gpa, 1) in (0, -14, None)
            self.could_be_wrong(which)

    @going_on
    @rule(which=CACHES)
    def deactivate(self, which):
        self.call("deactivate", which)

    # -- its users -----------------------------------------------------------------------------

    @going_on
    @rule(which=CACHES, value=some.sampled_from([b"a", b"b"]), again=some.booleans())
    def use(self, which, value, again):
        """What is stored through the cache is what the process finds at its address."""
        gpc = self.w.caches[which]

        def body():
            with gpc.lock.read_irq():
                usable = self.image.check(self.kvm, gpc, gpc.gpa, 1)
                if usable:
                    store(gpc.khva, value)
                    self.mark_dirty(gpc)
            return usable

        if again:
            self.refresh_if_it_must(which)
        if not self.over and self.do(lambda: in_srcu(self.w, body)):
            self.finds(gpc, value)

    def refresh_if_it_must(self, which):
        """What a reader does who may sleep."""
        gpc = self.w.caches[which]
        if gpc.active and self.has_address(gpc) and not self.flight:
            self.refresh_it(which, gpc.gpa, 1, False)
            self.could_be_wrong(which)

    def usable(self, gpc):
        """Whether a reader would be let in."""

        def body():
            with gpc.lock.read_irq():
                return self.image.check(self.kvm, gpc, gpc.gpa, 1)

        return self.do(lambda: in_srcu(self.w, body))

    def finds(self, gpc, value):
        hva = self.address(gpc)
        found = self.do(lambda: copy_from_user(self.w.mm, hva, 1))
        assert found == value or self.excused

    def address(self, gpc):
        """Where the byte of a cache is by now, by the slots as they are."""
        if kvm_is_error_gpa(gpc.gpa):
            return gpc.uhva
        gfn = gpc.gpa >> 12
        hva = gfn_to_hva_memslot(search_memslots(self.kvm.memslots0, gfn), gfn)
        return hva if kvm_is_error_hva(hva) else hva + gpc.gpa % 0x1000

    def mark_dirty(self, gpc):
        if gpc.memslot is None:
            return
        gfn = gpc.gpa >> 12
        self.image.mark_page_dirty_in_slot(self.kvm, gpc.memslot, gfn)
        if gpc.memslot.dirty_bitmap is not None:
            self.log |= 1 << gfn - gpc.memslot.base_gfn

    @going_on
    @rule(value=some.sampled_from([b"c", b"d"]), request=some.sampled_from(REQUESTS))
    def guest(self, value, request):
        """A guest stores by the pfn of the second cache, if it may enter and may use it."""
        gpc, done = self.w.caches[1], []

        def guest(vcpu):
            done.append(guest_store(vcpu, pfn, offset, value))
            return EXIT_REASON_IO

        self.refresh_if_it_must(1)
        if self.over or not self.may_enter() or not self.usable(gpc):
            return
        pfn, offset = gpc.pfn, gpc.uhva % 0x1000  # what is in its registers
        self.do(lambda: kvm_make_all_cpus_request(self.kvm, request))
        self.do(lambda: self.image.vcpu_run(self.vcpu, guest), loaded=False)
        if not self.over:
            assert done == [True] and not self.vcpu.requests
            self.finds(gpc, value)

    def may_enter(self):
        """Today, a vCPU that was evicted may come back."""
        return True

    # -- the host, and userspace ---------------------------------------------------------------

    @going_on
    @rule(page=PAGES, event=some.sampled_from(EVENTS))
    def host(self, page, event):
        used = self.w.caches[1].valid
        self.do(lambda: event(self.w.mm, HVA + page * 0x1000))
        self.evicted(used and not self.w.caches[1].valid)

    def evicted(self, needed):
        """Today, eviction leaves no request behind."""
        assert not self.vcpu.requests

    @going_on
    @rule(page=PAGES)
    def memory_fails(self, page):
        if len(self.w.ram.free) > 4:  # each failure costs a frame
            self.do(lambda: memory_failure(self.w.mm, HVA + page * 0x1000))

    @going_on
    @rule(page=PAGES)
    def invalidation_begins(self, page):
        if len(self.flight) < 3:
            self.do(lambda: START(page)(self.w))
            self.flight.append(page)
            hva = HVA + page * 0x1000
            for gpc in self.kvm.gpc_list[:]:
                assert not (gpc.valid and hva <= gpc.uhva < hva + 0x1000)

    @precondition(lambda self: not self.over and self.flight)
    @rule(first=some.booleans())
    def invalidation_ends(self, first):
        page = self.flight.pop(0 if first else -1)
        self.do(lambda: END(page)(self.w))

    @calm
    @rule(update=some.sampled_from(UPDATES))
    def slots(self, update):
        before, generation = self.logs(), self.kvm.memslots0.generation
        assert self.do(lambda: update(self.w)) in (0, -22, -17)
        if before is None or self.logs() is not before:
            self.log = 0
        if self.kvm.memslots0.generation != generation:
            for gpc in self.w.caches:
                assert kvm_is_error_gpa(gpc.gpa) or not self.usable(gpc)

    def logs(self):
        """The dirty bitmap of slot 0, if it is there and logs."""
        found = [slot.dirty_bitmap for slot in self.kvm.memslots0.slots if slot.id == 0]
        return found[0] if found else None

    @going_on
    @rule()
    def read_log(self):
        wanted = self.log if self.logs() is not None else -ENOENT
        assert self.do(lambda: kvm_vm_ioctl_get_dirty_log(self.kvm, 0)) == wanted
        self.log = 0

    @rule()
    def nothing(self):
        """There is always something to do, even when all is over."""

    # -- what must hold ------------------------------------------------------------------------

    @invariant()
    def holds(self):
        if not hasattr(self, "w") or self.over or self.excused:
            return
        kvm, caches = self.kvm, self.w.caches
        assert kvm.mn_active_invalidate_count == len(self.flight)
        hvas = [HVA + page * 0x1000 for page in self.flight]
        slots = [memslots_in_hva_range(kvm.memslots0, hva, hva + 0x1000) for hva in hvas]
        assert kvm.mmu_invalidate_in_progress == sum(map(bool, slots))
        assert set(kvm.gpc_list[:]) == {gpc for gpc in caches if gpc.active}
        for gpc in caches:
            self.holds_of(gpc)
        self.counts(Counter(g.pfn for g in caches if not is_error_noslot_pfn(g.pfn)))

    def holds_of(self, gpc):
        assert gpc.active or not gpc.valid
        by_gpa = not kvm_is_error_gpa(gpc.gpa)
        if gpc.active and by_gpa and gpc.generation == self.kvm.memslots0.generation:
            assert gpc.uhva == self.address(gpc)
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

    def let_the_guest_use(self, gpc):
        """init() says that, each time."""

    def activate_it(self, which, gpa, length, dirty):
        vcpu = self.vcpu if which else None
        name = "kvm_gfn_to_pfn_cache_init"
        return self.call(name, which, vcpu, bool(which), True, gpa, length, dirty)

    def refresh_it(self, which, gpa, length, dirty):
        return self.call("kvm_gfn_to_pfn_cache_refresh", which, gpa, length, dirty)

    def mark_dirty(self, gpc):
        """H3: the cache is to do that, later, and what it does is in vain. So the log is empty."""

    def may_enter(self):
        """H2: nobody consumes request 5."""
        return not self.vcpu.requests >> 5 & 1

    def evicted(self, needed):
        assert self.excused or not needed or self.vcpu.requests >> 5 & 1

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


# -- that it can fail ------------------------------------------------------------------------------


def tells_no_cache(kvm, start, end, may_block):
    """A notifier that leaves the caches as they are."""


def never_unmaps(pfn, khva):
    """Leave each mapping behind."""


def any_generation(gpc, length):
    """kvm_gpc_check() by a reader who does not look whether the slots have changed."""
    return gpc.active and kvm_gpc_is_valid_len(gpc.gpa, gpc.uhva, length) and gpc.valid


def keeps_the_slot(gpc, gpa, uhva):
    """set_address() that looks nothing up where the address is the same."""
    if gpc.gpa == gpa and not kvm_is_error_hva(gpc.uhva):
        gpc.generation = kvm_memslots(gpc.kvm).generation
        return 0
    return set_address(gpc, gpa, uhva)


def counts_nothing(kvm, start, end):
    """An invalidation that does not show in mmu_invalidate_in_progress."""


def never_consumes(vcpu, requests):
    """A vCPU that goes on, and leaves its requests where they are."""
    return True


def marks_the_first(kvm, memslot, gfn):
    """Mark the first page of the slot, whichever was written to."""
    mark_page_dirty_in_slot(kvm, memslot, memslot.base_gfn)


def broken(label):
    return next(bug.broken for bug in BUGS if bug.label == label)


MUTANTS = {
    "H9": broken("H9"),
    "H11a": broken("H11a"),
    "H12": broken("H12"),
    "tells no cache": {"gfn_to_pfn_cache_invalidate_start": tells_no_cache},
    "never unmaps": {"gpc_unmap": never_unmaps},
    "any generation": {"kvm_gpc_check": any_generation},
    "keeps the slot": {"set_address": keeps_the_slot},
    "counts nothing": {"kvm_mmu_invalidate_begin": counts_nothing},
    "marks the first": {"mark_page_dirty_in_slot": marks_the_first},
    "is not consumed": {"vcpu_process_requests": never_consumes},
}
GENERATE = settings(QUICK, phases=[Phase.generate])


@pytest.mark.parametrize("name", MUTANTS)
def test_it_is_found_if_something_is_wrong(name):
    class Mutant(Today):
        functions = MUTANTS[name]

    with pytest.raises((AssertionError, ExceptionGroup)):
        run_state_machine_as_test(Mutant, settings=GENERATE)


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
MOVED = SLOT._replace(guest_phys_addr=0x20_000)
UPDATED = {
    "change_the_slot": lambda vm: kvm_set_memory_region(vm.kvm, SLOT._replace(flags=1)),
    "move_the_slot": lambda vm: kvm_set_memory_region(
        vm.kvm, SLOT._replace(guest_phys_addr=1 << 20)
    ),
    "merge": lambda vm: ksm_merge(vm.mm, HVA, HVA + 0x1000),
    "reap": lambda vm: oom_reap_task_mm(vm.mm),
}
"""What the scenes of the history do not need."""
PAIRS = list(combinations_with_replacement([*TASKS, *UPDATED], 2))


def two(era, setup, pair, **invariants):
    """Two tasks, in the machine of the history's scenes."""
    named = {key: name for key, name in zip("ab", pair, strict=True) if name in TASKS}
    made = scene("two at once", setup, named, **invariants)(IMAGES[era.name])
    others = {key: UPDATED[name] for key, name in zip("ab", pair, strict=True) if name in UPDATED}
    return replace(made, tasks={**made.tasks, **others})


@pytest.mark.slow
@given(some.sampled_from(SETUPS), some.sampled_from(PAIRS))
@settings(QUICK, max_examples=60)
def test_two_at_once_with_one_preemption(setup, pair):
    assert check(two(NOW, setup, pair), max_preemptions=1).failure is None
    failure = check(two(V5_17, setup, pair, invariants=()), max_preemptions=1).failure
    if failure is None:
        return
    kind = type(failure.bug).__name__
    if kind in ("Oops", "DoubleFree"):  # NULL, or what H1 has left
        left = {"lose_the_slot", "move_the_slot"} & set(pair)
        assert (kind == "Oops" and "address 0x0" in str(failure.bug)) or left
    elif kind == "LostWrite":
        assert {"replace_the_page", "reap"} & set(pair)
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
