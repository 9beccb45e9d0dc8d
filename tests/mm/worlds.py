"""A small address space to do things to, and the things that can be done to it."""

from __future__ import annotations

from pfncache_lab.mm import (
    FIRST_HVA,
    PAGE_SIZE,
    PFN_PHYS,
    PROT_READ,
    MmStruct,
    Ram,
    SetPageDirty,
    alloc_page,
    copy_from_user,
    copy_to_user,
    exit_mmap,
    fork_cow,
    get_page,
    get_user_page_fast_only,
    get_user_pages_unlocked,
    kmap,
    ksm_merge,
    kunmap,
    load,
    load_phys,
    madvise_dontneed,
    memory_failure,
    migrate_page,
    mmap,
    mprotect,
    mremap,
    munmap,
    oom_reap_task_mm,
    page_count,
    put_page,
    store,
    store_phys,
    swap_out,
)
from pfncache_lab.mm.frames import Page
from pfncache_lab.sim import Struct, marked

ONE, TWO, THREE, FOUR = (FIRST_HVA + i * PAGE_SIZE for i in range(4))


class Memory(Struct):
    """Two pages that were written to, one that never was touched, and one without an area.

    The second of them has one more reference, and a mapping into the kernel.
    """

    out0 = marked(None)
    out1 = marked(None)

    def __init__(self, frames=4):
        super().__init__()
        self.ram = Ram(frames)
        self.mm = MmStruct("mm")
        self.child = MmStruct("child")
        mmap(self.mm, ONE, 3 * PAGE_SIZE)
        assert copy_to_user(self.mm, ONE, b"same") == copy_to_user(self.mm, TWO, b"same") == 0
        self.page = get_user_page_fast_only(self.mm, TWO)
        kmap(self.page)

    @property
    def khva(self):
        return self.page.khva


def pfn(page):
    return page.pfn if isinstance(page, Page) else page


def gup(hva, write=True):
    def act(s):
        return pfn(get_user_page_fast_only(s.mm, hva, write))

    return act


def gup_slow(hva, write=True):
    def act(s):
        return pfn(get_user_pages_unlocked(s.mm, hva, write))

    return act


def gup_and_put(s):
    page = get_user_page_fast_only(s.mm, ONE, True)
    if page is not None:
        put_page(page)
    return pfn(page)


def use_mapped(s):
    page = get_user_page_fast_only(s.mm, ONE, True)
    if page is not None:
        khva = kmap(page)
        store(khva + 8, b"k")
        kunmap(page)
        put_page(page)


def alloc(s):
    return pfn(alloc_page())


def alloc_and_put(s):
    page = alloc_page()
    if page is not None:
        put_page(page)
    return pfn(page)


def both_puts(s):
    put_page(s.page)
    put_page(s.page)


ACTS = {
    "gup": gup(ONE),
    "gup of the pinned page": gup(TWO, False),
    "slow gup": gup_slow(THREE),
    "slow gup to read": gup_slow(THREE, False),
    "slow gup of the first": gup_slow(ONE),
    "gup and put": gup_and_put,
    "gup, map, store": use_mapped,
    "alloc": alloc,
    "alloc and put": alloc_and_put,
    "get": lambda s: get_page(s.page),
    "put": lambda s: put_page(s.page),
    "put too many": both_puts,
    "count": lambda s: page_count(s.page),
    "dirty": lambda s: SetPageDirty(s.page),
    "load": lambda s: load(s.khva, 4),
    "store": lambda s: store(s.khva + 2, b"KK"),
    "guest's load": lambda s: load_phys(PFN_PHYS(s.page.pfn), 4),
    "guest's store": lambda s: store_phys(PFN_PHYS(s.page.pfn) + 1, b"GG"),
    "kmap": lambda s: kmap(s.page),
    "kunmap": lambda s: kunmap(s.page),
    "copy to user": lambda s: copy_to_user(s.mm, ONE, b"us"),
    "copy to the pinned page": lambda s: copy_to_user(s.mm, TWO + 3, b"us"),
    "copy to new page": lambda s: copy_to_user(s.mm, THREE, b"us"),
    "copy from user": lambda s: copy_from_user(s.mm, TWO, 4),
    "copy from new page": lambda s: copy_from_user(s.mm, THREE, 4),
    "munmap": lambda s: munmap(s.mm, ONE, PAGE_SIZE),
    "munmap all": lambda s: munmap(s.mm, ONE, 3 * PAGE_SIZE),
    "dontneed": lambda s: madvise_dontneed(s.mm, TWO, PAGE_SIZE),
    "mprotect": lambda s: mprotect(s.mm, ONE, 2 * PAGE_SIZE, PROT_READ),
    "mremap": lambda s: mremap(s.mm, ONE, PAGE_SIZE, FOUR),
    "migrate": lambda s: migrate_page(s.mm, ONE),
    "migrate the pinned page": lambda s: migrate_page(s.mm, TWO),
    "swap out": lambda s: swap_out(s.mm, ONE),
    "swap out the pinned page": lambda s: swap_out(s.mm, TWO),
    "ksm": lambda s: ksm_merge(s.mm, ONE, TWO),
    "fork": lambda s: fork_cow(s.mm, s.child, ONE, 2 * PAGE_SIZE),
    "memory failure": lambda s: memory_failure(s.mm, TWO),
    "oom": lambda s: oom_reap_task_mm(s.mm),
    "exit": lambda s: exit_mmap(s.mm),
}
