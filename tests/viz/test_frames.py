"""Pictures of the memory: what is drawn is what the machine has, at every step, in its place."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from pfncache_lab import replay, show
from pfncache_lab.course.host import HELD, LATE, STALE, SWAP, ZAP
from pfncache_lab.course.lessons.lesson_00 import COUNTER
from pfncache_lab.viz import FrameStepper, TraceStepper, film, frames_figure
from pfncache_lab.viz.frames import draw_frames

TROUBLE = replay(STALE, "wwwhhbbbbbw")
RUNS = [
    TROUBLE,
    replay(LATE, "wwwhhw"),
    replay(HELD, "wwhhww"),
    replay(SWAP, "wwhhww"),
    replay(ZAP, "wwhhw"),
]

each_run = pytest.mark.parametrize("run", RUNS, ids=lambda run: run.scenario.name)


def places(svg):
    """Where the frames stand: their names and positions."""
    return re.findall(r'<text x="(\d+)" y="(\d+)" class="code">(0x9\d\d)', svg)


@each_run
def test_a_picture_is_well_formed_and_things_keep_their_places(run):
    pictures = [draw_frames(run.trace, step) for step in range(len(run.trace.events) + 1)]
    for svg in pictures:
        ElementTree.fromstring(svg)
        assert places(svg) == places(pictures[0])


@each_run
def test_the_same_run_gives_the_same_bytes(run):
    again = replay(run.scenario, run.schedule)
    assert FrameStepper(again).html() == FrameStepper(run).html()


@each_run
def test_nothing_is_wider_than_a_page(run):
    """Goal: letters can be read. Method: a picture that is too wide is made smaller."""
    for step in range(len(run.trace.events) + 1):
        svg = frames_figure(run, step).html()
        assert max(map(int, re.findall(r'viewBox=\\"0 0 (\d+)', svg))) <= 930


def test_the_text_twin_tells_the_whole_story_of_the_trouble():
    text = FrameStepper(TROUBLE).text
    story = [
        "0x901 ■ page 0 | 0x902 ■ page 1 | 0x903 free",
        "0x901 ■● page 0 | 0x902 ■ page 1 | 0x903 free | saved = 0x901",
        "mm 0x7f5a_a000_0000: moving 0x901",
        "0x901 free | 0x902 ■ page 1 | 0x903 ■ page 0 | saved = 0x901 (stale)",
        "bank 0x7f5a_a000_0000: present, rw 0x901",
        "0x901 ■ owner: Ann | 0x902 ■ page 1 | 0x903 ■ page 0 | saved = 0x901 (stale)",
        "0x901 ■ HELLO! Ann | 0x902 ■ page 1 | 0x903 ■ page 0 | saved = 0x901 (stale)",
        "✗ `the bank's page is the bank's` does not hold at the end",
    ]
    at = [text.index(line) for line in story]
    assert at == sorted(at)


def test_a_page_that_is_on_its_way_is_not_stale_until_it_has_gone():
    assert "(stale)" not in FrameStepper(replay(HELD, "wwhhww")).text
    assert "(stale)" not in FrameStepper(replay(SWAP, "wwhhww")).text
    assert "0x901 ● page 0" in FrameStepper(replay(ZAP, "wwhhw")).text


def test_references_and_freedom_are_signs_and_not_only_colors():
    before, freed = (draw_frames(TROUBLE.trace, step) for step in (1, 5))
    assert before.count("<circle") == 2  # one in the legend
    assert freed.count("<circle") == 1
    assert "0x901 free" in freed
    assert "✗ stale" in freed


def test_a_film_is_of_the_memory_where_there_is_one():
    assert type(film(TROUBLE)) is FrameStepper
    assert type(film(replay(COUNTER, "abba"))) is TraceStepper
    with pytest.raises(ValueError, match="no `memory` to draw"):
        frames_figure(replay(COUNTER, "abba"))


def test_a_long_verdict_does_not_make_a_timeline_wide():
    assert "…" in show(replay(ZAP, "wwhhw")).html()
