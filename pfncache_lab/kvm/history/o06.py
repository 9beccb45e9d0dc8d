"""O6, a candidate: a cache of a host address that no memslot covers.

A notifier counts up mmu_invalidate_seq at its end only if a memslot overlaps with the range. A
cache that was activated by its host address needs no memslot. So a whole invalidation can come and
go while the refresh translates, and leave nothing behind for it to see.

We have derived this from the source. Nobody is known to have reported it, and it may be ruled out
by something that the model does not have. Call it a candidate.
"""

from __future__ import annotations

from .bug import Bug
from .scene import scene

BUG = Bug(
    label="O6",
    title="candidate: an invalidation outside of all memslots leaves no trace",
    commit="",
    introduced="6.9",
    fixed="open",
    invariant="I1",
    scene=scene(
        "the page is replaced, and no slot has it",
        "cache_of_a_host_address",
        {"refresher": "refresh_here", "host": "drop_outside"},
    ),
)
