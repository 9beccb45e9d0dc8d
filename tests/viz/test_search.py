"""The film of a search: the tree grows, the current path is lit, and nothing ever moves."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree

import pytest

from pfncache_lab import show
from pfncache_lab.course.lessons.answers_06 import bounded, explore
from pfncache_lab.course.lessons.lesson_00 import COUNTER
from pfncache_lab.course.lessons.programs_06 import POLITE, TRANSFER
from pfncache_lab.explore import follow, searched
from pfncache_lab.viz import dot, show_search
from pfncache_lab.viz.search import LEAD, NOW, OPEN, PALE, WALKED, captions, looks

RUNS = explore(COUNTER)


def film(figure) -> dict:
    found = re.search(r'<script type="application/json">(.*?)</script>', figure.html(), re.DOTALL)
    return json.loads(found[1])


def test_the_path_of_the_run_is_lit_and_no_other_and_its_prefix_more_than_the_rest():
    """Goal: the lit path is the run. Method: read the run back from the looks of each step."""
    seen = looks(RUNS)
    for number, one in enumerate(RUNS):
        for step in (2 * number + 1, 2 * number + 2):
            lit = sorted(part for part, at in seen.items() if at[step] in (NOW, LEAD))
            assert lit == [one.schedule[: i + 1] for i in range(len(one.schedule))]
            lead = [part for part, at in seen.items() if at[step] == LEAD]
            assert max(lead, key=len, default="") == one.prefix


def test_the_tree_only_grows():
    for part, at in looks(RUNS).items():
        assert at[0] == PALE
        known = at[at.index(next(look for look in at if look != PALE)) :]
        assert PALE not in known, part
        walked = known[known.index(next((look for look in known if look != OPEN), OPEN)) :]
        assert OPEN not in walked, part
    assert all(at[-1] in (NOW, LEAD, WALKED) for at in looks(RUNS).values())


def test_a_choice_is_open_from_the_look_back_until_it_is_run():
    at = looks(RUNS)["b"]
    assert at[:3] == [PALE, PALE, OPEN]
    first = next(i for i, one in enumerate(RUNS) if one.schedule.startswith("b"))
    assert at[2 * first] == OPEN
    assert at[2 * first + 1] == LEAD


def test_what_a_bound_cuts_off_stays_open():
    at_the_end = {part for part, at in looks(bounded(COUNTER, 0)).items() if at[-1] == OPEN}
    assert at_the_end == {"ab", "ba"}


def test_the_captions_count_the_open_prefixes_down_to_none():
    said = captions(RUNS)
    assert len(said) == 1 + 2 * len(RUNS)
    assert said[1] == "Run 1 of 6: prefix (empty), then on by itself: aabb. ✓ Nothing went wrong."
    assert said[2] == "Look back: 2 new prefixes: b, ab. Open now: 2 prefixes: b, ab."
    assert said[-1] == "Look back: no new prefix. Open now: no prefix."


@pytest.mark.skipif(dot.find_layout() is None, reason="no Graphviz")
def test_every_part_of_the_film_is_in_the_picture():
    reel = film(show_search(COUNTER))
    [svg] = reel["frames"]
    named = set(re.findall(r'data-part="(\w+)"', svg))
    assert named == set(reel["looks"]) == set(looks(RUNS))
    assert all(len(at) == len(reel["captions"]) for at in reel["looks"].values())
    assert reel["stops"] == [3, 5, 9, 11]
    assert reel["jump"] == "Next failure"
    ElementTree.fromstring(svg[: svg.index("</svg>") + 6])


@pytest.mark.skipif(dot.find_layout() is None, reason="no Graphviz")
def test_a_single_run_is_a_picture_with_its_open_choices():
    figure = show(follow(TRANSFER, "aaa"))
    reel = film(figure)
    assert reel["captions"] == []
    assert reel["frames"][0].count('class="now lead"') == 2 * 3  # a node and an edge each
    assert reel["frames"][0].count('class="open"') == 2 * 3
    assert "   3  a     a  (prefix)" in figure.text
    assert "   4  a     ab\n" in figure.text


def test_the_text_twin_lists_the_runs_with_their_prefixes():
    lines = show(searched(RUNS)).text.splitlines()
    assert lines[0] == "FAIL: 4 of 6 schedules go wrong."
    assert lines[3].startswith("   2  ab      abba      ✗ counter == 2 does not hold")


def test_a_search_of_many_runs_is_a_list():
    lines = show(searched(explore(POLITE))).text.splitlines()
    assert lines[-1] == "… and 40 more."
    with pytest.raises(ValueError, match="has more than 40 schedules"):
        show_search(POLITE)


def test_without_graphviz_the_text_says_what_to_install(monkeypatch):
    monkeypatch.setattr(dot, "find_layout", lambda: None)
    for figure in (show_search(COUNTER), show(follow(COUNTER, "ab"))):
        assert "pip install graphviz-pure" in figure.text
        assert "<script>" not in figure.html()
