"""table.py: every bug of the history, what it takes to find it, and to prove that it is gone.

    python -m pfncache_lab.kvm.history.table

The numbers are exact, and tests pin them. How long it takes is in benchmarks/history.py, for that
depends on the machine.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import NamedTuple

from ...explore.shrink import preemptions
from . import BUGS
from .bug import Bug

RELEASED = {
    "5.17": date(2022, 3, 20),
    "5.18": date(2022, 5, 22),
    "5.19": date(2022, 7, 31),
    "6.0": date(2022, 10, 2),
    "6.1": date(2022, 12, 11),
    "6.2": date(2023, 2, 19),
    "6.7": date(2024, 1, 7),
    "6.9": date(2024, 5, 12),
}
"""When Linus Torvalds released each."""
MONTH = timedelta(days=365.25 / 12)


class Row(NamedTuple):
    """One bug in numbers."""

    bug: Bug
    kind: str
    """Of the KernelBug that is shown: 'UseAfterFree'."""
    tasks: int
    found_after: int
    """Schedules that were run until one went wrong."""
    preemptions: int
    """That the smallest schedule needs in which it goes wrong."""
    verdict: str
    """What the mended code has been shown to be; of today's, where nobody has mended it."""
    proved_after: int
    """Schedules for that, including those given up half-way."""

    def __str__(self) -> str:
        """Render as a row of the table."""
        bug = self.bug
        mended = f"`{bug.commit}`" if bug.commit else "open"
        proof = str(self.proved_after) if bug.commit else ""
        return (
            f"| {bug.label} | {bug.title} | {bug.invariant} | {mended} | {months(bug)} "
            f"| {self.tasks} | {self.preemptions} | {self.found_after} | {proof} |"
        )


def measure(bug: Bug) -> Row:
    """Find the bug, and prove that it is gone."""
    found, proof = bug.find(), bug.prove()
    if found.failure is None:
        raise AssertionError(f"{bug.label} was not found: {found}")
    return Row(
        bug,
        type(found.failure.bug).__name__,
        len(found.scenario.tasks),
        found.stats.runs,
        preemptions(found.failure),
        str(proof.verdict),
        proof.stats.runs,
    )


def months(bug: Bug) -> str:
    """Say for how many months there were releases with the bug, and none without."""
    if bug.fixed == "open":
        return "open"
    if "-rc" in bug.introduced:  # it came and went before there was a release with it
        return "0"
    lived = RELEASED[bug.fixed] - RELEASED[bug.introduced]
    return str(round(lived / MONTH))


def table() -> str:
    """Render all bugs as a Markdown table."""
    lines = [
        "| bug | what was wrong | breaks | mended in | months | tasks | preemptions | found after "
        "| proved after |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *[str(measure(bug)) for bug in BUGS]])


if __name__ == "__main__":
    print(table())
