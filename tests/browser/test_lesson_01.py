"""Lesson 01 in JupyterLab: the map and its field, by mouse and by keyboard, light and dark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pfncache_lab.course.lab import reference_source
from pfncache_lab.course.lessons.lesson_01 import LESSON
from tests.browser.test_lesson_00 import cells, fill, lowest_contrast, says, serious_violations

NOTEBOOK = next((Path(__file__).resolve().parents[2] / "notebooks").glob("01_*.ipynb"))


def run_all(page: Any, live: str = ".pfn-field") -> None:
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_function(
        """() => window.jupyterapp.shell.currentWidget.content.widgets
               .filter(cell => cell.model.type === 'code')
               .every(cell => cell.model.executionCount !== null
                              && cell.model.executionState !== 'running')"""
    )
    page.locator(live).first.wait_for(state="attached")
    page.wait_for_function(
        """() => {
             const panel = document.querySelector('.jp-WindowedPanel-outer');
             const now = [panel.scrollTop, panel.scrollHeight].join();
             const still = now === window.before;
             window.before = now;
             return still;
           }""",
        polling=400,
    )


def solve(page: Any) -> None:
    for exercise in LESSON.exercises:
        fill(page, exercise.id, reference_source(exercise))


def test_the_map_follows_the_mouse_and_the_keyboard(lesson):
    solve(lesson)
    run_all(lesson)
    field = lesson.locator(".pfn-field")
    field.scroll_into_view_if_needed()
    field.get_by_role("button", name="Page forward").click()
    says(field.locator(".pfn-status"), "The host has given this hva no page yet.")
    before = cells(lesson)
    for key in ("b", "x", "ArrowDown"):
        lesson.keyboard.press(key)
    assert cells(lesson) == before
    lesson.keyboard.press("Enter")
    says(field.locator(".pfn-status"), "It gets to the end")
    says(field.locator(".pfn-lit").last, "0xffff_8880_0090_1ffe")
    typed = field.get_by_role("textbox")
    typed.fill("")
    lesson.keyboard.type("0x14_000", delay=20)
    says(field.locator(".pfn-status"), "No memslot translates gfn 0x14")


def test_a_wrong_answer_says_why_and_the_map_shows_where_it_leads(lesson):
    fill(lesson, "01.1", reference_source(LESSON.exercises[0]).replace(">> 12", ">> 16"))
    run_all(lesson)
    card = lesson.locator(".pfn-outcome").first
    says(card, "This is what happens when you shift by sixteen")
    says(lesson.locator(".pfn-map .bad").first, "No memslot translates gfn 0x1:")


def test_the_lesson_is_done_without_leaving_the_notebook(lesson):
    solve(lesson)
    run_all(lesson)
    for number, exercise in enumerate(LESSON.exercises):
        says(lesson.locator(".pfn-outcome").nth(number), f"[passed] {exercise.id}")
    film = lesson.locator(".pfn-outcome").nth(2).locator(".pfn-controls")
    film.focus()
    lesson.keyboard.press("End")
    says(lesson.locator(".pfn-outcome").nth(2).locator(".pfn-caption"), "✓")
    says(lesson.locator(".pfn-note").last, "All 3 exercises of this lesson passed.")


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


def test_what_is_saved_shows_its_pictures_without_a_kernel(lesson, server):
    saved = json.loads(NOTEBOOK.read_text())
    outputs = [str(cell.get("outputs", "")) for cell in saved["cells"]]
    assert sum("pfn-map" in output for output in outputs) >= 2
    assert any("pfn-dot" in output for output in outputs)
    says(lesson.locator(".jp-Notebook"), "gfn → hva: memslots, userspace changes them")
