"""budget.py: how much a search may do, in runs and in steps, and never in seconds.

A verdict must not depend on the machine. Steps count as well as runs, since a run may have a dozen
of them or a thousand.
"""

from __future__ import annotations

from dataclasses import dataclass

STEPS_PER_RUN = 40
"""Steps that one run may have, on average, before the steps run out first."""


class OverBudget(Exception):
    """A search has done all that it may do."""


@dataclass
class Budget:
    """What a search may still do."""

    runs: int
    steps: int

    @classmethod
    def of(cls, runs: int) -> Budget:
        """Make a budget for so many runs of the usual length."""
        return cls(runs, runs * STEPS_PER_RUN)

    def spend(self, steps: int) -> None:
        """Count a run of so many steps. Raises OverBudget if none was left."""
        if self.runs <= 0 or self.steps <= 0:
            raise OverBudget
        self.runs -= 1
        self.steps -= steps
