"""README says nothing that is not true today: its numbers, its picture, its links, its lessons."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from pfncache_lab import explore
from pfncache_lab.cli import main
from pfncache_lab.course.lessons.lesson_00 import COUNTER
from pfncache_lab.documents import fidelity_page, readme_picture
from pfncache_lab.explore import SCHEDULE_LIMIT, SEARCH_STEPS
from pfncache_lab.explore.check import BUDGET

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
WORDS = {4: "Four", 6: "six"}


def test_the_picture_is_what_the_machine_draws():
    stored = (ROOT / "docs" / "lost-update.svg").read_text("utf-8")
    assert stored == readme_picture(), "run `pfncache-lab refresh`"


def test_the_page_of_what_is_modelled_is_what_the_modules_say():
    stored = (ROOT / "docs" / "fidelity.md").read_text("utf-8")
    assert stored == fidelity_page(), "run `pfncache-lab refresh`"


def test_the_numbers_are_those_of_the_search():
    result = explore(COUNTER)
    bad, all_of_them = WORDS[len(result.failures)], WORDS[len(result.runs)]
    assert f"{bad} of the {all_of_them} schedules of this program lose" in README.replace("\n", " ")
    assert f"stops after {SCHEDULE_LIMIT:,} schedules or {SEARCH_STEPS:,} steps" in README


@pytest.mark.parametrize("target", re.findall(r"\]\((?!https:)([^)]+)\)", README))
def test_what_is_linked_is_there(target):
    assert (ROOT / target).exists()


def test_the_table_of_lessons_is_the_notebooks():
    rows = re.findall(r"^\| (\d\d) \| \[(.+)\]\((.+)\) \| (\d+) \|", README, re.MULTILINE)
    paths = sorted((ROOT / "notebooks").glob("*.ipynb"))
    assert [row[2] for row in rows] == [str(path.relative_to(ROOT).as_posix()) for path in paths]
    for number, title, path, minutes in rows:
        first = nbformat.read(ROOT / path, as_version=4).cells[0].source
        assert first.startswith(f"# {number} · {title}\n")
        assert f"| {minutes} min |" in first


def test_the_two_commands_stand_on_the_first_screen():
    first_screen = README.splitlines()[:40]
    assert any(line.startswith("python3 lab.py ") for line in first_screen)
    assert any(line.startswith("python3 lab.py test ") for line in first_screen)


@pytest.mark.parametrize("command", ["doctor", "refresh"])
def test_the_commands_that_readme_names_exist(command):
    assert re.search(rf"(lab\.py|pfncache-lab) {command}", README)
    done = subprocess.run(
        [sys.executable, "-m", "pfncache_lab", *shlex.split(f"{command} --help")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert command in done.stdout


def test_the_doctor_finds_this_machine_well(capsys):
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert said.count("✓") == 4
    assert "✗" not in said


def test_the_doctor_says_what_is_broken(capsys, monkeypatch):
    monkeypatch.setattr("pfncache_lab.viz.dot.find_layout", lambda: None)
    assert main(["doctor"]) == 1
    assert "✗ Graphs are laid out: AssertionError: (The picture needs Graphviz" in (
        capsys.readouterr().err
    )


def test_refresh_says_where_it_belongs(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["refresh"]) == 1
    assert "Run this at the top of a checkout." in capsys.readouterr().err


def test_the_example_runs_and_finds_the_missing_lock(tmp_path):
    [example] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    script = tmp_path / "example.py"
    script.write_text(example)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("FAIL: ")
    assert "balance" in done.stdout.splitlines()[0]


def test_the_budget_is_the_one_of_check():
    assert f"`check` has a budget of {BUDGET:,} runs" in README.replace("\n", " ")
