"""checks.py: what must hold of the memory at the end of a run. For the conditions of a scenario.

final=[Condition("nothing leaked", lambda s: check_page_refs(s.ram))]
"""

from __future__ import annotations

from collections.abc import Mapping

from ..sim import PageLeak
from .counting import references
from .frames import Page, Ram

PRIMITIVES = True


def check_page_refs(ram: Ram, expected: Mapping[int, int] | None = None) -> bool:
    """See that each frame has the references of the page tables, and those of `expected`.

    `expected` says how many more a frame may have, by pfn. Returns True; raises PageLeak.
    """
    for pfn, page in ram.pages.items():
        more = (expected or {}).get(pfn, 0)
        if page.counted and page.refcount != (page.mapcount or 0) * (not page.free) + more:
            raise PageLeak(_leak(page, more))
    return True


def check_kernel_mappings(ram: Ram, expected: Mapping[int, int] | None = None) -> bool:
    """See that what was mapped into the kernel was unmapped, but for `expected`, by pfn.

    Returns True; raises PageLeak.
    """
    for pfn, page in ram.pages.items():
        if page.kmaps != (expected or {}).get(pfn, 0):
            raise PageLeak(_mapping_leak(page, (expected or {}).get(pfn, 0)))
    return True


def _leak(page: Page, more: int) -> str:
    tables = page.mapcount or 0
    want = tables + more
    what = (
        "so it can never be freed. Somebody has taken a reference and not dropped it; look at the "
        "error paths and the retries"
        if page.refcount > want
        else "so it will be freed under somebody who uses it. Somebody has dropped a reference "
        "that was not his"
    )
    return (
        f"At the end {page.name} has {_count(page.refcount, 'reference')}, and should have {want} "
        f"({tables} of page tables, {more} of others), {what}.\n{references(page)}"
    )


def _mapping_leak(page: Page, want: int) -> str:
    last = "\n".join(event.line() for event in page.mappings)
    what = "kunmap() or memunmap() is missing" if page.kmaps > want else "one too many was undone"
    return (
        f"At the end {page.name} has {_count(page.kmaps, 'mapping')} into the kernel, and should "
        f"have {want}: {what}.\n{last}"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
