"""Addresses, values that mean "none", and how the structs are protected."""

from pathlib import Path

import pytest

from pfncache_lab import kvm
from pfncache_lab.explore import Scenario
from pfncache_lab.explore.visited import VisitedStates
from pfncache_lab.kvm import MODULES, fidelity
from pfncache_lab.kvm.kvm_host import Kvm
from pfncache_lab.kvm.kvm_types import (
    INVALID_GPA,
    KVM_HVA_ERR_BAD,
    KVM_HVA_ERR_RO_BAD,
    KVM_PFN_ERR_FAULT,
    KVM_PFN_ERR_HWPOISON,
    KVM_PFN_ERR_RO_FAULT,
    KVM_PFN_NOSLOT,
    GfnToPfnCache,
    WithConstants,
    constant,
    gfn_to_gpa,
    gpa_to_gfn,
    is_error_noslot_pfn,
    is_error_pfn,
    is_noslot_pfn,
    kvm_is_error_gpa,
    kvm_is_error_hva,
    pfn_to_hpa,
)
from pfncache_lab.kvm.pfn import hva_to_pfn, kvm_release_pfn, kvm_release_pfn_clean
from pfncache_lab.kvm.vm import create_vm
from pfncache_lab.mm import (
    FIRST_DEVICE_PFN,
    FIRST_HVA,
    PAGE_SIZE,
    PROT_READ,
    PROT_WRITE,
    VM_PFNMAP,
    memory_failure,
    mmap,
    mprotect,
    munmap,
)
from pfncache_lab.mm import modules as mm_modules
from pfncache_lab.mm.fidelity import fidelity_table
from pfncache_lab.sim import ModelError, SleepInAtomic, Unguarded, link, marked
from tests.kvm.running import Alone, endings, returned

HVA = FIRST_HVA


def test_addresses():
    assert gpa_to_gfn(0x10_080) == 0x10
    assert gfn_to_gpa(0x10) == 0x10_000
    assert pfn_to_hpa(0x901) == 0x90_1000
    assert INVALID_GPA == 0xFFFF_FFFF_FFFF_FFFF
    assert kvm_is_error_gpa(INVALID_GPA)
    assert not kvm_is_error_gpa(0x10_080)


@pytest.mark.parametrize(
    ("pfn", "error", "noslot"),
    [
        (KVM_PFN_ERR_FAULT, True, False),
        (KVM_PFN_ERR_HWPOISON, True, False),
        (KVM_PFN_ERR_RO_FAULT, True, False),
        (KVM_PFN_NOSLOT, False, True),
        (0x901, False, False),
        (0, False, False),
    ],
)
def test_pfns_that_are_none(pfn, error, noslot):
    assert is_error_pfn(pfn) is error
    assert is_noslot_pfn(pfn) is noslot
    assert is_error_noslot_pfn(pfn) is (error or noslot)


def test_user_addresses_that_are_none():
    errors = [kvm_is_error_hva(hva) for hva in (KVM_HVA_ERR_BAD, KVM_HVA_ERR_RO_BAD, HVA, 0)]
    assert errors == [True, True, False, False]


# -- the struct of the cache -----------------------------------------------------------------------


class WithCache(WithConstants):
    gpc: constant[GfnToPfnCache] = constant()


def with_cache():
    shared = WithCache()
    shared.gpc = GfnToPfnCache("gpc")
    shared.gpc.kvm = Kvm()
    shared.gpc.vcpu = None
    return shared


STABLE = ["generation", "gpa", "uhva", "memslot", "khva", "pfn", "active"]


@pytest.mark.parametrize("field", [*STABLE, "valid"])
def test_who_may_load_and_store_a_field_of_the_cache(field):
    """Either lock keeps the fields still, and who stores holds both; `valid` knows one lock."""

    def access(s, store):
        value = getattr(s.gpc, field)
        if store:
            setattr(s.gpc, field, value)

    def under(*locks, store=False):
        def task(s):
            if "refresh" in locks:
                s.gpc.refresh_lock.lock()
            if "write" in locks:
                s.gpc.lock.write_lock_irq()
            if "read" in locks:
                s.gpc.lock.read_lock_irq()
            access(s, store)
            if "read" in locks:
                s.gpc.lock.read_unlock_irq()
            if "write" in locks:
                s.gpc.lock.write_unlock_irq()
            if "refresh" in locks:
                s.gpc.refresh_lock.unlock()

        bug = Alone(with_cache, task).bug
        assert bug is None or isinstance(bug, Unguarded)
        return bug is None

    stable = field != "valid"
    assert not under()
    assert under("read")
    assert under("refresh") is stable
    assert not under("read", store=True)
    assert not under("refresh", store=True)
    assert under("write", store=True) is not stable
    assert under("refresh", "write", store=True)


# -- constants -------------------------------------------------------------------------------------


class Small(WithConstants):
    usage = constant(2)
    owner: constant[Kvm] = constant()
    seen = marked(0)


