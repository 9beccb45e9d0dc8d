"""One run of the machine: what a step is, how a run ends, and what it leaves behind."""

from __future__ import annotations

import pytest

from pfncache_lab import replay
from pfncache_lab.explore import Scenario, find_bug
from pfncache_lab.sim import (
    Crash,
    Livelock,
    Machine,
    ModelError,
    SpinLock,
    StepLimit,
    cpu_relax,
    machine,
)
from tests.programs import Shared, add_one, counting, scenario, set_flag, wait_for_flag


def test_a_line_that_adds_is_a_load_and_a_store():
    events = replay(counting("a"), "aa").trace.events
    assert [(e.kind, e.text) for e in events] == [
        ("load", "load counter → 0"),
        ("store", "store counter ← 1"),
    ]


def test_the_effect_comes_after_the_choice():
    """Goal: no effect without its event. Method: stop at each point and look at the memory."""
    for schedule, counter in [("", 0), ("a", 0), ("aa", 1), ("aab", 1), ("aabb", 2)]:
        trace = replay(counting("ab"), schedule).trace
        assert trace.end["counter"] == counter
        assert len(trace.events) == len(schedule)


def test_the_frontier_says_where_each_task_stands():
    trace = replay(scenario(a=wait_for_flag, b=add_one), "abb").trace
    a, b = trace.frontier
    assert (a.next, a.blocked, a.runnable) == ("spin", "it spins until flag changes", False)
    assert (b.next, b.blocked, b.runnable) == (None, None, False)
    assert a.line.text == "cpu_relax()"


def test_a_spinning_task_goes_on_when_the_field_changes():
    run = replay(scenario(a=wait_for_flag, b=set_flag), "abaa")
    assert run.finished
    assert [e.text for e in run.trace.events if e.task == "a"] == [
        "load flag → False",
        "spin → flag has changed",
        "load flag → True",
    ]


def test_a_spin_says_why_it_goes_on():
    def trier(shared):
        while not shared.lock.trylock():
            cpu_relax()
        shared.lock.unlock()

    def sets_and_spins(shared):
        shared.flag = True
        cpu_relax()

    class WithLock(Shared):
        lock = SpinLock()

    tasks = {"a": trier, "b": trier, "c": sets_and_spins}
    trace = replay(Scenario("spins", WithLock, tasks), "babaaacc").trace
    assert [e.text for e in trace.events if e.kind == "spin"] == [
        "spin → lock was released",
        "spin → no wait, after progress of its own",
    ]


def test_a_spin_that_nobody_ends_is_a_livelock_that_names_the_field():
    run = replay(scenario(a=wait_for_flag), "a")
    assert isinstance(run.bug, Livelock)
    assert str(run.bug) == (
        "A task spins, and nobody is left who could change what it sees.\n"
        "  a: it spins until flag changes."
    )


def test_a_loop_without_cpu_relax_ends_with_a_remedy():
    def hog(shared):
        while not shared.flag:
            pass

    bug = find_bug(scenario(a=hog)).bug
    assert isinstance(bug, StepLimit)
    assert "a still runs; its next step is to load flag" in str(bug)
    assert "needs cpu_relax() in its body" in str(bug)


def test_an_exception_in_a_task_is_a_crash_with_its_cause():
    def divide(shared):
        return 1 // shared.counter

    bug = find_bug(scenario(a=divide)).bug
    assert isinstance(bug, Crash)
    assert str(bug).startswith("a raised ZeroDivisionError")
    assert isinstance(bug.__cause__, ZeroDivisionError)


def test_sys_exit_in_a_task_is_a_crash_too():
    def leave(shared):
        raise SystemExit(3)

    assert str(find_bug(scenario(a=leave)).bug) == "a raised SystemExit: 3."


def test_an_interrupt_from_the_keyboard_is_not_swallowed_and_leaves_no_machine_behind():
    def interrupt(shared):
        shared.counter += 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay(scenario(a=interrupt, b=add_one), "baa")
    assert machine.running is None
    assert replay(counting("ab"), "aabb").bug is None


