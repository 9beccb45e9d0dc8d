"""Each bug of the users is found, with no hint where to look, and its fix is proved.

The numbers are exact: how many runs it takes to find it, and how many to show that it is gone.
"""

from dataclasses import replace

import pytest

from pfncache_lab.explore import check, replay
from pfncache_lab.kvm.history import h03, h13, h14, h15, h16, h20
from pfncache_lab.kvm.history.with_users import USERS
from pfncache_lab.sim import ConditionBroken, Deadlock, LockOrder, RecursiveLock, Unguarded

BUGS = [
    (h03, ConditionBroken, 1, 114),
    (h13, LockOrder, 1, 127),
    (h14, LockOrder, 1, 365),
    (h15, LockOrder, 1, 1),
    (h16, Unguarded, 1, 187),
    (h20, RecursiveLock, 1, 243),
]
NAMES = [module.BUG.label for module, *_ in BUGS]


@pytest.mark.parametrize(("module", "kind", "found_after", "proved_by"), BUGS, ids=NAMES)
def test_it_is_found_and_its_fix_is_proved(module, kind, found_after, proved_by):
    broken = check(module.BUG.before())
    assert broken.failure is not None
    assert type(broken.failure.bug) is kind
    assert broken.stats.runs == found_after
    assert type(replay(broken.scenario, broken.token).bug) is kind

    mended = check(module.BUG.after())
    assert mended.passed, mended
    assert mended.stats.runs == proved_by


def test_h3_has_a_second_half_that_nobody_has_mentioned():
    """To pass a gfn mends what comes late enough; the last look is earlier than that."""
    gfn = h03.BUG.era.image({"__release_gpc": vars(h03)["__release_gpc"]})
    assert type(check(h03.gfn_scene(h03.BUG.era.image({}))).failure.bug) is ConditionBroken
    assert check(h03.gfn_scene(gfn)).passed
    assert type(check(h03.scene(gfn)).failure.bug) is ConditionBroken
    assert check(h03.gfn_scene(h03.BUG.era.image(h03.BUG.mended))).passed


def test_h13_closes_a_circle_with_srcu_as_well():
    broken = check(h13.srcu_scene(USERS.image(h13.BUG.broken)))
    assert type(broken.failure.bug) is LockOrder
    assert "kvm.srcu" in str(broken.failure.bug)
    assert check(h13.srcu_scene(USERS.image(h13.BUG.mended))).passed


@pytest.mark.parametrize("scene", [h13.scene, h13.srcu_scene])
def test_h13_deadlocks_where_lockdep_is_off(scene):
    report = check(replace(scene(USERS.image(h13.BUG.broken)), lockdep=False))
    assert type(report.failure.bug) is Deadlock


@pytest.mark.parametrize("module", [h14, h15], ids=["H14", "H15"])
def test_two_were_never_seen_to_deadlock(module):
    """H15 cannot; H14 can with caches of one class, and in its scene these are two."""
    assert check(replace(module.BUG.before(), lockdep=False)).passed


def test_h13_needs_no_lock_at_all_today():
    assert check(h13.scene(USERS.image({}))).passed
    assert check(h13.srcu_scene(USERS.image({}))).passed


def test_h16_is_not_the_race():
    """With a lock around the late loads there is no race, and the wrong page is reported."""
    report = check(h16.scene(USERS.image({"write_guest": h16.locked_again})))
    assert type(report.failure.bug) is ConditionBroken
    assert "gfn 0x10" in str(report.failure.bug)
    assert report.stats.runs == 8
