"""Memory while several tasks use it: what the notifiers see, who waits, who may not sleep."""

import pytest

from pfncache_lab import mm as mm_floor
from pfncache_lab.explore import Condition, Scenario, check
from pfncache_lab.mm import (
    EAGAIN,
    FIRST_HVA,
    MMU_NOTIFY_UNMAP,
    PAGE_SIZE,
    LostWrite,
    MmStruct,
    MmuNotifier,
    MmuNotifierRange,
    Ram,
    SharedWrite,
    check_kernel_mappings,
    check_page_refs,
    copy_from_user,
    copy_to_user,
    exit_mmap,
    fork_cow,
    get_user_page_fast_only,
    get_user_pages_unlocked,
    kmap,
    ksm_merge,
    kunmap,
    load,
    madvise_dontneed,
    memory_failure,
    memremap,
    migrate_page,
    mmap,
    mmap_write_lock,
    mmap_write_unlock,
    mmu_notifier_invalidate_range_start,
    mmu_notifier_invalidate_range_start_nonblock,
    mmu_notifier_range_blockable,
    mmu_notifier_register,
    mprotect,
    mremap,
    munmap,
    oom_reap_task_mm,
    put_page,
    store,
    swap_out,
)
from pfncache_lab.sim import (
    Deadlock,
    LockOrder,
    ModelError,
    Mutex,
    SleepInAtomic,
    SpinLock,
    Struct,
    UseAfterFree,
    Warn,
    cpu_relax,
    hard_irq,
    marked,
    new_world,
    shared,
)

ONE, TWO, THREE, FOUR = (FIRST_HVA + i * PAGE_SIZE for i in range(4))


def start(mn, range):
    """What KVM does, in small: count ranges in flight, and drop what is cached."""
    s = mn.owner
    with s.lock:
        s.count += 1
        if range.start <= ONE < range.end:
            s.valid = False
    return 0


def end(mn, range):
    with mn.owner.lock:
        mn.owner.seq += 1
        mn.owner.count -= 1


class Host(Struct):
    """An address space of which one page is cached, with neither a reference nor a lock too many.

    That is the protocol of today's gfn_to_pfn_cache, on one page.
    """

    lock = SpinLock()
    refresh_lock = Mutex()
    count = shared(0, guarded_by="lock")
    seq = shared(0, guarded_by="lock")
    valid = shared(False, guarded_by="lock")
    khva = shared(0, guarded_by="lock")
    out = marked(None)

    def __init__(self):
        super().__init__()
        self.ram = Ram(5)
        self.mm = MmStruct("mm")
        self.child = MmStruct("child")
        mmap(self.mm, ONE, 3 * PAGE_SIZE)
        copy_to_user(self.mm, ONE, b"same")
        copy_to_user(self.mm, TWO, b"same")
        mmu_notifier_register(MmuNotifier(start, end, owner=self), self.mm)


def cached_store(s):
    """Store through a mapping, and get a new one if the notifier has made it invalid."""
    mapped = None
    while True:
        with s.lock:
            if s.valid:
                store(s.khva + 8, b"cached")
                break
            seq = s.seq
        if mapped is not None:
            kunmap(mapped)
            mapped = None
        page = get_user_pages_unlocked(s.mm, ONE, write=True)
        if isinstance(page, int):
            return
        mapped, khva = page, kmap(page)
        put_page(page)
        with s.lock:
            if not s.count and s.seq == seq:
                s.khva, s.valid = khva, True
                continue
        cpu_relax()
    kunmap(mapped)


EVENTS = {
    "munmap": lambda s: munmap(s.mm, ONE, PAGE_SIZE),
    "dontneed": lambda s: madvise_dontneed(s.mm, ONE, PAGE_SIZE),
    "mprotect": lambda s: mprotect(s.mm, ONE, PAGE_SIZE, 1),
    "mremap": lambda s: mremap(s.mm, ONE, PAGE_SIZE, FOUR),
    "migration": lambda s: migrate_page(s.mm, ONE),
    "swap": lambda s: swap_out(s.mm, ONE),
    "ksm": lambda s: ksm_merge(s.mm, ONE, TWO),
    "ksm the other way": lambda s: ksm_merge(s.mm, TWO, ONE),
    "fork": lambda s: fork_cow(s.mm, s.child, ONE, PAGE_SIZE),
    "hwpoison": lambda s: memory_failure(s.mm, ONE),
    "exit": lambda s: exit_mmap(s.mm),
    "reaper": lambda s: oom_reap_task_mm(s.mm),
}


