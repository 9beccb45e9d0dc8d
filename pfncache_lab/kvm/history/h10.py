"""H10: a lock that is made new while somebody holds it.

Activation initialises the cache's lock. A guest that sends an event reads the cache at that
moment, finds it inactive, and unlocks a lock that says nobody holds it.

Michal Luczaj found it by setting the shared info page again and again while events were sent, and
mended it in 52491a38b2c2: a lock lives as long as anybody can reach it.
"""

from __future__ import annotations

from ...sim import rwlock_init
from ..kvm_types import GfnToPfnCache
from ..pfncache import __kvm_gpc_activate as today
from .bug import Bug
from .scene import scene


def __kvm_gpc_activate(gpc: GfnToPfnCache, gpa: int, uhva: int, length: int) -> int:
    """Make the lock new, and go on as today."""
    with gpc.refresh_lock:
        if not gpc.active:
            rwlock_init(gpc.lock)
    return today(gpc, gpa, uhva, length)


BUG = Bug(
    label="H10",
    title="activation initialises a lock that a reader holds",
    commit="52491a38b2c2",
    introduced="5.17",
    fixed="6.1",
    invariant="I6",
    broken={"__kvm_gpc_activate": __kvm_gpc_activate},
    scene=scene(
        "an event arrives as the cache is set up",
        "inactive_cache",
        {"vmm": "activate_here", "event": "look_once"},
    ),
)
