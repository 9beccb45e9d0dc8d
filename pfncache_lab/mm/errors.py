"""errors.py: what can go wrong with memory alone. The rest of the family is in sim.errors."""

from ..sim import KernelBug


class LostWrite(KernelBug):
    """A store went to a page frame that no page table leads to any more: nobody will see it.

    The guest and its user have another page at that address by now. Common causes: a kernel mapping
    that is used after invalidate_range_start(); a pfn kept in a register while the page moved.
    """


class SharedWrite(KernelBug):
    """A store went to a page that several address spaces share until one of them writes.

    All of them see it now, and only one of them has written. Common causes: a page that was got
    without write=True; a mapping that is used after fork() or a merge has made it read-only.
    """
