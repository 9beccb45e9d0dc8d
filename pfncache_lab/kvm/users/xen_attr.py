"""xen_attr.py: userspace says where the guest's pages are. Mirrors arch/x86/kvm/xen.c.

Each attribute turns a cache on, to another address, or off. Guests move these pages while events
are under way, so all of this races with xen.py, and the caches take care of that. xen_lock only
keeps two settings from getting mixed up: it is a leaf, below which nobody may come back for a lock
of the machine.

    vcpu->mutex → xen_lock → kvm->srcu → gpc->refresh_lock
"""

from __future__ import annotations

from errno import EINVAL

from ...mm import PAGE_SIZE
from ...sim import srcu_read_lock, srcu_read_unlock
from ..kvm_host import Kvm, KvmVcpu
from ..kvm_types import INVALID_GPA, GfnToPfnCache, gfn_to_gpa, kvm_is_error_gpa
from ..pfncache import kvm_gpc_activate, kvm_gpc_activate_hva, kvm_gpc_deactivate, kvm_gpc_init
from .arch import (
    PVCLOCK_SIZE,
    RUNSTATE_SIZE,
    VCPU_INFO_SIZE,
    KvmArch,
    KvmVcpuArch,
    KvmVcpuXen,
    KvmXen,
)
from .xen_runstate import kvm_xen_update_runstate_guest, runstate_length1
from .xen_timer import kvm_xen_inject_timer_irqs

KVM_XEN_ATTR_TYPE_SHARED_INFO = 0x1
KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA = 0x5
KVM_XEN_INVALID_GFN = ~0 & 0xFFFF_FFFF_FFFF_FFFF

KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO = 0x0
KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO = 0x1
KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR = 0x2
KVM_XEN_VCPU_ATTR_TYPE_TIMER = 0x7
KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA = 0x9


# -- the machine -----------------------------------------------------------------------------------


def kvm_xen_hvm_set_attr(kvm: Kvm, attr: int, value: int) -> int:
    """Say where shared_info is: its gfn, or its user address; may sleep. Returns 0 or an error.

    KVM_XEN_INVALID_GFN, or the user address 0, says that there is none any more.
    """
    gpc = kvm.arch.xen.shinfo_cache
    kvm.arch.xen.xen_lock.lock()
    idx = srcu_read_lock(kvm.srcu)
    if attr == KVM_XEN_ATTR_TYPE_SHARED_INFO:
        gpa = INVALID_GPA if value == KVM_XEN_INVALID_GFN else gfn_to_gpa(value)
        r = activate_or_not(gpc, gpa, PAGE_SIZE)
    elif attr == KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA:
        r = activate_hva_or_not(gpc, value, PAGE_SIZE)
    else:
        r = -EINVAL
    srcu_read_unlock(kvm.srcu, idx)
    kvm.arch.xen.xen_lock.unlock()
    return r


def activate_or_not(gpc: GfnToPfnCache, gpa: int, length: int) -> int:
    """Turn a cache to a guest address, or off if that is INVALID_GPA."""
    if kvm_is_error_gpa(gpa):
        kvm_gpc_deactivate(gpc)
        return 0
    return kvm_gpc_activate(gpc, gpa, length)


def activate_hva_or_not(gpc: GfnToPfnCache, hva: int, length: int) -> int:
    """Turn a cache to a user address, or off if that is 0."""
    if not hva:
        kvm_gpc_deactivate(gpc)
        return 0
    return kvm_gpc_activate_hva(gpc, hva, length)


# -- the vCPU --------------------------------------------------------------------------------------


def kvm_xen_vcpu_set_attr(vcpu: KvmVcpu, attr: int, value: int) -> int:
    """Say where a page of the vCPU is; may sleep. Returns 0 or an error.

    The caller holds vcpu->mutex, as for every ioctl of a vCPU. INVALID_GPA, or the user address 0,
    says that there is none any more.
    """
    kvm, xen = vcpu.kvm, vcpu.arch.xen
    kvm.arch.xen.xen_lock.lock()
    idx = srcu_read_lock(kvm.srcu)
    if attr == KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO:
        r = activate_or_not(xen.vcpu_info_cache, value, VCPU_INFO_SIZE)
    elif attr == KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA:
        r = activate_hva_or_not(xen.vcpu_info_cache, value, VCPU_INFO_SIZE)
    elif attr == KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO:
        r = activate_or_not(xen.vcpu_time_info_cache, value, PVCLOCK_SIZE)
    elif attr == KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR:
        r = kvm_xen_set_runstate_addr(vcpu, value)
    else:
        r = -EINVAL
    srcu_read_unlock(kvm.srcu, idx)
    kvm.arch.xen.xen_lock.unlock()
    return r


