"""pfncache_lab: build the cache with which KVM follows moving memory, and then break it.

What a notebook needs is here, and a notebook imports nothing else:

    setup(lesson, namespace)        open a lesson: check, hint, solution, predict, progress
    Scenario, Condition             a small concurrent program, and what must hold at its end
    Struct, marked, cpu_relax       its shared memory; locks and all else: pfncache_lab.sim
    replay(scenario, schedule)      run one schedule: 'abba'
    explore(scenario)               run every schedule, and count
    check(scenario)                 does any schedule go wrong? For larger programs, too
    show(thing)                     draw a scenario, a run, the result of a search
    TraceStepper(run)               a run as a film, to step through
    SchedulerGame(scenario)         you choose who runs next

The floors of the house, each importing only from those above it in this list:

    sim       a deterministic machine: tasks, scheduling points, shared memory, the trace
    explore   which schedules to run
    viz       pictures of what was recorded
    course    lessons, checks, progress
    cli       the command `pfncache-lab`
"""

from typing import Any

from .course import setup
from .explore import Condition, Scenario, check, explore, replay
from .sim import Struct, cpu_relax, marked
from .viz import TraceStepper, show

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the widgets, and with them ipywidgets, only when they are asked for."""
    if name == "SchedulerGame":
        from .viz import SchedulerGame

        return SchedulerGame
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Condition",
    "Scenario",
    "SchedulerGame",
    "Struct",
    "TraceStepper",
    "check",
    "cpu_relax",
    "explore",
    "marked",
    "replay",
    "setup",
    "show",
]
