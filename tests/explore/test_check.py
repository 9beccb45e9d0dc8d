"""One call: what it finds, how little it shows of it, and that it never says PASS too early."""

import itertools

import pytest

from pfncache_lab.explore import BadSchedule, Condition, Scenario, check, every_schedule, replay
from pfncache_lab.sim import ModelError, PageLeak, SpinLock, Struct, marked, shared


class State(Struct):
    a = SpinLock()
    b = SpinLock()
    x = marked(0)
    y = marked(0)
    n = shared(0, guarded_by="a")


def add(s):
    s.x += 1


def add_locked(s):
    with s.a:
        s.n += 1


def ab(s):
    with s.a, s.b:
        pass


def ba(s):
    with s.b, s.a:
        pass


def make(tasks, *final, invariants=()):
    return Scenario("test", State, tasks, final, invariants)


def three_adds():
    return make(dict.fromkeys("abc", add), Condition("x > 0", lambda s: s.x > 0))


def schedule(report):
    assert report.failure is not None
    return report.failure.schedule


ALL = ["auto", "states", "traces", "bounded", "sampling"]


@pytest.mark.parametrize("strategy", ALL)
def test_every_strategy_finds_a_lost_update_and_shows_it_with_one_preemption(strategy):
    program = make({"a": add, "b": add}, Condition("x == 2", lambda s: s.x == 2))
    report = check(program, strategy)
    assert str(report.verdict) == "FAIL" and not report.passed
    assert schedule(report) in ("abba", "baab")
    assert report.token is not None and replay(program, report.token).bug is not None


@pytest.mark.parametrize("strategy", ["auto", "states", "traces"])
def test_a_program_with_locks_passes(strategy):
    program = make({"a": add_locked, "b": add_locked}, Condition("n == 2", lambda s: s.n == 2))
    assert check(program, strategy).passed


@pytest.mark.parametrize(
    ("strategy", "budget", "verdict"),
    [
        ("auto", 20_000, "PASS"),
        ("traces", 20_000, "PASS"),
        ("traces", 7, "SAMPLED(7)"),
        ("bounded", 20_000, "PASS_BOUNDED(1)"),
        ("bounded", 3, "PASS_BOUNDED(0)"),
        ("sampling", 20_000, "SAMPLED(1000)"),
        ("auto", 10, "SAMPLED(1000)"),
    ],
)
def test_only_a_search_of_every_schedule_passes(strategy, budget, verdict):
    bound = {"max_preemptions": 1} if strategy == "bounded" else {}
    if (strategy, budget) == ("bounded", 3):
        budget = 8  # the first bound has 6 schedules
    report = check(three_adds(), strategy, budget=budget, **bound)
    assert str(report.verdict) == verdict
    assert report.passed == (verdict == "PASS")


def test_a_bound_that_hides_nothing_is_a_pass():
    report = check(make({"a": add_locked}), max_preemptions=0)
    assert str(report.verdict) == "PASS"


@pytest.mark.parametrize("strategy", ["auto", "states", "traces", "bounded"])
def test_an_invariant_is_checked_in_states_between_steps_that_commute(strategy):
    """Neither task touches what the other does, so they have one trace, and four schedules."""

    def toggle(name):
        def body(s):
            setattr(s, name, 1)
            setattr(s, name, 0)

        return body

    never_both = Condition("not both", lambda s: not (s.x and s.y))
    program = make({"x": toggle("x"), "y": toggle("y")}, invariants=[never_both])
    report = check(program, strategy)
    assert str(report.verdict) == "FAIL"
    assert schedule(report) in ("xy", "yx")
    assert "`not both` does not hold" in str(report)


def test_a_wrong_order_of_locks_is_found_across_schedules():
    """Each schedule takes the locks in one order only; two schedules differ."""

    def maybe(s):
        if s.x:
            ba(s)
        else:
            ab(s)

    def flip(s):
        s.x = 1

    report = check(make({"a": maybe, "b": flip}))
    assert str(report.verdict) == "FAIL"
    assert "taken in different orders" in str(report)
    assert "was taken in another schedule" in str(report)


NEVER = Condition("never", lambda s: False)


def test_a_token_is_refused_when_the_program_has_changed():
    def add_two(s):
        s.x += 2

    token = check(make({"a": add, "b": add}, NEVER)).token
    assert token is not None
    changed = make({"a": add_two, "b": add}, NEVER)
    with pytest.raises(BadSchedule, match="The program has changed since this schedule was found"):
        replay(changed, token)
    assert replay(changed, token.split("#")[0]).bug is not None


def test_a_token_is_not_refused_for_what_does_not_matter():
    def program(name):
        return Scenario(name, State, {"a": add, "b": add}, [NEVER])

    token = check(program("old")).token
    assert token is not None
    assert replay(program("new"), token).bug is not None


def test_a_failure_that_is_not_there_again_is_the_tools_own_trouble():
    counter = itertools.count()
    flaky = Condition("sometimes", lambda s: next(counter) > 0)
    with pytest.raises(ModelError, match="went wrong once"):
        check(make({"a": add}, flaky))


def test_tasks_may_have_names_and_go_by_letters():
    program = make({"vcpu0": add, "vcpu1": add, "notifier": add, "v": add})
    assert list(program.keys.values()) == ["c", "p", "n", "v"]
    assert len(replay(program, "ccppnnvv").schedule) == 8
    with pytest.raises(
        BadSchedule, match=r"no task 'a' here; the tasks are c \(vcpu0\), p \(vcpu1\), "
    ):
        replay(program, "a")


@pytest.mark.parametrize("name", ["", "A", "0a", "a b", "é"])
def test_a_name_that_is_no_word_is_refused(name):
    with pytest.raises(ValueError, match="one lower-case letter"):
        make({name: add})


def test_the_failure_is_as_small_as_any():
    """Goal: no schedule that goes wrong has fewer switches. Method: look at all of them."""

    def twice(s):
        s.x += 1
        s.x += 1

    program = make({"a": twice, "b": twice}, Condition("x == 4", lambda s: s.x == 4))
    least = min(
        sum(p != q for p, q in itertools.pairwise(run.schedule))
        for run in every_schedule(program)
        if run.bug
    )
    failure = check(program, "traces").failure
    assert failure is not None and failure.trace is not None
    assert len(failure.trace.switches) == least == 2


def test_a_condition_may_raise_the_bug_that_says_more():
    def balanced(s):
        raise PageLeak("page 7 was taken and not given back.")

    report = check(make({"a": add}, Condition("I4", balanced)))
    assert report.failure is not None and isinstance(report.failure.bug, PageLeak)
