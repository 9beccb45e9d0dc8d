"""blocks.py: `with lock:`, and what its end does in a task that will not go on."""

from __future__ import annotations

from collections.abc import Callable

from greenlet import GreenletExit

from .errors import KernelBug


class Block:
    """A lock held for the length of a `with` block."""

    def __init__(self, enter: Callable[[], None], leave: Callable[[], None]) -> None:
        self._enter = enter
        self._leave = leave

    def __enter__(self) -> None:
        self._enter()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if goes_on(error):
            self._leave()


def goes_on(error: BaseException | None) -> bool:
    """Tell whether the task lives on after `error`. One that ends here must not unlock any more.

    The run is over, and its last state is what the reader will look at.
    """
    return not isinstance(error, KernelBug | GreenletExit)
