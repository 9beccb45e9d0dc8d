"""mapped.py: the kernel's own mappings of page frames, and what is wrong with using one.

The functions here are parts of the steps in highmem.py.
"""

from __future__ import annotations

from ..sim import Oops, UseAfterFree
from .counting import free_page_story
from .frames import DEVICE, Page, the_ram
from .step import doer, done, here, mm_report
from .types import DIRECT_MAP, MEMREMAP_AREA, PAGE_SHIFT, PAGE_SIZE

PRIMITIVES = True


def page_at(khva: int) -> Page | None:
    """Find the frame that a kernel address stands for, mapped or not. This is arithmetic."""
    pages = the_ram().pages
    if DIRECT_MAP <= khva < MEMREMAP_AREA:
        page = pages.get((khva - DIRECT_MAP) >> PAGE_SHIFT)
        return page if page is not None and page.kind != DEVICE else None
    page = pages.get((khva - MEMREMAP_AREA) >> PAGE_SHIFT)
    return page if page is not None and page.kind == DEVICE else None


def add_kernel_mapping(page: Page) -> None:
    """Count one more mapping of a frame in use."""
    if page.free:
        mm_report(UseAfterFree(free_page_story(page, "makes a kernel mapping", "of")))
    page.kmaps += 1
    page.stale = False
    page.mappings.append(done("mapped it"))


def remove_kernel_mapping(page: Page | None, khva: int) -> None:
    """Count one mapping less. The frame may be free by now."""
    if page is None or not page.kmaps:
        mm_report(
            Oops(
                f"{doer()} unmaps the kernel address {khva:#_x} ({here()}), where nothing is "
                f"mapped. {last_mappings(page)}Unmap once for each time that you have mapped."
            )
        )
    page.kmaps -= 1
    page.stale = page.stale and page.kmaps > 0
    page.mappings.append(done("unmapped it"))


def why_not(page: Page | None, khva: int, does: str) -> str | None:
    """Say why there is nothing to be used at a kernel address, or return None."""
    what = f"{doer()} {does} ({here()})"
    if khva < PAGE_SIZE:
        return (
            f"{what}: that is a NULL pointer. Either the mapping has failed, or somebody has taken "
            "it away: look, and use it, under the lock that guards the pointer."
        )
    if page is None:
        return f"{what}, where no memory is. Look at how the address was computed."
    if not page.kmaps:
        return (
            f"{what}, where nothing is mapped. {last_mappings(page)}"
            "Use a mapping between kmap() and kunmap(), and nowhere else."
        )
    return None


def last_mappings(page: Page | None) -> str:
    """Tell who mapped and unmapped it last."""
    if page is None or not page.mappings:
        return "Nobody has ever mapped it. "
    last = [str(event) for event in page.mappings][-2:]
    return f"{page.name[0].upper()}{page.name[1:]}: {'; '.join(last)}. "
