"""vcpu.py: the loop in which a vCPU's thread runs its guest, and how it is kept out, or called out.

A requester and a vCPU that enters do as Dekker's two processes: each says what it is about to do,
and then looks at what the other has said. So at least one of them finds out:

    vCPU                                requester
    mode = IN_GUEST_MODE                set a bit in requests
    smp_mb()                            smp_mb()
    any bit in requests? stay out       IN_GUEST_MODE? send an interrupt

Mirrors vcpu_enter_guest() and vcpu_run() (arch/x86/kvm/x86.c) and kvm_vcpu_block()
(virt/kvm/kvm_main.c), v5.17. A guest is a function of the vCPU: it runs in guest mode, from its
beginning at each entry, and returns why the guest was left.
"""

from __future__ import annotations

from collections.abc import Callable

from ..mm import EIO, PFN_PHYS, load_phys, store_phys
from ..sim import (
    TASK_INTERRUPTIBLE,
    WARN_ON_ONCE,
    finish_rcuwait,
    machine,
    might_sleep,
    preempt_disable,
    preempt_enable,
    prepare_to_rcuwait,
    schedule,
    set_current_state,
    smp_mb,
    smp_store_release,
    smp_wmb,
    srcu_read_lock,
    srcu_read_unlock,
)
from .dirty import kvm_dirty_ring_soft_full
from .ipi import await_interrupt, cpu_irq_disable, cpu_irq_enable, ipi_pending
from .kvm_host import EXITING_GUEST_MODE, IN_GUEST_MODE, OUTSIDE_GUEST_MODE, KvmVcpu
from .requests import (
    KVM_REQ_CLOCK_UPDATE,
    KVM_REQ_TLB_FLUSH,
    KVM_REQ_UNBLOCK,
    KVM_REQ_VM_DEAD,
    KVM_REQUEST_MASK,
    kvm_check_request,
    kvm_request_pending,
)

EXIT_REASON_EXTERNAL_INTERRUPT = 1
"""The host wants its CPU: the guest did not end, and is entered again."""
EXIT_REASON_HLT = 12
"""The guest has nothing to do until an event comes."""
EXIT_REASON_IO = 30
"""The guest wants something of userspace."""

GO_ON, HALTED, TO_USERSPACE = 1, 2, 0
"""What vcpu_enter_guest() says to vcpu_run(), besides -EIO."""

Guest = Callable[[KvmVcpu], int]


def vcpu_load(vcpu: KvmVcpu) -> None:
    """Let the current task be the thread of this vCPU, on the vCPU's CPU. No step."""
    if machine.running is not None:
        WARN_ON_ONCE(vcpu.host_cpu.task, f"vCPU {vcpu.vcpu_id} has a thread already")
        vcpu.host_cpu.task = machine.running.executing()


def vcpu_put(vcpu: KvmVcpu) -> None:
    """Be the thread of this vCPU no longer. No step."""
    vcpu.host_cpu.task = None


def kvm_vcpu_ioctl_run(vcpu: KvmVcpu, guest: Guest) -> int:
    """Run the guest as userspace asks for it, with vcpu->mutex held; see vcpu_run()."""
    vcpu.mutex.lock()
    r = vcpu_run(vcpu, guest)
    vcpu.mutex.unlock()
    return r


def vcpu_run(vcpu: KvmVcpu, guest: Guest) -> int:
    """Run the guest until it wants something of userspace: KVM_RUN, without its mutex. May sleep.

    Returns 0, or -EIO if the machine is dead.
    """
    might_sleep("run a guest")
    vcpu_load(vcpu)
    r = vcpu_enter_guest(vcpu, guest)
    while r > 0:
        if r == HALTED:
            kvm_vcpu_block(vcpu)
        r = vcpu_enter_guest(vcpu, guest)
    vcpu_put(vcpu)
    return r


def vcpu_enter_guest(vcpu: KvmVcpu, guest: Guest) -> int:
    """Enter the guest, unless somebody wants something of the vCPU first.

    Returns GO_ON, HALTED or TO_USERSPACE, or -EIO if the machine is dead.
    """
    kvm, cpu = vcpu.kvm, vcpu.host_cpu
    idx = srcu_read_lock(kvm.srcu)
    if (requests := vcpu.requests) and not vcpu_process_requests(vcpu, requests):
        srcu_read_unlock(kvm.srcu, idx)
        return -EIO
    if kvm.dirty_ring_size and kvm_dirty_ring_soft_full(vcpu):
        srcu_read_unlock(kvm.srcu, idx)
        return TO_USERSPACE
    vcpu_prepare_guest_pages(vcpu)

    preempt_disable()
    cpu_irq_disable(cpu)
    smp_store_release(vcpu, "mode", IN_GUEST_MODE)
    usable = vcpu_guest_pages_usable(vcpu)
    srcu_read_unlock(kvm.srcu, idx)
    smp_mb()  # The mode is seen by a requester, or the request by us: see above.
    reason = EXIT_REASON_EXTERNAL_INTERRUPT
    if usable and not kvm_vcpu_exit_request(vcpu):
        reason = guest(vcpu)

    # Before interrupts are on: whoever waits for its interrupt takes us to be outside then.
    vcpu.mode = OUTSIDE_GUEST_MODE
    smp_wmb()
    cpu_irq_enable(cpu)
    preempt_enable()
    return vcpu_handle_exit(reason)


