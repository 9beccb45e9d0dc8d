"""sim: a deterministic machine on which several tasks share memory. It knows nothing of KVM.

    machine   tasks as greenlets, the oracle that chooses among them, one run
    op        one visible operation: what a new primitive must declare
    world     the numbers of the simulated objects
    memory    structs; marked and plain fields
    races     data races on plain fields
    lock      what all locks have in common; their steps
    locks     SpinLock, RwLock, Mutex
    lockdep   the order of locks, over all runs of a search
    context   what a task holds, and whether it may sleep
    sleeping  might_sleep(), hard interrupts
    spinning  cpu_relax(), cond_resched()
    stuck     why nobody can run any more
    trace     what a run leaves behind, and its two-CPU table
    errors    KernelBug and its family; ModelError

Memory is sequentially consistent: every load sees the latest store.
"""

from .errors import (
    BadUnlock,
    Bug,
    ConditionBroken,
    Crash,
    DataRace,
    Deadlock,
    DoubleFree,
    HeldLockInit,
    InvariantBroken,
    KernelBug,
    Livelock,
    LockLeak,
    LockMisuse,
    LockOrder,
    ModelError,
    NotHeld,
    Oops,
    OutOfMemory,
    PageLeak,
    RecursiveLock,
    SleepInAtomic,
    SoftLockup,
    StackOverflow,
    StepLimit,
    UseAfterFree,
    Warn,
)
from .lockdep import LockDep
from .locks import Mutex, RwLock, SpinLock
from .machine import Machine, Oracle, Task, new_id, new_world
from .memory import Struct, marked, shared
from .op import Op
from .sleeping import (
    hard_irq,
    local_irq_disable,
    local_irq_enable,
    might_sleep,
    preempt_disable,
    preempt_disabled,
    preempt_enable,
)
from .spinning import cond_resched, cpu_relax
from .trace import Event, Line, State, TaskView, Trace
from .world import HasState, World

__all__ = [
    "BadUnlock",
    "Bug",
    "ConditionBroken",
    "Crash",
    "DataRace",
    "Deadlock",
    "DoubleFree",
    "Event",
    "HasState",
    "HeldLockInit",
    "InvariantBroken",
    "KernelBug",
    "Line",
    "Livelock",
    "LockDep",
    "LockLeak",
    "LockMisuse",
    "LockOrder",
    "Machine",
    "ModelError",
    "Mutex",
    "NotHeld",
    "Oops",
    "Op",
    "Oracle",
    "OutOfMemory",
    "PageLeak",
    "RecursiveLock",
    "RwLock",
    "SleepInAtomic",
    "SoftLockup",
    "SpinLock",
    "StackOverflow",
    "State",
    "StepLimit",
    "Struct",
    "Task",
    "TaskView",
    "Trace",
    "UseAfterFree",
    "Warn",
    "World",
    "cond_resched",
    "cpu_relax",
    "hard_irq",
    "local_irq_disable",
    "local_irq_enable",
    "marked",
    "might_sleep",
    "new_id",
    "new_world",
    "preempt_disable",
    "preempt_disabled",
    "preempt_enable",
    "shared",
]
