"""H21: active, and for no address.

Activation puts the cache on the list, and looks only then whether the range fits into the page. If
it does not, the cache stays active without an address, and the next refresh warns that it has
none. (The merged cache is left active as well, but each of its refreshes brings an address along.
So there is nothing to warn of before 6.9, where an address may be of the host.)

syzbot found it; Sean Christopherson mended it in 5c9ca4ed8908: look first, then change things.
"""

from __future__ import annotations

from ...mm.types import EINVAL
from ...sim import list_add
from ..kvm_types import GfnToPfnCache
from ..pfncache import __kvm_gpc_refresh, kvm_gpc_is_valid_len
from .bug import Bug
from .scene import scene


def __kvm_gpc_activate(gpc: GfnToPfnCache, gpa: int, uhva: int, length: int) -> int:
    """Look at the length last."""
    kvm = gpc.kvm
    with gpc.refresh_lock:
        if not gpc.active:
            kvm.gpc_lock.lock()
            kvm.gpc_list = list_add(gpc, kvm.gpc_list)
            kvm.gpc_lock.unlock()
            gpc.lock.write_lock_irq()
            gpc.active = True
            gpc.lock.write_unlock_irq()
        if not kvm_gpc_is_valid_len(gpa, uhva, length):
            return -EINVAL
        error = __kvm_gpc_refresh(gpc, gpa, uhva)
    return error


BUG = Bug(
    label="H21",
    title="a range that does not fit leaves the cache active, for no address",
    commit="5c9ca4ed8908",
    introduced="6.9-rc1",
    fixed="6.9",
    invariant="I3",
    broken={"__kvm_gpc_activate": __kvm_gpc_activate},
    scene=scene("a range across two pages", "inactive_cache", {"vmm": "activate_across"}),
)
