"""scenario.py: a program to run, as plain data, and one run of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from string import ascii_lowercase
from typing import Any, Literal

from ..sim import (
    ConditionBroken,
    InvariantBroken,
    KernelBug,
    LockDep,
    Machine,
    ModelError,
    Oracle,
    State,
    Trace,
    companion_name,
    new_world,
)
from ..sim.shown import shown
from .schedule import token


@dataclass(frozen=True)
class Condition:
    """Something that must hold: at the end, or, as an invariant, at every step."""

    name: str
    """As the reader would write it: 'counter == 2'."""
    holds: Callable[[Any], bool]
    """Looks at the shared state. It may also raise the KernelBug that says more than False does."""


@dataclass(frozen=True, repr=False)
class Scenario:
    """A small concurrent program: shared state, named tasks, and what must hold at the end."""

    name: str
    setup: Callable[[], Any]
    """Makes the shared state, usually a Struct, anew for each run."""
    tasks: Mapping[str, Callable[[Any], object]]
    """Each task is a function of the shared state. Its name is a word such as 'vcpu0'."""
    final: Sequence[Condition] = ()
    invariants: Sequence[Condition] = ()
    """What must hold before every step, and at the end."""
    memory_model: Literal["sc", "lkmm-lite"] = "sc"
    """Sequentially consistent, or one in which a load may return an older store: sim.weak."""
    lockdep: bool = True
    """Whether a wrong order of locks is a bug by itself, or only once it deadlocks."""

    def __repr__(self) -> str:
        *first, last = self.tasks or ["none"]
        names = f"{', '.join(first)} and {last}" if first else last
        return f"<Scenario {self.name!r}, task{'s' * bool(first)} {names}>"

    def needs_plain_memory(self, search: str) -> None:
        """Refuse a search that knows what commutes, or what a state is, in the ordinary memory."""
        if self.memory_model != "sc":
            raise ModelError(
                f"{search} cannot search {self.name!r}: its memory is {self.memory_model}, and "
                "some schedules would be left out. check() knows what to do."
            )

    def __post_init__(self) -> None:
        for name in self.tasks:
            if not re.fullmatch("[a-z][a-z0-9_]*", name):
                raise ValueError(
                    "A task's name is one lower-case letter, a to z, or begins with one and goes "
                    f"on with letters, digits and underscores; {name!r} does not."
                )
        if len(self.tasks) > len(ascii_lowercase):
            raise ValueError("A schedule has a letter for each task, and there are only 26.")

    @cached_property
    def keys(self) -> Mapping[str, str]:
        """The letter of each task, by its name: what stands for it in a schedule.

        A name of one letter is its own key. Another takes the first of its letters that is free,
        or else the first free letter of the alphabet.
        """
        names = list(self.tasks)
        if self.memory_model != "sc":
            names += [companion_name(name) for name in self.tasks]
        keys = {name: name for name in names if len(name) == 1}
        for name in names:
            taken = keys.values()
            wanted = [c for c in name + ascii_lowercase if c.islower() and c not in taken]
            keys.setdefault(name, wanted[0])
        return {name: keys[name] for name in names}


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


Observer = Callable[[Machine, Any], None]
"""Looks at a machine, and at the shared state, when a run is over."""


def run(scenario: Scenario, oracle: Oracle, *, record: bool = False) -> Run:
    """Run `scenario` once, from fresh shared state, with `oracle` choosing who goes next."""
    machine, shared = load(scenario, oracle, record=record, lockdep=LockDep())
    machine.run()
    return finish(scenario, machine, shared)


def load(
    scenario: Scenario,
    oracle: Oracle,
    *,
    record: bool = False,
    script: Sequence[int] = (),
    lockdep: LockDep | None = None,
) -> tuple[Machine, Any]:
    """Make fresh shared state, and a machine that has not run yet.

    It follows `script`, the tasks by number, before it asks `oracle`. Runs that share a `lockdep`
    learn the order of locks from each other; without one, the order is not checked.
    """
    new_world()
    shared = scenario.setup()
    watch = partial(_broken_invariant, scenario, shared) if scenario.invariants else None
    machine = Machine(
        oracle,
        partial(_snapshot, shared) if record else None,
        script=script,
        watch=watch,
        lockdep=lockdep if scenario.lockdep else None,
    )
    for name, body in scenario.tasks.items():
        machine.spawn(name, partial(body, shared))
    if scenario.memory_model != "sc":
        machine.weaken()
    return machine, shared


def finish(scenario: Scenario, machine: Machine, shared: Any) -> Run:
    """Tell how a machine has ended."""
    finished = all(task.pending is None for task in machine.tasks)
    bug = machine.bug
    if bug is None and finished:
        bug = _broken_at_the_end(scenario, shared)
    keys = scenario.keys
    schedule = "".join([keys[task.name] for task in machine.schedule])
    return Run(scenario, schedule, finished, bug, machine.trace)


def _broken_at_the_end(scenario: Scenario, shared: Any) -> KernelBug | None:
    try:
        broken = _first_broken(scenario.final, shared)
    except KernelBug as bug:
        return bug
    if broken is None:
        return None
    return ConditionBroken(f"`{broken.name}` does not hold at the end: {_fields(shared)}.")


def _broken_invariant(scenario: Scenario, shared: Any) -> InvariantBroken | None:
    broken = _first_broken(scenario.invariants, shared)
    if broken is None:
        return None
    return InvariantBroken(f"`{broken.name}` does not hold: {_fields(shared)}.")


def _first_broken(conditions: Sequence[Condition], shared: Any) -> Condition | None:
    return next((c for c in conditions if not c.holds(shared)), None)


def _fields(shared: Any) -> str:
    return ", ".join(f"{k} is {shown(v)}" for k, v in _snapshot(shared).items())


def _snapshot(shared: Any) -> State:
    """Copy what the shared state lets us see. Something other than a Struct may show nothing."""
    copy = getattr(shared, "snapshot", None)
    return copy() if copy else {}
