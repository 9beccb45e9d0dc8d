"""documents.py: what README and docs/ show and a program has to say: a picture and two tables."""

from __future__ import annotations

from pathlib import Path

from .course.lessons.lesson_00 import COUNTER
from .explore import replay
from .kvm.fidelity import CACHE, KVM
from .kvm.history.table import table
from .kvm.users.fidelity import USERS
from .mm.fidelity import MEMORY, fidelity_table
from .viz.stepper import first_line
from .viz.timeline import draw_timeline

BEGIN, END = "<!-- history -->", "<!-- end of history -->"
"""What the table stands between in README."""

FIDELITY = """# What is modelled

Of each mechanism: modelled, simplified, or left out, and how or why. Written by
`pfncache-lab refresh` from the modules that build it.

## The host's memory

{memory}

## The hypervisor

{kvm}

## The cache

{cache}

## Who uses the cache

{users}
"""


def readme_picture() -> str:
    """Draw the run that README shows: a real one, of lesson 00."""
    run = replay(COUNTER, "abba")
    assert run.trace is not None
    return draw_timeline(run.trace, None, first_line(run)) + "\n"


def fidelity_page() -> str:
    """Write docs/fidelity.md."""
    return FIDELITY.format(
        memory=fidelity_table(MEMORY),
        kvm=fidelity_table(KVM),
        cache=fidelity_table(CACHE),
        users=fidelity_table(USERS),
    )


def with_history(readme: str) -> str:
    """Return README with the table of bugs as it is today."""
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def write(checkout: Path) -> None:
    """Write all of them."""
    (checkout / "docs" / "lost-update.svg").write_text(readme_picture(), encoding="utf-8")
    (checkout / "docs" / "fidelity.md").write_text(fidelity_page(), encoding="utf-8")
    readme = checkout / "README.md"
    readme.write_text(with_history(readme.read_text("utf-8")), encoding="utf-8")