def test_code_that_goes_on_while_it_is_unwound_changes_nothing():
    """Goal: a stopped run is over. Method: a task that catches everything and stores again."""

    def stubborn(shared):
        try:
            shared.counter += 1
        finally:
            shared.counter = 99

    run = replay(scenario(a=stubborn), "a")
    assert run.trace.end["counter"] == 0
    assert not run.finished


def test_an_error_while_unwinding_is_no_news():
    def clumsy(shared):
        try:
            shared.counter += 1
        finally:
            raise ValueError("on the way out")

    run = replay(scenario(a=clumsy, b=add_one), "b")
    assert run.bug is None


def test_the_first_bug_counts_and_the_run_stops_there():
    def crash(shared):
        shared.counter += 1
        raise RuntimeError("first")

    run = replay(scenario(a=crash, b=add_one), "aa")
    assert str(run.bug) == "a raised RuntimeError: first."
    assert run.schedule == "aa"


def test_fields_are_ordinary_attributes_outside_a_run():
    shared = Shared()
    shared.counter += 2
    assert (shared.counter, repr(shared)) == (2, "Shared(counter=2, flag=False)")


def test_a_task_cannot_run_a_machine_of_its_own():
    def nested(shared):
        Machine(oracle=None).run()

    with pytest.raises(ModelError, match="A task cannot run a machine of its own"):
        find_bug(scenario(a=nested))


def test_the_same_schedule_leaves_the_same_trace():
    first, second = (replay(counting("abc"), "abcabc") for _ in range(2))
    assert first.trace == second.trace
    assert first.trace.table() == second.trace.table()


def test_the_two_cpu_table_has_a_column_a_task_and_the_source_lines():
    assert replay(counting("ab"), "abba").trace.table() == "\n".join(
        [
            "step  a                    b                    effect",
            "   1  shared.counter += 1                       load counter → 0",
            "   2                       shared.counter += 1  load counter → 0",
            "   3                       shared.counter += 1  store counter ← 1",
            "   4  shared.counter += 1                       store counter ← 1",
        ]
    )


def test_a_table_that_is_too_wide_says_below_each_line_what_it_did():
    trace = replay(counting("ab"), "abba").trace
    assert trace.table(widest=80) == trace.table()
    assert trace.table(widest=60) == "\n".join(
        [
            "step  a                       b",
            "   1  shared.counter += 1",
            "          load counter → 0",
            "   2                          shared.counter += 1",
            "                                  load counter → 0",
            "   3                          shared.counter += 1",
            "                                  store counter ← 1",
            "   4  shared.counter += 1",
            "          store counter ← 1",
        ]
    )


def test_what_happens_in_a_call_can_be_told_on_the_line_that_calls():
    """Goal: who has written one function reads their own line. Method: a task that calls another's.

    `counting` is of another file than this one, and so is the line that adds.
    """

    def task(s):
        add_one(s)
        s.counter = 0

    trace = replay(Scenario("calls", Shared, {"a": task}), "aaa").trace
    there, here = trace.events[0].line, trace.events[2].line
    assert (there.text, here.text) == ("shared.counter += 1", "s.counter = 0")
    lines = [event.line.text for event in trace.on_lines_of({here.file}).events]
    assert lines == ["add_one(s)", "add_one(s)", "s.counter = 0"]
    assert trace.on_lines_of({there.file}) == trace.on_lines_of({there.file, here.file})
    assert trace.on_lines_of(set()) == trace


def test_a_trace_knows_its_switches_and_what_each_event_changed():
    trace = replay(counting("ab"), "abba").trace
    assert trace.switches == [2, 4]
    assert [trace.changed(event) for event in trace.events] == [set(), set(), {"counter"}, set()]


def test_reprs_are_short_however_long_the_run():
    def hog(shared):
        while not shared.flag:
            pass

    run = find_bug(scenario(a=hog))
    assert repr(run.trace) == "<Trace of 2000 steps by a>"
    assert len(repr(run)) < 300
