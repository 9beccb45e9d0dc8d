"""fidelity.py: what of KVM is modelled, what is simplified and how, what is left out and why."""

from __future__ import annotations

from ..mm.fidelity import Mechanism

KVM = (
    Mechanism(
        "memslots: lookup",
        "simplified",
        "a published set and its generation are one value, loaded in one step; the kernel loads "
        "the pointer and the generation apart. Lists instead of trees",
    ),
    Mechanism(
        "memslots: update",
        "modelled",
        "lock by lock: a slot that goes is made invalid first, the swap waits for notifiers, then "
        "for readers, and only then is the generation final",
    ),
    Mechanism(
        "memslots: lifetime",
        "simplified",
        "a look without SRCU or slots_lock is reported; a slot that is kept after the read section "
        "is an old value, where the kernel's is freed memory",
    ),
    Mechanism("memslots: arch data, guest_memfd, attributes", "left out", "nothing asks for them"),
    Mechanism(
        "MMU notifier",
        "modelled",
        "both halves in the kernel's order, with mmu_lock taken only if a memslot overlaps",
    ),
    Mechanism(
        "the guest's page tables",
        "simplified",
        "a list of (gfn, pfn) under mmu_lock: notifiers and memslot updates take pages away, and "
        "flush TLBs by a request. No vCPU walks it; a guest has pfns in registers",
    ),
    Mechanism(
        "mmu_invalidate_range_start, _end",
        "modelled",
        "user addresses, as in v5.17; later ones are guest frames, which say nothing to a cache",
    ),
    Mechanism(
        "hva_to_pfn()",
        "simplified",
        "fast, slow and remapped; no asynchronous faults, no signals, and always the machine's own "
        "mm, which the kernel takes from the current process",
    ),
    Mechanism(
        "requests to vCPUs",
        "modelled",
        "WAIT, NO_WAKEUP, NO_ACTION, and who is interrupted by which mode. Only the requests that "
        "lessons use are known to the run loop",
    ),
    Mechanism(
        "interrupts between CPUs",
        "simplified",
        "the handler does nothing and takes no step: it has run once the target has interrupts on. "
        "Each vCPU has a CPU of its own, and never moves",
    ),
    Mechanism(
        "entering and leaving the guest",
        "modelled",
        "mode, barrier, last look, in x86's order, with interrupts off. What the thread does with "
        "kvm->srcu between leaving and entering again is left out: nothing reads memslots there",
    ),
    Mechanism(
        "the guest's own code",
        "simplified",
        "a function; each access is a look for interrupts and the access, two steps. It begins "
        "anew at each entry",
    ),
    Mechanism("a guest that halts", "modelled", "without polling, timers and signals"),
    Mechanism(
        "dirty log",
        "simplified",
        "the bitmap is one word. A ring keeps all entries, and is full when userspace has given "
        "too few back; the kernel's entries carry flags",
    ),
    Mechanism(
        "running vCPU",
        "simplified",
        "kvm_get_running_vcpu() is asked about one machine; a vCPU of another one counts as none",
    ),
    Mechanism(
        "live migration",
        "simplified",
        "rounds over one slot by the dirty log, the last one after the vCPUs have stopped; write "
        "protection of clean pages is left out, for guests do not store through page tables",
    ),
    Mechanism(
        "the end of a machine",
        "simplified",
        "kvm_destroy_vm() looks for what was left undone, and frees nothing",
    ),
    Mechanism("nested guests, MMIO, interrupt controllers", "left out", "no cache needs them"),
)
