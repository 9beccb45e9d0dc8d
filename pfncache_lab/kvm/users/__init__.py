"""users: what the kernel keeps in its caches, and how it gets at it.

    reader        the loop that every user is a variation of; the same where sleeping is not allowed
    arch          the structs of the users, and the layout of the guest pages they write to
    guest_bits    bits in a page that guest, vCPUs and interrupts change at the same time
    xen           Xen event channels: shared_info and vcpu_info, from interrupts and from tasks
    xen_poll      a guest sleeps until one fires
    xen_timer     a timer of the vCPU that fires one
    xen_runstate  a record for the guest that may lie across two pages, and so needs two caches
    xen_attr      userspace turns caches on and off
    kvmclock      the clock of the guest
    sched         as much of the scheduler as a preempt notifier meets
    guest         a small Xen guest for a set-up
    fidelity      what is modelled, simplified, left out

`MODULES` is what is linked with a kernel whose cache is today's.
"""

from types import ModuleType

from . import guest, kvmclock, reader, sched, xen, xen_attr, xen_poll, xen_runstate, xen_timer

MODULES: tuple[ModuleType, ...] = (
    reader,
    xen,
    xen_poll,
    xen_timer,
    xen_runstate,
    xen_attr,
    kvmclock,
    sched,
    guest,
)
"""The modules whose functions call each other by name."""
