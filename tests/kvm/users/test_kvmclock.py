"""The guest's clock: on and off by an MSR, and never half of it for a guest that looks twice."""

import pytest

from pfncache_lab.explore import Condition, Scenario, check
from pfncache_lab.kvm.kvm_host import KVM_MEM_LOG_DIRTY_PAGES
from pfncache_lab.kvm.users.arch import PVCLOCK_DATA, PVCLOCK_SIZE
from pfncache_lab.kvm.users.guest import CLOCK, SHINFO, hva_of, lose, xen_guest
from pfncache_lab.kvm.users.kvmclock import (
    KVM_MSR_ENABLED,
    PvclockVcpuTimeInfo,
    kvm_setup_guest_pvclock,
    kvm_write_system_time,
)
from pfncache_lab.kvm.vcpu import vcpu_load, vcpu_put
from pfncache_lab.mm import PAGE_SIZE, copy_from_user, copy_to_user, migrate_page
from pfncache_lab.sim import srcu_read
from tests.kvm.running import Alone

NOON = PvclockVcpuTimeInfo(tsc_timestamp=1000, system_time=12)
LATER = PvclockVcpuTimeInfo(tsc_timestamp=2000, system_time=13)


def guest(version=0):
    kvm = xen_guest(flags=KVM_MEM_LOG_DIRTY_PAGES)
    kvm_write_system_time(kvm.vcpus[0], CLOCK | KVM_MSR_ENABLED)
    copy_to_user(kvm.mm, hva_of(CLOCK), version.to_bytes(4, "little") + NOON.to_bytes())
    return kvm


def invalid():
    kvm = guest()
    lose(kvm.vcpus[0].arch.pv_time)
    return kvm


def off():
    kvm = guest()
    kvm_write_system_time(kvm.vcpus[0], CLOCK)
    return kvm


def vcpu0(kvm):
    vcpu = kvm.vcpus[0]
    vcpu_load(vcpu)
    with srcu_read(kvm.srcu):
        kvm_setup_guest_pvclock(LATER, vcpu, vcpu.arch.pv_time)
    vcpu_put(vcpu)


def look(kvm, offset, length) -> bytes:
    return copy_from_user(kvm.mm, hva_of(CLOCK) + offset, length)  # type: ignore[return-value]


def clock(kvm):
    """What the guest sees: the version, and the rest."""
    data = look(kvm, 0, PVCLOCK_SIZE)
    return int.from_bytes(data[:PVCLOCK_DATA], "little"), data[PVCLOCK_DATA:]


def test_the_time_as_the_guest_knows_it():
    data = bytes(PVCLOCK_DATA) + PvclockVcpuTimeInfo(1, 2, 3, 4, 5).to_bytes()
    assert len(data) == PVCLOCK_SIZE
    assert (data[8], data[16], data[24], data[28], data[29]) == (1, 2, 3, 4, 5)


@pytest.mark.parametrize("setup", [guest, invalid])
def test_the_time_is_written_and_the_version_goes_up_by_two(setup):
    alone = Alone(setup, vcpu0)
    assert alone.bug is None
    assert clock(alone.shared) == (2, LATER.to_bytes())
    assert alone.shared.memslots0.slots[0].dirty_bitmap.bits == 0b10


def test_the_page_may_move_meanwhile():
    def host(kvm):
        migrate_page(kvm.mm, hva_of(CLOCK))

    written = Condition("it is written", lambda kvm: clock(kvm) == (2, LATER.to_bytes()))
    scenario = Scenario("move", invalid, {"vcpu0": vcpu0, "host": host}, [written])
    report = check(scenario, "states")
    assert report.passed, report


def test_an_odd_version_that_somebody_has_left_is_made_even():
    assert clock(Alone(lambda: guest(7), vcpu0).shared) == (8, LATER.to_bytes())


def test_the_version_begins_again():
    assert clock(Alone(lambda: guest((1 << 32) - 2), vcpu0).shared) == (0, LATER.to_bytes())


def test_a_clock_that_is_off_is_left_alone():
    alone = Alone(off, vcpu0)
    assert not alone.shared.vcpus[0].arch.pv_time.active
    assert clock(alone.shared) == (0, NOON.to_bytes())


@pytest.mark.parametrize(
    "gpa", [SHINFO + PAGE_SIZE - 16, SHINFO + 16 * PAGE_SIZE], ids=["two pages", "no memory"]
)
def test_nobody_tells_a_guest_whose_address_is_no_good(gpa):
    kvm = xen_guest()
    kvm_write_system_time(kvm.vcpus[0], gpa | KVM_MSR_ENABLED)
    assert not kvm.vcpus[0].arch.pv_time.valid


def test_a_guest_that_looks_twice_sees_a_whole_time():
    """An even version that stays the same over the copy: then it is one time, not a mixture."""
    seen = set()

    def reader(kvm):
        before, tsc, time, after = [look(kvm, offset, 8) for offset in (0, 8, 16, 0)]
        if before == after and not before[0] & 1:
            seen.add((tsc[0] | tsc[1] << 8, time[0]))

    scenario = Scenario("look", guest, {"vcpu0": vcpu0, "guest": reader})
    assert check(scenario, "traces").passed
    assert seen == {(1000, 12), (2000, 13)}
