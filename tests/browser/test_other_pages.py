"""Figures on a page that is not JupyterLab: VS Code runs the scripts of an output its own way."""

from __future__ import annotations

from typing import Any

import pytest

from pfncache_lab import replay
from pfncache_lab.course.lessons.lesson_00 import COUNTER
from pfncache_lab.course.lessons.lesson_03 import LESSON
from pfncache_lab.course.outcome import Outcome
from pfncache_lab.viz import Album, TraceStepper, show

LIKE_VS_CODE = """html => {
    const output = document.body.appendChild(document.createElement("div"));
    output.innerHTML = html;
    for (const old of [...output.getElementsByTagName("script")]) {
        const script = document.createElement("script");
        script.text = old.innerText;
        if (old.type) script.setAttribute("type", old.type);
        output.appendChild(script);
        output.removeChild(script);
    }
}"""
"""It runs a copy of each script at the end of the output, and takes it away again."""


@pytest.fixture
def page(browser: Any) -> Any:
    page = browser.new_page()
    yield page
    page.close()


def test_a_film_and_a_still_in_one_output_are_both_drawn_where_they_stand(page):
    run = replay(COUNTER, "abba")
    outcome = Outcome(
        LESSON.exercises[1],
        "incorrect",
        "It went wrong.",
        Album([show(run), TraceStepper(run)], ""),
    )
    page.evaluate(LIKE_VS_CODE, outcome._repr_mimebundle_()["text/html"])
    figures = page.locator(".pfn-outcome .pfn-figure")
    assert [figures.nth(n).locator("svg").count() for n in range(figures.count())] == [1, 1]
    assert [figures.nth(n).locator("button").count() for n in range(2)] == [0, 6]
    assert page.locator("pre:visible").count() == 0
    page.get_by_role("button", name="Forward").click()
    assert "Step 1 of 4" in page.locator(".pfn-caption").inner_text()