def test_a_constant_needs_no_lock_and_is_no_step():
    def task(s):
        s.seen = s.usage

    alone = Alone(Small, task)
    assert alone.did == ["store seen ← 2"]
    assert alone.shared.snapshot() == {"seen": 2}  # a trace must not lead to shared objects


def test_it_is_stored_once():
    def once(s):
        s.usage = 1
        s.usage = 1

    def twice(s):
        s.usage = 1
        s.usage = 2

    assert Alone(Small, once).bug is None
    with pytest.raises(ModelError, match="usage of a Small is stored once"):
        Alone(Small, twice)


def test_the_search_by_states_can_tell_structs_with_constants_apart():
    def setup():
        small = Small()
        small.owner = Kvm()
        return small

    def task(s):
        s.seen = s.usage

    assert list(VisitedStates(Scenario("constant", setup, {"a": task, "b": task})).runs())


# -- pages -----------------------------------------------------------------------------------------


def get(vm, hva=HVA, atomic=False, write=True):
    return hva_to_pfn(vm.kvm, hva, atomic, write)


def count(vm, pfn):
    return vm.ram.pages[pfn].refcount


def test_a_page_that_is_there_takes_one_step_and_a_reference():
    alone = Alone(create_vm, get)
    assert len(alone.did) == 1
    assert count(alone.shared, alone.returned) == 2
    kvm_release_pfn_clean(alone.returned)
    assert count(alone.shared, alone.returned) == 1


def test_one_that_is_not_is_faulted_in_or_an_error():
    empty = lambda: create_vm(populated=0)  # noqa: E731
    assert returned(empty, lambda vm: get(vm, atomic=True)) == KVM_PFN_ERR_FAULT
    alone = Alone(empty, get)
    assert count(alone.shared, alone.returned) == 2


def test_in_atomic_context_a_fault_is_a_bug():
    def task(vm):
        vm.kvm.gpc_lock.lock()
        get(vm)

    assert isinstance(Alone(lambda: create_vm(populated=0), task).bug, SleepInAtomic)


def test_reading_alone_is_slow_and_good_enough():
    def read_only(vm):
        mprotect(vm.mm, HVA, PAGE_SIZE, PROT_READ)
        return get(vm), get(vm, write=False)

    pfn_to_write_to, pfn_to_read = returned(create_vm, read_only)
    assert pfn_to_write_to == KVM_PFN_ERR_FAULT
    assert not is_error_noslot_pfn(pfn_to_read)


def test_no_area_and_a_broken_page_are_errors():
    def unmapped(vm):
        munmap(vm.mm, HVA, PAGE_SIZE)
        return get(vm)

    def broken(vm):
        memory_failure(vm.mm, HVA)
        return get(vm)

    assert returned(create_vm, unmapped) == KVM_PFN_ERR_FAULT
    assert returned(create_vm, broken) == KVM_PFN_ERR_HWPOISON


def test_a_frame_without_a_struct_page_has_no_references():
    def device(vm):
        munmap(vm.mm, HVA, PAGE_SIZE)
        mmap(vm.mm, HVA, PAGE_SIZE, PROT_READ | PROT_WRITE, VM_PFNMAP, FIRST_DEVICE_PFN)
        pfn = get(vm)
        kvm_release_pfn_clean(pfn)
        return pfn

    assert returned(lambda: create_vm(device_frames=1), device) == FIRST_DEVICE_PFN


def test_a_page_that_was_written_to_is_made_dirty():
    def task(vm):
        pfn = get(vm)
        vm.ram.pages[pfn].dirty = False
        kvm_release_pfn(pfn, True)
        kvm_release_pfn(0, True)
        kvm_release_pfn(KVM_PFN_ERR_FAULT, True)
        return pfn

    alone = Alone(create_vm, task)
    assert alone.shared.ram.pages[alone.returned].dirty
    assert count(alone.shared, alone.returned) == 1


def test_a_lookup_agrees_with_an_unmapping_under_all_searches():
    def look(vm):
        kvm_release_pfn_clean(get(vm))

    def unmap(vm):
        munmap(vm.mm, HVA, PAGE_SIZE)

    scenario = Scenario("lookup", create_vm, {"vcpu0": look, "munmap": unmap})
    assert endings(scenario, lambda vm: count(vm, 0x901)) == {0}


# -- linking ---------------------------------------------------------------------------------------


def test_no_two_functions_of_memory_and_hypervisor_have_one_name():
    """The linker refuses that, and so no module may keep one for itself."""
    assert link([*mm_modules.MODULES, *MODULES]).hva_to_pfn is not hva_to_pfn


def test_every_module_is_linked():
    """Except for those that stand in for others, or hold no function that runs."""
    package = Path(kvm.__file__).parent
    ours = {path.stem for path in package.glob("*.py")}
    linked = {module.__name__.rpartition(".")[2] for module in MODULES}
    assert ours - linked <= {"__init__", "modules", "fidelity", "no_pfncache"}


def test_the_table_of_what_is_modelled_renders():
    names = [mechanism.name for mechanism in fidelity.KVM]
    assert len(names) == len(set(names))
    assert len(fidelity_table(fidelity.KVM).splitlines()) == len(names) + 2
