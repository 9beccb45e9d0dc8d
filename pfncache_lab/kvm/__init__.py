"""kvm: the hypervisor, as far as a gfn_to_pfn_cache can see it. Simulated memory is below, in mm.

kvm_types      Gpa, Gfn, KVM_PFN_ERR_* and the like; struct gfn_to_pfn_cache; constant
kvm_host       struct kvm, struct kvm_vcpu, memslots: what each lock protects
memslots       from a guest frame to a user address; the update that waits twice
memory_region  what userspace may ask of the memslots
pfn            hva_to_pfn() and what gives the page back; mmu_notifier_retry_hva()
kvm_main       the two halves of the notifier; kvm_create_vm()
kvm_mm         KVM_MMU_LOCK(): mmu_lock, whichever kind of lock it is
ipi            interrupts between the host's CPUs, and their acknowledgement
requests       requests to vCPUs, with and without waiting
vcpu           the run loop; a guest that stores while it is in guest mode; a vCPU that halts
dirty          the dirty log, as a bitmap or in rings; a live migration that reads it
vm             create_vm(): a small machine for a set-up
no_pfncache    what a kernel without the cache has in its place
fidelity       what is modelled, simplified, left out
modules        MODULES: link(MODULES, {"hva_to_pfn": mine}).create_vm()
"""

from .modules import MODULES

__all__ = ["MODULES"]
