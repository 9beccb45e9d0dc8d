"""Lesson 05 as its reader meets it: a deadlock by mouse and by keyboard, three locks built."""

from __future__ import annotations

from pathlib import Path

import pytest

from pfncache_lab.course.lab import answer_source, reference_source
from pfncache_lab.course.lessons.lesson_05 import LESSON
from tests.browser import test_lesson_00 as first
from tests.browser.test_lesson_00 import fill, game, lowest_contrast, says, serious_violations

NOTEBOOK = next((Path(__file__).resolve().parents[2] / "notebooks").glob("05_*.ipynb"))


def run_all(page):
    first.run_all(page, games=1)


def test_a_deadlock_is_made_by_clicking_and_by_typing(lesson):
    run_all(lesson)
    board = game(lesson, 0)
    says(board.locator(".pfn-status"), "Who runs first?")
    board.locator(".pfn-run-a").click()
    says(board.locator("svg text.effect").last, "lock x.lock")
    board.locator(".pfn-run-b").click()
    says(board.locator(".pfn-status"), "You won: ab breaks it. a and b wait for each other")
    board.get_by_role("button", name="Restart").click()
    says(board.locator(".pfn-status"), "Who runs first?")
    board.get_by_role("textbox").focus()
    lesson.keyboard.type("ba", delay=60)
    says(board.locator(".pfn-status"), "You won: ba breaks it.")


def test_a_bar_shows_that_nobody_sleeps_with_the_lock(lesson):
    reading = LESSON.exercises[2]
    fill(lesson, "05.3", answer_source(reading, reading.mutants["asleep with the lock"].answer))
    run_all(lesson)
    card = lesson.locator(".pfn-outcome").nth(2)
    says(card, "[incorrect] 05.3 Asleep with the lock")
    says(card, "reads the disk with the spinlock in its hands")
    fill(lesson, "05.3", reference_source(reading))
    run_all(lesson)
    film = lesson.locator(".pfn-figure", has=lesson.locator("rect.lock"))
    film.scroll_into_view_if_needed()
    film.locator(".pfn-controls").focus()
    lesson.keyboard.press("End")
    says(film.locator(".pfn-caption"), "Step 15 of 15")
    bars = film.locator("rect.lock").evaluate_all(
        "bars => bars.map(bar => [Number(bar.getAttribute('x')), bar.parentNode.dataset.step])"
    )
    left = min(x for x, _ in bars)
    held_by_a = {int(step) for x, step in bars if x == left}
    held_by_b = {int(step) for x, step in bars if x != left}
    asleep = film.locator("g[data-step]", has=lesson.get_by_text("lock disk", exact=True))
    assert asleep.evaluate_all("steps => steps.map(step => step.dataset.step)") == ["4", "7"]
    assert (len(held_by_a), len(held_by_b)) == (5, 7)
    assert 4 not in held_by_a
    assert 7 not in held_by_b


def test_a_wrong_mutex_is_recognized_and_the_right_answers_pass(lesson):
    wrong = LESSON.exercises[1].mutants["look, then queue"]
    fill(lesson, "05.2", answer_source(LESSON.exercises[1], wrong.answer))
    run_all(lesson)
    card = lesson.locator(".pfn-outcome").nth(1)
    says(card, "[incorrect] 05.2 A mutex")
    says(card, "leaves in between, and finds nobody to wake")
    for exercise in LESSON.exercises:
        fill(lesson, exercise.id, reference_source(exercise))
    run_all(lesson)
    for number, exercise in enumerate(LESSON.exercises):
        says(lesson.locator(".pfn-outcome").nth(number), f"[passed] {exercise.id}")
    says(lesson.locator(".pfn-note").last, "All 4 exercises of this lesson passed.")


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
    graphs = lesson.locator(".pfn-figure", has=lesson.locator(".pfn-dot"))
    for number in range(graphs.count()):
        graphs.nth(number).screenshot(path=tmp_path / f"{theme} graph {number}.png")
    assert graphs.count() == 2
    assert serious_violations(lesson) == []
    assert lowest_contrast(lesson) >= 4.5
