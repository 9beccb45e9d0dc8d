"""driver_5_17.py: the cache of 5.17 behind the eight functions that the scenes call."""

from __future__ import annotations

from ...mm.types import EINVAL
from ..kvm_host import Kvm
from .v5_17 import (
    GfnToPfnCache517,
    kvm_gfn_to_pfn_cache_check,
    kvm_gfn_to_pfn_cache_destroy,
    kvm_gfn_to_pfn_cache_init,
    kvm_gfn_to_pfn_cache_refresh,
)


def make_cache(kvm: Kvm, name: str) -> GfnToPfnCache517:
    """Make a cache that is not active; belongs in a set-up."""
    return GfnToPfnCache517(name)


def activate(kvm: Kvm, gpc: GfnToPfnCache517, gpa: int, length: int) -> int:
    """Make the cache active for `gpa`, for the host's use."""
    return kvm_gfn_to_pfn_cache_init(kvm, gpc, None, False, True, gpa, length, False)


def activate_hva(kvm: Kvm, gpc: GfnToPfnCache517, uhva: int, length: int) -> int:
    """Fail: in 5.17 there are no caches of host addresses."""
    return -EINVAL


def is_active(kvm: Kvm, gpc: GfnToPfnCache517) -> bool:
    """Tell whether the cache is active: a caller's look before it asks for more."""
    return gpc.active


def check(kvm: Kvm, gpc: GfnToPfnCache517, gpa: int, length: int) -> bool:
    """Tell whether the cache may be used for `gpa`."""
    return kvm_gfn_to_pfn_cache_check(kvm, gpc, gpa, length)


def refresh(kvm: Kvm, gpc: GfnToPfnCache517, gpa: int, length: int) -> int:
    """Make the cache valid for `gpa`."""
    return kvm_gfn_to_pfn_cache_refresh(kvm, gpc, gpa, length, False)


def move(kvm: Kvm, gpc: GfnToPfnCache517, gpa: int, length: int) -> int:
    """Turn the cache to another address: that is what refresh does anyway."""
    return kvm_gfn_to_pfn_cache_refresh(kvm, gpc, gpa, length, False)


def deactivate(kvm: Kvm, gpc: GfnToPfnCache517) -> None:
    """Give the cache up."""
    kvm_gfn_to_pfn_cache_destroy(kvm, gpc)
