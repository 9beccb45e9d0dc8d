"""Events, one after the other: what the sender is told, and what the guest finds in its pages."""

from errno import EFAULT, EINVAL, ENOTCONN, EWOULDBLOCK

from pfncache_lab.kvm.kvm_host import KVM_MEM_LOG_DIRTY_PAGES
from pfncache_lab.kvm.pfncache import kvm_gpc_activate, kvm_gpc_deactivate
from pfncache_lab.kvm.requests import KVM_REQ_UNBLOCK
from pfncache_lab.kvm.users.arch import (
    BITS_PER_WORD,
    EVTCHN_2L_NR_CHANNELS,
    EVTCHN_PENDING,
    PENDING_SEL,
    VCPU_INFO_SIZE,
)
from pfncache_lab.kvm.users.guest import (
    PORT,
    SHINFO,
    guest_word,
    lose,
    mask_port,
    pending_ports,
    pending_sel,
    set_guest_word,
    upcall_pending,
    vcpu_info,
    xen_guest,
)
from pfncache_lab.kvm.users.xen import (
    KvmXenEvtchn,
    __kvm_xen_has_interrupt,
    kvm_xen_inject_pending_events,
    kvm_xen_set_evtchn,
    kvm_xen_set_evtchn_fast,
)
from pfncache_lab.kvm.vcpu import vcpu_load, vcpu_put
from pfncache_lab.mm import FIRST_HVA, PAGE_SIZE, munmap
from pfncache_lab.sim import hard_irq, srcu_read
from tests.kvm.running import Alone, returned


def guest(nr_vcpus=1):
    kvm = xen_guest(nr_vcpus=nr_vcpus, flags=KVM_MEM_LOG_DIRTY_PAGES)
    kvm_gpc_activate(kvm.arch.xen.shinfo_cache, SHINFO, PAGE_SIZE)
    for vcpu in kvm.vcpus:
        kvm_gpc_activate(vcpu.arch.xen.vcpu_info_cache, vcpu_info(vcpu.vcpu_idx), VCPU_INFO_SIZE)
    return kvm


def guest_without_shinfo():
    kvm = guest()
    lose(kvm.arch.xen.shinfo_cache)
    return kvm


def guest_without_vcpu_info():
    kvm = guest()
    lose(kvm.vcpus[0].arch.xen.vcpu_info_cache)
    return kvm


def guest_without_both():
    kvm = guest_without_shinfo()
    lose(kvm.vcpus[0].arch.xen.vcpu_info_cache)
    return kvm


def fast(kvm, port=PORT, vcpu_idx=0):
    return kvm_xen_set_evtchn_fast(KvmXenEvtchn(port, vcpu_idx), kvm)


def slow(kvm, port=PORT):
    return kvm_xen_set_evtchn(KvmXenEvtchn(port), kvm)


def in_vcpu(body):
    """`body` in the thread of vCPU 0, between two stays in the guest."""

    def thread(kvm):
        vcpu_load(kvm.vcpus[0])
        with srcu_read(kvm.srcu):
            result = body(kvm)
        vcpu_put(kvm.vcpus[0])
        return result

    return thread


def in_guest(kvm, idx=0):
    """What the guest sees: the pending ports, the selector, the upcall."""
    return pending_ports(kvm), pending_sel(kvm, idx), upcall_pending(kvm, idx)


# -- the fast path ---------------------------------------------------------------------------------


def test_an_event_sets_three_bits_and_kicks_the_vcpu():
    alone = Alone(guest, fast)
    assert alone.returned == 1
    assert in_guest(alone.shared) == (1 << PORT, 1, 1)
    assert alone.shared.vcpus[0].requests == 1 << KVM_REQ_UNBLOCK
    assert alone.shared.memslots0.slots[0].dirty_bitmap.bits == 0  # by the contract of the ABI


def test_an_event_that_the_guest_has_not_looked_at_yet_is_not_another_one():
    alone = Alone(guest, lambda kvm: (fast(kvm), fast(kvm)))
    assert alone.returned == (1, 0)


