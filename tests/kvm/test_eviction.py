"""A guest that has the page of a cache in a register, and the host that wants the page.

This is what KVM_GUEST_USES_PFN is for. The notifier makes the cache invalid, calls the vCPU out of
guest mode, and waits until it has left; only then may the page go. The vCPU looks at the cache
after it has said that it is in guest mode, and without gpc->lock (A.9).
"""

from __future__ import annotations

from typing import Any

import pytest

from pfncache_lab.explore import Scenario, check
from pfncache_lab.kvm.history import h02
from pfncache_lab.kvm.history.bug import NOW, V5_17
from pfncache_lab.kvm.history.v5_17 import GfnToPfnCache517
from pfncache_lab.kvm.kvm_types import (
    KVM_GUEST_USES_PFN,
    KVM_HOST_USES_PFN,
    KVM_PFN_ERR_FAULT,
    GfnToPfnCache,
    constant,
)
from pfncache_lab.kvm.requests import (
    KVM_REQ_OUTSIDE_GUEST_MODE,
    KVM_REQUEST_WAIT,
    kvm_make_vcpus_request_mask,
)
from pfncache_lab.kvm.vcpu import (
    EXIT_REASON_EXTERNAL_INTERRUPT,
    EXIT_REASON_IO,
    guest_store,
    vcpu_load,
    vcpu_put,
)
from pfncache_lab.kvm.vm import FIRST_GPA, Vm
from pfncache_lab.mm import EFAULT, FIRST_HVA, PAGE_SIZE, munmap, oom_reap_task_mm
from pfncache_lab.sim import marked, smp_mb, srcu_read


class Guest(Vm):
    """A machine whose guest uses the page of a cache."""

    gpc: constant[Any] = constant()


class Looked(GfnToPfnCache):
    """Today's cache, with two fields that the vCPU looks at without the lock."""

    pfn = marked(KVM_PFN_ERR_FAULT)
    valid = marked(False)


class Looked517(GfnToPfnCache517):
    """The same of 5.17."""

    pfn = marked(KVM_PFN_ERR_FAULT)
    valid = marked(False)


def today(image, usage=KVM_GUEST_USES_PFN):
    """A guest with a cache of today."""
    vm = image.create_vm(pages=1, vm=Guest())
    vm.gpc = Looked("gpc")
    image.kvm_gpc_init(vm.gpc, vm.kvm, vm.kvm.vcpus[0], usage)
    image.kvm_gpc_activate(vm.gpc, FIRST_GPA, 1)
    return vm


def refresh_today(image, vm):
    return image.kvm_gpc_refresh(vm.gpc, 1)


def merged(image):
    """A guest with a cache as it was merged."""
    vm = image.create_vm(pages=1, vm=Guest())
    vm.gpc = Looked517("gpc")
    vcpu = vm.kvm.vcpus[0]
    image.kvm_gfn_to_pfn_cache_init(vm.kvm, vm.gpc, vcpu, True, False, FIRST_GPA, 1, False)
    return vm


def refresh_merged(image, vm):
    return image.kvm_gfn_to_pfn_cache_refresh(vm.kvm, vm.gpc, FIRST_GPA, 1, False)


def no_refresh(image, vm):
    """Do without the page as soon as it is gone."""
    return -EFAULT


def run_guest(image, refresh):
    """The thread of the vCPU: run the guest until it has stored, or has no page any more."""

    def vcpu0(vm):
        vcpu = vm.kvm.vcpus[0]

        def guest(vcpu):
            stored = guest_store(vcpu, vm.gpc.pfn, 0, b"guest")
            return EXIT_REASON_IO if stored else EXIT_REASON_EXTERNAL_INTERRUPT

        vcpu_load(vcpu)
        vcpu.kvm.arch = vm.gpc  # for usable(), which is handed the vCPU alone
        has_page = True
        while has_page and image.vcpu_enter_guest(vcpu, guest):
            with srcu_read(vm.kvm.srcu):
                has_page = not refresh(image, vm)
        vcpu_put(vcpu)

    return vcpu0


def usable(vcpu):
    """Whether the guest may use the page. Slots do not change here, so `valid` says it all."""
    smp_mb()
    return vcpu.kvm.arch.valid


def take_the_page(vm):
    munmap(vm.mm, FIRST_HVA, PAGE_SIZE)


def reap(vm):
    """What comes for a process that is out of memory: it must not wait for a vCPU."""
    oom_reap_task_mm(vm.mm)


LOOKS = {"vcpu_guest_pages_usable": usable}


def eviction(replaced, usage=KVM_GUEST_USES_PFN, host=take_the_page):
    image = NOW.image(LOOKS | replaced)
    tasks = {"vcpu0": run_guest(image, refresh_today), "host": host}
    return Scenario("eviction", lambda: today(image, usage), tasks)


def eviction_5_17(replaced, refresh=no_refresh, host=take_the_page):
    image = V5_17.image(LOOKS | replaced)
    tasks = {"vcpu0": run_guest(image, refresh), "host": host}
    return Scenario("eviction from 5.17", lambda: merged(image), tasks)


def kind(scenario, strategy="auto"):
    failure = check(scenario, strategy).failure
    return type(failure.bug).__name__ if failure else None


@pytest.mark.slow
def test_no_guest_stores_to_a_page_that_is_gone():
    assert check(eviction({}), "states").passed


def test_nor_did_one_in_5_17_once_the_request_had_no_bit():
    assert check(eviction_5_17(h02.BUG.mended), "states").passed


def test_but_what_a_refresh_of_5_17_has_found_may_be_gone():
    """H8 is no matter of readers alone: a guest is let in to a page that is not there any more."""
    assert kind(eviction_5_17(h02.BUG.mended, refresh_merged), "states") == "LostWrite"


def evicts_nobody(kvm, vcpus, may_block):
    """Make the cache invalid, and leave the vCPU where it is."""


def does_not_wait(kvm, vcpus, may_block):
    kvm_make_vcpus_request_mask(kvm, KVM_REQ_OUTSIDE_GUEST_MODE & ~KVM_REQUEST_WAIT, vcpus)


def evicts_the_next_one(kvm, vcpus, may_block):
    kvm_make_vcpus_request_mask(kvm, KVM_REQ_OUTSIDE_GUEST_MODE, vcpus << 1)


def always_usable(vcpu):
    return True


WRONG = {
    "nobody is called out": {"evict_vcpus": evicts_nobody},
    "nobody is waited for": {"evict_vcpus": does_not_wait},
    "another is called out": {"evict_vcpus": evicts_the_next_one},
    "the vCPU does not look": {"vcpu_guest_pages_usable": always_usable},
}


@pytest.mark.parametrize("what", WRONG)
def test_each_part_of_it_is_needed(what):
    assert kind(eviction(WRONG[what])) == "UseAfterFree"


def test_a_cache_that_is_for_the_host_alone_evicts_nobody():
    assert kind(eviction({}, KVM_HOST_USES_PFN)) == "UseAfterFree"


def test_in_5_17_the_page_is_pinned_and_so_the_store_is_lost():
    assert kind(eviction_5_17({"kvm_make_vcpus_request_mask": lambda *_: False})) == "LostWrite"


@pytest.mark.parametrize("scenario", [eviction, eviction_5_17])
def test_who_must_not_wait_complains_loudly(scenario):
    """A.10: the page goes while the guest has it, and all that is left is to say so."""
    report = check(scenario({}, host=reap))
    assert type(report.failure.bug).__name__ == "Warn"
    assert "may not be waited for" in str(report.failure.bug)
