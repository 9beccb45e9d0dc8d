"""The run loop: the handshake with requesters, and what a guest does with a page that goes."""

import pytest

from pfncache_lab.explore import Condition, Scenario, check
from pfncache_lab.kvm import MODULES
from pfncache_lab.kvm.ipi import cpu_irq_disable, cpu_irq_enable
from pfncache_lab.kvm.kvm_host import (
    EXITING_GUEST_MODE,
    IN_GUEST_MODE,
    OUTSIDE_GUEST_MODE,
    Kvm,
)
from pfncache_lab.kvm.kvm_main import kvm_create_vcpu
from pfncache_lab.kvm.requests import (
    KVM_REQ_CLOCK_UPDATE,
    KVM_REQ_GPC_INVALIDATE,
    KVM_REQ_OUTSIDE_GUEST_MODE,
    KVM_REQ_TLB_FLUSH,
    KVM_REQ_VM_DEAD,
    KVM_REQUEST_NO_WAKEUP,
    KVM_REQUEST_WAIT,
    kvm_make_all_cpus_request,
    kvm_make_request,
    kvm_vcpu_exiting_guest_mode,
    kvm_vcpu_kick,
)
from pfncache_lab.kvm.vcpu import (
    EXIT_REASON_EXTERNAL_INTERRUPT,
    EXIT_REASON_HLT,
    EXIT_REASON_IO,
    guest_load,
    guest_loop,
    guest_store,
    kvm_vcpu_exit_request,
    vcpu_run,
)
from pfncache_lab.mm import EIO, Ram, alloc_page, page_to_pfn, pfn_to_page, put_page
from pfncache_lab.sim import (
    Livelock,
    Struct,
    UseAfterFree,
    cmpxchg,
    link,
    marked,
    preempt_disable,
    preempt_enable,
    smp_mb,
    smp_store_release,
    srcu_read_lock,
    srcu_read_unlock,
)
from tests.kvm.running import Alone, bug_in, endings, returned


class Guested(Kvm):
    """A machine whose guest has a pfn in a register, and may use it while that is valid."""

    valid = marked(True)
    stores = marked(0)
    pfn = marked(0)


class Shared(Struct):
    ram: Ram
    kvm: Guested
    result = marked(None)


def machine():
    shared = Shared()
    shared.ram = Ram(2)
    shared.kvm = Guested()
    shared.kvm.vcpus = (kvm_create_vcpu(shared.kvm, 0),)
    shared.kvm.pfn = page_to_pfn(alloc_page())
    return shared


def vcpu0(s):
    return s.kvm.vcpus[0]


def io(vcpu):
    return EXIT_REASON_IO


# -- one entry -------------------------------------------------------------------------------------


def test_an_entry_does_this_in_this_order():
    alone = Alone(machine, lambda s: vcpu_run(vcpu0(s), io))
    assert alone.returned == 0
    assert alone.did == [
        "srcu_read_lock kvm.srcu",
        "load vcpu0.requests → 0",
        "irq off on CPU 0",
        f"store vcpu0.mode ← {IN_GUEST_MODE} (release)",
        "srcu_read_unlock kvm.srcu",
        f"load vcpu0.mode → {IN_GUEST_MODE}",
        "load vcpu0.requests → 0",
        f"store vcpu0.mode ← {OUTSIDE_GUEST_MODE}",
        "irq on on CPU 0",
    ]


def test_a_dead_machine_does_not_run():
    def task(s):
        kvm_make_request(KVM_REQ_VM_DEAD, vcpu0(s))
        return vcpu_run(vcpu0(s), io)

    assert returned(machine, task) == -EIO


def test_requests_that_are_known_are_consumed():
    def task(s):
        kvm_make_request(KVM_REQ_TLB_FLUSH, vcpu0(s))
        kvm_make_request(KVM_REQ_CLOCK_UPDATE, vcpu0(s))
        return vcpu_run(vcpu0(s), io), vcpu0(s).requests

    assert returned(machine, task) == (0, 0)


