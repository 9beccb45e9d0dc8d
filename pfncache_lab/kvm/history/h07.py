"""H7: two refreshes at once, each of which undoes half of the other.

a. For two addresses. The second one stores its address and its page while the first is away
   translating; the first comes back, and stores its page beside the second's address. A reader who
   asks for the second address is led to the first one's page.
b. For one address, after the slots have changed. The first has stored the new generation, and is
   away translating. The second finds everything as it should be, and returns 0 without having
   translated anything; its caller uses a khva that is not there yet.

Sean Christopherson mended both in 93984f19e7bc: who must drop the lock in the middle of an update
needs another lock that owns the update.
"""

from __future__ import annotations

from ...sim import Mutex
from ..kvm_host import Kvm
from .bug import V5_17, Bug, Functions
from .invariants import I2
from .scene import all_but, scene
from .v5_17 import GfnToPfnCache517
from .v5_17 import kvm_gfn_to_pfn_cache_refresh as as_merged


class WithRefreshLock(GfnToPfnCache517):
    """The cache of 5.17, and a mutex that is held across a refresh."""

    refresh_lock = Mutex()


def make_cache(kvm: Kvm, name: str) -> WithRefreshLock:
    """Make a cache that is not active."""
    return WithRefreshLock(name)


def kvm_gfn_to_pfn_cache_refresh(
    kvm: Kvm, gpc: WithRefreshLock, gpa: int, length: int, dirty: bool
) -> int:
    """One at a time."""
    with gpc.refresh_lock:
        error = as_merged(kvm, gpc, gpa, length, dirty)
    return error


MENDED: Functions = {
    "make_cache": make_cache,
    "kvm_gfn_to_pfn_cache_refresh": kvm_gfn_to_pfn_cache_refresh,
}

BUT_PLACEHOLDERS = all_but(I2)
"""The placeholder of H8b is in both, before and after."""

BUG_A = Bug(
    label="H7a",
    title="two refreshes leave one's address with the other's page",
    commit="93984f19e7bc",
    introduced="5.17",
    fixed="5.19",
    invariant="I11",
    era=V5_17,
    mended=MENDED,
    scene=scene(
        "two addresses",
        "invalid_cache",
        {"a": "move_here", "b": "move_there"},
        BUT_PLACEHOLDERS,
    ),
)

BUG_B = Bug(
    label="H7b",
    title="a refresh returns 0 while another one translates",
    commit="93984f19e7bc",
    introduced="5.17",
    fixed="5.19",
    invariant="I2",
    era=V5_17,
    mended=MENDED,
    scene=scene(
        "the slots have changed",
        "stale_generation",
        {"first": "refresh_here", "second": "refresh_and_use"},
        BUT_PLACEHOLDERS,
    ),
)
