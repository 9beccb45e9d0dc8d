"""sim: a deterministic machine on which several tasks share memory. It knows nothing of KVM.

    machine   tasks as greenlets, the oracle that chooses among them, one run
    op        one visible operation: what a new primitive must declare
    world     the number of each simulated object, the same in every run
    memory    structs, marked fields, cpu_relax()
    trace     what a run leaves behind, and its two-CPU table
    errors    KernelBug and its family; ModelError

Memory is sequentially consistent: every load sees the latest store.
"""

from .errors import ConditionBroken, Crash, Deadlock, KernelBug, ModelError, StepLimit
from .machine import Machine, Oracle, Task, new_id, new_world
from .memory import Struct, cpu_relax, marked
from .op import Op
from .trace import Event, Line, State, TaskView, Trace
from .world import HasState, World

__all__ = [
    "ConditionBroken",
    "Crash",
    "Deadlock",
    "Event",
    "HasState",
    "KernelBug",
    "Line",
    "Machine",
    "ModelError",
    "Op",
    "Oracle",
    "State",
    "StepLimit",
    "Struct",
    "Task",
    "TaskView",
    "Trace",
    "World",
    "cpu_relax",
    "marked",
    "new_id",
    "new_world",
]
