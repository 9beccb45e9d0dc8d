"""H11: who can use a cache must be one whom the notifier can find.

a. A cache that was given up is refreshed all the same, and is valid; it is on no list. Who checks
   it is let in.
b. Activation resets the fields of a cache without its lock, while a reader looks at them.
c. The cache leaves the list first, and becomes unusable after that. In between no notifier finds
   it.
d. It becomes usable first, and gets on the list after that.

Sean Christopherson mended a, c and d in ecbcf030b456, after a report by Michal Luczaj
(CVE-2022-49882); b went with 5762cb102357.
"""

from __future__ import annotations

from functools import partial

from ...mm.types import NULL, PAGE_ALIGN_DOWN
from ...sim import list_add, list_del
from ..kvm_types import KVM_PFN_ERR_FAULT, GfnToPfnCache, kvm_is_error_gpa, kvm_is_error_hva
from ..memslots import kvm_memslots
from ..pfncache import __kvm_gpc_activate as activate_today
from ..pfncache import (
    __kvm_gpc_refresh,
    gpc_unmap,
    hva_to_pfn_retry,
    kvm_gpc_is_valid_len,
    set_address,
)
from .bug import Bug
from .scene import scene


def __kvm_gpc_refresh_inactive(gpc: GfnToPfnCache, gpa: int, uhva: int) -> int:
    """H11a: refresh whatever is there."""
    gpc.lock.write_lock_irq()
    old_pfn, old_khva = gpc.pfn, PAGE_ALIGN_DOWN(gpc.khva)
    error = set_address(gpc, gpa, uhva) or hva_to_pfn_retry(gpc)
    if error:
        gpc.valid = False
        gpc.pfn = KVM_PFN_ERR_FAULT
        gpc.khva = NULL
    unmap_old = old_pfn != gpc.pfn
    gpc.lock.write_unlock_irq()
    if unmap_old:
        gpc_unmap(old_pfn, old_khva)
    return error


def check_inactive(gpc: GfnToPfnCache, length: int) -> bool:
    """H11a: let a reader in, whether or not the cache is active."""
    by_gpa = not kvm_is_error_gpa(gpc.gpa)
    if by_gpa and gpc.generation != kvm_memslots(gpc.kvm).generation:
        return False
    if kvm_is_error_hva(gpc.uhva) or not kvm_gpc_is_valid_len(gpc.gpa, gpc.uhva, length):
        return False
    return gpc.valid


def activate_without_the_lock(gpc: GfnToPfnCache, gpa: int, uhva: int, length: int) -> int:
    """H11b: reset the fields first, without the lock."""
    with gpc.refresh_lock:
        if not gpc.active:
            gpc.khva = NULL
    return activate_today(gpc, gpa, uhva, length)


def deactivate_off_the_list_first(gpc: GfnToPfnCache) -> None:
    """H11c: leave the list, and then become unusable."""
    kvm = gpc.kvm
    with gpc.refresh_lock:
        if not gpc.active:
            return
        kvm.gpc_lock.lock()
        kvm.gpc_list = list_del(gpc, kvm.gpc_list)
        kvm.gpc_lock.unlock()
        gpc.lock.write_lock_irq()
        gpc.active = gpc.valid = False
        old_khva, old_pfn = PAGE_ALIGN_DOWN(gpc.khva), gpc.pfn
        gpc.khva = NULL
        gpc.pfn = KVM_PFN_ERR_FAULT
        gpc.lock.write_unlock_irq()
        gpc_unmap(old_pfn, old_khva)


def activate_usable_first(gpc: GfnToPfnCache, gpa: int, uhva: int, length: int) -> int:
    """H11d: become usable, and then get on the list."""
    kvm = gpc.kvm
    with gpc.refresh_lock:
        if not gpc.active:
            gpc.lock.write_lock_irq()
            gpc.active = True
            gpc.lock.write_unlock_irq()
            kvm.gpc_lock.lock()
            kvm.gpc_list = list_add(gpc, kvm.gpc_list)
            kvm.gpc_lock.unlock()
        error = __kvm_gpc_refresh(gpc, gpa, uhva)
    return error


bug = partial(Bug, commit="ecbcf030b456", introduced="5.17", fixed="6.1")

BUG_A = bug(
    label="H11a",
    title="a cache that was given up is refreshed, and nobody can tell it anything",
    invariant="I3",
    broken={"__kvm_gpc_refresh": __kvm_gpc_refresh_inactive, "kvm_gpc_check": check_inactive},
    scene=scene(
        "an event for a cache that was given up", "inactive_again", {"event": "refresh_here"}
    ),
)
BUG_B = Bug(
    label="H11b",
    title="activation resets fields that a reader looks at",
    commit="5762cb102357",
    introduced="5.17",
    fixed="6.2",
    invariant="I6",
    broken={"__kvm_gpc_activate": activate_without_the_lock},
    scene=scene(
        "an event arrives as the cache is set up",
        "inactive_cache",
        {"vmm": "activate_here", "event": "look_once"},
    ),
)
BUG_C = bug(
    label="H11c",
    title="a cache leaves the list while it is still usable",
    invariant="I3",
    broken={"kvm_gpc_deactivate": deactivate_off_the_list_first},
    scene=scene("the cache is given up", "active_cache", {"vmm": "deactivate_here"}),
)
BUG_D = bug(
    label="H11d",
    title="a cache is usable before it is on the list",
    invariant="I3",
    broken={"__kvm_gpc_activate": activate_usable_first},
    scene=scene("the cache is set up", "inactive_cache", {"vmm": "activate_here"}),
)
