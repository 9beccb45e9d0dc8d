"""lockdep.py: the order in which locks are taken, over all runs of a search.

A deadlock needs bad luck; a wrong order of locks does not. Whenever a task takes B while it holds
A, we note "A before B". A circle in these notes is a deadlock that waits for its schedule, so it is
reported even where every run has been lucky. The notes are about *classes* of locks: the lock of
one cache stands for the lock of every cache.

With readers not every circle can deadlock. Whoever holds a lock for reading does not hold up one
who may read it at once. In process context a reader queues behind a waiting writer, so it can be
held up by readers after all; in a hard interrupt it does not queue. Hence each note says how A was
held and how B was wanted, and a circle counts only if in none of its locks a sharing holder meets a
reader who need not queue (the strong paths of Documentation/locking/lockdep-design.rst).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from .errors import LockOrder

if TYPE_CHECKING:
    from .context import Hold
    from .machine import Task


@dataclass(frozen=True, slots=True)
class _Edge:
    """Somebody wanted `after` while holding `before`."""

    before: str
    after: str
    shared: bool  # `before` was held for reading
    unqueued: bool  # `after` was wanted by a reader who does not queue
    story: str
    name: str  # of the lock itself, where the class is `before`

    def leads_into(self, next_edge: _Edge) -> bool:
        """Whether the holder in `next_edge` holds up the one who waits in this edge."""
        return not (self.unqueued and next_edge.shared)


class LockDep:
    """What has been seen of the order of locks. A search owns one and lends it to each run."""

    def __init__(self) -> None:
        self._edges: dict[str, list[_Edge]] = {}
        self._known: set[tuple[str, str, bool, bool]] = set()
        # How each class was taken in a hard interrupt, and with interrupts enabled, by whether it
        # was for reading; and the story of the first time.
        self._in_irq: dict[tuple[str, bool], str] = {}
        self._irqs_on: dict[tuple[str, bool], str] = {}

    def copy(self) -> LockDep:
        """Copy what is known so far, so that a run can be repeated with what it knew then."""
        twin = LockDep()
        twin._edges = {name: list(edges) for name, edges in self._edges.items()}
        twin._known = set(self._known)
        twin._in_irq = dict(self._in_irq)
        twin._irqs_on = dict(self._irqs_on)
        return twin

    def wants(self, task: Task, wish: Hold, unqueued: bool) -> LockOrder | None:
        """Note that `task` is about to wait as in `wish`; returns what is wrong with that."""
        for hold in task.context.held:
            key = (hold.order_class, wish.order_class, hold.shared, unqueued)
            if key not in self._known:
                self._known.add(key)
                edge = _Edge(*key, _story(task, hold, wish), hold.lock.name)
                if bug := self._add(edge):
                    return bug
        return None

    def takes(self, task: Task, wish: Hold) -> LockOrder | None:
        """Note in which context `task` takes a spinning lock; returns what is wrong with that."""
        context = task.context
        if context.hard_irq:
            seen = self._in_irq
        elif context.irqs_off:
            return None
        else:
            seen = self._irqs_on
        key = (wish.order_class, wish.shared)
        if key in seen:
            return None
        seen[key] = f"{task.name}, {wish.site}"
        return self._irq_conflict(wish.order_class)

    def _irq_conflict(self, name: str) -> LockOrder | None:
        for in_irq, on in product((False, True), repeat=2):
            first, second = self._in_irq.get((name, in_irq)), self._irqs_on.get((name, on))
            if first and second and not (in_irq and on):  # readers let each other in
                return LockOrder(_IRQ_TEXT.format(name, first, second))
        return None

    def _add(self, new: _Edge) -> LockOrder | None:
        self._edges.setdefault(new.before, []).append(new)
        if new.before == new.after:
            if not new.leads_into(new):
                return None
            return LockOrder(_NESTED_TEXT.format(new.before, new.story))
        if circle := self._close(new):
            stories = "".join(f"\n  {edge.story}" for edge in circle)
            return LockOrder(_ORDER_TEXT.format(_names(circle), stories))
        return None

    def _close(self, new: _Edge) -> list[_Edge]:
        """Find the shortest circle through `new`, breadth first."""
        paths, reached = [[new]], {(new.after, new.unqueued)}
        for path in paths:
            for edge in self._edges.get(path[-1].after, ()):
                if not path[-1].leads_into(edge):
                    continue
                if edge.after == new.before and edge.leads_into(new):
                    return [*path[1:], edge, new]
                if (edge.after, edge.unqueued) not in reached:
                    reached.add((edge.after, edge.unqueued))
                    paths.append([*path, edge])
        return []


_ORDER_TEXT = """{} are taken in different orders: some schedule deadlocks.{}
  When each has its first lock, none gets its second. Take them in one order everywhere."""

_NESTED_TEXT = """Two locks of the class {0} are held at once, and nothing says in which order.
  {1}
  Another task may take the same two the other way round. If one always comes first, say so with
  `subclass=1` where the second one is taken."""

_IRQ_TEXT = """{} is taken in a hard interrupt, and elsewhere with interrupts enabled.
  in the interrupt: {}
  interrupts enabled: {}
  If the interrupt hits the CPU that holds the lock, it spins for ever. Disable interrupts while
  you hold it: the _irq or _irqsave form of the lock function."""


def _names(circle: list[_Edge]) -> str:
    names = [edge.name for edge in circle]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _story(task: Task, hold: Hold, wish: Hold) -> str:
    had, wants = f"{hold.lock.name} ({hold.site})", f"{wish.lock.name} ({wish.site})"
    return f"{task.name} holds {had} and wants {wants}."
