"""scenario.py: a program to run, as plain data, and one run of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..sim import ConditionBroken, KernelBug, Machine, Oracle, Struct, Trace, new_world
from .schedule import token


@dataclass(frozen=True)
class Condition:
    """Something that must hold when every task has finished."""

    name: str
    """As the reader would write it: 'counter == 2'."""
    holds: Callable[[Any], bool]


@dataclass(frozen=True)
class Scenario:
    """A small concurrent program: shared state, named tasks, and what must hold at the end."""

    name: str
    setup: Callable[[], Struct]
    tasks: Mapping[str, Callable[[Any], object]]
    """Each task is a function of the shared state. In schedules a task goes by its name, which
    is one lower-case letter."""
    final: Sequence[Condition] = ()
    invariants: Sequence[Condition] = ()
    """What must hold before every step, and at the end."""

    def __post_init__(self) -> None:
        for name in self.tasks:
            if not (len(name) == 1 and name.isascii() and name.islower()):
                raise ValueError(f"A task's name is one lower-case letter, a to z, not {name!r}.")


@dataclass(frozen=True, repr=False)
class Run:
    """One run of a scenario: the schedule it took and how it ended."""

    scenario: Scenario
    schedule: str
    """One letter a step: 'abba'."""
    finished: bool
    """Whether every task ran to its end."""
    bug: KernelBug | None
    trace: Trace | None
    """Recorded only where it was asked for: a search of thousands of runs does not want it."""

    def __repr__(self) -> str:
        return f"<Run of {self.scenario.name!r}, {len(self.schedule)} steps. {self.verdict()}>"

    @property
    def token(self) -> str:
        """The schedule in the short, versioned form that `replay` takes: 'v1:a.b2.a'."""
        return token(self.schedule)

    def verdict(self) -> str:
        """Say in one sentence how the run ended."""
        if self.bug is not None:
            return str(self.bug)
        if not self.finished:
            return "The run has not ended yet."
        return "Nothing went wrong in this schedule."


Observer = Callable[[Machine, Struct], None]
"""Looks at a machine, and at the shared state, when a run is over."""


def run(scenario: Scenario, oracle: Oracle, *, record: bool = False) -> Run:
    """Run `scenario` once, from fresh shared state, with `oracle` choosing who goes next."""
    machine, shared = load(scenario, oracle, record=record)
    machine.run()
    return finish(scenario, machine, shared)


def load(
    scenario: Scenario, oracle: Oracle, *, record: bool = False, script: Sequence[int] = ()
) -> tuple[Machine, Struct]:
    """Make fresh shared state, and a machine that has not run yet.

    It follows `script`, the tasks by number, before it asks `oracle`.
    """
    new_world()
    shared = scenario.setup()
    machine = Machine(oracle, shared.snapshot if record else None, script)
    for name, body in scenario.tasks.items():
        machine.spawn(name, lambda body=body: body(shared))  # type: ignore[misc]
    return machine, shared


def finish(scenario: Scenario, machine: Machine, shared: Struct) -> Run:
    """Tell how a machine has ended."""
    finished = all(task.pending is None for task in machine.tasks)
    bug = machine.bug
    if bug is None and finished:
        bug = _broken(scenario.final, shared)
    schedule = "".join(task.name for task in machine.schedule)
    return Run(scenario, schedule, finished, bug, machine.trace)


def _broken(conditions: Sequence[Condition], shared: Struct) -> ConditionBroken | None:
    for condition in conditions:
        if not condition.holds(shared):
            fields = ", ".join(f"{k} is {v!r}" for k, v in shared.snapshot().items())
            return ConditionBroken(f"`{condition.name}` does not hold at the end: {fields}.")
    return None
