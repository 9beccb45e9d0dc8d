"""fidelity.py: what of the host's memory is modelled, what is simplified, and what is left out.

The table is data, so that a test can see that what it names exists.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

How = Literal["modelled", "simplified", "left out"]


class Mechanism(NamedTuple):
    """One line of the table."""

    name: str
    how: How
    detail: str
    """How it is modelled, or what is different, or why it is missing."""


MEMORY = (
    Mechanism(
        "page frames and references", "modelled",
        "reference count, contents, free list; the last reference frees at once. A frame that is "
        "free holds 0xaa and goes to the end of the list, so it is handed out again last.",
    ),
    Mechanism(
        "kmap, memremap", "modelled",
        "mappings are counted, as with HIGHMEM: a use after the last kunmap() is found, though it "
        "would work on a 64-bit machine. One page at a time.",
    ),
    Mechanism(
        "stores by kernel, user and guest", "modelled",
        "all reach the same bytes, one step each, within a page. A store to a page that no page "
        "table leads to is a LostWrite, one to a page that several share is a SharedWrite.",
    ),
    Mechanism(
        "page table", "simplified",
        "one level, an entry a page. A change of an entry, the flush of the TLB, the count of "
        "mappings and the drop of the page table's reference are one step, as under its lock; in "
        "the kernel the page is freed a little later, after the flush.",
    ),
    Mechanism(
        "get_user_pages", "modelled",
        "the fast path is one step, in any context; the slow one takes mmap_lock, faults, and "
        "looks again. FOLL_NOWAIT, FOLL_PIN and several pages at once are left out.",
    ),
    Mechanism(
        "faults", "modelled",
        "zero page, swap-in, copy-on-write, waiting for migration. Nobody kills a process: errors "
        "are returned.",
    ),
    Mechanism(
        "copy-on-write", "simplified",
        "copy, change of the entry and release of the old page are one step between start and end "
        "of the notifiers; the kernel copies before. A page is used again without a copy where the "
        "reference count is one, as before PageAnonExclusive().",
    ),
    Mechanism(
        "MMU notifiers", "modelled",
        "start and end around each event, overlapping and nested, blockable or not, and a refusal "
        "of the latter. Who is told is decided in the set-up; SRCU, invalidate_range() and the "
        "interval trees of newer users are left out.",
    ),
    Mechanism(
        "mmap_lock", "simplified",
        "held for writing until munmap() is done, where the kernel goes on with a read lock. No "
        "lock for a single area.",
    ),
    Mechanism(
        "munmap, mremap, mprotect, madvise, exit, OOM reaper", "modelled",
        "whole pages, under mmap_lock as in the kernel. Only MADV_DONTNEED; mremap() moves, and "
        "does not grow.",
    ),
    Mechanism(
        "migration", "simplified",
        "an entry that faults wait for, between start and end; then count, copy and new entry in "
        "one step. Refused for a page with another reference, or with two mappings. One try, where "
        "the kernel makes ten.",
    ),
    Mechanism(
        "swap", "simplified",
        "through the swap cache, in which a page with another reference stays; always written, so "
        "the dirty flag is kept and decides nothing.",
    ),
    Mechanism(
        "KSM", "simplified",
        "two pages of one process, with both ranges invalidated around one step; the kernel write-"
        "protects first and compares then, in a range each.",
    ),
    Mechanism(
        "fork", "simplified",
        "shares areas and pages with a child that exists already; waits for a page that moves.",
    ),
    Mechanism(
        "memory of devices", "simplified",
        "VM_PFNMAP and VM_IO areas of frames without a struct page, mapped by faults.",
    ),
    Mechanism(
        "broken memory", "simplified",
        "the page is unmapped and never handed out again; no signal, no machine check.",
    ),
    Mechanism(
        "huge pages, NUMA, memory cgroups, file mappings, mlock, userfaultfd", "left out",
        "none of them changes the order of notifier, page table and reference that a cache sees.",
    ),
    Mechanism(
        "TLB", "left out",
        "an access finds what the page table says: whoever changes an entry flushes in that step.",
    ),
)  # fmt: skip


def fidelity_table(mechanisms: tuple[Mechanism, ...]) -> str:
    """Render the table as Markdown."""
    rows = [f"| {m.name} | {m.how} | {m.detail} |" for m in mechanisms]
    return "\n".join(["| mechanism | | how |", "|---|---|---|", *rows])
