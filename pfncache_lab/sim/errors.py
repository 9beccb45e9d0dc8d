"""errors.py: what can go wrong in the simulated kernel, and what can go wrong in the simulator.

The two families never mix, so that nobody wonders whose bug it is.
"""


class KernelBug(Exception):
    """The simulated program did what crashes, hangs or corrupts a kernel."""


# -- nobody gets any further -----------------------------------------------------------------------


class Deadlock(KernelBug):
    """Nobody can run any more, and somebody has not finished.

    Common causes: two tasks that each wait for what the other holds; a task that sleeps and whose
    wake-up came before it slept.
    """


class Livelock(KernelBug):
    """Tasks still run, and none of them gets any further.

    Common causes: a loop that waits for a field which no task left alive will change; two tasks
    that undo each other's work for ever.
    """


class StepLimit(KernelBug):
    """One run took more steps than any run of so small a program should need.

    Common cause: a loop that waits for another task without `cpu_relax()` in its body, so that it
    keeps the CPU for ever.
    """


class SoftLockup(KernelBug):
    """A task kept the CPU and did nothing that another task could observe.

    Common causes: a loop whose condition the task itself cannot change, over a local variable; a
    loop that was meant to load a shared field and loaded it once, before.
    """


# -- locks and contexts ----------------------------------------------------------------------------


class SleepInAtomic(KernelBug):
    """A task did what may sleep while it held a spinning lock, or in a hard interrupt.

    Whoever wants that lock spins until the sleeper is back, and may never let it come back. Common
    causes: a mutex, or a function that takes one, called between spin_lock() and spin_unlock().
    """


class LockOrder(KernelBug):
    """Locks are taken in orders that can deadlock, whether or not they did this time.

    Common causes: two functions that take the same two locks, one each way round; a lock that an
    interrupt handler takes, taken elsewhere with interrupts enabled.
    """


class LockMisuse(KernelBug):
    """A lock was used as no lock can be: see the subclasses."""


class RecursiveLock(LockMisuse):
    """A task waits for a lock that it holds itself, and so for ever.

    Common cause: a function that takes the lock calls another one that takes it too.
    """


class BadUnlock(LockMisuse):
    """A task released a lock that it does not hold, or that it holds in another way.

    The same goes for interrupts and preemption that it has not disabled. Common causes: two unlocks
    on one path, often an error path; the unlock of the other kind; a lock that one task takes and
    another one is meant to release.
    """


class HeldLockInit(LockMisuse):
    """A lock was initialised while somebody held it, and so forgot its owner.

    Common cause: an object that is set up anew while others still use it.
    """


class LockLeak(LockMisuse):
    """A task ended, and still holds a lock.

    Common cause: an early `return` on an error path, between lock and unlock.
    """


class NotHeld(LockMisuse):
    """A function says that its caller must hold a lock, and the caller does not."""


# -- memory ----------------------------------------------------------------------------------------


class DataRace(KernelBug):
    """Two tasks touch the same field, one of them writes, and nothing orders the two.

    The compiler and the CPU may then do almost anything with either access. Common causes: a lock
    that was forgotten on one side; two sides that take different locks; a pointer to an object
    that is published before the object is ready.
    """


class Unguarded(DataRace):
    """A task touched a field without the lock that guards it, and nobody else was seen there.

    It is a kind of its own so that a search which shortens a schedule does not lose the other side.
    """


class UseAfterFree(KernelBug):
    """A task used what had been given back already."""


class DoubleFree(KernelBug):
    """A task gave back what had been given back already."""


class PageLeak(KernelBug):
    """The run ended, and somebody has not given back what they had taken."""


class Oops(KernelBug):
    """A task used an address at which there is nothing."""


class StackOverflow(KernelBug):
    """A task called too deep. A kernel stack has 16 KiB, and no more is to be had."""


class OutOfMemory(KernelBug):
    """A task asked for more memory than there is."""


# -- what the program says of itself ---------------------------------------------------------------


class Crash(KernelBug):
    """A task raised an exception that it did not handle: the kernel would say Oops.

    The exception is the `__cause__`.
    """


class Bug(KernelBug):
    """BUG_ON(): the program found itself in a state in which it must not go on."""


class Warn(KernelBug):
    """WARN_ON_ONCE(): the program found itself in a state that it had ruled out."""


class InvariantBroken(KernelBug):
    """What the scenario promises for every moment did not hold after some step."""


class ConditionBroken(KernelBug):
    """The run ended, and what the scenario promises for the end does not hold."""


class ModelError(Exception):
    """The simulator itself is at fault, or was used in a way that it cannot serve."""


NOT_DETERMINED = (
    "Something in the program is not determined by the schedule: random, time, id(), a set's "
    "order, or what a run leaves behind in a global."
)
"""Why the same schedule has not done the same again."""
