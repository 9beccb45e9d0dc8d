"""Lesson 00 as its reader meets it: in JupyterLab, by mouse and by keyboard, light and dark."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from pfncache_lab.course.lab import reference_source
from pfncache_lab.course.lessons.lesson_00 import LESSON

SERIOUS = ("serious", "critical")


def run_all(page: Any, games: int = 2) -> None:
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_function(
        """() => window.jupyterapp.shell.currentWidget.content.widgets
               .filter(cell => cell.model.type === 'code')
               .every(cell => cell.model.executionCount !== null
                              && cell.model.executionState !== 'running')"""
    )
    page.locator(".pfn-game").nth(games - 1).wait_for(state="attached")
    # JupyterLab scrolls to the last cell afterwards; a click while it scrolls hits something else.
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


def fill(page: Any, exercise: str, source: str) -> None:
    """Put `source` into the cell of an exercise, as if it had been typed."""
    page.evaluate(
        """([tag, source]) => {
             const cells = window.jupyterapp.shell.currentWidget.content.widgets;
             cells.find(cell => (cell.model.getMetadata('tags') || []).includes(tag))
                  .model.sharedModel.setSource(source);
           }""",
        [f"exercise-{exercise}", source],
    )


def game(page: Any, number: int) -> Any:
    found = page.locator(".pfn-game").nth(number)
    found.scroll_into_view_if_needed()
    return found


def says(element: Any, text: str) -> None:
    element.filter(has_text=text).wait_for()


def serious_violations(page: Any) -> list[str]:
    """Ask axe about our outputs, and about nothing of JupyterLab's own.

    They are lifted out of the notebook first: within its panels axe judges no colors at all.
    """
    page.set_viewport_size({"width": 1300, "height": 9000})
    page.locator(".pfn-note").last.wait_for()
    page.evaluate(
        """() => {
             const main = document.createElement('main');
             main.append(...document.querySelectorAll('.jp-OutputArea-output'));
             document.head.append(...document.body.querySelectorAll('link, style'));  // the theme
             document.body.replaceChildren(main);
             document.body.style =
               'position:static;overflow:visible;background:var(--jp-layout-color0)';
           }"""
    )
    found = Axe().run(page, context="main").response["violations"]
    return [
        f"{rule['id']}: {node['html'][:200]}"
        for rule in found
        if rule["impact"] in SERIOUS
        for node in rule["nodes"]
    ]


def lowest_contrast(page: Any) -> float:
    """Measure the letters in the pictures against what they stand on: axe does not judge SVG."""
    pairs = page.evaluate(
        """() => [...document.querySelectorAll('.pfn-svg text')]
               .filter(text => !text.closest('.pale'))
               .map(text => [getComputedStyle(text).fill,
                             getComputedStyle(text.classList.contains('head')
                               ? text.previousElementSibling
                               : text.closest('svg').querySelector('.card')).fill])"""
    )
    assert len(pairs) > 50
    return min(contrast(*pair) for pair in pairs)


def contrast(one: str, other: str) -> float:
    """Compute the contrast of two CSS colors as WCAG 2 defines it, from 1 to 21."""
    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(color: str) -> float:
    channels = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_the_game_is_won_by_clicking(lesson):
    run_all(lesson)
    board = game(lesson, 0)
    says(board.locator(".pfn-status"), "Who runs first?")
    for name in "abba":
        board.locator(f".pfn-run-{name}").click()
    says(board.locator(".pfn-status"), "You won: abba breaks it.")
    says(board.locator("svg text.bad"), "✗ counter == 2 does not hold at the end: counter is 1.")
    board.get_by_role("button", name="Restart").click()
    says(board.locator(".pfn-status"), "Who runs first?")
    board.get_by_role("button", name="Show me a winning schedule").click()
    says(board.locator(".pfn-status"), "You won: ")


def test_the_game_is_won_from_the_keyboard(lesson):
    run_all(lesson)
    board = game(lesson, 1)
    field = board.get_by_role("textbox")
    field.focus()
    lesson.keyboard.type("aabb", delay=30)
    says(board.locator(".pfn-status"), "b cannot run: it spins until flag changes. Here a can run.")
    for _ in "abb":
        lesson.keyboard.press("Backspace")
    # The answer to the last of them: until then b may still be spinning, and its button off.
    lesson.wait_for_function(
        "board => board.querySelectorAll('svg text.effect').length === 1",
        arg=board.element_handle(),
    )
    board.locator(".pfn-run-b").focus()
    lesson.keyboard.press("Enter")
    lesson.keyboard.press("Space")
    says(board.locator("svg text.effect").last, "store flag ← True")
    field.focus()
    lesson.keyboard.press("End")
    lesson.keyboard.type("baaaabb", delay=30)
    says(board.locator(".pfn-status"), "You won: abbbaaaabb breaks it.")


def cells(page: Any) -> str:
    """Tell which cell is active, and how many there are: what a key must not change."""
    return page.evaluate(
        """() => { const notebook = window.jupyterapp.shell.currentWidget.content;
                   return `${notebook.activeCellIndex} of ${notebook.widgets.length}` }"""
    )


def test_letters_play_wherever_the_focus_is_in_a_game_and_never_edit_the_notebook(lesson):
    """Goal: `b` lets b run; in JupyterLab it inserts a cell. Method: click a button, then type."""
    run_all(lesson)
    board = game(lesson, 0)
    board.locator(".pfn-run-a").click()
    says(board.locator(".pfn-task").first, "next: store counter ← 1")
    before = cells(lesson)
    for key, sentence in [
        ("b", "Who runs next?"),
        ("x", "Who runs next?"),
        ("b", "Who runs next?"),
        ("a", "You won: abba breaks it."),
    ]:
        lesson.keyboard.press(key)
        says(board.locator(".pfn-status"), sentence)
    lesson.keyboard.press("Backspace")  # Its button is off: the focus has gone to the field.
    says(board.locator(".pfn-status"), "Who runs next?")
    assert board.get_by_role("textbox").input_value() == "abb"
    assert cells(lesson) == before


def test_keys_on_the_buttons_of_a_film_never_edit_the_notebook(lesson):
    run_all(lesson)
    forward = lesson.locator(".pfn-controls").get_by_role("button", name="Forward")
    forward.click()
    before = cells(lesson)
    for key in ("ArrowRight", "ArrowDown", "b", "x"):
        lesson.keyboard.press(key)
    says(lesson.locator(".pfn-caption"), "Step 2 of 12")
    assert cells(lesson) == before


def test_a_narrow_window_cuts_nothing_off(lesson, tmp_path):
    lesson.set_viewport_size({"width": 800, "height": 1200})
    run_all(lesson)
    board = game(lesson, 1)
    lesson.screenshot(path=tmp_path / "narrow.png")
    for name in ("Undo", "Restart", "Show me a winning schedule"):
        button = board.get_by_role("button", name=name)
        assert button.evaluate("b => b.scrollWidth <= b.clientWidth"), name
    width = board.evaluate("b => b.clientWidth")
    assert board.locator("svg").evaluate("s => s.getBoundingClientRect().width") <= width


def test_time_travel_needs_the_keyboard_only_and_no_kernel(lesson):
    run_all(lesson)
    lesson.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    film = lesson.locator(".pfn-figure", has=lesson.locator(".pfn-controls"))
    controls, caption = film.locator(".pfn-controls"), film.locator(".pfn-caption")
    controls.focus()
    before = cells(lesson)
    for key, sentence in [
        ("ArrowRight", "Step 1 of 12: task a, load flag → False."),
        ("ArrowRight", "Step 2 of 12: task a, store flag ← True."),
        ("n", "Step 3 of 12: task b, load flag → True."),
        ("ArrowLeft", "Step 2 of 12"),
        ("End", "Step 12 of 12"),
        ("Home", "Before the first of 12 steps."),
    ]:
        lesson.keyboard.press(key)
        says(caption, sentence)
    assert cells(lesson) == before
    controls.get_by_role("button", name="Next switch").click()
    assert film.locator("g.pale[data-step]").first.get_attribute("data-step") == "4"
    controls.get_by_role("button", name="Last").click()
    assert film.locator("g.pale").count() == 0


def test_play_runs_to_the_end_and_stops(lesson):
    run_all(lesson)
    controls = lesson.locator(".pfn-controls")
    for _ in range(10):
        controls.get_by_role("button", name="Forward").click()
    controls.get_by_role("button", name="Play").click()
    says(lesson.locator(".pfn-caption"), "Step 12 of 12")
    controls.get_by_role("button", name="Play").wait_for()


def test_a_prediction_is_made_by_clicking_and_held_against_the_machine(lesson):
    run_all(lesson)
    question = lesson.locator(".pfn-question").first
    question.get_by_role("button", name="1 or 2", exact=True).click()
    says(question, "Noted: 1 or 2.")
    run_all(lesson)
    says(lesson.locator(".pfn-note").first, "You predicted “1 or 2”, and so it is.")


def test_a_wrong_answer_shows_why_and_the_right_one_passes(lesson):
    fill(lesson, "00.1", "lost_update = 'aabb'")
    run_all(lesson)
    card = lesson.locator(".pfn-outcome").first
    says(card, "[incorrect] 00.1 Break counter += 1")
    assert card.locator("svg").get_attribute("aria-label").startswith("Timeline, step 4 of 4.")
    for exercise in LESSON.exercises:
        fill(lesson, exercise.id, reference_source(exercise))
    run_all(lesson)
    for number, exercise in enumerate(LESSON.exercises):
        says(lesson.locator(".pfn-outcome").nth(number), f"[passed] {exercise.id}")
    assert lesson.locator(".pfn-outcome").nth(0).locator(".pfn-controls").count() == 1
    assert lesson.locator(".pfn-dot text", has_text="✗").count() == 4
    says(lesson.locator(".pfn-note").last, "All 3 exercises of this lesson passed.")


def test_an_error_that_the_lab_knows_is_a_sentence_and_no_traceback(lesson):
    fill(lesson, "00.1", "lab.check('00.7')")
    fill(lesson, "00.2", "replay(counter, 'axb')")
    lesson.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    error = lesson.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']")
    says(error.first, "This lesson has no exercise '00.7'.")
    assert "Traceback" not in lesson.locator(".jp-Notebook").inner_text()


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_nothing_serious_stands_in_the_way_of_a_screen_reader(lesson, theme, tmp_path):
    lesson.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme
    )
    fill(lesson, "00.1", "lost_update = 'aabb'")
    fill(lesson, "00.3", reference_source(LESSON.exercises[2]))
    run_all(lesson)
    lesson.screenshot(path=tmp_path / f"{theme}.png")
    assert serious_violations(lesson) == []
    assert lesson.locator(".pfn-game, .pfn-outcome, .pfn-figure").count() >= 9
    assert lowest_contrast(lesson) >= 4.5


def test_axe_would_find_something(lesson):
    """Goal: the test above can fail. Method: plant a picture without words, and pale letters."""
    run_all(lesson)
    planted = '<img src="x.png"><p style="color:#eee;background-color:#fff">pale letters</p>'
    lesson.evaluate("html => document.querySelector('.pfn-figure').innerHTML += html", planted)
    found = " ".join(serious_violations(lesson))
    assert "image-alt" in found
    assert "color-contrast" in found


def test_a_notebook_that_is_not_trusted_yet_shows_the_text_twins(lesson):
    lesson.locator(".jp-Notebook").wait_for()
    page = lesson.locator(".jp-Notebook")
    says(page, "step  a                    b                    effect")
    assert lesson.locator(".pfn-stage").count() == 0


def test_what_is_saved_holds_no_state_of_widgets(lesson, server):
    run_all(lesson)
    lesson.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    lesson.wait_for_function("!window.jupyterapp.shell.currentWidget.context.model.dirty")
    _, work = server
    saved = json.loads(max(work.glob("*.ipynb"), key=lambda p: p.stat().st_mtime).read_text())
    assert "widgets" not in saved["metadata"]
