"""Lesson 03 as its reader meets it: the film of the memory, by mouse, by keyboard, in the dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pfncache_lab.course.lab import answer_source, reference_source
from pfncache_lab.course.lessons.lesson_03 import LESSON
from tests.browser.test_lesson_00 import (
    cells,
    fill,
    lowest_contrast,
    says,
    serious_violations,
)

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "03_the_host_owns_the_page.ipynb"


def run_all(page: Any) -> None:
    page.set_viewport_size({"width": 1300, "height": 16000})  # so that no cell is left undrawn
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_function(
        """() => window.jupyterapp.shell.currentWidget.content.widgets
               .filter(cell => cell.model.type === 'code')
               .every(cell => cell.model.executionCount !== null
                              && cell.model.executionState !== 'running')"""
    )
    page.locator(".pfn-question").nth(2).wait_for()


def film(page: Any, number: int = 0) -> Any:
    return page.locator(".pfn-figure", has=page.locator(".pfn-controls")).nth(number)


def test_the_film_of_the_memory_is_stepped_by_mouse(lesson):
    run_all(lesson)
    stepper = film(lesson)
    says(stepper.locator(".pfn-caption"), "Before the first of 11 steps.")
    for _ in range(5):
        stepper.get_by_role("button", name="Forward").click()
    says(stepper.locator(".pfn-caption"), "Step 5 of 11: host, move the page")
    says(stepper.locator("svg text.code"), "0x901 free")
    says(stepper.locator("svg text.bad"), "✗ stale")
    stepper.get_by_role("button", name="Next switch").click()
    says(stepper.locator(".pfn-caption"), "Step 6 of 11: bank")
    stepper.get_by_role("button", name="Last").click()
    says(stepper.locator("svg text.state"), "HELLO! Ann")


def test_the_film_of_the_memory_is_stepped_by_keyboard_without_a_kernel(lesson):
    run_all(lesson)
    lesson.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    stepper = film(lesson, 1)
    stepper.locator(".pfn-controls").focus()
    before = cells(lesson)
    for key, sentence in [
        ("ArrowRight", "Step 1 of 6: writer, get the page"),
        ("n", "Step 3 of 6: host, unmap"),
        ("ArrowRight", "Step 4 of 6: host, move the page"),
        ("ArrowLeft", "Step 3 of 6: host"),
        ("End", "Step 6 of 6"),
        ("Home", "Before the first of 6 steps."),
    ]:
        lesson.keyboard.press(key)
        says(stepper.locator(".pfn-caption"), sentence)
    assert cells(lesson) == before


def test_a_prediction_is_held_against_the_machine(lesson):
    run_all(lesson)
    question = lesson.locator(".pfn-question").first
    question.get_by_role("button", name="nowhere: the kernel notices", exact=True).click()
    says(question, "Noted: nowhere")
    run_all(lesson)
    says(
        lesson.locator(".pfn-note").first,
        "You predicted “nowhere: the kernel notices”. The machine says: into a page of the bank.",
    )


def test_a_leak_is_told_by_name_and_the_right_answers_pass_with_films_of_their_own(lesson):
    copy = LESSON.exercises[1]
    fill(lesson, copy.id, answer_source(copy, copy.mutants["only when all went well"].answer))
    run_all(lesson)
    card = lesson.locator(".pfn-outcome").nth(1)
    says(card, "[incorrect] 03.2 Give back what you took")
    says(card, "Somebody has taken a reference and not dropped it")
    card.get_by_role("button", name="Last").click()
    assert card.locator("svg circle").count() == 2, "the leaked reference, and the legend"
    for exercise in LESSON.exercises:
        fill(lesson, exercise.id, reference_source(exercise))
    run_all(lesson)
    for number, exercise in enumerate(LESSON.exercises):
        card = lesson.locator(".pfn-outcome").nth(number)
        says(card, f"[passed] {exercise.id}")
        says(card.locator("svg text"), "page frames")
    says(lesson.locator(".pfn-note").last, "All 3 exercises of this lesson passed.")


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_both_themes_can_be_read(lesson, theme, tmp_path):
    lesson.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme
    )
    copy = LESSON.exercises[1]
    fill(lesson, "03.1", reference_source(LESSON.exercises[0]))
    fill(lesson, copy.id, answer_source(copy, copy.mutants["too early"].answer))
    run_all(lesson)
    for number in range(3):
        controls = film(lesson, number).locator(".pfn-controls")
        for _ in range(5):
            controls.get_by_role("button", name="Forward").click()
    lesson.screenshot(path=tmp_path / f"{theme}.png")
    assert serious_violations(lesson) == []
    assert lowest_contrast(lesson) >= 4.5
