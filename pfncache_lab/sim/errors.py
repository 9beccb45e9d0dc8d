"""errors.py: what can go wrong in the simulated kernel, and what can go wrong in the simulator.

The two families never mix, so that nobody wonders whose bug it is.
"""


class KernelBug(Exception):
    """The simulated program did what crashes, hangs or corrupts a kernel."""


class Deadlock(KernelBug):
    """Nobody can run any more, and somebody has not finished.

    Common causes: two tasks that each wait for what the other holds; a task that spins on a field
    which no task left alive will change.
    """


class Crash(KernelBug):
    """A task raised an exception that it did not handle: the kernel would say Oops.

    The exception is the `__cause__`.
    """


class StepLimit(KernelBug):
    """One run took more steps than any run of so small a program should need.

    Common cause: a loop that waits for another task without `cpu_relax()` in its body, so that it
    keeps the CPU for ever.
    """


class ConditionBroken(KernelBug):
    """The run ended, and what the scenario promises for the end does not hold."""


class ModelError(Exception):
    """The simulator itself is at fault, or was used in a way that it cannot serve."""
