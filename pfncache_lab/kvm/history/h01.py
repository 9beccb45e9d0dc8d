"""H1: a page given back twice.

The memslot is deleted, and a refresh finds no host address any more. It gives back the page that
the cache has held, and returns -EFAULT; but the cache still names that page, and gives it back
once more when it is destroyed. The second put takes a reference that belongs to somebody else.

David Woodhouse mended it in 79593c086eb9: an error path that hands over what it owns must forget
it.
"""

from __future__ import annotations

from ..kvm_host import KvmMemslots
from ..kvm_types import KVM_PFN_ERR_FAULT
from .bug import V5_17, Bug
from .invariants import I3
from .scene import all_but, scene
from .v5_17 import GfnToPfnCache517
from .v5_17 import set_address as as_merged


def set_address(gpc: GfnToPfnCache517, slots: KvmMemslots, gpa: int) -> int:
    """R3, and the cache forgets the page that refresh is about to give back."""
    error = as_merged(gpc, slots, gpa)
    if error:
        gpc.pfn = KVM_PFN_ERR_FAULT
    return error


BUG = Bug(
    label="H1",
    title="a page is put twice after its slot has gone",
    commit="79593c086eb9",
    introduced="5.17",
    fixed="5.18",
    invariant="I4",
    era=V5_17,
    mended={"set_address": set_address},
    # Without I3: destroy() takes the cache off the list while it is valid, here as there (H11c).
    scene=scene(
        "the slot goes, and then the cache", "active_cache", {"vmm": "lose_the_slot"}, all_but(I3)
    ),
)
