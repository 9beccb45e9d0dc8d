"""Every bug of the history is found, and gone where it was mended; and 5.17 has all of its own.

python -m tests.kvm.test_history        prints the table of numbers below, measured anew
"""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import NamedTuple

import pytest

from pfncache_lab.explore import Scenario, check
from pfncache_lab.explore.dpor import SourceDpor
from pfncache_lab.kvm.history import BUGS, h08, v5_17
from pfncache_lab.kvm.history.bug import NOW, V5_17, Bug, Functions
from pfncache_lab.kvm.history.invariants import I10
from pfncache_lab.kvm.history.scene import scene
from pfncache_lab.kvm.kvm_types import is_error_noslot_pfn
from pfncache_lab.kvm.pfn import hva_to_pfn, kvm_release_pfn_clean
from pfncache_lab.sim import KernelBug, cond_resched, smp_rmb


class Numbers(NamedTuple):
    """What a check of a bug's scene comes to. Exact: a search takes no chances."""

    kind: str
    """Of KernelBug that is shown."""
    found: int
    """Runs until it is found."""
    proved: int | None
    """Runs until it is proved that the mended code has none; None where nobody has mended it."""


TABLE = {
    "H1": Numbers("Oops", 1, 1),
    "H2": Numbers("Livelock", 696, 40),
    "H3": Numbers("ConditionBroken", 1, 114),
    "H5": Numbers("PageLeak", 1, 1),
    "H6": Numbers("PageLeak", 1, 1),
    "H7a": Numbers("InvariantBroken", 8, 231),
    "H7b": Numbers("Oops", 8, 399),
    "H8a": Numbers("InvariantBroken", 33, 1054),
    "H8b": Numbers("InvariantBroken", 1, 1),
    "H8c": Numbers("InvariantBroken", 8, 1054),
    "H9": Numbers("ConditionBroken", 1, 1),
    "H10": Numbers("HeldLockInit", 27, 208),
    "H11a": Numbers("InvariantBroken", 1, 1),
    "H11b": Numbers("Unguarded", 1, 208),
    "H11c": Numbers("InvariantBroken", 1, 1),
    "H11d": Numbers("InvariantBroken", 1, 1),
    "H12": Numbers("InvariantBroken", 1, 1),
    "H13": Numbers("LockOrder", 1, 127),
    "H14": Numbers("LockOrder", 1, 365),
    "H15": Numbers("LockOrder", 1, 1),
    "H16": Numbers("Unguarded", 1, 187),
    "H19": Numbers("InvariantBroken", 6, 28),
    "H20": Numbers("RecursiveLock", 1, 243),
    "H21": Numbers("Warn", 1, 1),
    "O1": Numbers("Livelock", 600, None),
    "O2": Numbers("Livelock", 2, None),
    "O6": Numbers("InvariantBroken", 11, None),
}  # fmt: skip
"""Runs change when the search does; the kinds do not."""

SLOW = {"H2", "H8a", "H8c"}
"""That take more than a second or two."""


def measured(bug: Bug) -> Numbers:
    found = check(bug.before(), bug.strategy)
    assert found.failure is not None, f"{bug.label} was not found"
    proved = None
    if bug.commit:
        proof = check(bug.after(), bug.strategy)
        assert str(proof.verdict) == "PASS", proof
        proved = proof.stats.runs
    return Numbers(type(found.failure.bug).__name__, found.stats.runs, proved)


def slow(label: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.slow] if label in SLOW else []


EACH = [pytest.param(bug, id=bug.label, marks=slow(bug.label)) for bug in BUGS]


def test_the_table_has_every_bug():
    assert list(TABLE) == [bug.label for bug in BUGS]


@pytest.mark.parametrize("bug", EACH)
def test_it_is_found_and_where_it_was_mended_it_is_gone(bug):
    assert measured(bug) == TABLE[bug.label]


@pytest.mark.parametrize(
    "bug",
    [pytest.param(bug, id=bug.label, marks=slow(bug.label)) for bug in BUGS if not bug.commit],
)
def test_what_nobody_has_mended_is_there_today(bug):
    """`after` is today's cache, in the same machine: for O1 and O6 it fails as `before` does.

    O2 is about memory that is short while the page is mapped. Its `broken` is that machine, and
    not a version of the cache: in one with enough memory there is nothing to find.
    """
    assert bug.fixed == "open"
    report = check(bug.after(), bug.strategy)
    if bug.label == "O2":
        assert str(report.verdict) == "PASS"
    else:
        assert type(report.failure.bug).__name__ == TABLE[bug.label].kind


# -- all of those that 5.17 had --------------------------------------------------------------------

IN_5_17 = {
    "H1": "Oops",  # it unmaps twice before it puts twice: test_h1_puts_the_page_twice
    "H2": "Livelock",
    "H3": "ConditionBroken",
    "H5": "PageLeak",
    "H6": "PageLeak",
    "H7a": "I11",
    "H7b": "Oops",  # I2: khva is NULL
    "H8a": "I1",
    "H8b": "I2",
    "H8c": "I1",
    "H9": "I4",
    "H10": "HeldLockInit",  # other schedules end with the NULL of H8b
    "H11a": "I3",
    "H11b": "HeldLockInit",
    "H11c": "I3",
    "H11d": "I3",
}
"""What 5.17 shows in the scene of each bug: an invariant of the scene, or a kind of KernelBug.

H11b cannot be told from H10 here. The merged init() makes the lock new, and stores its fields right
after that without a lock. The model of it takes the lock there that nobody else can have, in the
place of the callers' promise to serialise: so a reader who is inside is found at the lock (H10),
and one who is not cannot come in between. Today's cache with the stores alone is in h11.
"""


