"""The users against each other, the host and userspace: no schedule goes wrong."""

from errno import EINVAL, EWOULDBLOCK

from pfncache_lab.explore import Condition, Scenario, check
from pfncache_lab.kvm.history.with_users import USERS
from pfncache_lab.kvm.pfncache import kvm_gpc_activate
from pfncache_lab.kvm.users import guest_bits
from pfncache_lab.kvm.users.arch import VCPU_INFO_SIZE
from pfncache_lab.kvm.users.guest import (
    PORT,
    SHINFO,
    SHINFO_GFN,
    hva_of,
    lose,
    mask_port,
    pending_ports,
    pending_sel,
    upcall_pending,
    vcpu_info,
    xen_guest,
)
from pfncache_lab.kvm.users.xen import (
    KvmXenEvtchn,
    kvm_xen_inject_pending_events,
    kvm_xen_set_evtchn,
    kvm_xen_set_evtchn_fast,
)
from pfncache_lab.kvm.users.xen_attr import (
    KVM_XEN_ATTR_TYPE_SHARED_INFO,
    KVM_XEN_INVALID_GFN,
    kvm_xen_hvm_set_attr,
)
from pfncache_lab.kvm.users.xen_poll import kvm_xen_schedop_poll, wait_pending_event
from pfncache_lab.kvm.vcpu import kvm_vcpu_block, vcpu_load, vcpu_put
from pfncache_lab.mm import PAGE_SIZE, load, migrate_page, store
from pfncache_lab.sim import ConditionBroken, Deadlock, hard_irq, set_bit, srcu_read


def guest(nr_vcpus=1):
    kvm = xen_guest(nr_vcpus=nr_vcpus)
    kvm_gpc_activate(kvm.arch.xen.shinfo_cache, SHINFO, PAGE_SIZE)
    for vcpu in kvm.vcpus:
        gpa = vcpu_info(vcpu.vcpu_idx)
        kvm_gpc_activate(vcpu.arch.xen.vcpu_info_cache, gpa, VCPU_INFO_SIZE)
    return kvm


def guest_without_vcpu_info():
    kvm = guest()
    lose(kvm.vcpus[0].arch.xen.vcpu_info_cache)
    return kvm


def fast(port=PORT, vcpu_idx=0, results=None):
    """An interrupt that fires a port, and keeps what it is told."""

    def handler(kvm):
        rc = kvm_xen_set_evtchn_fast(KvmXenEvtchn(port, vcpu_idx), kvm)
        if results is not None:
            results.add(rc)

    return hard_irq(handler)


def slow(port=PORT, results=None):
    def task(kvm):
        rc = kvm_xen_set_evtchn(KvmXenEvtchn(port), kvm)
        if results is not None:
            results.add(rc)

    return task


def inject(kvm):
    vcpu = kvm.vcpus[0]
    vcpu_load(vcpu)
    with srcu_read(kvm.srcu):
        kvm_xen_inject_pending_events(vcpu)
    vcpu_put(vcpu)


def announced(kvm):
    """The guest has been told where to look, or the vCPU is about to tell it."""
    told = pending_sel(kvm) and upcall_pending(kvm)
    return bool(told or kvm.vcpus[0].arch.xen.evtchn_pending_sel)


def no_schedule_goes_wrong(setup, tasks, *conditions, strategy="states"):
    final = [Condition(look.__name__, look) for look in conditions]
    report = check(Scenario("race", setup, tasks, final), strategy)
    assert report.passed, report


def test_two_ports_whose_bits_share_a_word():
    def both(kvm):
        return pending_ports(kvm) == 0b11 << PORT

    tasks = {"irq0": fast(PORT), "irq1": fast(PORT + 1)}
    no_schedule_goes_wrong(guest, tasks, both, announced)


def test_two_senders_of_one_port_are_told_apart():
    first: set[int] = set()
    second: set[int] = set()
    tasks = {"irq0": fast(results=first), "irq1": fast(results=second)}
    no_schedule_goes_wrong(guest, tasks, announced, strategy="traces")
    assert first == second == {0, 1}


def test_an_event_while_the_vcpu_moves_earlier_ones():
    """What comes in between the look and the move is moved as well, or stays for the next time."""

    def setup():
        kvm = guest_without_vcpu_info()
        kvm.vcpus[0].arch.xen.evtchn_pending_sel = 1 << 9
        return kvm

    def nothing_is_forgotten(kvm):
        return pending_sel(kvm) | kvm.vcpus[0].arch.xen.evtchn_pending_sel == 1 << 9 | 1

    no_schedule_goes_wrong(setup, {"vcpu0": inject, "irq": fast()}, nothing_is_forgotten)