def kvm_xen_set_runstate_addr(vcpu: KvmVcpu, gpa: int) -> int:
    """Turn both caches of the runstate to their parts of the record, and write it."""
    gpc1, gpc2 = vcpu.arch.xen.runstate_cache, vcpu.arch.xen.runstate2_cache
    if kvm_is_error_gpa(gpa):
        kvm_gpc_deactivate(gpc1)
        kvm_gpc_deactivate(gpc2)
        return 0
    length1 = runstate_length1(gpa)
    length2 = RUNSTATE_SIZE - length1
    r = kvm_gpc_activate(gpc1, gpa, length1)
    if not r:
        r = activate_or_not(gpc2, gpa + length1 if length2 else INVALID_GPA, length2)
    if r:  # not half of it
        kvm_gpc_deactivate(gpc1)
        kvm_gpc_deactivate(gpc2)
        return r
    kvm_xen_update_runstate_guest(vcpu, False)
    return 0


def kvm_xen_vcpu_get_attr(vcpu: KvmVcpu, attr: int) -> int:
    """Tell when the vCPU's timer fires, or 0 if it does not; may sleep. Otherwise -EINVAL.

    Userspace asks when it saves the vCPU. A timer that has fired must not be lost between the
    kernel and the answer: its event is delivered first.
    """
    if attr != KVM_XEN_VCPU_ATTR_TYPE_TIMER:
        return -EINVAL
    vcpu.kvm.arch.xen.xen_lock.lock()
    kvm_xen_inject_timer_irqs(vcpu)
    expires: int = vcpu.arch.xen.timer_expires
    vcpu.kvm.arch.xen.xen_lock.unlock()
    return expires


# -- birth and death -------------------------------------------------------------------------------


def kvm_xen_init_vm(kvm: Kvm) -> None:
    """Make what a VM needs to have a Xen guest. Its caches live as long as it does (H10)."""
    xen = KvmXen("xen")
    xen.shinfo_cache = GfnToPfnCache("shinfo_cache")
    kvm_gpc_init(xen.shinfo_cache, kvm)
    kvm.arch = KvmArch()
    kvm.arch.xen = xen


def kvm_xen_init_vcpu(vcpu: KvmVcpu) -> None:
    """Make what a vCPU of such a VM needs."""
    xen = KvmVcpuXen(f"vcpu{vcpu.vcpu_id}.xen")
    xen.vcpu = vcpu
    xen.vcpu_info_cache = kvm_xen_new_cache(vcpu, "vcpu_info_cache")
    xen.vcpu_time_info_cache = kvm_xen_new_cache(vcpu, "vcpu_time_info_cache")
    xen.runstate_cache = kvm_xen_new_cache(vcpu, "runstate_cache")
    xen.runstate2_cache = kvm_xen_new_cache(vcpu, "runstate2_cache")
    vcpu.arch = KvmVcpuArch()
    vcpu.arch.xen = xen
    vcpu.arch.pv_time = kvm_xen_new_cache(vcpu, "pv_time")


def kvm_xen_new_cache(vcpu: KvmVcpu, name: str) -> GfnToPfnCache:
    """Make an inactive cache of a vCPU."""
    gpc = GfnToPfnCache(f"vcpu{vcpu.vcpu_id}.{name}")
    kvm_gpc_init(gpc, vcpu.kvm)
    return gpc


def kvm_xen_destroy_vcpu(vcpu: KvmVcpu) -> None:
    """Give up the caches of a vCPU that runs no more; may sleep."""
    xen = vcpu.arch.xen
    kvm_gpc_deactivate(xen.runstate_cache)
    kvm_gpc_deactivate(xen.runstate2_cache)
    kvm_gpc_deactivate(xen.vcpu_info_cache)
    kvm_gpc_deactivate(xen.vcpu_time_info_cache)
    kvm_gpc_deactivate(vcpu.arch.pv_time)


def kvm_xen_destroy_vm(kvm: Kvm) -> None:
    """Give up the VM's own cache; may sleep."""
    kvm_gpc_deactivate(kvm.arch.xen.shinfo_cache)
