"""requests.py: what others want of a vCPU, and how they get it to look.

A request is a bit that the vCPU finds before it enters the guest. The flags say what else:

    NO_WAKEUP   leave a vCPU asleep that has halted
    WAIT        return only after every vCPU that was in guest mode has left it
    NO_ACTION   set no bit: to be out of guest mode for a moment is all that is asked

Mirrors include/linux/kvm_host.h and virt/kvm/kvm_main.c; v5.18, and KVM_REQ_GPC_INVALIDATE of
v5.17. See also Documentation/virt/kvm/vcpu-requests.rst.
"""

from __future__ import annotations

from ..sim import (
    BUG_ON,
    WARN_ON_ONCE,
    clear_bit,
    cmpxchg,
    each,
    machine,
    preempt_disable,
    preempt_enable,
    rcuwait_wake_up,
    set_bit,
    smp_mb,
    smp_wmb,
    test_bit,
)
from .ipi import Cpu, await_ipi, send_ipi
from .kvm_host import EXITING_GUEST_MODE, IN_GUEST_MODE, OUTSIDE_GUEST_MODE, Kvm, KvmVcpu

KVM_REQUEST_MASK = 0xFF
KVM_REQUEST_NO_WAKEUP = 1 << 8
KVM_REQUEST_WAIT = 1 << 9
KVM_REQUEST_NO_ACTION = 1 << 10

KVM_REQ_TLB_FLUSH = 0 | KVM_REQUEST_WAIT | KVM_REQUEST_NO_WAKEUP
KVM_REQ_VM_DEAD = 1 | KVM_REQUEST_WAIT | KVM_REQUEST_NO_WAKEUP
KVM_REQ_UNBLOCK = 2
KVM_REQ_GPC_INVALIDATE = 5 | KVM_REQUEST_WAIT | KVM_REQUEST_NO_WAKEUP
"""v5.17 alone. Nothing consumes it."""
KVM_REQ_OUTSIDE_GUEST_MODE = KVM_REQUEST_NO_ACTION | KVM_REQUEST_WAIT | KVM_REQUEST_NO_WAKEUP
KVM_REQ_CLOCK_UPDATE = 16


def kvm_make_request(req: int, vcpu: KvmVcpu) -> None:
    """Set the bit of `req`, which must be one that leaves something to do. One step."""
    BUG_ON(req & KVM_REQUEST_NO_ACTION, "nobody would ever clear the bit of this request")
    smp_wmb()  # who finds the bit finds what was written for it
    set_bit(req & KVM_REQUEST_MASK, vcpu, "requests")


def kvm_request_pending(vcpu: KvmVcpu) -> bool:
    """Whether there is any request. One step."""
    return vcpu.requests != 0


def kvm_test_request(req: int, vcpu: KvmVcpu) -> bool:
    """Whether `req` is there. One step."""
    return test_bit(req & KVM_REQUEST_MASK, vcpu, "requests")


def kvm_clear_request(req: int, vcpu: KvmVcpu) -> None:
    """Clear the bit of `req`. One step."""
    clear_bit(req & KVM_REQUEST_MASK, vcpu, "requests")


def kvm_check_request(req: int, vcpu: KvmVcpu) -> bool:
    """Consume `req`: whether it was there. One step if it was not, else two."""
    if not kvm_test_request(req, vcpu):
        return False
    kvm_clear_request(req, vcpu)
    smp_mb()  # what was written before the request is seen; a later request is not cleared
    return True


# -- the requester ---------------------------------------------------------------------------------


def kvm_make_vcpus_request_mask(kvm: Kvm, req: int, vcpu_bitmap: int) -> bool:
    """Make a request to each vCPU whose index is a bit of `vcpu_bitmap`.

    Returns whether a vCPU had to be interrupted. Spins, with KVM_REQUEST_WAIT, until it has left
    guest mode; that says nothing about the bit of the request.
    """
    preempt_disable()
    cpus: tuple[Cpu, ...] = ()
    for vcpu in each([v for v in kvm.vcpus if vcpu_bitmap >> v.vcpu_idx & 1]):
        if not req & KVM_REQUEST_NO_ACTION:
            kvm_make_request(req, vcpu)
        if not req & KVM_REQUEST_NO_WAKEUP and kvm_vcpu_wake_up(vcpu):
            continue
        if kvm_request_needs_ipi(vcpu, req) and (cpu := kvm_cpu_to_kick(vcpu)):
            cpus = (*cpus, cpu)
    if cpus:
        smp_call_function_many(cpus, bool(req & KVM_REQUEST_WAIT))
    preempt_enable()
    return bool(cpus)


