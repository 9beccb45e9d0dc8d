"""O1: a refresh that starves. Open.

A refresh translates again while any invalidation is under way, wherever in the process it may be.
One thread that invalidates memory which the guest does not even have, again and again, is enough
if the refresh always asks at the wrong moment; two, of which one begins before the other ends,
need no luck.

Series by David Woodhouse with Mushahid Hussain (2024), and a counter-proposal by Sean
Christopherson (2024-10-15), are not merged.
"""

from __future__ import annotations

from .bug import Bug
from .invariants import AT_THE_END
from .scene import scene

BUG = Bug(
    label="O1",
    title="invalidations elsewhere keep a refresh from ending",
    commit="",
    introduced="5.19",
    fixed="open",
    invariant="I9",
    strategy="states",
    scene=scene(
        "another thread invalidates, and does not stop",
        "touched_cache",
        {"refresher": "refresh_and_tell", "other": "invalidate_elsewhere"},
        AT_THE_END,  # who looks at every step makes every step count: eight times as long
    ),
)
