"""Lesson 06 as its reader meets it: the film of a search, and their own after it has passed."""

from __future__ import annotations

from typing import Any

import pytest

from pfncache_lab.course.lab import answer_source, reference_source
from pfncache_lab.course.lessons.lesson_06 import LESSON
from tests.browser.test_lesson_00 import cells, contrast, fill, says, serious_violations

NOTEBOOK = "06_every_schedule.ipynb"


def run_all(page: Any) -> None:
    """Run the notebook from top to bottom, and wait until the page stands still."""
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_function(
        """() => window.jupyterapp.shell.currentWidget.content.widgets
               .filter(cell => cell.model.type === 'code')
               .every(cell => cell.model.executionCount !== null
                              && cell.model.executionState !== 'running')"""
    )
    page.locator(".pfn-question").nth(1).wait_for(state="attached")
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


def film(page: Any, number: int = 0) -> Any:
    found = page.locator(".pfn-figure", has=page.locator(".pfn-controls")).nth(number)
    found.scroll_into_view_if_needed()
    return found


def lit(reel: Any) -> list[str]:
    """List the edges that are lit, as the beginnings that they stand for."""
    return shown(reel, "now")


def shown(reel: Any, kind: str) -> list[str]:
    """List the parts of the tree that look like this."""
    parts = reel.locator(f"g.{kind}[data-part]").evaluate_all(
        "parts => parts.map(part => part.dataset.part)"
    )
    return sorted(set(parts))


def test_the_search_is_walked_through_by_clicking(lesson, tmp_path):
    run_all(lesson)
    reel = film(lesson)
    caption = reel.locator(".pfn-caption")
    says(caption, "Nothing has been run. The first of 6 runs has an empty prefix.")
    assert lit(reel) == []
    forward = reel.get_by_role("button", name="Forward")
    forward.click()
    says(caption, "Run 1 of 6: prefix (empty), then on by itself: aabb.")
    assert lit(reel) == ["a", "aa", "aab", "aabb"]
    assert shown(reel, "open") == []
    forward.click()
    says(caption, "Look back: 2 new prefixes: b, ab.")
    assert shown(reel, "open") == ["ab", "b"]
    reel.get_by_role("button", name="Next failure").click()
    says(caption, "Run 2 of 6: prefix ab, then on by itself: ba. ✗")
    assert lit(reel) == ["a", "ab", "abb", "abba"]
    assert shown(reel, "lead") == ["a", "ab"]
    lesson.screenshot(path=tmp_path / "walk.png")
    reel.get_by_role("button", name="Last").click()
    says(caption, "Open now: no prefix.")
    assert shown(reel, "pale") == shown(reel, "open") == []


def test_the_search_is_walked_through_from_the_keyboard_and_needs_no_kernel(lesson):
    run_all(lesson)
    lesson.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    reel = film(lesson)
    reel.locator(".pfn-controls").focus()
    before = cells(lesson)
    for key, sentence in [
        ("ArrowRight", "Run 1 of 6"),
        ("n", "Run 2 of 6"),
        ("n", "Run 3 of 6"),
        ("ArrowLeft", "Look back: 1 new prefix: aba."),
        ("End", "Open now: no prefix."),
        ("Home", "Nothing has been run."),
    ]:
        lesson.keyboard.press(key)
        says(reel.locator(".pfn-caption"), sentence)
    assert cells(lesson) == before


def test_a_mistake_is_named_and_what_is_right_is_shown_as_the_readers_own_search(lesson, tmp_path):
    [explorer, *others] = LESSON.exercises
    wrong = explorer.mutants["stops at the first failure"]
    fill(lesson, explorer.id, answer_source(explorer, wrong.answer))
    run_all(lesson)
    says(lesson.locator(".pfn-outcome").first, wrong.says)
    for exercise in [explorer, *others]:
        fill(lesson, exercise.id, reference_source(exercise))
    run_all(lesson)
    for number, exercise in enumerate(LESSON.exercises):
        says(lesson.locator(".pfn-outcome").nth(number), f"[passed] {exercise.id}")
    assert lesson.get_by_text("I could not save it").count() == 0
    mine = film(lesson, 1)
    mine.get_by_role("button", name="Next failure").click()
    says(mine.locator(".pfn-caption"), "✗ a and b wait for each other, for ever.")
    assert lit(mine) == ["a", "ab"]
    bounded = film(lesson, 2)
    bounded.get_by_role("button", name="Last").click()
    assert len(shown(bounded, "open")) == 16
    lesson.screenshot(path=tmp_path / "mine.png")


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_nothing_serious_stands_in_the_way_of_a_screen_reader(lesson, theme, tmp_path):
    lesson.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme
    )
    for exercise in LESSON.exercises[:2]:
        fill(lesson, exercise.id, reference_source(exercise))
    run_all(lesson)
    lesson.set_viewport_size({"width": 1300, "height": 9000})
    lesson.locator(".pfn-note").last.wait_for()
    pairs = lesson.locator(".pfn-dot text, .pfn-svg text.bad").evaluate_all(
        """letters => letters.map(text => [getComputedStyle(text).fill,
             getComputedStyle(document.body).getPropertyValue('--jp-layout-color0')])"""
    )
    assert len(pairs) > 30
    assert min(contrast(ink, paper(page)) for ink, page in pairs) >= 4.5
    lesson.set_viewport_size({"width": 1300, "height": 1800})
    film(lesson, 2).get_by_role("button", name="Last").click()
    lesson.screenshot(path=tmp_path / f"{theme}.png")
    assert serious_violations(lesson) == []


def paper(color: str) -> str:
    """Write a color of the theme, '#111' or 'white', as the three numbers of rgb()."""
    names = {"white": "#ffffff", "black": "#000000"}
    digits = names.get(color.strip(), color.strip()).removeprefix("#")
    wide = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
    return ", ".join(str(int(wide[i : i + 2], 16)) for i in (0, 2, 4))


def test_a_notebook_that_is_not_trusted_yet_shows_the_text_twins(lesson):
    lesson.locator(".jp-Notebook").wait_for()
    says(lesson.locator(".jp-Notebook"), "FAIL: 4 of 6 schedules go wrong.")
    assert lesson.locator(".pfn-stage").count() == 0
