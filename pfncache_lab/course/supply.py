"""supply.py: what earlier lessons have built, for this one's notebook: the reader's, or ours."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .catalog import before, builder, reference_of
from .exercise import Lesson
from .work import CannotKeep, Work


@dataclass(frozen=True)
class Supply:
    """The names that a lesson needs, and whose each of them is."""

    things: Mapping[str, Any]
    yours: tuple[str, ...] = ()
    reference: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    """What could not be used of the reader's work, each with its reason."""

    def __str__(self) -> str:
        parts = [("Yours", ", ".join(self.yours)), ("Reference", ", ".join(self.reference))]
        said = [f"{whose}: {names}." for whose, names in parts if names]
        said += [
            f"I could not use {problem}, so this is the reference's." for problem in self.broken
        ]
        return " ".join(said)


def references(lesson: Lesson, course: Sequence[Lesson]) -> dict[str, Any]:
    """Return what a lesson needs, all of it ours."""
    earlier = before(lesson, course)
    return {name: reference_of(name, earlier) for name in lesson.needs}


def supply(
    lesson: Lesson, course: Sequence[Lesson], work: Work, unwanted: Collection[str]
) -> Supply:
    """Return what a lesson needs: the reader's where they have built it, but not the `unwanted`."""
    earlier = before(lesson, course)
    things, yours, broken = references(lesson, course), dict[str, Any](), list[str]()
    wanted = [name for name in lesson.needs if name not in unwanted]
    for exercise in {builder(name, earlier).id: builder(name, earlier) for name in wanted}.values():
        home = next(one for one in earlier if exercise in one.exercises)
        try:
            answer = work.load(exercise, {**references(home, course), **things, **yours})
        except CannotKeep as problem:
            broken.append(str(problem))
        else:
            yours.update((name, thing) for name, thing in (answer or {}).items() if name in wanted)
    rest = [name for name in lesson.needs if name not in yours]
    return Supply(things | yours, tuple(yours), tuple(rest), tuple(broken))
