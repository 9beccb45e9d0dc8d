"""Lesson 02 in JupyterLab: the map drawn by the reader's look-up, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pfncache_lab.course.lab import answer_source, reference_source
from pfncache_lab.course.lessons.lesson_02 import LESSON
from tests.browser.test_lesson_00 import cells, fill, lowest_contrast, says, serious_violations
from tests.browser.test_lesson_01 import run_all

NOTEBOOK = next((Path(__file__).resolve().parents[2] / "notebooks").glob("02_*.ipynb"))


def solve(page: Any) -> None:
    for exercise in LESSON.exercises:
        fill(page, exercise.id, reference_source(exercise))


def test_the_lesson_is_done_and_its_map_is_walked_by_mouse_and_keyboard(lesson):
    solve(lesson)
    run_all(lesson)
    for number, exercise in enumerate(LESSON.exercises):
        says(lesson.locator(".pfn-outcome").nth(number), f"[passed] {exercise.id}")
    field = lesson.locator(".pfn-field")
    field.scroll_into_view_if_needed()
    field.get_by_role("button", name="Page forward").click()
    before = cells(lesson)
    says(field.locator(".pfn-status"), "No memslot translates gfn 0x12")
    lesson.keyboard.press("Enter")
    lesson.keyboard.press("Space")
    says(field.locator(".pfn-status"), "The slot of gfn 0x14 is read-only")
    field.get_by_role("textbox").fill("0x10_010")
    says(field.locator(".pfn-status"), "It gets to the end")
    assert cells(lesson) == before
    film = lesson.locator(".pfn-outcome").nth(2).locator(".pfn-controls")
    film.focus()
    lesson.keyboard.press("End")
    says(lesson.locator(".pfn-outcome").nth(2).locator(".pfn-caption"), "✓")


def test_a_wrong_answer_is_named_and_lights_a_wrong_way(lesson):
    wrong = reference_source(LESSON.exercises[0]).replace("gfn < slot", "gfn <= slot")
    fill(lesson, "02.1", wrong)
    run_all(lesson)
    says(lesson.locator(".pfn-outcome").first, "the frame after the last one belongs to nobody")
    says(lesson.locator(".pfn-map .code"), "gpa 0x12_000 → gfn 0x12, offset 0x0 → slot 0")


def test_an_update_that_is_too_early_is_told_and_drawn(lesson):
    exercise = LESSON.exercises[3]
    fill(lesson, "02.4", answer_source(exercise, exercise.mutants["no bit"].answer))
    run_all(lesson)
    says(lesson.locator(".pfn-outcome").nth(3), "when the new number is published at once")
    says(lesson.locator(".pfn-dot text"), "✗ the new slots; somebody may still read the old ones")


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_both_themes_can_be_read(lesson, theme, tmp_path):
    lesson.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme
    )
    solve(lesson)
    run_all(lesson)
    lesson.set_viewport_size({"width": 1300, "height": 9000})
    lesson.locator(".pfn-note").last.wait_for()
    assert serious_violations(lesson) == []
    lesson.screenshot(path=tmp_path / f"{theme}.png")
    assert lowest_contrast(lesson) >= 4.5
