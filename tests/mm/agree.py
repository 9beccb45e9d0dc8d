"""All searches, and brute force, must find the same endings of a program: else an access is missing
from what its step declares. What "the same" means where a violation ends a run, fuzz.py says."""

from __future__ import annotations

from collections.abc import Iterator

from pfncache_lab.explore import Scenario
from pfncache_lab.explore.dpor import SourceDpor
from pfncache_lab.explore.visited import VisitedStates
from tests.explore.fuzz import Found, must_agree, searched, truth

LIMIT = 20_000
"""Schedules of one program, by brute force."""


def disagreements(scenario: Scenario, limit: int = LIMIT) -> Iterator[str]:
    """Say where a search differs from brute force; nothing if there are too many schedules."""
    known = truth(scenario, limit)
    if known is None:
        return
    searches = {
        "traces": searched(SourceDpor, scenario),
        "states, every step": searched(VisitedStates, scenario, reduce=False),
        "states": searched(VisitedStates, scenario),
    }
    for how, found in searches.items():
        same = how != "states" or not known.early
        name = f"{scenario.name}, {how}"
        yield from must_agree(name, without_stories(found), without_stories(known), same)


def without_stories(found: Found) -> Found:
    """Keep of each violation its kind: its sentence tells who had the page before, at which step.

    Two schedules of one trace differ there.
    """
    endings = {
        ending._replace(said=ending.said.partition(":")[0]) if ending.early else ending
        for ending in found.endings
    }
    return found._replace(endings=endings)
