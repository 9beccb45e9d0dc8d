"""H12: the right page, and the wrong place in it.

Since H6 was mended, another byte of the same page is no reason to translate. So nothing was done,
and khva went on pointing at the byte that was asked for before.

David Woodhouse mended it in 8332f0ed4f18: where nothing has changed but the offset, that has.
"""

from __future__ import annotations

from ...mm.types import NULL, PAGE_ALIGN_DOWN
from ..kvm_types import KVM_PFN_ERR_FAULT, GfnToPfnCache
from ..pfncache import gpc_unmap, hva_to_pfn_retry, set_address
from .bug import Bug
from .scene import scene


def __kvm_gpc_refresh(gpc: GfnToPfnCache, gpa: int, uhva: int) -> int:
    """Do nothing where the page is the same."""
    gpc.lock.write_lock_irq()
    old_pfn, old_khva = gpc.pfn, PAGE_ALIGN_DOWN(gpc.khva)
    old_uhva = PAGE_ALIGN_DOWN(gpc.uhva)
    error = set_address(gpc, gpa, uhva)
    if not error and (not gpc.valid or PAGE_ALIGN_DOWN(gpc.uhva) != old_uhva):
        error = hva_to_pfn_retry(gpc)
    if error:
        gpc.valid = False
        gpc.pfn = KVM_PFN_ERR_FAULT
        gpc.khva = NULL
    unmap_old = old_pfn != gpc.pfn
    gpc.lock.write_unlock_irq()
    if unmap_old:
        gpc_unmap(old_pfn, old_khva)
    return error


BUG = Bug(
    label="H12",
    title="another byte of the same page is looked for at the old place",
    commit="8332f0ed4f18",
    introduced="5.19",
    fixed="6.1",
    invariant="I10",
    broken={"__kvm_gpc_refresh": __kvm_gpc_refresh},
    scene=scene("another byte of the page", "active_cache", {"vmm": "move_within_the_page"}),
)
