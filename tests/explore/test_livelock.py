"""Tasks that run for ever: found as a cycle that is fair, and not for being long."""

from pfncache_lab.explore import Scenario, check, replay
from pfncache_lab.explore.livelock import Graph
from pfncache_lab.sim import Livelock, SpinLock, Struct, cpu_relax, marked


class State(Struct):
    a = SpinLock()
    b = SpinLock()
    x = marked(0)
    go = marked(0)


def polite(first, second):
    """Take two locks; give way, and try again, if the second is not to be had."""

    def body(s):
        while True:
            getattr(s, first).lock()
            if getattr(s, second).trylock():
                break
            getattr(s, first).unlock()
        getattr(s, second).unlock()
        getattr(s, first).unlock()

    return body


def test_two_who_give_way_for_ever_are_a_livelock():
    program = Scenario("polite", State, {"a": polite("a", "b"), "b": polite("b", "a")})
    report = check(program, "states")
    assert str(report.verdict) == "FAIL"
    assert "a and b can go round for ever" in str(report)
    assert report.token is not None
    again = replay(program, report.token)
    assert not again.finished
    assert report.failure is not None
    assert isinstance(again.bug, Livelock) and str(again.bug) == str(report.failure.bug)


def test_a_way_that_stops_elsewhere_or_starves_somebody_is_not_gone_round():
    program = Scenario("polite", State, {"a": polite("a", "b"), "b": polite("b", "a")})
    report = check(program, "states")
    assert report.failure is not None
    assert replay(program, report.failure.schedule[:-1]).bug is None
    once_round = "aaa"  # takes its first lock, fails to get the second, gives the first back
    assert replay(program, "b" + once_round).bug is None  # b could have run all the time


def test_a_cycle_that_starves_a_task_is_no_livelock():
    """The waiting task goes round as long as the other is never chosen; that is not its fault."""

    def wait(s):
        while not s.go:
            s.x = 1
            s.x = 0
            cpu_relax()

    def let_go(s):
        s.go = 1

    assert check(Scenario("wait", State, {"a": wait, "b": let_go}), "states").passed


def test_a_way_that_leads_into_a_cycle_and_round_it():
    """0 → 1 → 2 → 1; task 1 steps once, and tasks 0 and 2 go round."""
    graph = Graph()
    everybody = frozenset({0, 2})
    for state, task, after in [(0, 1, 1), (1, 0, 2), (2, 2, 1)]:
        graph.add_state(state, everybody)
        graph.add_step(state, task, after)
    lead_in, turn = graph.livelock() or ([], [])
    assert lead_in == [1]
    assert turn in ([0, 2], [2, 0])
