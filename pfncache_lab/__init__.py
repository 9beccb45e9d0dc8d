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
    MemoryMap(vm, gpa, *functions)  where an address leads; AddressField, to type one
    PageRuler(fits, *accesses)      accesses near the end of a page
    address_graph()                 the five kinds of addresses
    generation_graph(update)        what an update of the memslots goes through, by your function

The floors of the house, each importing only from those above it in this list:

    sim       a deterministic machine: tasks, scheduling points, shared memory, the trace
    explore   which schedules to run
    viz       pictures of what was recorded
    course    lessons, checks, progress
    cli       the command `pfncache-lab`
"""

from typing import TYPE_CHECKING, Any

from .course import setup
from .explore import Condition, Scenario, check, explore, replay
from .sim import Struct, cpu_relax, marked
from .viz import TraceStepper, show

if TYPE_CHECKING:
    from .viz import (
        AddressField,
        MemoryMap,
        PageRuler,
        SchedulerGame,
        address_graph,
        generation_graph,
    )

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import pictures and widgets that need more than the others only when they are asked for."""
    if name in __all__:
        from . import viz

        return getattr(viz, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "AddressField",
    "Condition",
    "MemoryMap",
    "PageRuler",
    "Scenario",
    "SchedulerGame",
    "Struct",
    "TraceStepper",
    "address_graph",
    "check",
    "cpu_relax",
    "explore",
    "generation_graph",
    "marked",
    "replay",
    "setup",
    "show",
]
