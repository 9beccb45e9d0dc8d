"""H6: another byte of the same page counts as another page.

The host address that the cache keeps has the offset in the page in it. So a refresh for another
byte of the same page finds another address, and translates for nothing; and as long as H5 is in
there as well, it keeps a reference each time.

Sean Christopherson mended it in 3ba2c95ea180: compare what names the page, not the address with
everything that was added to it. (That brought H12.)
"""

from __future__ import annotations

from ...mm.types import PAGE_ALIGN_DOWN, offset_in_page
from ..kvm_host import Kvm, KvmMemslots
from .bug import V5_17, Bug
from .invariants import I2, I10
from .scene import all_but, scene
from .v5_17 import GfnToPfnCache517, Old
from .v5_17 import set_address as address_as_merged
from .v5_17 import translate as translate_as_merged


def set_address(gpc: GfnToPfnCache517, slots: KvmMemslots, gpa: int) -> int:
    """R3, without the offset in the page."""
    error = address_as_merged(gpc, slots, gpa)
    if not error:
        gpc.uhva = PAGE_ALIGN_DOWN(gpc.uhva)
    return error


def translate(kvm: Kvm, gpc: GfnToPfnCache517, old: Old) -> tuple[int, bool]:
    """R4, which takes the offset from gpa."""
    error, keep = translate_as_merged(kvm, gpc, old)
    if not error:
        gpc.khva += offset_in_page(gpc.gpa)
    return error, keep


BUG = Bug(
    label="H6",
    title="another byte of the same page is translated anew",
    commit="3ba2c95ea180",
    introduced="5.17",
    fixed="5.19",
    invariant="I4",
    era=V5_17,
    mended={"set_address": set_address, "translate": translate},
    # Without I2: the placeholder of H8b is in both. Without I10: what mends this brings H12.
    scene=scene("another byte", "active_cache", {"vmm": "move_within_the_page"}, all_but(I2, I10)),
)
