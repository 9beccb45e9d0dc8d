"""limits.py: code that never ends is stopped, and the notebook's kernel lives on: see sim.limits."""

from ..sim.limits import PATIENCE, SECONDS, TICK, TimeLimit, time_limit

__all__ = ["PATIENCE", "SECONDS", "TICK", "TimeLimit", "time_limit"]
