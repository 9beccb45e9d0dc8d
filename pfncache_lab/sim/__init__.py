"""sim: a deterministic machine on which several tasks share memory. It knows nothing of KVM.

    machine   tasks as greenlets, the oracle that chooses among them, one run
    stacks    the greenlets, which outlive a run
    op        one visible operation: what a new primitive must declare
    world     the numbers of the simulated objects
    memory    structs; marked and plain fields
    atomics   READ_ONCE(), cmpxchg(), bits; barriers: smp_wmb() and the others
    weak      a memory in which a load may return an older store
    races     data races on plain fields
    lists     lists that a task walks while others run
    locks     SpinLock, RwLock, Mutex; kernel_names has spin_lock() and the others
    lock, lock_steps, blocks    what all locks check, the steps they take, `with` blocks
    lockdep   the order of locks, over all runs of a search
    srcu, completion, rcuwait    waiting for readers, for "done", for a wake-up
    context   what a task holds, and whether it may sleep
    sleeping  might_sleep(), hard interrupts
    spinning  cpu_relax(), cond_resched()
    variables what a loop carries over, and which variables nobody reads any more
    assertions  lockdep_assert_held(), WARN_ON_ONCE(), BUG_ON()
    stuck     why nobody can run any more
    link      functions put in the place of others, by name
    shown     any value as text that fits into a sentence
    limits, headroom, lockup, crash    code that never ends, or asks for too much
    trace     what a run leaves behind, and its two-CPU table
    errors    KernelBug and its family; ModelError

Memory is sequentially consistent: every load sees the latest store. A scenario may ask for another
memory (weak), in which a load may see an older one.
"""

from .assertions import (
    BUG_ON,
    WARN_ON_ONCE,
    lockdep_assert_held,
    lockdep_assert_held_read,
    lockdep_assert_held_write,
    lockdep_assert_not_held,
)
from .atomics import (
    READ_ONCE,
    WRITE_ONCE,
    atomic_add,
    atomic_dec,
    atomic_dec_and_test,
    atomic_inc,
    atomic_inc_return,
    atomic_read,
    atomic_set,
    clear_bit,
    cmpxchg,
    fetch_add,
    rcu_assign_pointer,
    rcu_dereference,
    set_bit,
    smp_load_acquire,
    smp_store_release,
    test_and_clear_bit,
    test_and_set_bit,
    test_bit,
    xchg,
)
from .barriers import smp_mb, smp_rmb, smp_wmb
from .completion import (
    Completion,
    complete,
    complete_all,
    reinit_completion,
    wait_for_completion,
)
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
    Unguarded,
    UseAfterFree,
    Warn,
)
from .kernel_names import (
    mutex_init,
    mutex_lock,
    mutex_trylock,
    mutex_unlock,
    read_lock,
    read_lock_irq,
    read_lock_irqsave,
    read_trylock,
    read_unlock,
    read_unlock_irq,
    read_unlock_irqrestore,
    rwlock_init,
    spin_lock,
    spin_lock_init,
    spin_lock_irq,
    spin_lock_irqsave,
    spin_trylock,
    spin_unlock,
    spin_unlock_irq,
    spin_unlock_irqrestore,
    write_lock,
    write_lock_irq,
    write_lock_irqsave,
    write_trylock,
    write_unlock,
    write_unlock_irq,
    write_unlock_irqrestore,
)
from .limits import TimeLimit, time_limit, watched
from .link import Image, link
from .lists import ListHead, each, list_add, list_del
from .lockdep import LockDep
from .locks import Mutex, RwLock, SpinLock
from .machine import Machine, Oracle, Task, new_id, new_world
from .memory import Struct, marked, shared
from .op import Op
from .rcuwait import (
    TASK_INTERRUPTIBLE,
    TASK_RUNNING,
    TASK_UNINTERRUPTIBLE,
    RcuWait,
    finish_rcuwait,
    prepare_to_rcuwait,
    rcuwait_wait_event,
    rcuwait_wake_up,
    schedule,
    set_current_state,
)
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
from .srcu import Srcu, srcu_read, srcu_read_lock, srcu_read_unlock, synchronize_srcu
from .trace import Event, Line, State, TaskView, Trace
from .weak import companion_name
from .world import HasState, World

__all__ = [
    "BUG_ON", "READ_ONCE", "TASK_INTERRUPTIBLE", "TASK_RUNNING", "TASK_UNINTERRUPTIBLE",
    "WARN_ON_ONCE", "WRITE_ONCE", "BadUnlock", "Bug", "Completion", "ConditionBroken", "Crash",
    "DataRace", "Deadlock", "DoubleFree", "Event", "HasState", "HeldLockInit", "Image",
    "InvariantBroken", "KernelBug", "Line", "ListHead", "Livelock", "LockDep", "LockLeak",
    "LockMisuse", "LockOrder", "Machine", "ModelError", "Mutex", "NotHeld", "Oops", "Op",
    "Oracle", "OutOfMemory", "PageLeak", "RcuWait", "RecursiveLock", "RwLock", "SleepInAtomic",
    "SoftLockup", "SpinLock", "Srcu", "StackOverflow", "State", "StepLimit", "Struct", "Task",
    "TaskView", "TimeLimit", "Trace", "Unguarded", "UseAfterFree", "Warn", "World",
    "atomic_add", "atomic_dec", "atomic_dec_and_test", "atomic_inc", "atomic_inc_return",
    "atomic_read", "atomic_set", "clear_bit", "cmpxchg", "companion_name", "complete",
    "complete_all", "cond_resched", "cpu_relax", "each", "fetch_add", "finish_rcuwait",
    "hard_irq", "link", "list_add", "list_del", "local_irq_disable", "local_irq_enable",
    "lockdep_assert_held", "lockdep_assert_held_read", "lockdep_assert_held_write",
    "lockdep_assert_not_held", "marked", "might_sleep", "mutex_init", "mutex_lock",
    "mutex_trylock", "mutex_unlock", "new_id", "new_world", "preempt_disable",
    "preempt_disabled", "preempt_enable", "prepare_to_rcuwait", "rcu_assign_pointer",
    "rcu_dereference", "rcuwait_wait_event", "rcuwait_wake_up", "read_lock", "read_lock_irq",
    "read_lock_irqsave", "read_trylock", "read_unlock", "read_unlock_irq",
    "read_unlock_irqrestore", "reinit_completion", "rwlock_init", "schedule", "set_bit",
    "set_current_state", "shared", "smp_load_acquire", "smp_mb", "smp_rmb", "smp_store_release",
    "smp_wmb", "spin_lock", "spin_lock_init", "spin_lock_irq", "spin_lock_irqsave",
    "spin_trylock", "spin_unlock", "spin_unlock_irq", "spin_unlock_irqrestore", "srcu_read",
    "srcu_read_lock", "srcu_read_unlock", "synchronize_srcu", "test_and_clear_bit",
    "test_and_set_bit", "test_bit", "time_limit", "wait_for_completion", "watched",
    "write_lock", "write_lock_irq", "write_lock_irqsave", "write_trylock", "write_unlock",
    "write_unlock_irq", "write_unlock_irqrestore", "xchg",
]  # fmt: skip
