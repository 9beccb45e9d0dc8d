"""ipi.py: interrupts that one CPU of the host sends to another, and their acknowledgement.

Mirrors kernel/smp.c with a handler that does nothing: all that counts is when it runs. It cannot
run while the CPU keeps interrupts off, as it does from before it enters a guest until after it has
left it; and an interrupt that is pending ends the guest's stay.
"""

# ruff: noqa: D102  # What the methods of an operation are for stands in sim/op.py.
from __future__ import annotations

from collections.abc import Hashable, Sequence

from ..sim import (
    Op,
    Task,
    local_irq_disable,
    local_irq_enable,
    machine,
    new_id,
)
from ..sim.clock import Clock, join, joined

PRIMITIVES = True


class Cpu:
    """One CPU of the host, as far as interrupts from other CPUs go."""

    def __init__(self, number: int) -> None:
        """Make a CPU with interrupts on."""
        self.id = new_id(self)
        self.number = number
        self.irqs_off = False
        self.pending: tuple[int, ...] = ()
        """The tasks whose interrupt has arrived and not been handled."""
        self._task: Task | None = None
        self.clock: Clock | None = None

    def state(self) -> Hashable:
        """Return whether interrupts are off, which are pending, and who runs here."""
        return self.irqs_off, self.pending, self._task and self._task.index

    @property
    def task(self) -> Task | None:
        """Who runs here, if that is the thread of a vCPU. Looked at by that task alone: no step."""
        self._touched()
        return self._task

    @task.setter
    def task(self, task: Task | None) -> None:
        self._touched()
        self._task = task

    def _touched(self) -> None:
        # A search that looks up what a step does must know that it does this.
        if machine.running is not None and machine.running.current is not None:
            machine.running.current.touched.append(self.id)

    def __repr__(self) -> str:
        return f"<Cpu {self.number}, interrupts {'off' if self.irqs_off else 'on'}>"


def cpu_irq_disable(cpu: Cpu) -> None:
    """Keep interrupts off this CPU: local_irq_disable(), on a CPU that gets interrupts."""
    if machine.running is not None:
        machine.running.step(_IrqsOff(cpu))
    local_irq_disable()


def cpu_irq_enable(cpu: Cpu) -> None:
    """Let interrupts in; the handlers of those that are pending run now."""
    if machine.running is not None:
        machine.running.step(_IrqsOn(cpu))
    local_irq_enable()


def send_ipi(cpu: Cpu) -> None:
    """Interrupt a CPU. Its handler runs at once, or when the CPU lets it."""
    if machine.running is not None:
        machine.running.step(_Send(cpu))


def await_ipi(cpu: Cpu) -> None:
    """Spin until the handler has run for the interrupt that this task has sent."""
    if machine.running is not None:
        machine.running.step(_Wait(cpu, machine.running.executing()))


def ipi_pending(cpu: Cpu) -> bool:
    """Whether an interrupt waits for this CPU: then a guest that runs on it is left."""
    return bool(machine.running and machine.running.step(_Look(cpu)))


def await_interrupt(cpu: Cpu) -> None:
    """Run a guest on this CPU until an interrupt ends that."""
    if machine.running is not None:
        machine.running.step(_AwaitInterrupt(cpu))


class _CpuOp(Op):
    __slots__ = ("cpu", "writes")

    def __init__(self, cpu: Cpu) -> None:
        self.cpu = cpu
        self.writes = (cpu.id,)

    def future(self) -> str:
        return f"{self.kind} on CPU {self.cpu.number}"


class _IrqsOff(_CpuOp):
    __slots__ = ()
    kind = "irq off"

    def effect(self) -> None:
        self.cpu.irqs_off = True


class _IrqsOn(_CpuOp):
    __slots__ = ()
    kind = "irq on"
    releases = True

    def effect(self) -> None:
        cpu, task = self.cpu, machine.me()
        cpu.irqs_off, cpu.pending = False, ()
        cpu.clock = joined(cpu.clock, task.context.clock)
        task.context.clock[task.index] += 1


class _Send(_CpuOp):
    __slots__ = ()
    kind = "interrupt"

    def effect(self) -> str:
        cpu, me = self.cpu, machine.me().index
        if not cpu.irqs_off:
            return "handled at once"
        if me not in cpu.pending:
            cpu.pending = tuple(sorted((*cpu.pending, me)))
        return "pending"

    def future(self) -> str:
        return f"interrupt CPU {self.cpu.number}"

    def past(self, result: object) -> str:
        return f"{self.future()} → {result}"


class _Look(Op):
    __slots__ = ("cpu", "reads")
    kind = "guest"

    def __init__(self, cpu: Cpu) -> None:
        self.cpu = cpu
        self.reads = (cpu.id,)

    def effect(self) -> bool:
        return bool(self.cpu.pending)

    def future(self) -> str:
        return f"run the guest on CPU {self.cpu.number}"

    def past(self, result: object) -> str:
        return f"{self.future()} → {'an interrupt ends it' if result else 'it goes on'}"


class _AwaitInterrupt(_Look):
    __slots__ = ()
    waits = True

    def enabled(self) -> bool:
        return bool(self.cpu.pending)

    def reason(self) -> str:
        return f"its guest runs on CPU {self.cpu.number} until somebody interrupts it"


class _Wait(Op):
    __slots__ = ("cpu", "task", "reads")
    kind = "await"
    waits = True

    def __init__(self, cpu: Cpu, task: Task) -> None:
        self.cpu = cpu
        self.task = task
        self.reads = (cpu.id,)

    def enabled(self) -> bool:
        return self.task.index not in self.cpu.pending

    def effect(self) -> None:
        if self.cpu.clock is not None:
            join(self.task.context.clock, self.cpu.clock)

    def future(self) -> str:
        return f"see its interrupt handled by CPU {self.cpu.number}"

    def blockers(self) -> Sequence[Task]:
        return [self.cpu.task] if self.cpu.task else []