def test_one_that_nobody_consumes_keeps_the_vcpu_out_for_ever():
    """H2: the request of v5.17, and the one that has taken its place."""

    def evict(req):
        return lambda s: kvm_make_all_cpus_request(s.kvm, req)

    def scenario(req):
        return Scenario("evict", machine, {"vcpu0": run_io, "notifier": evict(req)})

    assert isinstance(check(scenario(KVM_REQ_GPC_INVALIDATE), "states").failure.bug, Livelock)
    assert check(scenario(KVM_REQ_OUTSIDE_GUEST_MODE), "states").passed


def run_io(s):
    s.result = vcpu_run(vcpu0(s), io)


# -- a guest that stores to a page -----------------------------------------------------------------


def store_once(vcpu):
    """Store to the page, if it is still valid to."""
    pfn = vcpu.kvm.pfn
    if not guest_store(vcpu, pfn, 0, b"guest"):
        return EXIT_REASON_EXTERNAL_INTERRUPT
    return EXIT_REASON_IO


def usable(vcpu):
    smp_mb()
    return vcpu.kvm.valid


def run(image):
    """Run the guest as long as it has its page."""

    def task(s):
        vcpu = vcpu0(s)
        while s.kvm.valid:
            if image.vcpu_enter_guest(vcpu, store_once) == 0:
                break

    return task


def free_page(req):
    """Take the page away, as a notifier does, and free it."""

    def task(s):
        s.kvm.valid = False
        kvm_make_all_cpus_request(s.kvm, req)
        put_page(pfn_to_page(s.kvm.pfn))

    return task


GOOD = {"vcpu_guest_pages_usable": usable}


def eviction(replaced, req=KVM_REQ_OUTSIDE_GUEST_MODE, notifier=None):
    """The guest stores, and the page goes: with these functions in the place of ours."""
    image = link(MODULES, GOOD | replaced)
    return Scenario(
        "eviction", machine, {"vcpu0": run(image), "notifier": notifier or free_page(req)}
    )


def stored(s):
    return s.kvm.valid


@pytest.mark.slow
def test_a_page_that_is_taken_away_is_never_stored_to():
    """Goal: the wait means that the vCPU is out. Method: all schedules, by every search."""
    assert endings(eviction({}), stored, brute=True) == {False}


def looks_before_it_says(vcpu, guest):
    kvm, cpu = vcpu.kvm, vcpu.host_cpu
    idx = srcu_read_lock(kvm.srcu)
    preempt_disable()
    may = kvm.valid
    cpu_irq_disable(cpu)
    smp_store_release(vcpu, "mode", IN_GUEST_MODE)
    srcu_read_unlock(kvm.srcu, idx)
    reason = guest(vcpu) if may else EXIT_REASON_EXTERNAL_INTERRUPT
    vcpu.mode = OUTSIDE_GUEST_MODE
    cpu_irq_enable(cpu)
    preempt_enable()
    return 0 if reason == EXIT_REASON_IO else 1


def says_with_interrupts_on(vcpu, guest):
    kvm = vcpu.kvm
    smp_store_release(vcpu, "mode", IN_GUEST_MODE)
    reason = guest(vcpu) if kvm.valid else EXIT_REASON_EXTERNAL_INTERRUPT
    vcpu.mode = OUTSIDE_GUEST_MODE
    return 0 if reason == EXIT_REASON_IO else 1


def is_outside_too_early(vcpu, guest):
    kvm, cpu = vcpu.kvm, vcpu.host_cpu
    cpu_irq_disable(cpu)
    smp_store_release(vcpu, "mode", IN_GUEST_MODE)
    may = kvm.valid
    vcpu.mode = OUTSIDE_GUEST_MODE
    reason = guest(vcpu) if may else EXIT_REASON_EXTERNAL_INTERRUPT
    cpu_irq_enable(cpu)
    return 0 if reason == EXIT_REASON_IO else 1


