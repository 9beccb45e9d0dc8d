"""named.py: what locks, completions and the like have in common: a name, a number, one run."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Self

from . import machine
from .errors import ModelError
from .machine import Machine


class Named:
    """A simulated object that is no field. Declared in a Struct, it is named after the field.

        class Cache(Struct):
            lock = SpinLock()

    Each Cache gets a lock of its own.
    """

    def __init__(self, name: str = "", order_class: str = "") -> None:
        """Make one. Locks of one `order_class` obey the same order; by default, the name."""
        self.id = machine.new_id(self)
        self.name = name or f"{type(self).__name__} {self.id}"
        self.order_class = order_class or self.name
        self._world = machine.world.serial  # the world itself knows this: it would outlive the run

    def __set_name__(self, owner: type, name: str) -> None:
        self.name, self.order_class = name, f"{owner.__name__}.{name}"

    def declared_in(self, prefix: str) -> Self:
        """Make the one that belongs to one struct, after the one that its class declares."""
        return type(self)(prefix + self.name, self.order_class)

    def state(self) -> Hashable:
        """Return all that a later step can depend on."""
        raise NotImplementedError

    def _machine(self) -> Machine | None:
        """Return the machine that runs, or None: then there is nobody to wait for."""
        running = machine.running
        if running is not None and self._world != machine.world.serial:
            raise ModelError(
                f"{self.name} was made before this run's set-up. What outlives a run carries its "
                "state into the next one; make it in the set-up."
            )
        return running
