"""H5: a reference more with each refresh that finds the same page.

An invalidation need not take the page away. The refresh after it gets the page that the cache has
held all along, and keeps the mapping; but the translation has taken a reference of its own, and
nobody gives that back. The page can never be freed again.

Sean Christopherson mended it in 3dddf65b4f4c: the same value is a second reference all the same.
"""

from __future__ import annotations

from ..kvm_host import Kvm
from ..pfn import kvm_release_pfn_clean
from .bug import V5_17, Bug
from .invariants import I2
from .scene import all_but, scene
from .v5_17 import GfnToPfnCache517, Old
from .v5_17 import translate as as_merged


def translate(kvm: Kvm, gpc: GfnToPfnCache517, old: Old) -> tuple[int, bool]:
    """R4, and the second reference goes back."""
    error, keep = as_merged(kvm, gpc, old)
    if keep:
        kvm_release_pfn_clean(old.pfn)
    return error, keep


BUG = Bug(
    label="H5",
    title="each refresh that finds the same page keeps a reference",
    commit="3dddf65b4f4c",
    introduced="5.17",
    fixed="5.19",
    invariant="I4",
    era=V5_17,
    mended={"translate": translate},
    # Without I2: the placeholder of H8b is in both.
    scene=scene(
        "the page is protected, and refreshed",
        "active_cache",
        {"vmm": "touch_the_page"},
        all_but(I2),
    ),
)
