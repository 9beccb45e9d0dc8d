"""Pictures are pure functions of what was recorded, and each has a text twin."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import graphviz
import pytest

from pfncache_lab import Scenario, Struct, TraceStepper, check, explore, replay, show
from pfncache_lab.course.lessons.lesson_00 import COUNTER, FLAG
from pfncache_lab.course.lessons.lesson_01 import AS_IT_STANDS
from pfncache_lab.explore import every_schedule
from pfncache_lab.sim import BUG_ON, WARN_ON_ONCE, SpinLock, Warn, marked, shared
from pfncache_lab.viz import dot, draw_timeline
from pfncache_lab.viz.figure import Figure, Note
from pfncache_lab.viz.stepper import first_line, headline
from pfncache_lab.viz.theme import CHAR
from pfncache_lab.viz.timeline import CHARS
from tests.programs import counting, scenario, steps_of_lambda

ABBA = replay(COUNTER, "abba")


def film(figure: Figure) -> dict:
    """Read back what the page is given to show."""
    found = re.search(r'<script type="application/json">(.*?)</script>', figure.html(), re.DOTALL)
    return json.loads(found[1])


def places(svg: str) -> list[tuple[str, ...]]:
    """List where everything is, leaving out how it looks."""
    keys = ("x", "y", "width", "d", "viewBox")
    root = ElementTree.fromstring(svg)
    return [tuple(str(node.get(key)) for key in keys) for node in root.iter()]


def test_the_same_trace_draws_the_same_bytes():
    again = replay(COUNTER, "abba")
    assert draw_timeline(ABBA.trace, 2, "x") == draw_timeline(again.trace, 2, "x")


def test_everything_keeps_its_place_at_every_step():
    first, *others = (places(draw_timeline(ABBA.trace, step, "✗ lost")) for step in range(5))
    assert len(first) > 20
    assert all(other == first for other in others)


def test_the_pictures_of_two_steps_differ_only_in_what_is_pale_and_what_is_now():
    """Goal: a film needs one picture, and the player's two classes. Method: take them away."""
    svgs = [draw_timeline(ABBA.trace, step) for step in range(5)]
    bare = {re.sub(r'class="(pale|now|)"|step \d of', "", svg) for svg in svgs}
    assert len(bare) == 1


def test_each_step_looks_different():
    assert len({draw_timeline(ABBA.trace, step) for step in range(5)}) == 5


def test_steps_to_come_are_pale_and_the_past_is_not():
    svg = draw_timeline(ABBA.trace, 1)
    found = re.findall(r'<g class="(\w*)" data-step="(\d)">', svg)
    assert set(found) == {("", "0"), ("now", "1"), ("pale", "2"), ("pale", "3"), ("pale", "4")}


def test_a_timeline_is_named_for_a_screen_reader_and_says_its_verdict_in_words():
    svg = draw_timeline(ABBA.trace, None, "✗ counter is 1")
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img"
    assert root.get("aria-label") == "Timeline, step 4 of 4. ✗ counter is 1"


def test_a_legend_explains_only_what_the_picture_has():
    spins = replay(FLAG, "aabaaabbbbbb")
    assert ">spin<" in draw_timeline(spins.trace)
    assert ">spin<" not in draw_timeline(ABBA.trace)


def test_an_empty_run_can_be_drawn():
    ElementTree.fromstring(draw_timeline(replay(COUNTER, "").trace))


def test_odd_characters_in_the_readers_code_cannot_break_a_picture():
    run = replay(scenario(a=steps_of_lambda("</script><b>&")), "a")
    ElementTree.fromstring(draw_timeline(run.trace))
    assert film(show(run))["frames"] == [draw_timeline(run.trace, None, "✓ " + run.verdict())]


@pytest.mark.parametrize("text", ["</script>", "<!--<script>", "\u2028"])
def test_odd_characters_in_the_readers_code_cannot_end_the_script(text):
    """Goal: the page's parser reads on. Method: nothing it could act on is left in the data."""
    run = replay(scenario(a=steps_of_lambda(text)), "a")
    figure = TraceStepper(run)
    assert repr(text)[1:-1] in film(figure)["captions"][1]
    data = figure.html().partition('json">')[2].partition("</script>")[0]
    assert "<" not in data
    assert json.loads(data) == film(figure)


def test_a_figure_holds_its_text_twin_and_puts_the_picture_in_its_place():
    figure = show(ABBA)
    bundle = figure._repr_mimebundle_()
    assert bundle["text/plain"] == figure.text == repr(figure)
    assert f"<pre>{html.escape(figure.text)}</pre>" in bundle["text/html"]
    assert "✗ `counter == 2` does not hold at the end: counter is 1." in figure.text
    assert "schedule: abba  (v1:a.b2.a)" in figure.text


def test_a_page_without_scripts_shows_the_text_and_nothing_else():
    page = re.sub(r"<script.*?</script>", "", show(ABBA).html(), flags=re.DOTALL)
    text = html.unescape(re.sub(r"<[^>]+>", "", page))
    assert text == show(ABBA).text


