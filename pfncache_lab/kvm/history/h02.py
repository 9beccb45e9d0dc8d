"""H2: a request that nobody consumes.

A vCPU runs its guest with the pfn of a cache in a register. The host wants the page, so the
notifier makes a request to the vCPU and sends an interrupt, and the vCPU leaves the guest. It may
not enter it again while a request is pending, and there is no code that looks for this one: it
tries for ever.

Nobody ran into it, for no architecture let its guests use the pfn. Sean Christopherson found it by
reading, and mended it in df06dae3f2a8: "get out" is not "do something". What only wants the vCPU
to be outside for a moment sets no bit.
"""

from __future__ import annotations

from ...explore import Scenario
from ...mm.types import FIRST_HVA, PAGE_SIZE
from ...mm.vma import madvise_dontneed
from ...sim import WARN_ON_ONCE, Image, Struct, marked
from ..ipi import await_interrupt
from ..kvm_host import Kvm, KvmVcpu
from ..kvm_types import is_error_noslot_pfn
from ..requests import (
    KVM_REQ_OUTSIDE_GUEST_MODE,
    KVM_REQUEST_WAIT,
    kvm_make_vcpus_request_mask,
)
from ..vcpu import EXIT_REASON_EXTERNAL_INTERRUPT, EXIT_REASON_IO
from ..vm import FIRST_GPA
from .bug import V5_17, Bug
from .v5_17 import GfnToPfnCache517


def gfn_to_pfn_cache_invalidate_start(kvm: Kvm, start: int, end: int, may_block: bool) -> None:
    """Make the caches of a range invalid, as merged, and call the vCPUs out with no request."""
    vcpus = 0
    kvm.gpc_lock.lock()
    for gpc in kvm.gpc_list:
        gpc.lock.write_lock_irq()
        if gpc.valid and not is_error_noslot_pfn(gpc.pfn) and start <= gpc.uhva < end:
            gpc.valid = False
            if gpc.guest_uses_pa and gpc.vcpu is not None:
                vcpus |= 1 << gpc.vcpu.vcpu_idx
        gpc.lock.write_unlock_irq()
    kvm.gpc_lock.unlock()
    if vcpus:
        request = KVM_REQ_OUTSIDE_GUEST_MODE
        if not may_block:
            request &= ~KVM_REQUEST_WAIT
        called = kvm_make_vcpus_request_mask(kvm, request, vcpus)
        WARN_ON_ONCE(called and not may_block, "a vCPU is in guest mode, and may not be waited for")


class Stop(Struct):
    """What the host tells the guest."""

    wanted = marked(False)


def scene(image: Image) -> Scenario:
    """A guest runs with a page of the cache, and the host takes the page."""

    def setup() -> tuple[Kvm, Stop]:
        vm = image.create_vm()
        vcpu = vm.kvm.vcpus[0]
        gpc = GfnToPfnCache517("gpc")
        image.kvm_gfn_to_pfn_cache_init(vm.kvm, gpc, vcpu, True, False, FIRST_GPA, 1, False)
        return vm.kvm, Stop("stop")

    def vcpu0(shared: tuple[Kvm, Stop]) -> None:
        kvm, stop = shared

        def guest(vcpu: KvmVcpu) -> int:
            if stop.wanted:
                return EXIT_REASON_IO
            await_interrupt(vcpu.host_cpu)
            return EXIT_REASON_EXTERNAL_INTERRUPT

        image.vcpu_run(kvm.vcpus[0], guest)

    def host(shared: tuple[Kvm, Stop]) -> None:
        kvm, stop = shared
        stop.wanted = True
        madvise_dontneed(kvm.mm, FIRST_HVA, PAGE_SIZE)

    return Scenario("a guest whose page goes", setup, {"vcpu0": vcpu0, "host": host})


BUG = Bug(
    label="H2",
    title="a vCPU is kept out of its guest by a request that nobody consumes",
    commit="df06dae3f2a8",
    introduced="5.17",
    fixed="5.18",
    invariant="I7",
    era=V5_17,
    strategy="states",
    mended={"gfn_to_pfn_cache_invalidate_start": gfn_to_pfn_cache_invalidate_start},
    scene=scene,
)
