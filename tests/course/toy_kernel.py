"""A kernel of two functions, one of which a reader supplies: for the tests of `modules`."""

from __future__ import annotations

EINVAL = 22


def page_fits(gpa, length):
    """Tell whether an access stays within one page."""
    return (gpa & 0xFFF) + length <= 0x1000


def kvm_gpc_check(gpa, length):
    """Return 0, or -EINVAL when a cache cannot hold that: a cache holds one page."""
    if not page_fits(gpa, length):
        return -EINVAL
    return 0
