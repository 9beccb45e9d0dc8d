"""livelock.py: tasks that run for ever and get nowhere, though each of them gets its turn.

Endless is a cycle of states. But a cycle counts only if it is fair: a task that could run all the
time and never does is the scheduler's fault, and not the program's (Musuvathi and Qadeer, "Fair
Stateless Model Checking", PLDI 2008). So the search looks for a strongly connected set of states
in which every task that is enabled throughout also takes a step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

Edge = tuple[int, int]
"""A task that steps, and the state that it steps to."""


class Graph:
    """The states of a program and the steps between them."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything: there is more to a state than the search has known."""
        self.start: int | None = None
        self.steps: dict[int, dict[int, int]] = {}  # by state and task: the next state
        self.enabled: dict[int, frozenset[int]] = {}

    def add_state(self, state: int, enabled: frozenset[int]) -> None:
        """Add a state, and who can run in it."""
        if self.start is None:
            self.start = state
        self.enabled[state] = enabled
        self.steps.setdefault(state, {})

    def add_step(self, before: int, task: int, after: int) -> None:
        """Add a step."""
        self.steps.setdefault(before, {})[task] = after

    def livelock(self) -> tuple[list[int], list[int]] | None:
        """Find a schedule that leads to a fair cycle, and one that goes round it."""
        for component in self._components():
            inside = set(component)
            movers = {
                task
                for state in component
                for task, after in self.steps[state].items()
                if after in inside
            }
            always = frozenset.intersection(*(self.enabled[state] for state in component))
            if movers and always <= movers:
                return self._lead_in_and_round(inside, movers)
        return None

    def _lead_in_and_round(self, inside: set[int], movers: set[int]) -> tuple[list[int], list[int]]:
        assert self.start is not None
        lead_in, first = self._way(self.start, lambda state: state in inside, None)
        turn: list[int] = []
        here = first
        for task in sorted(movers):
            here = self._go(turn, here, inside, lambda s, task=task: self._stays(s, task, inside))  # type: ignore[misc]
            turn.append(task)
            here = self.steps[here][task]
        self._go(turn, here, inside, lambda state: state == first)
        return lead_in, turn

    def _stays(self, state: int, task: int, inside: set[int]) -> bool:
        return self.steps[state].get(task) in inside

    def _go(self, turn: list[int], here: int, inside: set[int], goal: Callable[[int], bool]) -> int:
        way, there = self._way(here, goal, inside)
        turn += way
        return there

    def _way(
        self, start: int, goal: Callable[[int], bool], inside: set[int] | None
    ) -> tuple[list[int], int]:
        """Find the shortest way to a state that is a goal."""
        ways: dict[int, list[int]] = {start: []}
        todo = deque([start])
        while todo:
            state = todo.popleft()
            if goal(state):
                return ways[state], state
            for task, after in self.steps[state].items():
                if after not in ways and (inside is None or after in inside):
                    ways[after] = [*ways[state], task]
                    todo.append(after)
        raise AssertionError("the states of a component reach each other")

    def _components(self) -> Iterator[list[int]]:
        """Yield the strongly connected components (Tarjan 1972), without recursion."""
        number: dict[int, int] = {}
        low: dict[int, int] = {}
        stack: list[int] = []
        on_stack: set[int] = set()
        for root in self.steps:
            if root in number:
                continue
            work = [(root, iter(self.steps[root].values()))]
            number[root] = low[root] = len(number)
            stack.append(root)
            on_stack.add(root)
            while work:
                state, successors = work[-1]
                for after in successors:
                    if after not in number:
                        number[after] = low[after] = len(number)
                        stack.append(after)
                        on_stack.add(after)
                        work.append((after, iter(self.steps[after].values())))
                        break
                    if after in on_stack:
                        low[state] = min(low[state], number[after])
                else:
                    work.pop()
                    if work:
                        low[work[-1][0]] = min(low[work[-1][0]], low[state])
                    if low[state] == number[state]:
                        yield _popped(stack, on_stack, state)


def _popped(stack: list[int], on_stack: set[int], root: int) -> list[int]:
    component = []
    while True:
        state = stack.pop()
        on_stack.discard(state)
        component.append(state)
        if state == root:
            return component
