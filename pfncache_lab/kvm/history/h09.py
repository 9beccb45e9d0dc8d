"""H9: a cache that keeps a reference keeps the host from moving the page.

Invalidation makes the reference needless: whoever wants the page back says so first. With the
reference, the host says so and then cannot move the page all the same; and where it takes the page
away by force, the cache is left with one that nobody else can see, and a mistake that would be a
use after free is a write that nobody reads.

Sean Christopherson mended it in 85165781c5d9.
"""

from __future__ import annotations

from ...mm.page import get_page, pfn_to_page
from ..kvm_types import GfnToPfnCache, is_error_noslot_pfn
from ..pfn import kvm_release_pfn_clean
from ..pfncache import gpc_unmap as unmap_today
from ..pfncache import hva_to_pfn_retry as today
from .bug import Bug
from .invariants import AT_THE_END, EVERYWHERE, MIGRATES
from .scene import scene


def hva_to_pfn_retry(gpc: GfnToPfnCache) -> int:
    """Translate, and keep a reference to the page."""
    before = gpc.pfn
    error = today(gpc)
    page = None if error or gpc.pfn == before else pfn_to_page(gpc.pfn)
    if page is not None:
        get_page(page)
    return error


def gpc_unmap(pfn: int, khva: int) -> None:
    """Unmap the page, and give the reference back."""
    unmap_today(pfn, khva)
    if not is_error_noslot_pfn(pfn):
        kvm_release_pfn_clean(pfn)


BUG = Bug(
    label="H9",
    title="the host cannot move a page that a cache has",
    commit="85165781c5d9",
    introduced="5.17",
    fixed="5.19",
    invariant="I4",
    broken={"hva_to_pfn_retry": hva_to_pfn_retry, "gpc_unmap": gpc_unmap},
    scene=scene(
        "the page moves",
        "active_cache",
        {"host": "move_the_page"},
        (*EVERYWHERE, MIGRATES, *AT_THE_END),
    ),
)