def alone(bug: Bug, scenario: Scenario) -> Scenario:
    """The scene with no invariant but that of the bug. 5.17 breaks several at once."""
    others = {f"I{n}" for n in range(1, 12)} - {bug.invariant}

    def wanted(conditions):
        return [c for c in conditions if c.name.split(":")[0] not in others]

    return replace(scenario, invariants=wanted(scenario.invariants), final=wanted(scenario.final))


def seed(bug: Bug, functions: Functions | None = None) -> Scenario:
    """The cache as it was merged, in the scene of a bug.

    The later bugs have scenes of today's cache. They know it by the eight functions of the driver
    alone, so nothing has to be said of 5.17.
    """
    if bug.era is not NOW:
        return alone(bug, bug.before())
    return alone(bug, bug.scene(V5_17.image(functions or {})))


def told(bug: KernelBug | None) -> str:
    """What has gone wrong: an invariant by its label, or else the kind of bug."""
    if bug is None:
        return ""
    label = str(bug).removeprefix("`").split(":")[0]
    return label if label in {f"I{n}" for n in range(1, 12)} else type(bug).__name__


def shown(scenario: Scenario) -> str:
    """What a check shows."""
    failure = check(scenario).failure
    return told(failure.bug) if failure else ""


def comes_up(scenario: Scenario, what: str) -> bool:
    """Whether there is a schedule that ends with this. Another one may end with something else."""
    return any(told(run.bug) == what for run in SourceDpor(scenario).runs())


BY_LABEL = {bug.label: bug for bug in BUGS}


@pytest.mark.parametrize("label", [pytest.param(n, marks=slow(n)) for n in IN_5_17])
def test_5_17_shows_it_in_the_same_scene_through_the_same_invariant(label):
    bug = BY_LABEL[label]
    if IN_5_17[label] == "Livelock":  # which is no schedule's end
        assert told(check(seed(bug), bug.strategy).failure.bug) == "Livelock"
    else:
        assert comes_up(seed(bug), IN_5_17[label])


def test_5_17_is_where_all_of_these_were_introduced():
    assert {bug.label for bug in BUGS if bug.introduced == "5.17"} == set(IN_5_17)


def test_h1_puts_the_page_twice():
    """Without a mapping that would be found first: the last reference is the page table's."""

    def activate(kvm, gpc, gpa, length):
        return v5_17.kvm_gfn_to_pfn_cache_init(
            kvm, gpc, kvm.vcpus[0], True, False, gpa, length, False
        )

    bug = BY_LABEL["H1"]
    assert shown(bug.scene(V5_17.image({"activate": activate}))) == "DoubleFree"
    mended = V5_17.image({"activate": activate, **bug.mended})
    assert check(bug.scene(mended)).passed


# -- H8a and H8c are two bugs ----------------------------------------------------------------------


def sees_placeholders(kvm, start, end, may_block):
    """H8c mended: the notifier of 5.17, which takes `valid` back whatever the pfn is."""
    kvm.gpc_lock.lock()
    for gpc in kvm.gpc_list:
        gpc.lock.write_lock_irq()
        if gpc.valid and start <= gpc.uhva < end:
            gpc.valid = False
        gpc.lock.write_unlock_irq()
    kvm.gpc_lock.unlock()


def asks_the_earlier_counter(kvm, uhva):
    """H8a mended: hva_to_pfn_retry() of 5.17, with the counter that goes up before the caches."""
    while True:
        mmu_seq = kvm.mmu_invalidate_seq
        smp_rmb()
        new_pfn = hva_to_pfn(kvm, uhva, atomic=False, write_fault=True)
        in_vain = kvm.mn_active_invalidate_count or kvm.mmu_invalidate_seq != mmu_seq
        if is_error_noslot_pfn(new_pfn) or not in_vain:
            return new_pfn
        kvm_release_pfn_clean(new_pfn)
        cond_resched()


H8C_MENDED: Functions = {"gfn_to_pfn_cache_invalidate_start": sees_placeholders}
H8A_MENDED: Functions = {"hva_to_pfn_retry": asks_the_earlier_counter}


def test_5_17_has_h8a_without_h8c():
    assert shown(seed(h08.BUG_A, H8C_MENDED)) == "I1"


def test_5_17_has_h8c_without_h8a():
    assert shown(seed(h08.BUG_C, H8A_MENDED)) == "I1"


@pytest.mark.slow
def test_5_17_without_either_never_keeps_a_stale_page():
    assert shown(seed(h08.BUG_A, {**H8A_MENDED, **H8C_MENDED})) == ""


# -- what mends one brings another -----------------------------------------------------------------


def test_what_mends_h6_brings_h12():
    """In the same scene, with the invariant that it leaves out."""
    bug = BY_LABEL["H6"]
    bare = scene("another byte", "active_cache", {"vmm": "move_within_the_page"}, [I10])
    assert shown(bare(V5_17.image({}))) == ""
    assert shown(bare(V5_17.image(bug.mended))) == "I10"


if __name__ == "__main__":
    for bug in BUGS:
        begin = perf_counter()
        numbers = measured(bug)
        took = perf_counter() - begin
        row = f'    "{bug.label}": Numbers{tuple(numbers)!r},'.replace("'", '"')
        print(f"{row:60}# {took:.1f} s" if took > 1 else row, flush=True)
