"""bug.py: what a historical bug is: a version of the cache, what was wrong in it, and a scene.

    NOW      today's cache
    V5_17    the cache as it was merged

Both are driven by the same eight functions (`driver`), so that one scene serves both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from ...explore import Report, Scenario, check
from ...explore.check import Strategy
from ...sim import Image, link
from .. import pfncache
from ..modules import MODULES
from . import driver, driver_5_17, scenes, v5_17

Functions = Mapping[str, Callable[..., Any]]


@dataclass(frozen=True)
class Era:
    """A version of the cache, and the modules of the kernel that it is linked with."""

    name: str
    modules: tuple[ModuleType, ...]
    instead_of: tuple[ModuleType, ...] = ()

    def image(self, replacements: Functions) -> Image:
        """Link it, with some of its functions replaced."""
        return link(self.modules, replacements, self.instead_of)


KERNEL = tuple(module for module in MODULES if module is not pfncache)
NOW = Era("today", (*KERNEL, pfncache, driver, scenes))
V5_17 = Era("5.17", (*KERNEL, v5_17, driver_5_17, scenes), instead_of=(pfncache, driver))


@dataclass(frozen=True)
class Bug:
    """One bug, as it was and as it was mended."""

    label: str
    """As in the course: 'H8a'."""
    title: str
    commit: str
    """That mended it: twelve digits, or '' if nobody has."""
    introduced: str
    """The release that had it first: '5.17'."""
    fixed: str
    """The release that has it no more, or 'open'."""
    invariant: str
    """Which of the eleven it breaks: 'I1'."""
    scene: Callable[[Image], Scenario]
    """Makes the scenario in which it shows, of the functions of a linked kernel."""
    era: Era = NOW
    strategy: Strategy = "auto"
    """How to search: a scene that never ends has to be searched by states."""
    broken: Functions = field(default_factory=dict)
    """What makes it, in the place of the era's functions."""
    mended: Functions = field(default_factory=dict)
    """What mends it, likewise. Today's cache needs nothing."""

    def before(self) -> Scenario:
        """Make the scenario with the bug in it."""
        return self.scene(self.era.image(self.broken))

    def after(self) -> Scenario:
        """Make the scenario with the bug mended."""
        return self.scene(self.era.image(self.mended))

    def find(self) -> Report:
        """Look for a schedule in which it shows."""
        return check(self.before(), self.strategy)

    def prove(self) -> Report:
        """Go through every state of the mended code.

        Where there is nothing to find, it does not help to look first where most mistakes are.
        """
        return check(self.after(), "states")