def test_what_has_fired_already_is_not_announced_again():
    """The guest has seen the selector and not yet come to the port."""

    def setup():
        kvm = guest()
        set_guest_word(kvm, SHINFO + EVTCHN_PENDING, 1 << PORT)
        return kvm

    alone = Alone(setup, fast)
    assert alone.returned == 0
    assert in_guest(alone.shared) == (1 << PORT, 0, 0)
    assert alone.shared.vcpus[0].requests == 0


def test_another_port_of_the_same_word_needs_no_second_kick():
    def body(kvm):
        first = fast(kvm, PORT)
        kvm.vcpus[0].requests = 0
        return first, fast(kvm, PORT + 1)

    alone = Alone(guest, body)
    assert alone.returned == (1, 1)
    assert in_guest(alone.shared) == (3 << PORT, 1, 1)
    assert alone.shared.vcpus[0].requests == 0


def test_a_port_of_another_word_is_another_bit_of_the_selector():
    alone = Alone(guest, lambda kvm: fast(kvm, 2 * BITS_PER_WORD + PORT))
    kvm = alone.shared
    assert pending_sel(kvm) == 1 << 2
    assert guest_word(kvm, SHINFO + EVTCHN_PENDING + 2 * 8) == 1 << PORT


def test_a_masked_port_is_pending_and_tells_nobody():
    def setup():
        kvm = guest()
        mask_port(kvm, PORT)
        return kvm

    alone = Alone(setup, fast)
    assert alone.returned == -ENOTCONN
    assert in_guest(alone.shared) == (1 << PORT, 0, 0)
    assert alone.shared.vcpus[0].requests == 0


def test_a_masked_port_wakes_the_vcpu_that_sleeps_for_it_once():
    def setup():
        kvm = guest()
        mask_port(kvm, PORT)
        kvm.arch.xen.poll_mask = 1
        kvm.vcpus[0].arch.xen.poll_evtchn = PORT
        return kvm

    alone = Alone(setup, fast)
    assert alone.returned == -ENOTCONN
    assert alone.shared.vcpus[0].requests == 1 << KVM_REQ_UNBLOCK
    assert alone.shared.arch.xen.poll_mask == 0


def test_a_masked_port_leaves_who_sleeps_for_another_one():
    def setup():
        kvm = guest()
        mask_port(kvm, PORT)
        kvm.arch.xen.poll_mask = 1
        kvm.vcpus[0].arch.xen.poll_evtchn = PORT + 1
        return kvm

    assert Alone(setup, fast).shared.vcpus[0].requests == 0


def test_an_event_goes_to_the_vcpu_it_is_for():
    alone = Alone(lambda: guest(2), lambda kvm: fast(kvm, vcpu_idx=1))
    assert in_guest(alone.shared, 0) == (1 << PORT, 0, 0)
    assert in_guest(alone.shared, 1) == (1 << PORT, 1, 1)
    assert [vcpu.requests for vcpu in alone.shared.vcpus] == [0, 1 << KVM_REQ_UNBLOCK]


def test_ports_that_do_not_exist():
    assert returned(guest, lambda kvm: fast(kvm, 0)) == -EINVAL
    assert returned(guest, lambda kvm: fast(kvm, EVTCHN_2L_NR_CHANNELS)) == -EINVAL


def test_without_shared_info_nothing_has_happened():
    alone = Alone(guest_without_shinfo, fast)
    assert alone.returned == -EWOULDBLOCK
    assert in_guest(alone.shared) == (0, 0, 0)


def test_without_both_nothing_has_happened_either():
    alone = Alone(guest_without_both, fast)
    assert alone.returned == -EWOULDBLOCK
    assert in_guest(alone.shared) == (0, 0, 0)
    assert alone.shared.vcpus[0].arch.xen.evtchn_pending_sel == 0


def test_without_vcpu_info_the_kernel_remembers_the_word_and_kicks():
    alone = Alone(guest_without_vcpu_info, fast)
    assert alone.returned == 1
    assert in_guest(alone.shared) == (1 << PORT, 0, 0)
    assert alone.shared.vcpus[0].arch.xen.evtchn_pending_sel == 1
    assert alone.shared.vcpus[0].requests == 1 << KVM_REQ_UNBLOCK


