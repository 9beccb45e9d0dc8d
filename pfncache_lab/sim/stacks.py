"""stacks.py: a greenlet outlives its task, and runs another one in the next run.

Each greenlet has a stack of its own, which the system hands out and takes back. A search makes
thousands of runs, and to make the greenlets of a small one took longer than all its switches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from greenlet import getcurrent, greenlet

if TYPE_CHECKING:
    from .task import Task

_idle: list[greenlet] = []


def stack() -> greenlet:
    """Return a greenlet; switch to it with a function and the task to call it with.

    It comes back to the greenlet that runs now: one that was made elsewhere, in another thread for
    instance, would not.
    """
    here = getcurrent()
    while _idle:
        kept = _idle.pop()
        if kept.parent is here and not kept.dead:
            kept.gr_context = None  # or it would know what the last task has put into a ContextVar
            return kept
    return greenlet(_serve)


def _serve(body: Callable[[Task], None], task: Task) -> None:
    me = getcurrent()
    assert me.parent is not None
    while True:
        body(task)
        task.greenlet = None
        del body, task  # or it would keep the run alive while it waits
        _idle.append(me)
        body, task = me.parent.switch()
