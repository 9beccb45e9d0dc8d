"""Ground truth: every schedule, and the traces among them told apart by their dependencies."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple

from pfncache_lab.explore import DepthFirst, Run, Scenario
from pfncache_lab.explore.dependency import Move
from pfncache_lab.explore.happens import History, Step
from pfncache_lab.explore.scenario import finish, load
from pfncache_lab.sim import LockDep, Machine

Graph = Hashable


class Recorder:
    """An oracle that keeps what happened before what, while another chooses."""

    def __init__(self, inner: DepthFirst, scenario: Scenario) -> None:
        self.inner = inner
        self.watched = bool(scenario.invariants)
        self.history = History(len(scenario.tasks))
        self.preemptions = 0

    def choose(self, runnable, current):
        chosen = self.inner.choose(runnable, current)
        assert chosen is not None and chosen.pending is not None
        self.preemptions += current in runnable and chosen is not current
        step = Step(chosen.index, Move(chosen.pending, self.watched), ())
        self.history.races(step)
        self.history.append(step)
        return chosen

    def graph(self) -> Graph:
        """Equal for two schedules that differ in the order of independent steps alone."""
        return frozenset(
            (step.task, step.count, step.move.reads, step.move.writes, tuple(step.clock))
            for step in self.history.steps
        )


class Seen(NamedTuple):
    """One schedule's run."""

    run: Run
    trace: Graph
    machine: Machine
    shared: Any
    preemptions: int


def all_runs(
    scenario: Scenario, bound: int | None = None, lockdep: LockDep | None = None
) -> Iterator[Seen]:
    """Yield the run of each schedule."""
    oracle = DepthFirst(bound)
    while True:
        recorder = Recorder(oracle, scenario)
        machine, shared = load(scenario, recorder, lockdep=lockdep)
        machine.run()
        run = finish(scenario, machine, shared)
        yield Seen(run, recorder.graph(), machine, shared, recorder.preemptions)
        if not oracle.backtrack():
            return


def traces(scenario: Scenario, bound: int | None = None) -> set[Graph]:
    return {seen.trace for seen in all_runs(scenario, bound)}
