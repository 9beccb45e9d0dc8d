"""The loop of every user: what it gives back, what it reports, and that no schedule breaks it."""

from errno import EINVAL, EWOULDBLOCK

import pytest

from pfncache_lab.explore import Condition, Scenario, check
from pfncache_lab.kvm.kvm_host import KVM_MEM_LOG_DIRTY_PAGES
from pfncache_lab.kvm.kvm_types import GfnToPfnCache, WithConstants, constant
from pfncache_lab.kvm.pfncache import (
    kvm_gpc_activate,
    kvm_gpc_activate_hva,
    kvm_gpc_deactivate,
    kvm_gpc_init,
)
from pfncache_lab.kvm.users.reader import (
    read_guest,
    read_guest_atomic,
    write_guest,
    write_guest_atomic,
)
from pfncache_lab.kvm.vcpu import vcpu_load, vcpu_put
from pfncache_lab.kvm.vm import FIRST_GPA, Vm, create_vm
from pfncache_lab.mm import FIRST_HVA, PAGE_SIZE, copy_from_user, migrate_page
from pfncache_lab.sim import hard_irq
from tests.kvm.running import Alone, returned

GPA = FIRST_GPA + PAGE_SIZE + 0x100
HVA = FIRST_HVA + PAGE_SIZE + 0x100
WORD = b"12345678"


class State(WithConstants):
    vm: constant[Vm] = constant()
    gpc: constant[GfnToPfnCache] = constant()


def inactive():
    state = State()
    state.vm = create_vm(flags=KVM_MEM_LOG_DIRTY_PAGES, frames=4)
    state.gpc = GfnToPfnCache("gpc")
    kvm_gpc_init(state.gpc, state.vm.kvm)
    return state


def by_gpa():
    state = inactive()
    kvm_gpc_activate(state.gpc, GPA, len(WORD))
    return state


def by_hva():
    state = inactive()
    kvm_gpc_activate_hva(state.gpc, HVA, len(WORD))
    return state


def invalid():
    state = by_gpa()
    state.gpc.valid = False
    return state


def in_vcpu(body):
    def thread(state):
        vcpu_load(state.vm.kvm.vcpus[0])
        result = body(state)
        vcpu_put(state.vm.kvm.vcpus[0])
        return result

    return thread


def write(state):
    return write_guest(state.gpc, WORD)


def read(state):
    return read_guest(state.gpc, len(WORD))


def guest_sees(state):
    return copy_from_user(state.vm.mm, HVA, len(WORD))


def dirty(state):
    return state.vm.slot.dirty_bitmap.bits


@pytest.mark.parametrize("setup", [by_gpa, invalid])
def test_the_guest_sees_what_is_written_and_the_log_names_the_page(setup):
    alone = Alone(setup, in_vcpu(write))
    assert alone.returned == 0
    assert guest_sees(alone.shared) == WORD
    assert dirty(alone.shared) == 0b10


def test_a_cache_of_a_host_address_has_no_slot_and_reports_nothing():
    alone = Alone(by_hva, write)
    assert alone.returned == 0
    assert guest_sees(alone.shared) == WORD
    assert dirty(alone.shared) == 0


@pytest.mark.parametrize("setup", [by_gpa, by_hva, invalid])
def test_what_is_written_can_be_read(setup):
    assert returned(setup, in_vcpu(lambda state: (write(state), read(state)))) == (0, WORD)


def test_a_cache_that_is_not_active_any_more_gives_nothing():
    def off():
        state = by_gpa()
        kvm_gpc_deactivate(state.gpc)
        return state

    assert returned(off, read) == -EINVAL
    assert returned(off, write) == -EINVAL
    assert returned(off, lambda s: read_guest_atomic(s.gpc, 8)) == -EWOULDBLOCK


def test_a_cache_that_never_was_active_has_no_address():
    assert type(Alone(inactive, read).bug).__name__ == "Warn"


def test_no_more_than_the_page_has():
    def too_much(state):
        return read_guest(state.gpc, PAGE_SIZE - 0x100 + 1)

    assert returned(by_gpa, too_much) == -EINVAL


def test_without_sleeping_where_the_cache_is_valid():
    def body(state):
        return write_guest_atomic(state.gpc, WORD), read_guest_atomic(state.gpc, len(WORD))

    alone = Alone(by_gpa, in_vcpu(body))
    assert alone.returned == (0, WORD)
    assert dirty(alone.shared) == 0b10


def test_without_sleeping_where_it_is_not():
    def body(state):
        return write_guest_atomic(state.gpc, WORD), read_guest_atomic(state.gpc, len(WORD))

    alone = Alone(invalid, hard_irq(body))
    assert alone.returned == (-EWOULDBLOCK, -EWOULDBLOCK)
    assert guest_sees(alone.shared) == bytes(len(WORD))


def test_the_loop_must_not_be_entered_where_sleeping_is_not_allowed():
    assert type(Alone(invalid, hard_irq(read)).bug).__name__ == "SleepInAtomic"


def mover(state):
    migrate_page(state.vm.mm, HVA)


def race(setup, body, *final):
    return Scenario("race", setup, {"vcpu0": in_vcpu(body), "host": mover}, final)


@pytest.mark.parametrize("setup", [by_gpa, invalid])
def test_what_is_written_arrives_wherever_the_host_moves_the_page(setup):
    arrives = Condition("it arrives", lambda state: guest_sees(state) == WORD)
    report = check(race(setup, write, arrives), "states")
    assert report.passed, report


@pytest.mark.parametrize("setup", [by_gpa, invalid])
def test_what_is_read_is_what_the_guest_has_stored(setup):
    def body(state):
        assert read(state) == bytes(len(WORD))

    report = check(race(setup, body), "states")
    assert report.passed, report


def test_an_atomic_reader_sees_the_page_or_nothing():
    seen = set()

    def body(state):
        seen.add(read_guest_atomic(state.gpc, 6))

    report = check(race(by_gpa, body))
    assert report.passed, report
    assert seen == {bytes(6), -EWOULDBLOCK}


def test_a_reader_against_the_end_of_the_cache():
    def vmm(state):
        kvm_gpc_deactivate(state.gpc)

    scenario = Scenario("end", by_gpa, {"vcpu0": in_vcpu(write), "vmm": vmm})
    report = check(scenario)
    assert report.passed, report
