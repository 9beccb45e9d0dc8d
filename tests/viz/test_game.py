"""The game: moves, and what the page says about them."""

from __future__ import annotations

import pytest

from pfncache_lab import Condition, Scenario, SchedulerGame
from pfncache_lab.course.lessons.lesson_00 import COUNTER, FLAG
from pfncache_lab.explore import BadSchedule, search
from tests.programs import Shared, counting, set_flag


def click(game: SchedulerGame, *names: str) -> None:
    for name in names:
        button = {"undo": game._undo, "restart": game._restart, "show": game._show_me}.get(name)
        button = button or game._buttons[name]
        assert not button.disabled, f"{name} cannot be clicked"
        button.click()


def status(game: SchedulerGame) -> str:
    return game._status.value


def test_clicking_a_losing_order_wins():
    game = SchedulerGame(COUNTER)
    click(game, "a", "b", "b", "a")
    assert game.won
    assert game.run.schedule == game._typed.value == "abba"
    assert "You won: abba breaks it. <code>counter == 2</code> does not hold" in status(game)


def test_a_harmless_order_does_not_win_and_says_what_to_do():
    game = SchedulerGame(COUNTER)
    click(game, "a", "a", "b", "b")
    assert not game.won
    assert "Nothing went wrong this time. Undo a few steps" in status(game)


def test_typing_plays_and_backspace_takes_back():
    game = SchedulerGame(COUNTER)
    for typed in ["a", "ab", "abb"]:
        game._typed.value = typed
    assert game.run.trace.end == {"counter": 1}
    game._typed.value = "ab"
    assert game.run.trace.end == {"counter": 0}


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("x", "There is no task &#x27;x&#x27; here; the tasks are a and b."),
        ("aaa", "Step 3 asks for a, but a has finished. Here b can run."),
        ("A", "write a lower-case letter for each step"),
    ],
)
def test_what_cannot_be_played_stays_in_the_field_with_the_reason(typed, sentence):
    game = SchedulerGame(COUNTER)
    click(game, "a")
    game._typed.value = typed
    assert sentence in status(game)
    assert (game.run.schedule, game._typed.value) == ("a", typed)
    click(game, "b")
    assert game._typed.value == "ab"


def test_a_sentence_about_what_was_typed_goes_with_it():
    game = SchedulerGame(COUNTER)
    for typed in ["a", "ax", "a"]:
        game._typed.value = typed
    assert "Who runs next?" in status(game)


def test_a_complaint_about_what_was_typed_is_no_victory():
    game = SchedulerGame(COUNTER)
    game._typed.value = "abba"
    game._typed.value = "abbaX"
    assert "You won" not in status(game)
    game._typed.value = "abba"
    assert "You won" in status(game)


def test_restart_clears_what_cannot_be_played():
    game = SchedulerGame(COUNTER)
    game._typed.value = "x"
    click(game, "restart")
    assert game._typed.value == ""
    assert "Who runs first?" in status(game)


@pytest.mark.parametrize(
    "move", [lambda g: click(g, "a"), lambda g: setattr(g._typed, "value", "a")]
)
def test_a_program_that_raises_says_so_on_the_page(move):
    """Goal: no click is dead. Method: a condition with a typo, which only the last step runs."""
    mistaken = Condition("counter == 1", lambda shared: shared.countr == 1)
    game = SchedulerGame(Scenario("typo", Shared, {"a": set_flag}, [mistaken]))
    move(game)
    assert "The program raised AttributeError: " in status(game)


def test_undo_and_restart():
    game = SchedulerGame(COUNTER)
    click(game, "a", "b", "undo")
    assert game.run.schedule == "a"
    click(game, "b", "restart")
    assert game.run.schedule == ""
    assert game._undo.disabled
    assert game._restart.disabled


def test_only_a_task_that_can_run_can_be_clicked():
    game = SchedulerGame(FLAG)
    game.play("aab")
    assert [game._buttons[name].disabled for name in "ab"] == [False, True]
    assert "it spins until flag changes" in game._panels["b"].value


def test_nobody_runs_after_the_win():
    game = SchedulerGame(COUNTER)
    click(game, "show")
    assert game.won
    assert game._buttons["a"].disabled
    click(game, "undo")
    assert not game.won


def test_a_program_that_keeps_its_promise_cannot_be_won():
    game = SchedulerGame(counting("a"))
    click(game, "show")
    assert "I tried every schedule, and none breaks this program." in status(game)


def test_a_search_that_gives_up_says_how_far_it_went(monkeypatch):
    monkeypatch.setattr(search, "SCHEDULE_LIMIT", 1)
    game = SchedulerGame(COUNTER)
    click(game, "show")
    assert "I tried 1 and stopped at its limit of 1 schedules; there are more." in status(game)
    assert game.run.schedule == ""


def test_the_panels_point_at_the_next_line():
    game = SchedulerGame(FLAG)
    game.play("aa")
    assert "▶     shared.counter += 1" in game._panels["a"].value
    assert "next: load counter" in game._panels["a"].value
    assert "▶     while shared.flag:" in game._panels["b"].value


def test_a_bad_schedule_from_code_leaves_the_game_as_it_was():
    game = SchedulerGame(COUNTER)
    game.play("ab")
    with pytest.raises(BadSchedule):
        game.play("abc")
    assert game.run.schedule == "ab"


def test_the_text_form_says_where_the_game_stands():
    game = SchedulerGame(COUNTER)
    game.play("a")
    assert repr(game) == "<A game of tasks a and b; so far 'a'. The run has not ended yet.>"
