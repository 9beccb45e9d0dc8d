"""context.py: what a task may do just now. The locks it holds, and whether it may sleep.

    preemptible   may sleep
    atomic        holds a spinning lock, or has preemption or interrupts disabled: must not sleep
    hard irq      has interrupted somebody who may hold anything: must not sleep, ever

Only the task itself changes its context, so asking about it is no step of the machine.
"""

from __future__ import annotations

from types import FrameType
from typing import TYPE_CHECKING, Protocol

from .clock import Clock, joined
from .site import Site

if TYPE_CHECKING:
    from .rcuwait import Sleeper


class Held(Protocol):
    """What a task can hold: a lock, or a read section of SRCU."""

    name: str
    id: int
    order_class: str
    spins: bool
    """Whether others spin while they wait for it, so that the holder must not sleep."""


class Hold:
    """That a task holds a lock: since when, from which line on, and whether others may share it."""

    __slots__ = ("lock", "shared", "order_class", "step", "irqs_off", "_code", "_offset")

    def __init__(self, lock: Held, shared: bool, order_class: str, frame: FrameType) -> None:
        self.lock = lock
        self.shared = shared
        self.order_class = order_class
        self.step = 0
        self._code = frame.f_code
        self._offset = frame.f_lasti
        self.irqs_off = False
        """Whether interrupts were disabled for it, and must be enabled with it."""

    @property
    def site(self) -> Site:
        """Where it was taken."""
        return Site(self._code, self._offset)

    def since(self) -> str:
        """Say 'since step 3 (line 12 of refresh(): `gpc.lock.write_lock()`)'."""
        return f"since step {self.step} ({self.site})" if self.step else f"({self.site})"


class Context:
    """One task's context, and its clocks for the race detector."""

    __slots__ = (
        "held",
        "hard_irq",
        "irqs_off",
        "preempt_off",
        "clock",
        "observed",
        "published",
        "taken",
        "sleeper",
        "choice",
    )

    def __init__(self) -> None:
        self.held: list[Hold] = []
        self.hard_irq = False
        self.irqs_off = 0
        self.preempt_off = 0
        self.taken: dict[int, None] = {}
        """The locks taken since the task last spun, by number."""
        self.choice: int | None = None
        """In a weak memory: which store its next load returns, if it is not the latest."""
        self.sleeper: Sleeper | None = None
        # What this task knows of everybody's progress, what it would know after smp_rmb(), and
        # what its next marked store may pass on since its last smp_wmb(): see races.py.
        self.clock: Clock = []
        self.observed: Clock | None = None
        self.published: Clock | None = None

    def begin(self, index: int, size: int) -> None:
        """Start the clocks of task number `index`: an entry a task, and one a field with views."""
        self.clock = [0] * size
        self.clock[index] = 1

    def hold(self, lock: Held) -> Hold | None:
        """Find how the task holds `lock`, or None."""
        for hold in self.held:
            if hold.lock is lock:
                return hold
        return None

    @property
    def irqs_on(self) -> bool:
        """Whether an interrupt can come in the middle of what the task does."""
        return not (self.hard_irq or self.irqs_off)

    def why_atomic(self) -> str | None:
        """Say why the task must not sleep, or None if it may."""
        if self.hard_irq:
            return "in a hard interrupt"
        for hold in self.held:
            if hold.lock.spins:
                return f"while it holds {hold.lock.name} {hold.since()}"
        if self.irqs_off:
            return "with interrupts disabled"
        if self.preempt_off:
            return "with preemption disabled"
        return None

    def observe(self, message: Clock) -> None:
        """Load a store that says `message`: smp_rmb() makes this task believe it."""
        self.observed = joined(self.observed, message)
