"""Anything done to memory, in any order: the bytes are right, the counts add up, no false alarm.

Three searches by Hypothesis. One operation after the other, against a model of a few lines; then
several tasks with a random schedule, of which some do what they must not.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from itertools import cycle

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as some
from hypothesis.stateful import Bundle as Things
from hypothesis.stateful import (
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pfncache_lab.explore import Scenario
from pfncache_lab.explore.scenario import run
from pfncache_lab.mm import (
    EAGAIN,
    EFAULT,
    PAGE_SIZE,
    PROT_READ,
    PROT_WRITE,
    LostWrite,
    MmStruct,
    Present,
    Ram,
    SharedWrite,
    Swap,
    copy_from_user,
    copy_to_user,
    exit_mmap,
    fork_cow,
    get_user_pages_unlocked,
    kmap,
    ksm_merge,
    kunmap,
    load,
    madvise_dontneed,
    migrate_page,
    mmap,
    moving,
    mprotect,
    mremap,
    munmap,
    oom_reap_task_mm,
    paging,
    put_page,
    store,
    swap_out,
)
from pfncache_lab.mm.pte import leave
from pfncache_lab.sim import DoubleFree, KernelBug, Oops, UseAfterFree, new_world

from .worlds import ACTS, FOUR, ONE, THREE, TWO, Memory

QUICK = settings(max_examples=60, deadline=None, derandomize=True)
HVAS = some.sampled_from([ONE, ONE, TWO, TWO, THREE, FOUR])
BYTES = some.sampled_from([b"\0", b"a", b"b"])
NEW = b"\0\0"


def assert_consistent(ram, *mms, pins=()):
    """What must hold of the memory at every moment, counted anew from the page tables."""
    entries = Counter(pte.page.pfn for mm in mms for pte in mm.all_ptes() if pte.page)
    pinned = Counter(page.pfn for page in pins)
    for pfn, page in ram.pages.items():
        if page.counted:
            assert (page.mapcount or 0) * (not page.free) == entries[pfn]
            assert page.refcount == entries[pfn] + pinned[pfn]
            assert page.free == (page in ram.free) or page.hwpoison


class Contents(RuleBasedStateMachine):
    """Two bytes a page, in an address space and its child: what must be read there."""

    pins = Things("pins")

    @initialize(frames=some.integers(9, 12))
    def begin(self, frames):
        new_world()
        self.ram = Ram(frames)
        self.mms = [MmStruct("mm"), MmStruct("child")]
        self.bytes: list[dict[int, bytes]] = [{}, {}]
        self.prots: list[dict[int, int]] = [{}, {}]
        self.pinned = []
        self.populate(0)
        self.fork(0, ONE)
        self.populate(1)

    def populate(self, which):
        """Have two pages with the same in them, and one that nobody has touched."""
        for hva in (ONE, TWO, THREE):
            self.map(which, hva)
        for hva in (ONE, TWO):
            self.write(which, hva, 1, b"a")

    which = some.integers(0, 1)

    @rule(which=which, hva=HVAS)
    def map(self, which, hva):
        taken = hva in self.bytes[which]
        assert bool(mmap(self.mms[which], hva, PAGE_SIZE)) == taken
        if not taken:
            self.bytes[which][hva], self.prots[which][hva] = NEW, PROT_READ | PROT_WRITE

    @rule(which=which, hva=HVAS, at=some.integers(0, 1), value=BYTES)
    def write(self, which, hva, at, value):
        left = copy_to_user(self.mms[which], hva + at, value)
        assert bool(left) == (not self.prots[which].get(hva, 0) & PROT_WRITE)
        if not left:
            self.holds(which, hva, at, value)

    def holds(self, which, hva, at, value):
        before = self.bytes[which][hva]
        self.bytes[which][hva] = before[:at] + value + before[at + 1 :]

    @rule(which=which, hva=HVAS)
    def read(self, which, hva):
        known = self.bytes[which].get(hva, -EFAULT)
        assert copy_from_user(self.mms[which], hva, 2) == known

    @rule(which=which, hva=HVAS)
    def unmap(self, which, hva):
        munmap(self.mms[which], hva, PAGE_SIZE)
        self.bytes[which].pop(hva, None)
        self.prots[which].pop(hva, None)

    @rule(which=which, hva=HVAS)
    def discard(self, which, hva):
        if not madvise_dontneed(self.mms[which], hva, PAGE_SIZE):
            self.bytes[which][hva] = NEW

    @rule(which=which)
    def reap(self, which):
        assert oom_reap_task_mm(self.mms[which])
        self.bytes[which] = dict.fromkeys(self.bytes[which], NEW)
        self.populate(which)

    @rule(which=which)
    def exit(self, which):
        exit_mmap(self.mms[which])
        self.bytes[which], self.prots[which] = {}, {}
        self.populate(which)

    @rule(which=which, hva=HVAS, prot=some.sampled_from([PROT_READ, PROT_READ | PROT_WRITE]))
    def protect(self, which, hva, prot):
        if not mprotect(self.mms[which], hva, PAGE_SIZE, prot):
            self.prots[which][hva] = prot

    @rule(which=which, old=HVAS, new=HVAS)
    def move(self, which, old, new):
        if not mremap(self.mms[which], old, PAGE_SIZE, new):
            self.bytes[which][new] = self.bytes[which].pop(old)
            self.prots[which][new] = self.prots[which].pop(old)

    @rule(
        which=which,
        hva=HVAS,
        event=some.sampled_from([migrate_page, swap_out]),
        pin=some.booleans(),
    )
    def shift(self, which, hva, event, pin):
        """A page goes elsewhere, but one to which somebody has a reference."""
        page = get_user_pages_unlocked(self.mms[which], hva, write=True) if pin else -EFAULT
        before = self.places()
        error = event(self.mms[which], hva)
        if not isinstance(page, int):
            assert error
            put_page(page)
        assert self.places() == before

    def places(self):
        """Where each page is to which somebody has a reference."""
        return [[page is pte.page for mm in self.mms for pte in mm.all_ptes()]
                for page in self.pinned]  # fmt: skip

    @rule(which=which, one=HVAS, other=HVAS, values=some.tuples(BYTES, BYTES), pin=some.booleans())
    def merge(self, which, one, other, values, pin):
        """Write to two pages, and merge them if they hold the same, and nobody has one of them."""
        for hva, value in zip((one, other), values, strict=True):
            self.write(which, hva, 0, value)
        before = self.places()
        page = get_user_pages_unlocked(self.mms[which], one, write=True) if pin else -EFAULT
        error = ksm_merge(self.mms[which], one, other)
        if not isinstance(page, int):
            assert error
            put_page(page)
        assert self.places() == before

    @rule(which=which, hva=HVAS)
    def fork(self, which, hva):
        if not fork_cow(self.mms[which], self.mms[1 - which], hva, PAGE_SIZE):
            self.bytes[1 - which][hva] = self.bytes[which][hva]
            self.prots[1 - which][hva] = self.prots[which][hva]

    @precondition(lambda self: len(self.pinned) < 2)
    @rule(target=pins, which=which, hva=HVAS)
    def pin(self, which, hva):
        page = get_user_pages_unlocked(self.mms[which], hva, write=True)
        assert isinstance(page, int) == (not self.prots[which].get(hva, 0) & PROT_WRITE)
        if isinstance(page, int):
            return None
        self.pinned.append(page)
        return page, kmap(page)

    @rule(pin=consumes(pins), value=BYTES)
    def use_and_unpin(self, pin, value):
        """Store where the page is now: in one place, nowhere any more, or in several."""
        if pin is None:
            return
        page, khva = pin
        places = [
            (which, pte.hva)
            for which, mm in enumerate(self.mms)
            for pte in mm.all_ptes()
            if pte.page is page
        ]
        if len(places) == 1:
            ((which, hva),) = places
            assert load(khva, 2) == self.bytes[which][hva]
            store(khva, value)
            self.holds(which, hva, 0, value)
        else:
            with pytest.raises(SharedWrite if places else LostWrite):
                store(khva, value)
        kunmap(page)
        put_page(page)
        self.pinned.remove(page)

    @invariant()
    def counts(self):
        if hasattr(self, "ram"):
            assert_consistent(self.ram, *self.mms, pins=self.pinned)

    @invariant()
    def contents(self):
        """Wherever a page is, on the swap device as well, it holds what was written last."""
        for mm, known in zip(getattr(self, "mms", ()), getattr(self, "bytes", ()), strict=True):
            for hva, value in known.items():
                assert held(mm.pte(hva).value) == value


def held(entry):
    """What begins the page that an entry leads to."""
    if entry is None:
        return NEW
    return (entry.page.data if entry.page else entry.data)[:2]


Contents.TestCase.settings = settings(QUICK, max_examples=100, stateful_step_count=50)
TestContents = Contents.TestCase


def never_copies(self, value):
    """A write to a page that others have as well is allowed."""
    self.pte.set(Present(value.page, True))
    return 0


def asks_nobody(self):
    """Pages are merged whatever they hold, and whoever has them."""
    kept, gone = self.pte.value, self.other.value
    if isinstance(kept, Present) and isinstance(gone, Present) and kept.page is not gone.page:
        return kept.page, gone.page
    return None


def moves_anything(self):
    """A page is written to swap though somebody has it."""
    page = self.cached()
    if page is None:
        return -EAGAIN
    self.pte.set(Swap(None, page.data))
    leave(page, self.pte.hva, "swapped it out from")
    return 0


MUTANTS = [
    (paging._Fault, "fix", never_copies),
    (moving._Merge, "pair", asks_nobody),
    (moving._WriteOut, "effect", moves_anything),
]


@pytest.mark.parametrize(
    ("step", "method", "wrong"), MUTANTS, ids=lambda x: getattr(x, "__name__", x)
)
def test_it_is_found_if_something_is_wrong(step, method, wrong, monkeypatch):
    monkeypatch.setattr(step, method, wrong)
    once = settings(Contents.TestCase.settings, phases=[Phase.generate], database=None)
    with pytest.raises((AssertionError, KernelBug, pytest.fail.Exception, ExceptionGroup)):
        run_state_machine_as_test(Contents, settings=once)


class Choices:
    """A schedule that is drawn."""

    def __init__(self, numbers):
        self.numbers = cycle(numbers)

    def choose(self, runnable, current):
        return runnable[next(self.numbers) % len(runnable)]


def drawn(data, acts):
    """Run two or three tasks, of some acts each, in some order."""

    def task(names):
        def body(s):
            for name in names:
                ACTS[name](s)

        return body

    names = some.lists(some.sampled_from(acts), min_size=1, max_size=3)
    tasks = data.draw(some.lists(names, min_size=2, max_size=3))
    numbers = data.draw(some.lists(some.integers(0, 2), min_size=1, max_size=30))
    setup = partial(Memory, data.draw(some.integers(2, 5)))
    bodies = dict(zip("abc", map(task, tasks), strict=False))
    memory = []

    def remember():
        memory.append(setup())
        return memory[-1]

    result = run(Scenario("anything", remember, bodies), Choices(numbers))
    return result, memory[-1]


KEEPS = {"gup", "gup of the pinned page", "slow gup", "slow gup to read", "alloc", "get"}
KEEPS |= {"slow gup of the first"}
WRONG = {"put", "put too many", "kunmap", "store", "guest's store", "load", "guest's load", "dirty"}
WRONG |= {"gup, map, store", "kmap", "count"}


@given(some.data())
@settings(QUICK, max_examples=150)
def test_who_takes_and_drops_what_is_his_never_raises_an_alarm(data):
    result, s = drawn(data, sorted(set(ACTS) - KEEPS - WRONG))
    assert result.bug is None and result.finished, result
    assert_consistent(s.ram, s.mm, s.child, pins=[s.page])


@given(some.data())
@settings(QUICK, max_examples=300)
def test_an_alarm_is_about_something_that_is_really_there(data):
    result, s = drawn(data, sorted(ACTS))
    bug, page = result.bug, s.page
    known = (type(None), DoubleFree, LostWrite, Oops, SharedWrite, UseAfterFree)
    assert isinstance(bug, known), result
    leads = [pte for mm in (s.mm, s.child) for pte in mm.all_ptes() if pte.page is page]
    if bug is None or f"page frame {page.pfn:#x}" not in str(bug):
        return
    if isinstance(bug, UseAfterFree):
        assert page.free or page.stale
    if isinstance(bug, LostWrite):
        assert not leads and not page.free
    if isinstance(bug, SharedWrite):
        assert len(leads) > 1
    if isinstance(bug, DoubleFree):
        assert page.free or (page.refcount == 1 and leads)
    if isinstance(bug, Oops):
        assert not page.kmaps or "all share" in str(bug)
