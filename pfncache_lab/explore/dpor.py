"""dpor.py: one schedule of each trace, by source sets and sleep sets.

Abdulla, Aronis, Jonsson, Sagonas, "Optimal Dynamic Partial Order Reduction", POPL 2014,
algorithm 1. The search runs a schedule, finds the races in it, and goes back to each race to see it
the other way round. At every place it keeps

    backtrack   tasks that must be tried from here: a source set, once all races are known
    asleep      tasks that need not be: what they lead to has been seen, and nothing that has
                happened since depends on what they would do

Sleep sets alone make sure that no trace is completed twice (Godefroid 1996). So an entry too many
in `backtrack` costs a run that is cut half-way, and never a wrong count; an entry too few is a
schedule that is never tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..sim import Deadlock, Livelock, LockDep, Op, Task
from .budget import Budget
from .dependency import Move, dependent, move_of
from .happens import History, Step
from .scenario import Observer, Run, Scenario, finish, load


class _Place:
    """A state the search has been in: what could be done there, and what is still to do."""

    __slots__ = ("moves", "asleep", "backtrack")

    def __init__(self, moves: dict[int, Move], asleep: dict[int, Move], taken: int) -> None:
        self.moves = moves
        self.asleep = asleep
        self.backtrack = {taken: None}  # a dict: the order of a set is not ours

    def next(self) -> int | None:
        """Name a task still to be tried, or None."""
        for task in self.backtrack:
            if task not in self.asleep:
                return task
        return None

    def asleep_after(self, taken: int) -> dict[int, Move]:
        """Tell who sleeps on when `taken` has run: those whose move does not depend on it."""
        move = self.moves[taken]
        return {
            task: other
            for task, other in self.asleep.items()
            if task != taken and not dependent(other, move)
        }


class SourceDpor:
    """The search. It is the oracle of each run as well."""

    def __init__(
        self,
        scenario: Scenario,
        observe: Observer | None = None,
        lockdep: LockDep | None = None,
        root: Sequence[int] = (),
        asleep: Mapping[int, Move] | None = None,
        budget: Budget | None = None,
    ) -> None:
        """Prepare to search `scenario`; `observe` sees each machine whose run is complete.

        With a `root`, only the schedules that begin with it are searched, and of those none that
        begins, from there, with a task that is `asleep`.
        """
        scenario.needs_plain_memory("SourceDpor")
        self.scenario = scenario
        self.redundant = 0
        """Runs that sleep sets have cut: all that they could lead to has been seen."""
        self._watched = bool(scenario.invariants)
        self._observe = observe
        self._lockdep = lockdep
        self._budget = budget
        self._history = History(len(scenario.tasks))
        self._places: list[_Place] = []
        self._root = root
        self._asleep_at_root = dict(asleep or {})
        self._asleep: dict[int, Move] = {} if root else self._asleep_at_root
        self._cut = False
        self._settled: dict[Op, Move] = {}
        """The moves of this run's operations that stay the same for as long as they are pending."""

    def runs(self) -> Iterator[Run]:
        """Yield one run of each trace."""
        while True:
            self._cut = False
            run = self._run()
            if self._budget is not None:
                self._budget.spend(len(run.schedule))
            if self._cut:
                self.redundant += 1
            else:
                yield run
            if not self._go_back():
                return

    def choose(self, runnable: Sequence[Task], current: Task | None) -> Task | None:
        """Take a task that is not asleep, the current one if possible."""
        taken = self._choose(self._moves(runnable), current.index if current else -1)
        for task in runnable:
            if task.index == taken:
                return task
        return None

    def _choose(self, moves: dict[int, Move], last: int) -> int | None:
        """Take the next step, of the `last` task if possible; None where all these tasks sleep."""
        here, root, asleep = len(self._places), self._root, self._asleep
        if here < len(root):  # whatever else could be done on the way is another search's affair
            taken, asleep = root[here], dict(moves)
        elif last in moves and last not in asleep:
            taken = last
        else:
            awake = [task for task in moves if task not in asleep]
            if not awake:
                self._cut = True
                return None
            taken = awake[0]
        self._places.append(_Place(moves, asleep, taken))
        self._take(taken)
        if here < len(root):
            self._asleep = self._asleep_at_root if here + 1 == len(root) else {}
        return taken

    def _moves(self, runnable: Sequence[Task]) -> dict[int, Move]:
        moves, settled = {}, self._settled
        for task in runnable:
            op = task.pending
            assert op is not None
            moves[task.index] = settled.get(op) or self._move(op)
        return moves

    def _move(self, op: Op) -> Move:
        move = move_of(op, self._watched)
        if move.settled:
            self._settled[op] = move
        return move

    # -- one run -------------------------------------------------------------------------------

    def _run(self) -> Run:
        self._settled.clear()
        script = [step.task for step in self._history.steps]
        machine, shared = load(self.scenario, self, script=script, lockdep=self._lockdep)
        machine.run()
        run = finish(self.scenario, machine, shared)
        pending = {t.index: self._move(t.pending) for t in machine.tasks if t.pending is not None}
        self._plan_for(run, pending)
        if self._observe and not self._cut:
            self._observe(machine, shared)
        return run

    def _take(self, task: int) -> None:
        """Let `task` take the step from the last place, and plan the reversal of its races."""
        place = self._places[-1]
        step = Step(task, place.moves[task], place.moves)
        for i in self._history.races(step):
            self._plan(i, step)
        self._history.append(step)
        self._asleep = place.asleep_after(task) if place.asleep else {}

    def _plan(self, i: int, step: Step) -> None:
        """See to it that `step` will also be tried before step `i`."""
        place = self._places[i]
        initials = self._history.initials(i, step)
        if any(task in place.backtrack for task in initials):
            return
        able = [task for task in initials if task in place.moves]
        preferred = step.task if step.task in able else None
        if preferred is None and able:
            preferred = able[0]
        added = place.moves if preferred is None else (preferred,)
        place.backtrack.update(dict.fromkeys(added))

    def _plan_for(self, run: Run, pending: Mapping[int, Move]) -> None:
        """Plan for a run that has gone wrong; `pending` is what has not been done at its end."""
        if isinstance(run.bug, Deadlock | Livelock):
            for task, move in pending.items():  # earlier, they might have got through
                step = Step(task, move, ())
                for i in self._history.races(step):
                    self._plan(i, step)
        elif run.bug is not None:
            self._try_everything()

    def _try_everything(self) -> None:
        """Try all tasks everywhere on the way here.

        The run has ended in a bug before all tasks had, so the races of what they would have done
        are not known.
        """
        for place in self._places:
            place.backtrack.update(dict.fromkeys(place.moves))

    def _go_back(self) -> bool:
        """Go back to the last place with something left to try. False when there is none."""
        places, steps = self._places, self._history.steps
        while places:
            place, step = places[-1], steps[len(places) - 1]
            if len(place.backtrack) > 1:
                place.asleep[step.task] = step.move
                if (task := place.next()) is not None:
                    self._history.cut(len(places) - 1)
                    self._take(task)
                    return True
            places.pop()
        return False