def kvm_vcpu_exit_request(vcpu: KvmVcpu) -> bool:
    """Whether the vCPU must not enter, though its mode says so already. One or two steps."""
    return vcpu.mode == EXITING_GUEST_MODE or kvm_request_pending(vcpu)


def vcpu_process_requests(vcpu: KvmVcpu, requests: int) -> bool:
    """Consume those of `requests` that are known here; returns whether the vCPU may go on.

    One that is not known stays, and keeps the vCPU out of the guest for ever. The kernel tests bit
    by bit; one that is set after our look is found by the last look before the entry.
    """
    if requests & 1 << (KVM_REQ_VM_DEAD & KVM_REQUEST_MASK):
        return False
    if requests & 1 << (KVM_REQ_TLB_FLUSH & KVM_REQUEST_MASK):
        kvm_check_request(KVM_REQ_TLB_FLUSH, vcpu)
    if requests & 1 << KVM_REQ_UNBLOCK:
        kvm_check_request(KVM_REQ_UNBLOCK, vcpu)
    if requests & 1 << KVM_REQ_CLOCK_UPDATE and kvm_check_request(KVM_REQ_CLOCK_UPDATE, vcpu):
        vcpu_update_guest_clock(vcpu)
    return True


def vcpu_handle_exit(reason: int) -> int:
    """Say what comes after a guest that was left for this reason. No step."""
    if reason == EXIT_REASON_HLT:
        return HALTED
    return TO_USERSPACE if reason == EXIT_REASON_IO else GO_ON


# -- what a guest with caches puts in the place of these, by name ----------------------------------


def vcpu_prepare_guest_pages(vcpu: KvmVcpu) -> None:
    """Look up again what the guest is to use and cannot: before the entry, and it may sleep."""


def vcpu_guest_pages_usable(vcpu: KvmVcpu) -> bool:
    """Whether the guest may use its pages. Called in IN_GUEST_MODE, with kvm->srcu held.

    One that looks has to call smp_mb() first: it is the other half of the eviction.
    """
    return True


def vcpu_update_guest_clock(vcpu: KvmVcpu) -> None:
    """Tell the guest the time: what KVM_REQ_CLOCK_UPDATE asks for."""


# -- in guest mode ---------------------------------------------------------------------------------


def guest_store(vcpu: KvmVcpu, pfn: int, offset: int, data: bytes) -> bool:
    """Let the guest store to the page it has in a register. Returns False if it is interrupted.

    The guest function must then return EXIT_REASON_EXTERNAL_INTERRUPT. Two steps; an interrupt that
    comes between them is handled after the store, which is what the sender waits for.
    """
    if ipi_pending(vcpu.host_cpu):
        return False
    store_phys(PFN_PHYS(pfn) + offset, data)
    return True


def guest_load(vcpu: KvmVcpu, pfn: int, offset: int, length: int) -> bytes | None:
    """Let the guest load from a page. Returns None if it is interrupted. Two steps."""
    if ipi_pending(vcpu.host_cpu):
        return None
    return load_phys(PFN_PHYS(pfn) + offset, length)


def guest_loop(vcpu: KvmVcpu) -> int:
    """Be a guest that computes, and never wants anything: it runs until it is interrupted."""
    await_interrupt(vcpu.host_cpu)
    return EXIT_REASON_EXTERNAL_INTERRUPT


# -- a guest that has halted -----------------------------------------------------------------------


def kvm_vcpu_block(vcpu: KvmVcpu) -> None:
    """Sleep until an event comes for the guest: somebody stores it, and then wakes us."""
    prepare_to_rcuwait(vcpu.wait)
    while True:
        # Before the look: an event that comes after it finds us announced, and wakes us.
        set_current_state(TASK_INTERRUPTIBLE)
        if kvm_vcpu_check_block(vcpu):
            break
        schedule()
    finish_rcuwait(vcpu.wait)


def kvm_vcpu_check_block(vcpu: KvmVcpu) -> bool:
    """Whether there is a reason not to sleep."""
    idx = srcu_read_lock(vcpu.kvm.srcu)
    runnable = kvm_arch_vcpu_runnable(vcpu)
    srcu_read_unlock(vcpu.kvm.srcu, idx)
    return runnable or kvm_check_request(KVM_REQ_UNBLOCK, vcpu)


def kvm_arch_vcpu_runnable(vcpu: KvmVcpu) -> bool:
    """Whether there is an event for the guest. One step."""
    return vcpu.runnable