@pytest.mark.parametrize("event", EVENTS)
def test_who_keeps_to_the_protocol_never_loses_a_write(event):
    """Goal: no event frees or moves a page that a valid cache leads to. Method: all schedules."""
    final = [
        Condition("no references left", lambda s: check_page_refs(s.ram)),
        Condition("no mappings left", lambda s: check_kernel_mappings(s.ram)),
    ]
    tasks = {"reader": cached_store, "event": EVENTS[event]}
    report = check(Scenario(event, Host, tasks, final=final), "states")
    assert report.verdict.name == "PASS", report
    assert not any("traces" in note for note in report.notes)


class Deaf(Host):
    """The same, and nobody tells it anything."""

    def __init__(self):
        super().__init__()
        self.mm.__dict__["_notifiers"] = ()


def careless_store(s):
    """Use a mapping for ever."""
    page = get_user_page_fast_only(s.mm, ONE, write=True)
    if page is not None:
        khva = kmap(page)
        put_page(page)
        store(khva, b"deaf")
        kunmap(page)


BUGS = {
    "munmap": UseAfterFree,
    "dontneed": UseAfterFree,
    "migration": UseAfterFree,
    "swap": UseAfterFree,
    "ksm": SharedWrite,
    "ksm the other way": UseAfterFree,
    "fork": SharedWrite,
    "hwpoison": UseAfterFree,
    "exit": UseAfterFree,
    "reaper": UseAfterFree,
}


@pytest.mark.parametrize("event, bug", BUGS.items())
def test_who_does_not_listen_is_found_out(event, bug):
    report = check(Scenario(event, Deaf, {"reader": careless_store, "event": EVENTS[event]}))
    assert type(report.failure.bug) is bug


def hasty_store(s):
    """Look whether the mapping is valid, and store after the lock was released."""
    page = get_user_pages_unlocked(s.mm, ONE, write=True)
    if isinstance(page, int):
        return
    khva = kmap(page)
    store(khva, b"hasty")
    kunmap(page)
    put_page(page)


@pytest.mark.parametrize("event", ["munmap", "dontneed", "mremap", "hwpoison", "exit", "reaper"])
def test_a_reference_alone_keeps_the_page_and_loses_the_write(event):
    report = check(Scenario(event, Host, {"reader": hasty_store, "event": EVENTS[event]}))
    lost = event != "mremap"  # the page is only somewhere else
    assert (type(report.failure.bug) is LostWrite) if lost else not report.failure


@pytest.mark.parametrize("event", ["migration", "swap"])
def test_a_reference_keeps_a_page_where_it_is(event):
    assert not check(Scenario(event, Host, {"a": hasty_store, "b": EVENTS[event]})).failure


def test_events_overlap_and_each_start_has_its_end():
    def check_counts(s):
        return s.count == 0 and s.seq == 4

    report = check(
        Scenario(
            "three at once",
            Host,
            {
                "a": EVENTS["migration"],
                "b": lambda s: ksm_merge(s.mm, TWO, ONE),
                "c": EVENTS["dontneed"],
            },
            final=[
                Condition("all ended", check_counts),
                Condition("nothing leaked", lambda s: check_page_refs(s.ram)),
            ],
        )
    )
    assert not report.failure


def test_a_fault_waits_while_a_page_moves():
    def touch(s):
        s.out = copy_from_user(s.mm, ONE, 4)

    report = check(
        Scenario(
            "migration",
            Host,
            {"a": touch, "b": EVENTS["migration"]},
            final=[Condition("the bytes are the same", lambda s: s.out == b"same")],
        )
    )
    assert not report.failure


def run_alone(task, kind, setup=Host):
    report = check(Scenario("alone", setup, {"a": task}))
    assert report.failure and type(report.failure.bug) is kind, report
    return str(report.failure.bug)


@pytest.mark.parametrize(
    "sleeper",
    [
        lambda s: get_user_pages_unlocked(s.mm, ONE),
        lambda s: kmap(s.ram.zero_page),
        lambda s: kunmap(s.ram.zero_page),
        lambda s: memremap(0, 1),
        lambda s: copy_to_user(s.mm, ONE, b"x"),
        lambda s: copy_from_user(s.mm, ONE, 1),
        lambda s: migrate_page(s.mm, ONE),
        lambda s: swap_out(s.mm, ONE),
        lambda s: memory_failure(s.mm, ONE),
        lambda s: munmap(s.mm, ONE, 1),
        lambda s: mmu_notifier_invalidate_range_start(MmuNotifierRange(s.mm, ONE, TWO)),
    ],
)
def test_what_may_sleep_must_not_be_called_with_a_spinlock(sleeper):
    def task(s):
        with s.lock:
            sleeper(s)

    run_alone(task, SleepInAtomic)