def test_an_event_while_the_host_moves_shared_info():
    """A task has fired the port in the end, though the page may be gone again after a refresh."""
    results: set[int] = set()

    def fired(kvm):
        return pending_ports(kvm) == 1 << PORT and announced(kvm)

    def host(kvm):
        migrate_page(kvm.mm, hva_of(SHINFO))

    def setup():
        kvm = guest()
        lose(kvm.arch.xen.shinfo_cache)
        return kvm

    no_schedule_goes_wrong(setup, {"irqfd": slow(results=results), "host": host}, fired)
    assert results == {1}


def test_the_vcpu_moves_what_is_remembered_while_the_host_moves_its_page():
    def setup():
        kvm = guest_without_vcpu_info()
        kvm.vcpus[0].arch.xen.evtchn_pending_sel = 1
        return kvm

    def host(kvm):
        migrate_page(kvm.mm, hva_of(vcpu_info(0)))

    def all_moved(kvm):
        told = pending_sel(kvm) == upcall_pending(kvm) == 1
        return told and not kvm.vcpus[0].arch.xen.evtchn_pending_sel

    no_schedule_goes_wrong(setup, {"vcpu0": inject, "host": host}, all_moved)


def test_an_interrupt_while_the_host_moves_shared_info():
    results: set[int] = set()

    def host(kvm):
        migrate_page(kvm.mm, hva_of(SHINFO))

    def fired_if_said(kvm):
        return announced(kvm) == bool(pending_ports(kvm))

    tasks = {"irq": fast(results=results), "host": host}
    no_schedule_goes_wrong(guest, tasks, fired_if_said, strategy="traces")
    assert results == {1, -EWOULDBLOCK}


def test_events_while_userspace_takes_shared_info_away():
    """The selftest of the kernel juggles with shared_info like this, to break the locking."""
    results: set[int] = set()

    def vmm(kvm):
        for gfn in (KVM_XEN_INVALID_GFN, SHINFO_GFN):
            kvm_xen_hvm_set_attr(kvm, KVM_XEN_ATTR_TYPE_SHARED_INFO, gfn)

    tasks = {"irqfd": slow(results=results), "vmm": vmm}
    no_schedule_goes_wrong(guest, tasks)
    assert results >= {1, -EINVAL}


# -- sleeping until a port fires -------------------------------------------------------------------


def guest_that_has_masked_it():
    kvm = guest()
    mask_port(kvm, PORT)
    return kvm


def poll(kvm):
    vcpu = kvm.vcpus[0]
    with vcpu.mutex:
        vcpu_load(vcpu)
        kvm_xen_schedop_poll(vcpu, PORT)
        vcpu_put(vcpu)


def nobody_sleeps(kvm):
    return kvm.arch.xen.poll_mask == 0


def test_who_sleeps_for_a_port_is_woken_in_every_schedule():
    no_schedule_goes_wrong(
        guest_that_has_masked_it, {"vcpu0": poll, "irq": fast()}, nobody_sleeps, strategy="auto"
    )


def test_who_cannot_look_does_not_sleep():
    def setup():
        kvm = guest_that_has_masked_it()
        lose(kvm.arch.xen.shinfo_cache)
        return kvm

    no_schedule_goes_wrong(setup, {"vcpu0": poll}, nobody_sleeps)


def test_who_looks_before_he_has_announced_himself_may_sleep_for_ever():
    """Goal: the test above can fail. Method: the two lines the other way round."""
    late = USERS.image({"kvm_xen_schedop_poll": look_first}).kvm_xen_schedop_poll

    def careless(kvm):
        vcpu_load(kvm.vcpus[0])
        late(kvm.vcpus[0], PORT)
        vcpu_put(kvm.vcpus[0])

    tasks = {"vcpu0": careless, "irq": fast()}
    report = check(Scenario("careless", guest_that_has_masked_it, tasks))
    assert type(report.failure.bug) is Deadlock


def look_first(vcpu, port):
    there = wait_pending_event(vcpu, port)
    vcpu.arch.xen.poll_evtchn = port
    set_bit(vcpu.vcpu_idx, vcpu.kvm.arch.xen, "poll_mask")
    if not there:
        kvm_vcpu_block(vcpu)


def test_two_ports_in_one_word_need_a_step_that_cannot_be_divided(monkeypatch):
    """Goal: the test of that can fail. Method: load, or, and store."""

    def load_and_store(khva, bits):
        old = int.from_bytes(load(khva, 8), "little")
        store(khva, (old | bits).to_bytes(8, "little"))
        return old

    monkeypatch.setattr(guest_bits, "guest_or", load_and_store)
    both = Condition("both", lambda kvm: pending_ports(kvm) == 0b11 << PORT)
    tasks = {"irq0": fast(PORT), "irq1": fast(PORT + 1)}
    report = check(Scenario("torn", guest, tasks, [both]))
    assert type(report.failure.bug) is ConditionBroken