def test_an_interrupt_may_send():
    assert returned(guest, hard_irq(fast)) == 1
    assert returned(guest_without_both, hard_irq(fast)) == -EWOULDBLOCK


# -- the slow path ---------------------------------------------------------------------------------


def test_the_slow_path_refreshes_shared_info_and_tries_again():
    alone = Alone(guest_without_shinfo, slow)
    assert alone.returned == 1
    assert in_guest(alone.shared) == (1 << PORT, 1, 1)


def test_the_slow_path_leaves_vcpu_info_to_the_vcpu():
    alone = Alone(guest_without_both, slow)
    assert alone.returned == 1
    assert alone.shared.vcpus[0].arch.xen.evtchn_pending_sel == 1


def test_the_slow_path_gives_up_where_no_page_can_be_had():
    def body(kvm):
        munmap(kvm.mm, FIRST_HVA, PAGE_SIZE)
        return slow(kvm)

    assert returned(guest, body) == -EFAULT


def test_the_slow_path_gives_up_without_a_shared_info():
    def body(kvm):
        kvm_gpc_deactivate(kvm.arch.xen.shinfo_cache)
        return slow(kvm)

    assert returned(guest, body) == -EINVAL


def test_an_interrupt_must_not_take_the_slow_path():
    alone = Alone(guest_without_shinfo, hard_irq(slow))
    assert type(alone.bug).__name__ == "SleepInAtomic"


# -- the vCPU --------------------------------------------------------------------------------------


def inject(kvm):
    return kvm_xen_inject_pending_events(kvm.vcpus[0])


def test_the_vcpu_moves_what_the_kernel_has_remembered():
    @in_vcpu
    def body(kvm):
        fast(kvm)
        inject(kvm)

    alone = Alone(guest_without_vcpu_info, body)
    assert alone.bug is None
    assert in_guest(alone.shared) == (1 << PORT, 1, 1)
    assert alone.shared.vcpus[0].arch.xen.evtchn_pending_sel == 0
    assert alone.shared.memslots0.slots[0].dirty_bitmap.bits == 0b10


def test_what_is_moved_is_added_to_what_is_there():
    def setup():
        kvm = guest_without_vcpu_info()
        set_guest_word(kvm, vcpu_info(0) + PENDING_SEL, 1 << 7)
        kvm.vcpus[0].arch.xen.evtchn_pending_sel = 0b101
        return kvm

    alone = Alone(setup, in_vcpu(inject))
    assert pending_sel(alone.shared) == 1 << 7 | 0b101


def test_nothing_is_moved_while_there_is_no_page():
    @in_vcpu
    def body(kvm):
        fast(kvm)
        kvm_gpc_deactivate(kvm.vcpus[0].arch.xen.vcpu_info_cache)
        inject(kvm)
        return kvm.vcpus[0].arch.xen.evtchn_pending_sel

    assert returned(guest_without_vcpu_info, body) == 1


def test_nothing_to_move_costs_one_step():
    assert len(Alone(guest, inject).did) == 1


def has_interrupt(atomic):
    return in_vcpu(lambda kvm: __kvm_xen_has_interrupt(kvm.vcpus[0], atomic))


def test_an_interrupt_is_there_once_the_upcall_is_pending():
    assert returned(guest, has_interrupt(False)) == 0
    assert returned(guest, lambda kvm: (fast(kvm), has_interrupt(False)(kvm))) == (1, 1)


def test_who_cannot_look_says_that_there_is_one():
    assert returned(guest_without_vcpu_info, has_interrupt(True)) == 1
    assert returned(guest_without_vcpu_info, has_interrupt(False)) == 0


def test_without_a_page_there_is_none():
    @in_vcpu
    def body(kvm):
        kvm_gpc_deactivate(kvm.vcpus[0].arch.xen.vcpu_info_cache)
        return __kvm_xen_has_interrupt(kvm.vcpus[0], False)

    assert returned(guest, body) == 0
