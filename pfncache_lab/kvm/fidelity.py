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
        "fast, slow and remapped; no asynchronous faults, no signals, no fault that has dropped "
        "mmap_lock (-EAGAIN), and always the machine's own mm, which the kernel takes from the "
        "current process",
    ),
    Mechanism(
        "KVM_MMU_LOCK()",
        "modelled",
        "an rwlock or a spinlock: the machine's choice, where the kernel has the architecture's",
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

CACHE = (
    Mechanism(
        "today's cache",
        "modelled",
        "virt/kvm/pfncache.c of 6.9, function by function. References are as before 6.13: whether "
        "a frame has one to drop is told by its pfn, and not by what hva_to_pfn() has returned",
    ),
    Mechanism(
        "guests that use the pfn",
        "modelled",
        "in today's cache, as from 5.18 to 6.8: `vcpu`, `usage`, the eviction and its `may_block`; "
        "6.9 took them out. What an architecture does for it before an entry is two functions to "
        "be replaced, for no architecture ever did it",
    ),
    Mechanism(
        "kvm_gpc_check()",
        "simplified",
        "loads the memslots where it compares the generation; the kernel does so on entry",
    ),
    Mechanism(
        "KVM_BUG_ON(gpc->valid) in the activation",
        "simplified",
        "under gpc->lock, when the cache is on the list; the kernel asks first, and without a lock",
    ),
    Mechanism(
        "mn_active_invalidate_count, as the retry loop loads it",
        "simplified",
        "a marked load. The kernel's is a plain one, and so a data race, of which nothing comes",
    ),
    Mechanism(
        "the cache as merged in 5.17",
        "modelled",
        "statement by statement, R0 to R7: both modes, request 5, `dirty`, the pinned page",
    ),
    Mechanism(
        "its init()",
        "simplified",
        "stores the fields under the lock that it has just made, where the kernel relies on its "
        "callers (so H11b is shown in today's cache); `vcpu`, `kernel_map` and `guest_uses_pa` "
        "must be the same at each call",
    ),
    Mechanism(
        "HAVE_KVM_PFNCACHE off",
        "modelled",
        "kvm.no_pfncache, linked in the place of the hook",
    ),
    Mechanism(
        "the bugs between the two",
        "simplified",
        "each is put into one of the two caches, where it can be seen alone, and not into the "
        "release that had it: see kvm.history",
    ),
    Mechanism(
        "caches of SMM",
        "left out",
        "the kernel has none: a cache looks into address space 0",
    ),
    Mechanism(
        "PREEMPT_RT, guest_memfd",
        "left out",
        "what they need of the cache is still being discussed",
    ),
)
"""The cache itself, today's and the one of 5.17."""
