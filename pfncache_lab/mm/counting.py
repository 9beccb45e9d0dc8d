"""counting.py: what becomes of a frame when references are taken and dropped, within one step.

The functions here are parts of steps. The steps are in page.py and pte.py.
"""

from __future__ import annotations

from ..sim import DoubleFree, UseAfterFree
from .frames import POISONED, ZEROES, Page, the_ram
from .step import doer, done, here, mm_report

PRIMITIVES = True


def allocate(data: bytes = ZEROES) -> Page | None:
    """Take the first free frame, with one reference, and fill it. None if there is none."""
    ram = the_ram()
    if not ram.free:
        return None
    page = ram.free.popleft()
    page.refcount, page.mapcount, page.dirty = 1, None, False
    page.data = data
    page.version += 1
    page.unmapped = page.freed = None
    page.trail.append(done("took the first reference"))
    return page


def take(page: Page) -> None:
    """Take one more reference to a frame in use."""
    if page.kind:
        return
    if page.free:
        remedy = "Whoever takes a reference needs one already, or the page table's."
        mm_report(UseAfterFree(free_page_story(page, "takes a reference", "to", remedy)))
    page.refcount += 1
    page.stale = False  # whoever has it now may use the mappings that there are
    page.trail.append(done(f"took a reference, now {page.refcount}"))


def drop(page: Page) -> None:
    """Drop one reference; the last one frees the frame."""
    if page.kind:
        return
    if page.free:
        remedy = "Drop only what you have taken, and drop it once."
        mm_report(DoubleFree(free_page_story(page, "drops a reference", "to", remedy)))
    if page.refcount == 1 and page.mapcount:
        mm_report(DoubleFree(_belongs_to_page_table(page)))
    page.refcount -= 1
    left = f"a reference, now {page.refcount}" if page.refcount else "the last reference"
    page.trail.append(done(f"dropped {left}"))
    if not page.refcount:
        _free(page)


def _free(page: Page) -> None:
    page.freed = page.trail[-1]
    page.stale = page.kmaps > 0
    page.data = POISONED
    page.version += 1
    if not page.hwpoison:
        the_ram().free.append(page)


USED_LATE = (
    "Whoever uses a page must hold a reference to it, or stop using it when "
    "invalidate_range_start() comes."
)


def free_page_story(page: Page, does: str, into: str, remedy: str = USED_LATE) -> str:
    """Say that somebody uses a frame that is free, and who had it."""
    freed = f": {page.freed.task} freed it {page.freed.when}" if page.freed else ""
    return (
        f"{doer()} {does} {into} {page.name} ({here()}), but that is free{freed}. {remedy}\n"
        f"{references(page)}"
    )


def _belongs_to_page_table(page: Page) -> str:
    return (
        f"{doer()} drops the last reference to {page.name} ({here()}), but a page table still "
        "leads there, and that reference is the page table's. Drop only what you have taken, and "
        f"drop it once.\n{references(page)}"
    )


def references(page: Page) -> str:
    """List who took and dropped references last."""
    if not page.trail:
        return "  Nobody has ever had a reference to it."
    return "\n".join(event.line() for event in page.trail)