def test_a_film_has_one_picture_and_a_caption_for_each_step_and_stops_at_switches():
    reel = film(TraceStepper(ABBA))
    assert reel["frames"] == [draw_timeline(ABBA.trace, 0, headline(ABBA))]
    assert len(reel["captions"]) == 5
    assert reel["stops"] == [2, 4]
    assert reel["captions"][3] == "Step 3 of 4: task b, store counter ← 1."
    assert reel["captions"][4].endswith("✗ `counter == 2` does not hold at the end: counter is 1.")


def test_a_run_that_was_not_recorded_says_how_to_record_it():
    run = next(every_schedule(COUNTER))
    with pytest.raises(ValueError, match=r"replay\(scenario, run.schedule\) gives it one"):
        show(run)


def test_a_program_is_shown_once_for_all_tasks_that_run_it():
    assert show(COUNTER).text == "\n".join(
        [
            "shared: counter = 0",
            "tasks a and b each run:",
            "    def increment(shared):",
            "        shared.counter += 1",
            "should hold at the end: counter == 2",
        ]
    )


def test_a_small_search_is_a_tree_with_a_leaf_for_each_schedule():
    figure = show(explore(COUNTER))
    assert figure.text.splitlines()[:3] == [
        "FAIL: 4 of 6 schedules go wrong.",
        "✓ aabb",
        "✗ abba  `counter == 2` does not hold at the end: counter is 1.",
    ]
    picture = film(figure)["frames"][0]
    labels = re.findall(r">([✓✗] [ab]{4})</text>", picture)
    assert sorted(labels) == ["✓ aabb", "✓ bbaa", "✗ abab", "✗ abba", "✗ baab", "✗ baba"]
    assert dot.INK not in picture


def test_a_large_search_is_listed_and_the_rest_is_counted():
    text = show(explore(FLAG)).text
    assert text.startswith("FAIL: 72 of 148 schedules go wrong.")
    assert text.endswith("… and 136 more.")
    assert len(text.splitlines()) == 1 + 12 + 1


@pytest.fixture
def _forget_layout():
    dot.find_layout.cache_clear()
    yield
    dot.find_layout.cache_clear()


@pytest.mark.usefixtures("_forget_layout")
def test_without_dot_the_one_from_pypi_draws(monkeypatch):
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert dot.find_layout().stem == "graphviz-pure"
    svg = dot.draw_dot(graphviz.Digraph(body=["a -> b"]), "two nodes")
    assert ElementTree.fromstring(svg).get("aria-label") == "two nodes"


@pytest.mark.usefixtures("_forget_layout")
@pytest.mark.skipif(os.name == "nt", reason="the broken dot is a shell script")
@pytest.mark.parametrize("script", ["not a program", "#!/bin/sh\nexit 1", "#!/bin/sh\necho hm"])
def test_a_broken_dot_is_passed_over(script, tmp_path, monkeypatch):
    broken = tmp_path / "dot"
    broken.write_text(script)
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert dot.find_layout().stem == "graphviz-pure"


@pytest.mark.usefixtures("_forget_layout")
def test_without_any_graphviz_the_text_remains_with_a_hint(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda *args, **kwargs: None)
    figure = show(explore(COUNTER))
    assert isinstance(figure, Note)
    assert figure.text.splitlines()[0] == "FAIL: 4 of 6 schedules go wrong."
    assert figure.text.endswith(dot.INSTALL_HINT)


def test_only_what_can_be_drawn_is_drawn():
    with pytest.raises(TypeError, match="a scenario, a run or a result, not a int"):
        show(3)


