"""Every bug of the history is found, and gone where it was mended; and 5.17 has all of its own."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from pfncache_lab.documents import BEGIN, END
from pfncache_lab.explore import Scenario, check
from pfncache_lab.explore.dpor import SourceDpor
from pfncache_lab.kvm.history import BUGS, h08, v5_17
from pfncache_lab.kvm.history.bug import NOW, V5_17, Bug, Functions
from pfncache_lab.kvm.history.invariants import I10
from pfncache_lab.kvm.history.scene import scene
from pfncache_lab.kvm.history.table import measure
from pfncache_lab.kvm.kvm_types import is_error_noslot_pfn
from pfncache_lab.kvm.pfn import hva_to_pfn, kvm_release_pfn_clean
from pfncache_lab.sim import KernelBug, cond_resched, smp_rmb

KINDS = {
    "H1": "Oops",
    "H2": "Livelock",
    "H3": "ConditionBroken",
    "H5": "PageLeak",
    "H6": "PageLeak",
    "H7a": "InvariantBroken",
    "H7b": "Oops",
    "H8a": "InvariantBroken",
    "H8b": "InvariantBroken",
    "H8c": "InvariantBroken",
    "H9": "ConditionBroken",
    "H10": "HeldLockInit",
    "H11a": "InvariantBroken",
    "H11b": "Unguarded",
    "H11c": "InvariantBroken",
    "H11d": "InvariantBroken",
    "H12": "InvariantBroken",
    "H13": "LockOrder",
    "H14": "LockOrder",
    "H15": "LockOrder",
    "H16": "Unguarded",
    "H19": "InvariantBroken",
    "H20": "RecursiveLock",
    "H21": "Warn",
    "O1": "Livelock",
    "O2": "Livelock",
    "O6": "InvariantBroken",
}
"""What is shown of each, in its scene."""

SLOW = {"H2", "H8a", "H8c"}
"""That take more than a second or two."""

README = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8")


def slow(label: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.slow] if label in SLOW else []


EACH = [pytest.param(bug, id=bug.label, marks=slow(bug.label)) for bug in BUGS]


def test_the_table_has_every_bug_and_no_other():
    told = README.partition(BEGIN)[2].partition(END)[0]
    labels = re.findall(r"^\| ([HO]\d+[a-d]?) \|", told, re.MULTILINE)
    assert labels == list(KINDS) == [bug.label for bug in BUGS]


@pytest.mark.parametrize("bug", EACH)
def test_it_is_found_and_where_it_was_mended_it_is_gone(bug):
    """And README says so, with the same numbers: a search takes no chances."""
    row = measure(bug)
    assert row.kind == KINDS[bug.label]
    assert row.verdict == "PASS" or not bug.commit
    assert f"\n{row}\n" in README, "run `pfncache-lab refresh`"


@pytest.mark.parametrize(
    "bug",
    [pytest.param(bug, id=bug.label, marks=slow(bug.label)) for bug in BUGS if not bug.commit],
)
def test_what_nobody_has_mended_is_there_today(bug):
    """`after` is today's cache, in the same machine, and fails as `before` does: O1, candidate O6.

    O2 is about memory that is short while the page is mapped. Its `broken` is that machine, and
    not a version of the cache: in one with enough memory there is nothing to find.
    """
    assert bug.fixed == "open"
    report = bug.prove()
    if bug.label == "O2":
        assert str(report.verdict) == "PASS"
    else:
        assert type(report.failure.bug).__name__ == KINDS[bug.label]


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