def kvm_make_all_cpus_request(kvm: Kvm, req: int) -> bool:
    """Make a request to each vCPU of the machine; returns whether one had to be interrupted."""
    return kvm_make_vcpus_request_mask(kvm, req, (1 << len(kvm.vcpus)) - 1)


def kvm_request_needs_ipi(vcpu: KvmVcpu, req: int) -> bool:
    """Whether the vCPU must be interrupted for `req`. Keeps it from going back in unseen.

    Who waits must also interrupt a vCPU that another has told to leave: it may not be out yet.
    """
    mode = kvm_vcpu_exiting_guest_mode(vcpu)
    if req & KVM_REQUEST_WAIT:
        return mode != OUTSIDE_GUEST_MODE
    return mode == IN_GUEST_MODE


def kvm_vcpu_exiting_guest_mode(vcpu: KvmVcpu) -> int:
    """Turn IN_GUEST_MODE into EXITING_GUEST_MODE; returns the mode before. One step.

    The barrier pairs with the one in vcpu_enter_guest(). The request is seen by the vCPU, or the
    mode by us.
    """
    smp_mb()
    mode: int = cmpxchg(vcpu, "mode", IN_GUEST_MODE, EXITING_GUEST_MODE)
    return mode


def kvm_cpu_to_kick(vcpu: KvmVcpu) -> Cpu | None:
    """Return the CPU that runs the vCPU, unless it is our own: that is not in guest mode now."""
    if vcpu.cpu == -1 or vcpu is kvm_get_running_vcpu(vcpu.kvm):
        return None
    return vcpu.host_cpu


def kvm_flush_remote_tlbs(kvm: Kvm) -> None:
    """Let every vCPU forget what its TLB holds, and return when none runs with it any more."""
    kvm_make_all_cpus_request(kvm, KVM_REQ_TLB_FLUSH)


def smp_call_function_many(cpus: tuple[Cpu, ...], wait: bool) -> None:
    """Interrupt all of `cpus`; with `wait`, return after the handler has run on each of them.

    It spins. With interrupts off that is a deadlock in waiting: two CPUs that call each other.
    Mirrors kernel/smp.c.
    """
    me = machine.running and machine.running.executing()
    WARN_ON_ONCE(me and not me.context.irqs_on, "it calls other CPUs with interrupts off")
    for cpu in each(cpus):
        send_ipi(cpu)
    if wait:
        for cpu in each(cpus):
            await_ipi(cpu)


# -- one vCPU --------------------------------------------------------------------------------------


def kvm_get_running_vcpu(kvm: Kvm) -> KvmVcpu | None:
    """Return the vCPU of `kvm` that the current task has loaded, or None. No step.

    The kernel asks a variable of the CPU, and need not be told the machine.
    """
    task = machine.running.executing() if machine.running else None
    if task is not None:
        for vcpu in kvm.vcpus:
            if vcpu.host_cpu.task is task:
                return vcpu
    return None


def kvm_vcpu_wake_up(vcpu: KvmVcpu) -> bool:
    """Wake the vCPU's thread if it sleeps in kvm_vcpu_block(); returns whether it did. One step."""
    return rcuwait_wake_up(vcpu.wait)


def kvm_vcpu_kick(vcpu: KvmVcpu) -> None:
    """Make the vCPU look: wake it up, or send it out of guest mode, and do not wait for that."""
    if kvm_vcpu_wake_up(vcpu):
        return
    preempt_disable()
    if kvm_vcpu_exiting_guest_mode(vcpu) == IN_GUEST_MODE and (cpu := kvm_cpu_to_kick(vcpu)):
        send_ipi(cpu)
    preempt_enable()


def KVM_BUG_ON(condition: object, kvm: Kvm, text: str = "") -> bool:
    """Mark the machine as broken if `condition` holds, and warn. Returns whether it holds."""
    if condition:
        kvm.vm_bugged = True
        kvm.vm_dead = True
        kvm_make_all_cpus_request(kvm, KVM_REQ_VM_DEAD)
        WARN_ON_ONCE(True, text)
    return bool(condition)