def never_looks(vcpu):
    return True


WRONG = {
    "the vCPU looks before it says so": {"vcpu_enter_guest": looks_before_it_says},
    "the vCPU has interrupts on": {"vcpu_enter_guest": says_with_interrupts_on},
    "the vCPU says too early that it is out": {"vcpu_enter_guest": is_outside_too_early},
    "the vCPU does not look": {"vcpu_guest_pages_usable": never_looks},
}


@pytest.mark.parametrize("what", WRONG)
def test_each_part_of_the_vcpus_half_is_needed(what):
    assert isinstance(bug_in(eviction(WRONG[what])), UseAfterFree)


def no_interrupt(vcpu, req):
    return False


def after(image):
    def task(s):
        s.kvm.valid = False
        image.kvm_make_all_cpus_request(s.kvm, KVM_REQ_OUTSIDE_GUEST_MODE)
        put_page(pfn_to_page(s.kvm.pfn))

    return task


def request_before(s):
    kvm_make_all_cpus_request(s.kvm, KVM_REQ_OUTSIDE_GUEST_MODE)
    s.kvm.valid = False
    put_page(pfn_to_page(s.kvm.pfn))


def kick_only(s):
    s.kvm.valid = False
    kvm_vcpu_kick(vcpu0(s))
    put_page(pfn_to_page(s.kvm.pfn))


REQUESTER = {
    "no interrupt": after(link(MODULES, {"kvm_request_needs_ipi": no_interrupt})),
    "nobody waits for it": free_page(KVM_REQ_OUTSIDE_GUEST_MODE & ~KVM_REQUEST_WAIT),
    "a kick instead": kick_only,
    "the request comes first": request_before,
}


@pytest.mark.parametrize("what", REQUESTER)
def test_each_part_of_the_requesters_half_is_needed(what):
    assert isinstance(bug_in(eviction({}, notifier=REQUESTER[what])), UseAfterFree)


@pytest.mark.slow
def test_who_waits_waits_for_a_vcpu_that_another_has_called_out_too():
    """One has kicked it, so its mode is EXITING: it may still be in the guest."""
    tasks = {"kicker": lambda s: kvm_vcpu_kick(vcpu0(s))}
    scenario = eviction({})
    both = Scenario("both", machine, {**scenario.tasks, **tasks})
    assert endings(both, stored) == {False}

    def only_in_guest_mode(vcpu, req):
        return cmpxchg(vcpu, "mode", IN_GUEST_MODE, EXITING_GUEST_MODE) == IN_GUEST_MODE

    image = link(MODULES, {"kvm_request_needs_ipi": only_in_guest_mode})
    wrong = Scenario("both", machine, {**scenario.tasks, **tasks, "notifier": after(image)})
    assert isinstance(bug_in(wrong), UseAfterFree)


# -- a request with a bit: the last look before the entry ------------------------------------------

DROP = KVM_REQ_CLOCK_UPDATE | KVM_REQUEST_WAIT | KVM_REQUEST_NO_WAKEUP
"""Stands for a request upon which the vCPU forgets what it had in a register."""


def forget(vcpu):
    vcpu.kvm.valid = False


def store_if_known(vcpu):
    return store_once(vcpu) if vcpu.kvm.valid else EXIT_REASON_IO


def with_request(replaced):
    image = link(MODULES, {"vcpu_update_guest_clock": forget} | replaced)

    def enter(s):
        image.vcpu_run(vcpu0(s), store_if_known)

    def take(s):
        kvm_make_all_cpus_request(s.kvm, DROP)
        put_page(pfn_to_page(s.kvm.pfn))

    return Scenario("request", machine, {"vcpu0": enter, "notifier": take})


def only_the_mode(vcpu):
    return vcpu.mode == EXITING_GUEST_MODE


def test_a_request_is_seen_before_the_guest_runs_again():
    assert endings(with_request({}), lambda s: "no bug") == {"no bug"}
    wrong = {"kvm_vcpu_exit_request": only_the_mode}
    assert isinstance(bug_in(with_request(wrong)), UseAfterFree)


