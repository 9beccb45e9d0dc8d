"""Lesson 04 as its reader meets it: two locks broken by mouse and by keyboard, and one built."""

from __future__ import annotations

from pathlib import Path

import pytest

from pfncache_lab.course.lab import answer_source, reference_source
from pfncache_lab.course.lessons.lesson_04 import LESSON
from tests.browser.test_lesson_00 import (
    fill,
    game,
    lowest_contrast,
    run_all,
    says,
    serious_violations,
)

NOTEBOOK = next((Path(__file__).resolve().parents[2] / "notebooks").glob("04_*.ipynb"))


def test_the_patient_lock_is_broken_by_clicking_and_the_gift_by_typing(lesson, tmp_path):
    run_all(lesson)
    board = game(lesson, 0)
    says(board.locator(".pfn-status"), "Who runs first?")
    for name in "abaaabcb":
        board.locator(f".pfn-run-{name}").click()
        board.locator(f".pfn-run-{name}").wait_for()
    says(board.locator("svg text.effect").last, "store locked ← 1")
    board.get_by_role("button", name="Show me a winning schedule").click()
    says(board.locator(".pfn-status"), "You won: ")
    typed = game(lesson, 1)
    typed.get_by_role("textbox").focus()
    lesson.keyboard.type("aabac", delay=30)
    says(typed.locator(".pfn-status"), "You won: aabac breaks it. Data race on count")
    lesson.screenshot(path=tmp_path / "games.png")


def test_lock_bars_are_stepped_through_with_the_keyboard(lesson):
    run_all(lesson)
    film = lesson.locator(".pfn-figure", has=lesson.locator(".pfn-controls")).first
    film.scroll_into_view_if_needed()
    film.locator(".pfn-controls").focus()
    lesson.keyboard.press("Home")
    bars = film.locator("rect.lock, rect.lock-twice")
    assert bars.count() == 12
    assert film.locator("g.pale > rect.lock, g.pale > rect.lock-twice").count() == 12
    lesson.keyboard.press("End")
    says(film.locator(".pfn-caption"), "Step 10 of 10")
    assert film.locator("g.pale").count() == 0
    assert film.locator("rect.lock-twice").count() == 8


def test_a_wrong_lock_is_recognized_and_the_right_answers_pass(lesson):
    wrong = LESSON.exercises[0].mutants["a plain store"]
    fill(lesson, "04.1", answer_source(LESSON.exercises[0], wrong.answer))
    run_all(lesson)
    card = lesson.locator(".pfn-outcome").first
    says(card, "[incorrect] 04.1 A spinlock")
    says(card, "it frees the lock, and passes nothing on")
    for exercise in LESSON.exercises:
        fill(lesson, exercise.id, reference_source(exercise))
    run_all(lesson)
    for number, exercise in enumerate(LESSON.exercises):
        says(lesson.locator(".pfn-outcome").nth(number), f"[passed] {exercise.id}")
    says(lesson.locator(".pfn-note").last, "All 3 exercises of this lesson passed.")


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_nothing_serious_stands_in_the_way_of_a_screen_reader(lesson, theme, tmp_path):
    lesson.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme
    )
    for exercise in LESSON.exercises:
        fill(lesson, exercise.id, reference_source(exercise))
    run_all(lesson)
    lesson.set_viewport_size({"width": 1300, "height": 14000})
    films = lesson.locator(".pfn-figure", has=lesson.locator(".pfn-controls"))
    for number in range(films.count()):
        films.nth(number).locator(".pfn-controls").focus()
        lesson.keyboard.press("End")
        films.nth(number).screenshot(path=tmp_path / f"{theme} {number}.png")
    lesson.locator(".pfn-outcome").last.screenshot(path=tmp_path / f"{theme} tree.png")
    assert serious_violations(lesson) == []
    assert lowest_contrast(lesson) >= 4.5
