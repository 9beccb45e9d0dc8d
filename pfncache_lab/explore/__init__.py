"""explore: which schedules to run. All of them, one of them, or what a person chooses.

scenario    a program as plain data; one run of it
schedule    a schedule as text
oracles     who runs next: replay, depth-first search
prefix      follow the beginning of a schedule: all that an explorer needs
search      every schedule, one by one; the first bug with the fewest preemptions
check       whether any schedule goes wrong: the searches below, in the order in which they pay
report      what a check has shown
dependency  which two operations commute
happens     what happened before what, and which steps raced
dpor        one schedule of each trace
known_traces the same search, several times as fast where states can be told apart
visited     each state once, where states can be told apart
walker      from state to state, and a run only where a step is not known
known       what each step does, kept from the first time it was taken
live        the run that is under way
watch       what a task would wait for if it spun: part of a state
states      a state of a run as one number
values      anything a task can hold, as part of that
hidden      what a frame holds that its locals do not show, and which locals still matter
livelock    tasks that go round for ever, each getting its turn
rounds      the same, in the replay of one schedule
parallel    divide the search among processes
sampling    random schedules
selfcheck   whether a schedule does the same when it is run again
shrink      make a schedule one that a person can read
"""

from .check import check
from .oracles import DepthFirst, Replay
from .prefix import Followed, Search, attempt, follow, searched
from .report import Report, Stats, Verdict
from .scenario import Condition, Run, Scenario, run
from .schedule import BadSchedule, parse, token
from .search import (
    SCHEDULE_LIMIT,
    SEARCH_STEPS,
    GaveUp,
    Result,
    every_schedule,
    explore,
    find_bug,
    replay,
)
from .selfcheck import selfcheck

__all__ = [
    "SCHEDULE_LIMIT",
    "SEARCH_STEPS",
    "BadSchedule",
    "Condition",
    "DepthFirst",
    "Followed",
    "GaveUp",
    "Replay",
    "Report",
    "Result",
    "Run",
    "Scenario",
    "Search",
    "Stats",
    "Verdict",
    "attempt",
    "check",
    "every_schedule",
    "explore",
    "find_bug",
    "follow",
    "parse",
    "replay",
    "run",
    "searched",
    "selfcheck",
    "token",
]