# -- the barriers of the handshake, in a memory that needs them ------------------------------------


class Handshake(Struct):
    kvm: Kvm
    entered = marked(False)
    interrupted = marked(False)


def handshake():
    shared = Handshake()
    shared.kvm = Kvm()
    shared.kvm.vcpus = (kvm_create_vcpu(shared.kvm, 0),)
    return shared


def entering(barrier):
    def vcpu(s):
        smp_store_release(vcpu0(s), "mode", IN_GUEST_MODE)
        if barrier:
            smp_mb()
        s.entered = not kvm_vcpu_exit_request(vcpu0(s))

    return vcpu


def requesting(barrier):
    def notifier(s):
        kvm_make_request(KVM_REQ_CLOCK_UPDATE, vcpu0(s))
        if barrier:
            mode = kvm_vcpu_exiting_guest_mode(vcpu0(s))
        else:
            mode = cmpxchg(vcpu0(s), "mode", IN_GUEST_MODE, EXITING_GUEST_MODE)
        s.interrupted = mode == IN_GUEST_MODE

    return notifier


ONE_KNOWS = [Condition("one of them finds out", lambda s: s.interrupted or not s.entered)]


@pytest.mark.parametrize(("ours", "theirs"), [(True, True), (False, True), (True, False)])
def test_both_barriers_are_needed(ours, theirs):
    """Goal: Dekker. Method: a memory in which a store is seen late; each barrier left out once."""
    tasks = {"vcpu0": entering(ours), "notifier": requesting(theirs)}
    weak = Scenario("handshake", handshake, tasks, ONE_KNOWS, memory_model="lkmm-lite")
    assert check(weak).passed is (ours and theirs)
    strong = Scenario("handshake", handshake, tasks, ONE_KNOWS)
    assert check(strong).passed


# -- interrupts ------------------------------------------------------------------------------------


def test_a_guest_that_computes_runs_until_it_is_kicked():
    def run_until_event(s):
        vcpu = vcpu0(s)
        while not vcpu.runnable:
            s.result = vcpu_run(vcpu, loop_unless_event)

    def event(s):
        vcpu0(s).runnable = True
        kvm_vcpu_kick(vcpu0(s))

    def lost(s):
        kvm_vcpu_kick(vcpu0(s))
        vcpu0(s).runnable = True

    good = Scenario("kick", machine, {"vcpu0": run_until_event, "device": event})
    bad = Scenario("kick", machine, {"vcpu0": run_until_event, "device": lost})
    assert "Deadlock" not in endings(good, lambda s: s.result)
    assert "Deadlock" in endings(bad, lambda s: s.result)


def loop_unless_event(vcpu):
    """A guest into which the event is injected, if it was there at the entry."""
    return EXIT_REASON_IO if vcpu.runnable else guest_loop(vcpu)


# -- a guest that halts ----------------------------------------------------------------------------


def halt_until_event(vcpu):
    return EXIT_REASON_IO if vcpu.runnable else EXIT_REASON_HLT


def test_a_guest_that_has_halted_goes_on_with_an_event():
    def run_guest(s):
        s.result = vcpu_run(vcpu0(s), halt_until_event)

    def event(s):
        vcpu0(s).runnable = True
        kvm_vcpu_kick(vcpu0(s))

    scenario = Scenario("halt", machine, {"vcpu0": run_guest, "device": event})
    assert endings(scenario, lambda s: s.result) == {0}


def test_a_guest_sees_what_it_has_stored():
    def guest(vcpu):
        guest_store(vcpu, vcpu.kvm.pfn, 8, b"abc")
        assert guest_load(vcpu, vcpu.kvm.pfn, 8, 3) == b"abc"
        return EXIT_REASON_IO

    assert returned(machine, lambda s: vcpu_run(vcpu0(s), guest)) == 0
