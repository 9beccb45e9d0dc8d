"""fidelity.py: what of the users of the cache is modelled, what is simplified, what left out."""

from __future__ import annotations

from ...mm.fidelity import Mechanism

USERS = (
    Mechanism(
        "reader loop",
        "modelled",
        "step by step; stores and loads through khva are one step each, whatever their length",
    ),
    Mechanism(
        "Xen: event delivery",
        "modelled",
        "fast and slow path, masked ports, pollers, the shadow of pending_sel. 64-bit guests and "
        "two-level event channels only; a vector of the local APIC is the same kick as without",
    ),
    Mechanism(
        "Xen: vcpu_info_cache not active",
        "simplified",
        "counts as not valid: its word is kept in the kernel. The kernel looks at `active` without "
        "a lock first, and refuses the event",
    ),
    Mechanism(
        "Xen: SCHEDOP_poll",
        "simplified",
        "one port and no timeout",
    ),
    Mechanism(
        "Xen: runstate",
        "modelled",
        "over two pages, with both locks, the flag before and after. Its clock advances by one at "
        "each change; the format of 32-bit guests is left out",
    ),
    Mechanism(
        "lock_set_subclass()",
        "simplified",
        "the second of two caches is taken with a subclass; the kernel gives one to the first, "
        "after it has it",
    ),
    Mechanism(
        "Xen: timer",
        "simplified",
        "when it expires is for the scenario to say; that the guest sets it, and hrtimer_cancel(), "
        "are left out",
    ),
    Mechanism(
        "Xen: attributes",
        "modelled",
        "shared_info, vcpu_info, time info, runstate address and timer, under xen_lock. The "
        "wallclock that the kernel writes into a new shared_info is left out",
    ),
    Mechanism(
        "kvm-clock",
        "modelled",
        "version, time, version: each a step that the guest can see. What time it is, a scenario "
        "says",
    ),
    Mechanism(
        "scheduler",
        "simplified",
        "pi_lock and the lock of the run queue, in the order in which waking up and switching take "
        "them. It schedules nothing",
    ),
    Mechanism(
        "irqfd, borrowing of the mm",
        "left out",
        "any task may send; the process whose memory it is, is known",
    ),
)
