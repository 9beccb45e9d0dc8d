"""The tools that read the code: one test each, with what the tool says as the message."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pfncache_lab.course.catalog import lesson

ROOT = Path(__file__).resolve().parent.parent
# Without our strict settings: a reader's cells need no annotations, and may define a name anew.
LENIENT = [
    "--config-file=",
    "--check-untyped-defs",
    "--disable-error-code=no-redef",
    "--follow-imports=silent",
    "--no-strict-optional",
]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def assert_content(*command):
    """The tool has nothing to say against the code."""
    finished = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True
    )
    if finished.returncode:
        pytest.fail(finished.stdout + finished.stderr, pytrace=False)


def test_ruff_finds_nothing():
    assert_content("ruff", "check", "--output-format=concise", ".")


def test_ruff_would_format_nothing_otherwise():
    assert_content("ruff", "format", "--check", ".")


@pytest.mark.slow
def test_the_types_of_the_code_agree():
    assert_content("mypy")


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_the_types_of_a_notebook_agree(notebook, tmp_path):
    module = tmp_path / re.sub(r"\W|^(?=\d)", "_", notebook.stem)
    module = module.with_suffix(".py")
    given = ["____", *lesson(int(notebook.name[:2])).needs]
    module.write_text(as_module(json.loads(notebook.read_text("utf-8")), given), "utf-8")
    assert_content("mypy", *LENIENT, module)


def as_module(notebook, given) -> str:
    """The code cells as one module, in which a blank, and what set-up puts in, may be anything."""
    codes = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    cells = [f"# cell {number}\n{code}\n" for number, code in enumerate(codes)]
    names = [f"{name}: Any" for name in given]
    return "\n".join(["from typing import Any", *names, *cells])
