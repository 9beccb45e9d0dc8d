"""known_traces.py: the search of dpor.py, where states can be told apart.

Each of its runs begins like one before it, and most of what comes then has been done before from
where its task stands. So it walks from state to state (walker.py), and runs the program only for
what is not known: several times as fast. It is the same search, and it completes the same traces.

That rests on all that states.py takes for the state. SourceDpor rests on nothing but the
operations: it is what the other searches are compared with.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..sim.machine import STEP_LIMIT
from .dpor import SourceDpor
from .known import State
from .scenario import Run
from .values import CannotTell
from .walker import CutShort, Walker


class KnownTraces(SourceDpor):
    """The search; it is made as SourceDpor is."""

    def runs(self) -> Iterator[Run]:
        """Yield one run of each trace. May raise CannotTell."""
        if self.scenario.invariants:
            raise CannotTell("an invariant looks at every state, so none may be skipped")
        self._walker = Walker(self.scenario, self._lockdep, exact=True)
        self._states: list[State] = []  # at each place: the state there
        self._good_ends: set[State] = set()
        try:
            yield from super().runs()
        finally:
            self._walker.leave()

    def _run(self) -> Run:
        walker = self._walker
        try:
            state = self._arrive()
            while state is not None:
                moves, path = walker.moves(state), walker.path
                if not moves or len(path) >= STEP_LIMIT:
                    break
                taken = self._choose(moves, path[-1] if path else -1)
                if taken is None:
                    return self._told(finished=False)
                self._states.append(state)
                state = self._step(state, taken)
        except CutShort:
            state = None
        return self._end(state)

    def _end(self, state: State | None) -> Run:
        """End the run in this state, or in what went wrong on the way to it."""
        if state in self._good_ends and self._observe is None:
            return self._told(finished=True)
        live = self._walker.hand_over(state)
        run = live.end(self._observe)
        if run.bug is None and state is not None:
            self._good_ends.add(state)
        self._plan_for(run, live.announced())
        return run

    def _told(self, finished: bool) -> Run:
        """Tell of a run that need not be made: it is cut, or ends where one has ended well."""
        keys = list(self.scenario.keys.values())
        schedule = "".join([keys[task] for task in self._walker.path])
        return Run(self.scenario, schedule, finished, None, None)

    # -- from state to state -------------------------------------------------------------------

    def _arrive(self) -> State | None:
        """Return the state after the step that has been planned at the last place."""
        last = len(self._places) - 1
        if last < 0:
            return self._walker.start()
        self._walker.back(last)
        del self._states[last + 1 :]
        return self._step(self._states[last], self._history.steps[last].task)

    def _step(self, state: State, task: int) -> State | None:
        known = self._walker.known
        extent = known.extent
        after = self._walker.take(state, task)
        return after if known.extent == extent else self._see_anew()

    def _see_anew(self) -> State | None:
        """Go the whole way again: there is more to a state than was known, and so to each of them.

        Returns the state at its end.
        """
        walker = self._walker
        way = list(walker.path)
        state = walker.start()
        for place, task in enumerate(way):
            if state is None:
                raise CutShort
            self._states[place] = state
            state = walker.take(state, task)
        return state
