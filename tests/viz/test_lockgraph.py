"""The graph of lock orders: what was wanted while something else was held."""

from __future__ import annotations

from pfncache_lab import replay
from pfncache_lab.course.lessons.lesson_05 import LESSON, transfer
from pfncache_lab.course.lessons.sharing import STUCK, your_order
from pfncache_lab.viz.lockgraph import in_circle, lock_graph, wishes_of


def test_a_lock_that_is_given_back_is_before_nothing():
    wishes = wishes_of(replay(STUCK, "aaaabbbb"))
    assert [str(wish) for wish in wishes] == [
        "a holds x.lock, takes y.lock",
        "b holds y.lock, takes x.lock",
    ]


def test_who_waits_is_told_from_who_has_got_it():
    wishes = wishes_of(replay(STUCK, "ab"))
    assert [wish.waits for wish in wishes] == [True, True]
    assert in_circle(wishes) == {"x.lock", "y.lock"}


def test_the_graph_and_its_text_twin_show_the_circle():
    figure = lock_graph(replay(STUCK, "ab"))
    assert figure.text.endswith("✗ a circle: x.lock, y.lock.")
    assert "pfn-dot" in figure.html()
    assert "bold,dashed" not in lock_graph(replay(STUCK, "aa")).html()


def test_nobody_holding_two_is_said():
    assert lock_graph(replay(STUCK, "")).text.endswith("Nobody held two locks at once.")


def test_the_readers_own_order_has_a_circle_or_none():
    as_they_come = LESSON.exercises[3].mutants["as they come"].answer
    assert "circle" not in your_order(transfer).text
    assert "a circle: x.lock, y.lock, z.lock." in your_order(as_they_come).text
    assert your_order(3).text.startswith("✗ ")
