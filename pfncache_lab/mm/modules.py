"""modules.py: the modules whose functions are linked by name: `link([*MODULES, ...], {...})`."""

from . import (
    access,
    checks,
    counting,
    fault,
    fork,
    frames,
    gup,
    highmem,
    hwpoison,
    ksm,
    mapped,
    migrate,
    mm_struct,
    mmu_notifier,
    moving,
    oom,
    page,
    paging,
    pte,
    pte_values,
    rwsem,
    step,
    swap,
    types,
    uaccess,
    usermem,
    vma,
)  # fmt: skip

MODULES = (
    checks, counting, access, fault, fork, frames, gup, highmem, hwpoison, ksm, mapped, migrate,
    mm_struct, mmu_notifier, moving, oom, page, paging, pte, pte_values, rwsem, step, swap, types,
    uaccess, usermem, vma,
)  # fmt: skip