def test_the_fast_path_may_be_used_in_an_interrupt():
    @hard_irq
    def handler(s):
        page = get_user_page_fast_only(s.mm, ONE)
        if page is not None:
            put_page(page)

    assert not check(Scenario("irq", Host, {"a": handler, "b": EVENTS["munmap"]})).failure


def test_a_task_must_not_wait_for_mmap_lock_that_it_holds():
    def task(s):
        mmap_write_lock(s.mm)
        get_user_pages_unlocked(s.mm, ONE)
        mmap_write_unlock(s.mm)

    report = check(Scenario("alone", Host, {"a": task}))
    assert "holds it already" in str(report.failure.bug)


def test_lockdep_knows_that_notifiers_run_under_mmap_lock():
    """munmap(): mmap_lock, then what the notifier takes. So nobody may fault under the latter."""

    def start_with_mutex(mn, range):
        with mn.owner.refresh_lock:
            return 0

    def setup():
        host = Host()
        mmu_notifier_register(MmuNotifier(start_with_mutex, end, owner=host), host.mm)
        return host

    def refresh(s):
        with s.refresh_lock:
            get_user_pages_unlocked(s.mm, ONE)

    tasks = {"a": refresh, "b": EVENTS["munmap"]}
    assert type(check(Scenario("order", setup, tasks)).failure.bug) in (LockOrder, Deadlock)


def told(mn, range):
    mn.owner.out = (*(mn.owner.out or ()), mmu_notifier_range_blockable(range))
    return 0


def refuses(mn, range):
    return 0 if range.blockable else -EAGAIN


def hears_the_end(mn, range):
    mn.owner.out = (*mn.owner.out, "end")


def two_notifiers():
    host = Host()
    mmu_notifier_register(MmuNotifier(told, hears_the_end, owner=host), host.mm)
    mmu_notifier_register(MmuNotifier(refuses, lambda mn, range: 1 / 0, owner=host), host.mm)
    return host


def test_the_reaper_leaves_a_range_alone_if_a_notifier_would_have_to_sleep():
    new_world()
    s = two_notifiers()
    assert not oom_reap_task_mm(s.mm) and s.out == (False, "end")
    assert s.mm.entries() and s.count == 0


def test_nobody_may_refuse_a_range_for_which_it_may_sleep():
    def never(mn, range):
        return -EAGAIN

    def setup():
        host = Host()
        mmu_notifier_register(MmuNotifier(never, end, owner=host), host.mm)
        return host

    assert "refused a range" in run_alone(EVENTS["migration"], Warn, setup)


def test_the_reaper_does_not_wait_for_mmap_lock():
    def task(s):
        mmap_write_lock(s.mm)
        s.out = 1
        mmap_write_unlock(s.mm)

    seen = set()

    def reap(s):
        seen.add(oom_reap_task_mm(s.mm))

    assert not check(Scenario("reap", Host, {"a": task, "b": reap}), "traces").failure
    assert seen == {False, True}


def test_exit_tells_that_the_address_space_ends():
    new_world()
    s = Host()

    def release(mn, mm):
        s.out = mm

    mmu_notifier_register(MmuNotifier(told, end, release, s), s.child)
    exit_mmap(s.child)
    assert s.out is s.child
    exit_mmap(s.mm)


def test_who_is_told_stays_the_same_in_a_run():
    def task(s):
        mmu_notifier_register(MmuNotifier(start, end), s.mm)

    with pytest.raises(ModelError, match="Register a notifier in the set-up"):
        check(Scenario("late", Host, {"a": task}))
    range = MmuNotifierRange(Host().mm, ONE, TWO, MMU_NOTIFY_UNMAP)
    assert mmu_notifier_invalidate_range_start_nonblock(range) == 0


def test_who_spins_on_a_page_goes_on_when_it_changes():
    def spin(s):
        page = get_user_page_fast_only(s.mm, ONE)
        khva = kmap(page)
        while load(khva, 1) != b"g":
            cpu_relax()

    def go(s):
        copy_to_user(s.mm, ONE, b"go")

    assert not check(Scenario("spin", Host, {"a": spin, "b": go})).failure


def test_the_floor_names_what_it_offers():
    assert sorted(set(mm_floor.__all__)) == sorted(mm_floor.__all__)
    assert all(name in dir(mm_floor) for name in mm_floor.__all__)
