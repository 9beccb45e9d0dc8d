"""Ground truth: every schedule, and the traces among them told apart by their dependencies."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from pfncache_lab.explore import DepthFirst, Run, Scenario
from pfncache_lab.explore.dependency import Move
from pfncache_lab.explore.happens import History, Step
from pfncache_lab.explore.scenario import finish, load
from pfncache_lab.sim import Machine

Graph = Hashable


class Recorder:
    """An oracle that keeps what happened before what, while another chooses."""

    def __init__(self, inner: DepthFirst, tasks: int) -> None:
        self.inner = inner
        self.history = History(tasks)

    def choose(self, runnable, current):
        chosen = self.inner.choose(runnable, current)
        assert chosen is not None and chosen.pending is not None
        step = Step(chosen.index, Move(chosen.pending), ())
        self.history.races(step)
        self.history.append(step)
        return chosen

    def graph(self) -> Graph:
        """Equal for two schedules that differ in the order of independent steps alone."""
        return frozenset(
            (step.task, step.count, step.move.reads, step.move.writes, tuple(step.clock))
            for step in self.history.steps
        )


def all_runs(scenario: Scenario, bound: int | None = None) -> Iterator[tuple[Run, Graph, Machine]]:
    """Yield each schedule's run, its trace, and the machine as it ended."""
    oracle = DepthFirst(bound)
    while True:
        recorder = Recorder(oracle, len(scenario.tasks))
        machine, shared = load(scenario, recorder)
        machine.run()
        yield finish(scenario, machine, shared), recorder.graph(), machine
        if not oracle.backtrack():
            return


def traces(scenario: Scenario, bound: int | None = None) -> set[Graph]:
    return {graph for _, graph, _ in all_runs(scenario, bound)}
