"""sched.py: as much of the scheduler as a preempt notifier meets: two locks and their order.

    p->pi_lock → rq->lock       wake a task: nobody else may, and then it goes onto its queue
    rq->lock → whatever         take a task off its CPU: the preempt notifiers are called in here

So nobody who wakes a task may hold a lock for which a preempt notifier waits. Mirrors
try_to_wake_up() and prepare_task_switch() of kernel/sched/core.c.
"""

from __future__ import annotations

from ...sim import srcu_read_lock, srcu_read_unlock
from ..kvm_host import KvmVcpu
from .arch import TaskStruct
from .xen_runstate import kvm_xen_runstate_set_preempted


def try_to_wake_up(p: TaskStruct) -> None:
    """Put a task onto the queue of its CPU. Interrupts may do this."""
    p.pi_lock.lock_irq()
    p.rq.lock.lock()
    p.on_rq = True
    p.rq.lock.unlock()
    p.pi_lock.unlock_irq()


def schedule_out(vcpu: KvmVcpu) -> None:
    """Take the thread of a vCPU off its CPU. What the notifiers do must not wait for anybody."""
    rq = vcpu.arch.thread.rq
    rq.lock.lock_irq()
    kvm_sched_out(vcpu)
    rq.lock.unlock_irq()


def kvm_sched_out(vcpu: KvmVcpu) -> None:
    """Note that the vCPU does not run, although it could."""
    idx = srcu_read_lock(vcpu.kvm.srcu)  # for the generation of the memslots
    kvm_xen_runstate_set_preempted(vcpu)
    srcu_read_unlock(vcpu.kvm.srcu, idx)
