"""too_late.py: two ways to be too late, exercise 03.3: a page is freed, or its place is lost."""

from __future__ import annotations

from typing import Any

from ...explore import Run, Scenario
from ..authoring import breaks, first_break
from ..exercise import Correct, Exercise, Incorrect, Mutant
from ..host import LATE, ZAP


def _kept(run: Run) -> str:
    host = run.schedule.find("h")
    if host in (-1, 0) or "w" not in run.schedule[host:]:
        return (
            f"With {run.schedule} one task is done before the other begins. The host has to come "
            "between the lookup and the store."
        )
    return f"With {run.schedule} the page is where the writer thinks it is. Look at the pictures."


def check_too_late(answers: Any) -> Correct:
    """Judge two schedules, each on its own program."""
    freed = _judged("freed", LATE, "UseAfterFree", answers)
    lost = _judged("lost", ZAP, "LostWrite", answers)
    return Correct(f"{freed.shows}\n\n{lost.shows}", lost.shown)


def _judged(name: str, scenario: Scenario, bug: str, answers: Any) -> Correct:
    """Judge one of them, and say which it is when it is wrong."""
    try:
        return breaks(scenario, _kept, bug)(getattr(answers, name))
    except Incorrect as wrong:
        raise Incorrect(f"`{name}`: {wrong}", wrong.shown) from None


def by_search() -> dict[str, str]:
    """Return what the search finds first."""
    return {"freed": first_break(LATE)(), "lost": first_break(ZAP)()}


TOO_LATE = Exercise(
    id="03.3",
    title="Two ways to be too late",
    minutes=10,
    dots=3,
    spec=(
        "Write two schedules, one letter a step, w or h. In `freed`, for `late` (the trouble, "
        "without the bank), the store goes to a frame that is free. In `lost`, for `balloon`, it "
        "goes to a frame that the writer has a reference to, and no page table leads to any more."
    ),
    answer=("freed", "lost"),
    stub='freed = "____"  # for late: UseAfterFree\nlost = "____"  # for balloon: LostWrite\n',
    reference=by_search,
    check=check_too_late,
    mutants={
        "host first": Mutant({"freed": "hhwwww"}, "one task is done before the other begins"),
        "writer first": Mutant({"freed": "wwwwhh"}, "one task is done before the other begins"),
        "while the writer holds it": Mutant({"freed": "whhwww"}, "the page is where the writer"),
        "only unmapped": Mutant({"freed": "wwwh"}, "stops before the program does"),
        "a lock is not enough": Mutant({"lost": "wwhwwhh"}, "the page is where the writer thinks"),
        "the first one again": Mutant({"lost": "wwwhhhw"}, "the page is where the writer thinks"),
    },
    alternatives=[{"freed": "wwhwhw"}, {"lost": "whhww"}],
    hints=(
        "Which steps of the writer lie between knowing the pfn and using it?",
        "In late, the reference must be gone before the host looks. In balloon it does not matter.",
        "late: w three times, up to put_page; the host's two steps; then the store. balloon: w "
        "twice; the host as far as its zap; then the store.",
    ),
)
