"""scene.py: a scenario whose set-up and tasks are functions of a linked kernel, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ...explore import Condition, Scenario
from ...sim import Image
from .invariants import AT_THE_END, EVERYWHERE, Invariant


def scene(
    name: str,
    setup: str,
    tasks: Mapping[str, str],
    invariants: Sequence[Invariant] = (*EVERYWHERE, *AT_THE_END),
) -> Callable[[Image], Scenario]:
    """Return what makes the scenario: `tasks` names a function of `scenes` for each task.

    All invariants are looked at, but where a scene says which are not, and why: what it shows is
    one mistake of a cache that had several at once.
    """

    def made(image: Image) -> Scenario:
        return Scenario(
            name,
            getattr(image, setup),
            {task: getattr(image, function) for task, function in tasks.items()},
            final=_conditions(i for i in invariants if i not in EVERYWHERE),
            invariants=_conditions(i for i in invariants if i in EVERYWHERE),
        )

    return made


def all_but(*left_out: Invariant) -> tuple[Invariant, ...]:
    """Return the invariants without these. Whoever calls this says why."""
    return tuple([i for i in (*EVERYWHERE, *AT_THE_END) if i not in left_out])


def _conditions(invariants: Iterable[Invariant]) -> list[Condition]:
    return [Condition(f"{i.label}: {i.text}", i.holds) for i in invariants]
