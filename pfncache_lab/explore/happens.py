"""happens.py: what happened before what, and which steps raced.

Each step carries a vector clock: for each task, how many of its steps lie before this one, through
the order of a program or through a chain of dependent steps (Mattern 1989; Fidge 1988). Two
dependent steps with nothing between them that orders them are a race: the search must also see
them the other way round.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Container, Iterator

from .dependency import EVERYTHING, Move


class Step:
    """One step: whose it is, what it touches, and what happened before it."""

    __slots__ = ("task", "move", "enabled", "count", "clock", "before")

    def __init__(self, task: int, move: Move, enabled: Container[int]) -> None:
        self.task = task
        self.move = move
        self.enabled = enabled  # the tasks that could have run here
        self.count: int  # among the steps of its task, from 1
        self.clock: list[int]
        self.before: list[int]  # what it depends on and its task has not known of yet


class History:
    """The steps of the execution at hand, in order."""

    def __init__(self, tasks: int) -> None:
        self.steps: list[Step] = []
        self._of_task: list[list[int]] = [[] for _ in range(tasks)]
        self._touched: defaultdict[int, list[tuple[int, bool]]] = defaultdict(list)
        """By object: each step that has touched it, and whether it wrote."""
        self._clocks = [[0] * tasks] * tasks
        """The clock of each task's last step."""
        self._zero = [0] * tasks

    def append(self, step: Step) -> None:
        """Add a step that `races` has seen, and give it its clock."""
        task, steps, touched = step.task, self.steps, self._touched
        here, mine = len(steps), self._of_task[task]
        clock = self._clocks[task].copy()
        for i in step.before:
            _join(clock, steps[i].clock)
        mine.append(here)
        step.count = clock[task] = len(mine)
        step.clock = self._clocks[task] = clock
        steps.append(step)
        for thing, wrote in step.move.accesses:
            touched[thing].append((here, wrote))

    def cut(self, length: int) -> None:
        """Take back all steps but the first so many."""
        steps, of_task, touched = self.steps, self._of_task, self._touched
        for step in steps[length:]:
            of_task[step.task].pop()
            for thing, _ in step.move.accesses:
                touched[thing].pop()
        del steps[length:]
        self._clocks = [steps[mine[-1]].clock if mine else self._zero for mine in of_task]

    def races(self, step: Step) -> list[int]:
        """Say with which earlier steps `step`, which comes next, could change places."""
        step.before = raced = self._newly_known(step)
        if not raced:  # and what lies further back is known through what lies directly before
            return raced
        if step.move.waits:
            return self._races_of_waiting(step)
        return raced if len(raced) < 2 else self._latest(raced)

    def initials(self, first: int, step: Step) -> list[int]:
        """Name the tasks that can take the first step of what would reverse a race.

        That is: the steps after `first` that do not need it, and then `step`. In the papers, the
        initials of notdep(e, E).e' (Abdulla and others, POPL 2014).
        """
        heads = list(self._heads(first, step))
        return [
            task
            for task, clock, _ in heads
            if not any(clock[other] >= count for other, _, count in heads if other != task)
        ]

    # -- one step ------------------------------------------------------------------------------

    def _knows(self, clock: list[int], i: int) -> bool:
        """Whether step `i` happened before what has this clock."""
        step = self.steps[i]
        return clock[step.task] >= step.count

    def _newly_known(self, step: Step) -> list[int]:
        """Find the last write of all it touches, and the reads since then of what it writes.

        But not those that its task has known of before.
        """
        found, steps, known = [], self.steps, self._clocks[step.task]
        for thing, writes in step.move.accesses:
            for i, wrote in reversed(self._touched[thing]):
                if wrote or writes:
                    earlier = steps[i]
                    if known[earlier.task] < earlier.count:
                        found.append(i)
                    if wrote:
                        break
        return found

    def _latest(self, raced: list[int]) -> list[int]:
        """Leave out what happened before another of them: its turn comes after the reversal."""
        return [
            i
            for i in raced
            if not any(k != i and self._knows(self.steps[k].clock, i) for k in raced)
        ]

    # -- operations that wait ------------------------------------------------------------------

    def _races_of_waiting(self, step: Step) -> list[int]:
        """Look further back for one that waits.

        An acquisition comes directly after a release, but cannot go before it. What it can go
        before is the acquisition in front of that. It does no harm to name a step too many, for
        sleep sets cut what comes of it; one too few is a schedule that is never tried.
        """
        found: list[int] = []
        for thing, writes in step.move.accesses:
            found += [i for i in self._reversible(step, thing, writes) if i not in found]
        if step.move.wants_change:
            found = [i for i in found if self._wakes_without(step, i, found)]
        return found

    def _reversible(self, step: Step, thing: int, writes: bool) -> Iterator[int]:
        known, move, spins = self._clocks[step.task], step.move, step.move.wants_change
        real = thing != EVERYTHING  # an invariant sees the order of two steps, and lets nobody wait
        sure = released = False
        for i, wrote in reversed(self._touched[thing]):
            if not (wrote or writes) or (released and not wrote):
                continue
            if self._knows(known, i) or (sure and wrote):
                if wrote:
                    return
                continue
            earlier, could = self.steps[i].move, self._could_run(step.task, i)
            if earlier.releases and real and (move.acquires or (could is False and not spins)):
                released = released or wrote  # it let the step through: they cannot change places
                continue  # (but a spin may be let through by much else)
            yield i
            sure = sure or (earlier.acquires and real) or (could is True and not spins)

    def _could_run(self, task: int, i: int) -> bool | None:
        """Whether the task's next operation was enabled before step `i`; None if not known."""
        mine = self._of_task[task]
        if mine and mine[-1] > i:
            return None
        return task in self.steps[i].enabled

    def _wakes_without(self, step: Step, i: int, writes: list[int]) -> bool:
        """Whether a spin would be woken without write `i` and all that follows from it."""
        if self._could_run(step.task, i):
            return True
        return any(k != i and not self._knows(self.steps[k].clock, i) for k in writes)

    # -- reversal ------------------------------------------------------------------------------

    def _heads(self, first: int, step: Step) -> Iterator[tuple[int, list[int], int]]:
        """Yield (task, clock, count) of each task's first step after `first` that is free of it."""
        for task, mine in enumerate(self._of_task):
            at = bisect_right(mine, first)
            if at < len(mine):
                clock = self.steps[mine[at]].clock
                if task != self.steps[first].task and not self._knows(clock, first):
                    yield task, clock, at + 1
            elif task == step.task:
                yield task, self._clock_without(first, step), at + 1

    def _clock_without(self, first: int, step: Step) -> list[int]:
        """Compute the clock `step` would have if `first` had not happened.

        The readers that stay in front of it count. (Without them fib_bench loses 11 of its 140
        traces, and all smaller programs are right.)
        """
        clock = self._clocks[step.task].copy()
        for thing, writes in step.move.accesses:
            for i, wrote in reversed(self._touched[thing]):
                if i <= first:
                    break
                if (wrote or writes) and not self._knows(self.steps[i].clock, first):
                    _join(clock, self.steps[i].clock)
        return clock


def _join(clock: list[int], other: list[int]) -> None:
    for task, count in enumerate(other):
        if count > clock[task]:
            clock[task] = count
