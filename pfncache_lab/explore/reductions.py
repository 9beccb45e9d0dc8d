"""reductions.py: steps that a task may as well take at once, whatever the others are about to do.

    private         an object that one task alone has touched cannot tell others anything
    left movers     a release: to wait with it only keeps others out
    right movers    the step after an acquisition, if nothing can hold it up: what others do in
                    between they can do before the acquisition, since they cannot touch the lock

The last two are those of Lipton ("Reduction", CACM 1975). Neither holds for a lock that somebody
looks at without waiting for it: a trylock tells whether it is taken.

All this is learned on the way: an object turns out to be shared, a lock to be looked at. Then what
was left out before may matter, and the search has to start again.
"""

from __future__ import annotations

from .dependency import Move


class Reductions:
    """What is known of who touches what."""

    def __init__(self, tasks: int) -> None:
        self.overthrown = False
        """Whether something that was relied on has turned out to be wrong."""
        self._users: dict[int, int] = {}  # which tasks touch an object, as bits
        self._looked_at: set[int] = set()  # objects that somebody looks at without waiting
        self._moves: list[set[Move]] = [set() for _ in range(tasks)]
        self._relied_on: set[int] = set()  # objects of which it matters that nobody looks at them
        self._verdicts: dict[tuple[int, Move], bool] = {}

    def start_over(self) -> None:
        """Rely on nothing any more. What has been seen remains true."""
        self.overthrown = False
        self._relied_on.clear()
        self._verdicts.clear()

    def learn(self, task: int, move: Move) -> None:
        """Note what this task may touch, and whether that overthrows a reduction."""
        if move in self._moves[task]:
            return
        self._moves[task].add(move)
        bit = 1 << task
        for thing in (*move.writes, *move.reads):
            users = self._users.get(thing, 0)
            self._users[thing] = users | bit
            if users and not users & bit and not users & (users - 1):
                self.overthrown = True
            if not (move.waits or move.releases) and thing not in self._looked_at:
                self._looked_at.add(thing)
                self.overthrown = self.overthrown or thing in self._relied_on

    def cannot_matter(self, task: int, move: Move) -> bool:
        """Whether the task may as well make this move at once: it is private or a left mover."""
        verdict = self._verdicts.get((task, move))
        if verdict is None:
            verdict = self._verdicts[task, move] = self._find_out(task, move)
        return verdict

    def enters(self, move: Move) -> bool:
        """Whether this is a right mover: an acquisition of what nobody looks at."""
        if not move.acquires:
            return False
        return self._nobody_looks_at(move)

    def _find_out(self, task: int, move: Move) -> bool:
        if all([self._users[thing] == 1 << task for thing in (*move.writes, *move.reads)]):
            return True
        if move.wants_change:  # and it can run, so it has been woken: nobody can undo that
            return True
        return move.releases and self._nobody_looks_at(move)

    def _nobody_looks_at(self, move: Move) -> bool:
        things = (*move.writes, *move.reads)
        if not self._looked_at.isdisjoint(things):
            return False
        self._relied_on.update(things)
        return True
