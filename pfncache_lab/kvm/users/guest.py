"""guest.py: a Xen guest small enough for a search, for scenarios and tests of the users.

Its memory is one slot of few pages, all present. What lies where:

    gfn 0x10   shared_info
    gfn 0x11   vcpu_info of vCPU 0 at 0x080, of vCPU 1 at 0x0c0; the clock at 0x100
    gfn 0x12   runstate, in the last 24 bytes
    gfn 0x13   ... and the first 24
"""

from __future__ import annotations

from ...mm import FIRST_HVA, PAGE_SIZE, copy_from_user, copy_to_user
from ...sim import ConditionBroken
from ..dirty import Migration, migration_lost
from ..kvm_host import Kvm, KvmMemorySlot
from ..kvm_types import GfnToPfnCache, Gpa
from ..vm import FIRST_GPA, create_vm
from .arch import EVTCHN_MASK, EVTCHN_PENDING, PENDING_SEL
from .guest_bits import WORD
from .xen_attr import kvm_xen_init_vcpu, kvm_xen_init_vm

SHINFO_GFN = 0x10
SHINFO = Gpa(FIRST_GPA)
VCPU_INFO = Gpa(0x11_080)
VCPU_INFO_STRIDE = 0x40
CLOCK = Gpa(0x11_100)
RUNSTATE = Gpa(0x12_FE8)
RUNSTATE_IN_ONE_PAGE = Gpa(0x12_000)

PORT = 5
"""An event channel. Its bit is in the first word, as that of its neighbour."""


def xen_guest(pages: int = 2, nr_vcpus: int = 1, flags: int = 0) -> Kvm:
    """Make a VM with this many pages of memory, whose caches are all inactive.

    All of its memory is zero. For set-ups, and to be called in the linked image.
    """
    kvm = create_vm(nr_vcpus, pages=pages, frames=pages + 2, flags=flags).kvm
    for page in range(pages):
        copy_to_user(kvm.mm, FIRST_HVA + page * PAGE_SIZE, bytes(WORD))
    kvm_xen_init_vm(kvm)
    for vcpu in kvm.vcpus:
        kvm_xen_init_vcpu(vcpu)
    return kvm


def lose(gpc: GfnToPfnCache) -> None:
    """Leave the cache as a notifier does. The page stays where it is. For set-ups."""
    gpc.valid = False


def hva_of(gpa: int) -> int:
    """Return the user address of a guest address."""
    return FIRST_HVA + gpa - SHINFO


def guest_word(kvm: Kvm, gpa: int) -> int:
    """Return the word that the guest sees at `gpa`. For conditions and tests."""
    word = copy_from_user(kvm.mm, hva_of(gpa), WORD)
    assert isinstance(word, bytes)
    return int.from_bytes(word, "little")


def set_guest_word(kvm: Kvm, gpa: int, word: int) -> None:
    """Be the guest, and store a word at `gpa`. For set-ups."""
    copy_to_user(kvm.mm, hva_of(gpa), word.to_bytes(WORD, "little"))


def pending_ports(kvm: Kvm) -> int:
    """Return the first word of pending ports."""
    return guest_word(kvm, SHINFO + EVTCHN_PENDING)


def mask_port(kvm: Kvm, port: int) -> None:
    """Be the guest, and mask a port of the first word. For set-ups."""
    gpa = SHINFO + EVTCHN_MASK
    set_guest_word(kvm, gpa, guest_word(kvm, gpa) | 1 << port)


def nothing_is_lost(migration: Migration, kvm: Kvm, slot: KvmMemorySlot) -> bool:
    """Tell whether the destination has what the guest had. For final conditions (I8)."""
    for page in migration_lost(migration, kvm, slot):
        raise ConditionBroken(
            f"At the destination, gfn {slot.base_gfn + page:#x} is not what it is here: the host "
            "has written to it, and the last look at the dirty log did not show that. Report a "
            "page before the vCPU returns to userspace, and report the one that was written to."
        )
    return True


def vcpu_info(idx: int) -> Gpa:
    """Return where the vcpu_info of a vCPU is."""
    return Gpa(VCPU_INFO + idx * VCPU_INFO_STRIDE)


def pending_sel(kvm: Kvm, idx: int = 0) -> int:
    """Return the selector of pending words that the guest sees."""
    return guest_word(kvm, vcpu_info(idx) + PENDING_SEL)


def upcall_pending(kvm: Kvm, idx: int = 0) -> int:
    """Return the byte that says "look at the selector"."""
    return guest_word(kvm, vcpu_info(idx)) & 0xFF
