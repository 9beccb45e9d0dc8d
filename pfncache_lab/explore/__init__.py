"""explore: which schedules to run. All of them, one of them, or what a person chooses.

scenario   a program as plain data; one run of it
schedule   a schedule as text
oracles    who runs next: replay, depth-first search
search     every schedule; the first bug with the fewest preemptions
"""

from .oracles import DepthFirst, Replay
from .scenario import Condition, Run, Scenario, run
from .schedule import BadSchedule, letters, token
from .search import SCHEDULE_LIMIT, Result, every_schedule, explore, find_bug, replay

__all__ = [
    "SCHEDULE_LIMIT",
    "BadSchedule",
    "Condition",
    "DepthFirst",
    "Replay",
    "Result",
    "Run",
    "Scenario",
    "every_schedule",
    "explore",
    "find_bug",
    "letters",
    "replay",
    "run",
    "token",
]
