"""Whatever a task does, the run ends with a verdict, and the next run works."""

import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pfncache_lab.sim import (
    Crash,
    Machine,
    OutOfMemory,
    SoftLockup,
    SpinLock,
    StackOverflow,
    StepLimit,
)
from pfncache_lab.sim import machine as machine_module
from pfncache_lab.sim.limits import TICK, TimeLimit, time_limit, watched
from tests.programs import Shared, add_one

from .running import bugs, runs

ROOT = Path(__file__).resolve().parents[2]


class Box(Shared):
    lock = SpinLock()


@pytest.fixture(autouse=True)
def the_next_run_works():
    yield
    assert machine_module.running is None
    assert bugs(Box, a=add_one, b=add_one) == [None] * 6
    ends = [machine.shared.counter for machine in runs(Box, a=add_one, b=add_one)]
    assert sorted(ends) == [1, 1, 1, 1, 2, 2]


def loop(box):
    box.counter = 1
    done = False
    while not done:
        pass


def loop_that_catches(box):
    while True:
        try:
            while True:
                pass
        except Exception:
            pass


def loop_that_catches_everything(box):
    while True:
        try:
            while True:
                pass
        except BaseException:  # noqa: B036
            pass


def loop_while_unwound(box):
    try:
        box.counter = 1
        box.counter = 2
    finally:
        while True:
            pass


def sleep(box):
    box.counter = 1
    time.sleep(1000)


@pytest.mark.parametrize("task", [loop, loop_that_catches, loop_that_catches_everything, sleep])
def test_a_loop_without_a_step_is_stopped(task):
    start = time.monotonic()
    (bug,) = bugs(Box, a=task)
    assert type(bug) is SoftLockup
    assert str(bug).startswith("a keeps the CPU after step")
    assert f"of {task.__name__}()" in str(bug)
    assert time.monotonic() - start < 5


def test_a_loop_without_a_step_is_stopped_in_another_thread():
    found = []
    thread = threading.Thread(target=lambda: found.extend(bugs(Box, a=loop)))
    thread.start()
    thread.join()
    assert [type(bug) for bug in found] == [SoftLockup]


def test_a_loop_in_a_task_that_is_unwound():
    def raises(box):
        box.counter = 3
        raise ValueError("enough")

    machine = next(runs(Box, a=raises, b=loop_while_unwound))
    assert type(machine.bug) is Crash


def test_a_process_that_has_left_a_task_behind_ends_in_peace():
    code = (
        "from tests.sim.running import bugs; from tests.sim.test_robustness import *;"
        "print(*bugs(Box, a=loop_that_catches_everything)); print(*bugs(Box, a=add_one))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("a keeps the CPU") and done.stdout.endswith("None\n")


def test_a_loop_of_steps_ends_at_the_limit():
    def busy(box):
        while True:
            box.counter = 1

    (bug,) = bugs(Box, a=busy)
    assert type(bug) is StepLimit


def test_deep_recursion_with_steps_and_without():
    def deep(box):
        return deep(box) + 1

    def deep_in_steps(box):
        box.counter += 1
        deep_in_steps(box)

    def deep_in_locks(box):
        lock = SpinLock()
        lock.lock()
        try:
            deep_in_locks(box)
        finally:
            lock.unlock()

    for task in (deep, deep_in_steps, deep_in_locks):
        (bug,) = bugs(Box, a=task)
        assert type(bug) is StackOverflow
        assert "a called itself until its stack was full" in str(bug)


@pytest.mark.parametrize("size", [10**10, 10**12])
def test_a_huge_allocation(size):
    def hog(box):
        box.counter = 1
        return [0] * size

    (bug,) = bugs(Box, a=hog)
    assert type(bug) is OutOfMemory
    assert "line" in str(bug)


def test_a_string_that_doubles():
    def hog(box):
        text = "x" * 1000
        while True:
            text += text

    (bug,) = bugs(Box, a=hog)
    assert type(bug) in (OutOfMemory, SoftLockup)  # whichever limit is reached first


class Odd(BaseException):
    pass


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), Odd(), GeneratorExit(), Mute()])
def test_an_exception_that_nobody_handles(error):
    def task(box):
        box.counter = 1
        raise error

    (bug,) = bugs(Box, a=task)
    assert type(bug) is Crash
    assert type(error).__name__ in str(bug)
    assert len(str(Crash(str(bug)))) < 400


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), Odd(), MemoryError()])
def test_an_exception_while_a_task_is_unwound_is_no_news(error):
    def raises(box):
        box.counter = 1
        raise ValueError("the first")

    def raises_later(box):
        try:
            box.counter = 2
            box.counter = 3
        finally:
            raise error

    machine = next(runs(Box, a=raises, b=raises_later, c=raises_later))
    assert str(machine.bug) == "a raised ValueError: the first."


def test_a_task_that_wants_to_go_on_when_it_is_unwound():
    def raises(box):
        box.counter = 1
        raise ValueError("the first")

    def stubborn(box):
        for _ in range(3):
            try:
                with box.lock:
                    box.counter += 1
            except BaseException:  # noqa: B036
                pass

    machine = next(runs(Box, a=raises, b=stubborn))
    assert str(machine.bug) == "a raised ValueError: the first."
    assert machine.shared.counter == 1


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, TimeLimit])
def test_an_interrupt_reaches_who_has_called_run(interrupt):
    unwound = []

    def stop(box):
        box.counter = 1
        raise interrupt

    def other(box):
        try:
            box.counter = 2
            box.counter = 3
        finally:
            unwound.append(True)

    with pytest.raises(interrupt):
        next(runs(Box, a=stop, b=other))
    assert unwound == [True]


def test_a_time_limit_around_many_runs():
    start = time.monotonic()
    with pytest.raises(TimeLimit), time_limit():
        while True:
            bugs(Box, a=add_one, b=add_one)
    assert time.monotonic() - start < 5


def test_a_task_cannot_run_a_machine():
    class Nobody:
        def choose(self, runnable, current):
            return None

    def nested(box):
        Machine(Nobody()).run()

    with pytest.raises(Exception, match="cannot run a machine of its own"):
        bugs(Box, a=nested)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer signals here")
def test_the_watch_leaves_the_pipe_of_an_event_loop_alone():
    """Goal: a search of minutes does not fill it. Method: a pipe, and a body of several ticks."""
    ours, loops = socket.socketpair()
    with ours, loops:
        loops.setblocking(False)
        before = signal.set_wakeup_fd(loops.fileno())
        try:
            with watched():
                time.sleep(4 * TICK)
        finally:
            assert signal.set_wakeup_fd(before) == loops.fileno()
        ours.setblocking(False)
        with pytest.raises(BlockingIOError):
            ours.recv(1)
