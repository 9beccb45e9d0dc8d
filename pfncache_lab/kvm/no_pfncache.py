"""no_pfncache.py: what a kernel without HAVE_KVM_PFNCACHE has instead of the cache: nothing.

    link(KVM_MODULES, {"gfn_to_pfn_cache_invalidate_start":
                       no_pfncache.gfn_to_pfn_cache_invalidate_start})

Mirrors the empty function in virt/kvm/kvm_mm.h, v5.17.
"""

from __future__ import annotations

from .kvm_host import Kvm


def gfn_to_pfn_cache_invalidate_start(kvm: Kvm, start: int, end: int, may_block: bool) -> None:
    """Do nothing: there is no cache that could hold a page of [start, end)."""
