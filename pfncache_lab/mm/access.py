"""access.py: bytes read from a frame and written to it, and what can be wrong with that.

The functions here are parts of the steps in highmem.py.
"""

from __future__ import annotations

from ..sim import Oops, UseAfterFree, machine
from .counting import free_page_story, references
from .errors import LostWrite, SharedWrite
from .frames import RESERVED, Page
from .mapped import why_not
from .step import doer, here, mm_report
from .types import PAGE_SIZE, offset_in_page

PRIMITIVES = True


def at_khva(khva: int) -> str:
    """Name a kernel address."""
    return f"khva {khva:#_x}" if khva >= PAGE_SIZE else f"address {khva:#x}"


def at_phys(hpa: int) -> str:
    """Name a physical address."""
    return f"physical address {hpa:#_x}"


def read_from(page: Page | None, address: int, length: int, physical: bool) -> bytes:
    """Read from a frame; ends the run where that is none, or one that is free."""
    page = _checked(page, address, length, physical, f"loads {_bytes(length)}")
    if machine.running is not None:
        machine.me().seen.setdefault(page, page.version)
    offset = offset_in_page(address)
    return page.data[offset : offset + length]


def write_to(page: Page | None, address: int, data: bytes, physical: bool) -> None:
    """Write to a frame; ends the run where nobody would ever see it."""
    does = f"stores {_bytes(len(data))}"
    page = _checked(page, address, len(data), physical, does)
    if page.kind == RESERVED:
        mm_report(
            Oops(
                f"{doer()} {does} ({here()}), to the page of zeroes, which all share and "
                "nobody may write to. Ask for the page with write=True."
            )
        )
    if page.lost:
        mm_report(LostWrite(_lost(page, f"{does} at {_where(address, physical)}")))
    if page.mapcount is not None and page.mapcount > 1:
        mm_report(SharedWrite(_shared(page, f"{does} at {_where(address, physical)}")))
    change(page, address, data)


def change(page: Page, address: int, data: bytes) -> None:
    """Write to a frame, and note that the task has made progress."""
    page.put_data(offset_in_page(address), data)
    if machine.running is not None:
        machine.me().stored = True


def _bytes(number: int) -> str:
    return f"{number} byte{'s' * (number != 1)}"


def _where(address: int, physical: bool) -> str:
    return at_phys(address) if physical else at_khva(address)


def _checked(page: Page | None, address: int, length: int, physical: bool, does: str) -> Page:
    does = f"{does} at {_where(address, physical)}"
    if not physical and (trouble := why_not(page, address, does)):
        mm_report(Oops(trouble))
    if page is None:
        mm_report(Oops(f"{doer()} {does} ({here()}), where no memory is."))
    if offset_in_page(address) + length > PAGE_SIZE:
        mm_report(
            Oops(
                f"{doer()} {does} ({here()}), and runs past the end of the page, where nothing is "
                "mapped. What crosses the end of a page needs the next page as well."
            )
        )
    if page.free:
        mm_report(UseAfterFree(free_page_story(page, does, "in")))
    if page.stale and not physical:
        mm_report(UseAfterFree(_handed_out_again(page, does)))
    return page


def _handed_out_again(page: Page, does: str) -> str:
    return (
        f"{doer()} {does} in {page.name} ({here()}), through a mapping from before that was freed "
        "and handed out again. Whoever has the page now does not expect it. Unmap a page before "
        f"you drop it, and stop using it when invalidate_range_start() comes.\n{references(page)}"
    )


def _lost(page: Page, does: str) -> str:
    return (
        f"{doer()} {does} in {page.name} ({here()}), but no page table leads there any more: "
        f"{page.unmapped}. The guest and its user look at another page, and will never see these "
        "bytes. A reference keeps the page, not its place: look whether the mapping is still "
        "valid, and store, under the lock under which invalidate_range_start() makes it invalid."
        f"\n{references(page)}"
    )


def _shared(page: Page, does: str) -> str:
    return (
        f"{doer()} {does} in {page.name} ({here()}), but {page.mapcount} page-table entries lead "
        "there, which share it until one of them writes: all of them see these bytes. Get the page "
        "with write=True, which makes a copy, and stop using it when invalidate_range_start() "
        f"comes.\n{references(page)}"
    )
