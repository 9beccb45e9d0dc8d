"""headroom.py: a program that asks for too much memory gets a MemoryError, and no more."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

HEADROOM = 2 << 30
"""Bytes of address space that a body may add to what the process has."""


@contextmanager
def headroom() -> Iterator[None]:
    """Let the body grow the process by HEADROOM and no more, where the system can tell."""
    if not sys.platform.startswith("linux"):
        yield  # elsewhere the limit is not enforced, or there is none
        return
    import resource

    before, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = _address_space() + HEADROOM
    if before != resource.RLIM_INFINITY:
        limit = min(limit, before)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, hard))


def _address_space() -> int:
    import resource

    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()