def test_a_trace_is_drawn_without_ipywidgets():
    """Goal: a check in CI does not pay for widgets. Method: look at what a fresh process loads."""
    code = (
        "import sys; from pfncache_lab import replay, show; "
        "from pfncache_lab.course.lessons.lesson_00 import COUNTER; "
        "show(replay(COUNTER, 'ab')).html(); print('ipywidgets' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_what_a_check_has_found_is_a_picture_or_a_sentence():
    found = show(check(COUNTER))
    assert found.text.startswith("FAIL: `counter == 2` does not hold at the end: counter is 1.")
    assert "replay with 'v1:a.b2.a#" in found.text
    assert film(found)["frames"][0].count('class="now"') == 3
    assert show(check(counting("a"))).text.startswith("PASS: no schedule goes wrong.")


def test_locks_are_round_and_a_verdict_of_many_lines_is_drawn_with_its_first():
    class Two(Struct):
        one = SpinLock()
        other = SpinLock()

    def forth(s):
        with s.one, s.other:
            pass

    def back(s):
        with s.other, s.one:
            pass

    both = Scenario("abba", Two, {"a": forth, "b": back}, lockdep=False)
    run = replay(both, "ab")
    assert len(run.verdict().splitlines()) > 1
    picture = film(show(run))["frames"][0]
    assert ElementTree.fromstring(picture) is not None
    assert picture.count('rx="18"') == 2
    assert ">lock, wait, …<" in picture
    assert run.verdict() in show(run).text


def test_three_tasks_have_three_columns():
    root = ElementTree.fromstring(draw_timeline(replay(counting("abc"), "abcabc").trace))
    heads = [node for node in root.iter() if node.get("class") == "head"]
    assert [node.text for node in heads] == ["task a", "task b", "task c"]
    assert len({node.get("x") for node in heads}) == 3


class Guarded(Struct):
    lock = SpinLock()
    plain = shared(0, guarded_by="lock")
    ready = marked(False)


def fill(s):
    WARN_ON_ONCE(False)
    with s.lock:
        s.plain = 7
    s.ready = True


def use(s):
    if s.ready:
        with s.lock:
            WARN_ON_ONCE(s.plain == 7, "it is seven")


def group_of(svg, text):
    """Find the group in which a text stands."""
    root = ElementTree.fromstring(svg)
    for group in root.iter("{http://www.w3.org/2000/svg}g"):
        if any(node.text == text for node in group):
            return group
    raise AssertionError(f"{text!r} is nowhere")


def test_what_is_no_step_hangs_below_the_step_before_it():
    trace = replay(Scenario("guarded", Guarded, {"a": fill, "b": use}), "aaabb").trace
    svg = draw_timeline(trace, 0)
    assert group_of(svg, "store plain ← 7").get("data-step") == "1"
    assert group_of(svg, "load plain → 7").get("data-step") == "5"
    assert group_of(svg, "store plain ← 7").get("class") == "pale"
    assert ">no step of its own<" in svg
    assert ">no step of its own<" not in draw_timeline(ABBA.trace)


def reads_it_twice(s):
    with s.lock:
        both = s.plain + s.plain
        assert both == s.plain * 2


def test_a_line_that_does_several_things_in_a_row_is_written_once():
    run = replay(Scenario("twice", Guarded, {"a": reads_it_twice}), "aa")
    svg = draw_timeline(run.trace)
    assert svg.count(">load plain → 0<") == 3
    assert svg.count(">both = s.plain + s.plain<") == 1
    assert svg.count(">assert both == s.plain * 2<") == 1
    bars = ElementTree.fromstring(svg).iterfind(".//{*}g/{*}rect[@width='3']")
    first, second, third, _legend = (int(bar.get("height")) for bar in bars)
    assert second < first == third


def test_the_line_that_ended_the_run_is_drawn_in_the_color_of_errors():
    run = replay(Scenario("guarded", Guarded, {"a": fill, "b": use}), "aaabb")
    assert type(run.bug) is Warn
    svg = draw_timeline(run.trace, None, "✗ it is seven")
    assert 'class="bad">Warn<' in svg
    assert 'class="bad">load plain → 7<' not in svg


def test_what_comes_before_the_first_step_is_drawn_there():
    def at_once(s):
        BUG_ON(True)

    run = replay(Scenario("at once", Guarded, {"a": at_once}), "")
    svg = draw_timeline(run.trace, None, "✗ " + run.verdict())
    assert group_of(svg, "Bug").get("data-step") == "0"


@pytest.mark.parametrize("schedule", ["aaabb", "b", ""])
def test_nothing_sticks_out_of_a_timeline(schedule):
    trace = replay(Scenario("guarded", Guarded, {"a": fill, "b": use}), schedule).trace
    root = ElementTree.fromstring(draw_timeline(trace, None, "✗ it is seven"))
    for text in root.iter("{http://www.w3.org/2000/svg}text"):
        width = len(text.text) * CHAR if text.get("class") != "number" else 0
        assert float(text.get("x")) + width <= float(root.get("width"))
        assert float(text.get("y")) <= float(root.get("height"))


class Long(Struct):
    """Holds something that takes more than a line to write."""

    text = marked("")


def test_what_is_too_long_for_a_column_goes_on_in_the_next_line():
    """Goal: two columns keep the size of their letters. Method: one long value, two tasks."""

    def store_it(s):
        s.text = " ".join(["word"] * 30)

    tasks = dict.fromkeys("ab", store_it)
    run = replay(Scenario("long", Long, tasks), "ab")
    svg = ElementTree.fromstring(draw_timeline(run.trace, None, first_line(run)))
    texts = list(svg.iter("{http://www.w3.org/2000/svg}text"))
    lines = [text.text for text in texts if text.get("class") == "effect"]
    assert len(lines) > 2
    assert max(map(len, lines)) <= CHARS // 2
    assert " ".join(" ".join(lines).split()).count("word") == 60
    boxes = [rect for rect in svg.iter("{http://www.w3.org/2000/svg}rect") if rect.get("stroke")]
    places = [(int(box.get("y")), int(box.get("height"))) for box in boxes]
    assert places[0][0] + places[0][1] < places[1][0]


def test_the_last_line_of_a_picture_does_not_repeat_the_line_of_code():
    run = replay(COUNTER, "abba")
    assert first_line(run) == headline(run)
    crash = replay(AS_IT_STANDS, "k")
    assert re.search(r" \(line \d+ of ", crash.verdict())
    assert "0x1_2abc, where no memory is." in first_line(crash)
