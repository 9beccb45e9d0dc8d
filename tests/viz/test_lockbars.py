"""Lock bars: who holds a word in memory, told by what the word shows."""

from __future__ import annotations

import re
from types import SimpleNamespace

from pfncache_lab import explore, replay
from pfncache_lab.course.lessons.buffers import get_buffer, wanted_by, your_reading
from pfncache_lab.course.lessons.counting import LOCKED, PATIENT, TWICE, meeting
from pfncache_lab.course.lessons.lesson_00 import FLAG
from pfncache_lab.course.lessons.lesson_04 import SpinLock
from pfncache_lab.explore import every_schedule
from pfncache_lab.viz import LockBars, draw_lock_bars, draw_timeline
from pfncache_lab.viz.lockbars import both, holds

READING = wanted_by("reading", "ab")(SimpleNamespace(get_buffer=get_buffer))


def held(scenario, schedule, field="locked"):
    return [str(hold) for hold in holds(replay(scenario, schedule).trace, field)]


def test_a_task_holds_the_word_from_the_step_that_sets_it_to_the_one_that_clears_it():
    assert held(LOCKED, "aabb") == ["a from step 1 to 2", "b from step 3 to 4"]


def test_an_attempt_that_fails_takes_nothing():
    assert held(LOCKED, "ababbb") == ["a from step 1 to 3", "b from step 5 to 6"]


def test_whoever_has_not_given_it_back_holds_it_to_the_end():
    assert held(LOCKED, "ab") == ["a from step 1 on"]


def test_an_attempt_that_fails_is_drawn_as_a_look():
    """Goal: only what stores is filled. Method: a has stored to another field in between."""
    assert draw_timeline(replay(LOCKED, "a").trace).count('fill-opacity="0.4"') == 1
    assert draw_timeline(replay(LOCKED, "ab").trace).count('fill-opacity="0.4"') == 1


def test_a_store_takes_a_word_that_is_taken():
    trace = replay(FLAG, "abbbaaaabb").trace
    found = holds(trace, "flag")
    assert [(hold.task, hold.first, hold.last) for hold in found] == [("b", 3, 10), ("a", 5, 8)]
    assert both(found) == [(5, 8)]


def test_two_holders_are_seen_in_the_last_step_as_well():
    found = holds(replay(PATIENT, "abaaabc").trace, "locked")
    assert both(found) == []
    found = holds(replay(PATIENT, "abaaabcb").trace, "locked")
    assert both(found) == [(8, 8)]


def test_in_no_schedule_of_a_lock_there_are_two_holders():
    """Goal: a right lock has no overlap. Method: every schedule there is."""
    traces = [replay(LOCKED, run.schedule).trace for run in explore(LOCKED).runs]
    assert [both(holds(trace, "locked")) for trace in traces] == [[]] * 4


def test_a_bar_is_pale_until_its_step_and_nothing_moves():
    """Goal: the film is one picture. Method: without the marks of time, each step is the same."""
    trace = replay(TWICE, "aabac").trace
    drawn = [draw_lock_bars(trace, "locked", step) for step in range(6)]
    still = {re.sub(r'<g class="[a-z]*"|aria-label="[^"]*"', "", svg) for svg in drawn}
    assert len(still) == 1
    pale = [len(re.findall(r'<g class="pale" data-step="\d"><rect class="lock', s)) for s in drawn]
    assert pale == sorted(pale, reverse=True)
    assert pale[0] > pale[-1] == 0


def test_a_lock_of_the_machine_says_itself_when_it_is_taken():
    assert held(READING, "aabaab", "block.lock") == ["a from step 1 to 2", "b from step 3 to 6"]


def test_nobody_sleeps_with_the_lock():
    """Goal: no bar reaches through a sleep of its task. Method: each run with few preemptions."""
    sleeps = 0
    for run in every_schedule(READING, 1):
        trace = replay(READING, run.schedule).trace
        bars = holds(trace, "block.lock")
        for event in trace.events:
            if event.text == "lock disk":
                sleeps += 1
                mine = [hold for hold in bars if hold.task == event.task]
                assert not [hold for hold in mine if hold.first < event.step < hold.last]
    assert sleeps > 10


def test_the_readers_own_reading_is_drawn_and_what_cannot_be_is_said():
    assert your_reading(get_buffer).text.count("from step") == 4
    assert "is no buffer" in your_reading(lambda block: None).text


def test_the_text_twin_says_it_too():
    assert LockBars(replay(FLAG, "abbbaaaabb"), "flag").text.endswith(
        "flag is held by b from step 3 to 10, a from step 5 to 8.\nTwo hold it from step 5 to 8."
    )


def test_the_readers_own_lock_is_drawn_and_what_cannot_be_is_said():
    assert "Two hold" not in meeting(SpinLock).text
    assert meeting(SpinLock).text.count("from step") == 2
    assert "I could not draw this run: TypeError" in meeting(3).text
