"""watch.py: what a task would wait for if it spun now.

A spin waits until something changes that its task has loaded since it last spun; a task that has
made progress of its own does not wait at all. So this is part of a state, for each task that spins.
"""

from __future__ import annotations

from typing import NamedTuple

from ..sim import Task

Numbers = frozenset[int]
"""Of simulated objects."""

NOTHING: Numbers = frozenset()


class Watch(NamedTuple):
    """What a task watches."""

    seen: Numbers = NOTHING
    """What it has loaded: one of these must change."""
    taken: Numbers = NOTHING
    """The locks it has taken. Only the search by traces asks for them: see spinning.py."""
    changed: bool = False
    """Whether one of `seen` has changed."""

    def after(self, news: Numbers, exact: bool) -> Watch:
        """Watch on after a step of another task, which has changed `news`.

        Whether a task that will not wait has seen one object or another makes no difference to it,
        but it does to the steps that its spin depends on: `exact` keeps the two apart.
        """
        if self.changed or news.isdisjoint(self.seen):
            return self
        return self._replace(changed=True) if exact else GOES_ON

    def after_own(self, added: Watch, news: Numbers, exact: bool) -> Watch:
        """Watch on after a step of one's own, which has `added` so much."""
        if GOES_ON in (self, added):
            return GOES_ON
        changed = self.changed or added.changed or not news.isdisjoint(self.seen)
        if changed and not exact:
            return GOES_ON
        return Watch(self.seen | added.seen, self.taken | added.taken, changed)


GOES_ON = Watch(changed=True)
"""Of a task that has made progress: it will not wait, whatever else changes."""


def watch_of(task: Task, exact: bool) -> Watch:
    """Look at what a task watches."""
    if task.pending is None or task.stored:
        return GOES_ON
    changed = any([thing.version != version for thing, version in task.seen.items()])
    if changed and not exact:
        return GOES_ON
    seen = frozenset([thing.id for thing in task.seen])
    return Watch(seen, frozenset(task.context.taken) if exact else NOTHING, changed)
