"""What a program says of itself, and the machine checks."""

import pytest

from pfncache_lab.sim import (
    BUG_ON,
    WARN_ON_ONCE,
    Bug,
    NotHeld,
    RwLock,
    Struct,
    Warn,
    lockdep_assert_held,
    lockdep_assert_held_read,
    lockdep_assert_held_write,
    lockdep_assert_not_held,
)

from .running import bugs


class Cache(Struct):
    lock = RwLock()


def holding(how, *checks):
    def task(cache):
        with getattr(cache.lock, how)():
            for check in checks:
                check(cache.lock)

    return task


def test_who_holds_what_the_function_says_may_pass():
    good = [lockdep_assert_held, lockdep_assert_held_read]
    assert bugs(Cache, a=holding("read", *good)) == [None]
    good = [lockdep_assert_held, lockdep_assert_held_write]
    assert bugs(Cache, a=holding("write", *good)) == [None]
    assert bugs(Cache, a=lambda cache: lockdep_assert_not_held(cache.lock)) == [None]


@pytest.mark.parametrize("task, says", [
    (lambda cache: lockdep_assert_held(cache.lock), "must hold lock (line"),
    (lambda cache: lockdep_assert_held(cache.lock), "a does not; nobody holds it"),
    (holding("read", lockdep_assert_held_write), "must hold for writing lock"),
    (holding("read", lockdep_assert_held_write), "a holds it since step 1"),
    (holding("write", lockdep_assert_held_read), "must hold for reading lock"),
    (holding("write", lockdep_assert_not_held), "must not hold lock"),
])  # fmt: skip
def test_who_does_not_is_told_what_is_missing(task, says):
    (bug,) = bugs(Cache, a=task)
    assert type(bug) is NotHeld and says in str(bug)


def test_a_warning_and_a_bug_end_the_run():
    def warns(cache):
        if WARN_ON_ONCE(1 > 0, "the cache is active"):
            return

    def stops(cache):
        BUG_ON(cache is not None)

    (warning,), (bug,) = bugs(Cache, a=warns), bugs(Cache, a=stops)
    assert type(warning) is Warn
    assert str(warning).startswith("a warns that the cache is active (line ")
    assert type(bug) is Bug and "a cannot go on (line" in str(bug)
    assert not WARN_ON_ONCE(False)
    with pytest.raises(Warn, match="The set-up warns"):
        WARN_ON_ONCE(True)
