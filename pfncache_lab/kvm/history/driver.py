"""driver.py: today's cache behind the eight functions that the scenes call. See driver_5_17.py."""

from __future__ import annotations

from ..kvm_host import Kvm
from ..kvm_types import GfnToPfnCache
from ..pfncache import (
    kvm_gpc_activate,
    kvm_gpc_activate_hva,
    kvm_gpc_check,
    kvm_gpc_deactivate,
    kvm_gpc_init,
    kvm_gpc_refresh,
)


def make_cache(kvm: Kvm, name: str) -> GfnToPfnCache:
    """Make a cache that is not active; belongs in a set-up."""
    gpc = GfnToPfnCache(name)
    kvm_gpc_init(gpc, kvm)
    return gpc


def activate(kvm: Kvm, gpc: GfnToPfnCache, gpa: int, length: int) -> int:
    """Make the cache active for `gpa`."""
    return kvm_gpc_activate(gpc, gpa, length)


def activate_hva(kvm: Kvm, gpc: GfnToPfnCache, uhva: int, length: int) -> int:
    """Make the cache active for a host address."""
    return kvm_gpc_activate_hva(gpc, uhva, length)


def is_active(kvm: Kvm, gpc: GfnToPfnCache) -> bool:
    """Tell whether the cache is active: a caller's look before it asks for more."""
    with gpc.lock.read_irq():
        active = gpc.active
    return active


def check(kvm: Kvm, gpc: GfnToPfnCache, gpa: int, length: int) -> bool:
    """Tell whether the cache may be used. It keeps its address itself."""
    return kvm_gpc_check(gpc, length)


def refresh(kvm: Kvm, gpc: GfnToPfnCache, gpa: int, length: int) -> int:
    """Make the cache valid again for the address it has, which is `gpa`."""
    return kvm_gpc_refresh(gpc, length)


def move(kvm: Kvm, gpc: GfnToPfnCache, gpa: int, length: int) -> int:
    """Turn the cache to another address."""
    return kvm_gpc_activate(gpc, gpa, length)


def deactivate(kvm: Kvm, gpc: GfnToPfnCache) -> None:
    """Give the cache up."""
    kvm_gpc_deactivate(gpc)
