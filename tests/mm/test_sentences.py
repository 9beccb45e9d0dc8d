"""What a newcomer reads when memory goes wrong: word by word, but for the numbers of lines."""

import re
from functools import partial
from typing import Any

import pytest

from pfncache_lab.explore import Condition, Scenario, check
from pfncache_lab.mm import (
    FIRST_HVA,
    NULL,
    PAGE_SIZE,
    PFN_PHYS,
    LostWrite,
    MmStruct,
    Ram,
    SetPageDirty,
    alloc_page,
    check_kernel_mappings,
    check_page_refs,
    copy_to_user,
    get_page,
    get_user_page_fast_only,
    get_user_pages_unlocked,
    kmap,
    kunmap,
    load,
    madvise_dontneed,
    migrate_page,
    mmap,
    munmap,
    put_page,
    store,
    store_phys,
)
from pfncache_lab.sim import DoubleFree, ModelError, Oops, PageLeak, Struct, UseAfterFree

HVA = FIRST_HVA


class Memory(Struct):
    def __init__(self, frames=4):
        super().__init__()
        self.ram = Ram(frames)
        self.mm = MmStruct("mm")
        mmap(self.mm, HVA, 2 * PAGE_SIZE)
        copy_to_user(self.mm, HVA, b"hello")


def said(kind, setup=Memory, final=None, **tasks):
    """Run the tasks under all schedules, and return what the first failure says, without lines."""
    conditions = [Condition("nothing leaked", final)] if final else []
    report = check(Scenario("sentence", setup, tasks, final=conditions))
    assert type(report.failure.bug) is kind
    return re.sub(r"line \d+", "line N", str(report.failure.bug))


def test_a_store_to_a_page_that_has_moved_away_is_lost():
    def writer(s):
        page = get_user_page_fast_only(s.mm, HVA, True)
        if page is None:
            return
        khva = kmap(page)
        store(khva + 0x80, b"abc")
        kunmap(page)
        put_page(page)

    def balloon(s):
        madvise_dontneed(s.mm, HVA, PAGE_SIZE)

    assert said(LostWrite, writer=writer, balloon=balloon) == (
        "writer stores 3 bytes at khva 0xffff_8880_0090_1080 in page frame 0x901 (line N of "
        'writer(): `store(khva + 0x80, b"abc")`), but no page table leads there any more: balloon '
        "unmapped it from hva 0x7f5a_a000_0000 at step 4 (line N of balloon(): "
        "`madvise_dontneed(s.mm, HVA, PAGE_SIZE)`). The guest and its user look at another page, "
        "and will never see these bytes. A reference keeps the page, not its place: look whether "
        "the mapping is still valid, and store, under the lock under which "
        "invalidate_range_start() makes it invalid.\n"
        "  the set-up took the first reference (line N of __init__(): "
        '`copy_to_user(self.mm, HVA, b"hello")`)\n'
        "  step 1: writer took a reference, now 2 (line N of writer(): "
        "`page = get_user_page_fast_only(s.mm, HVA, True)`)\n"
        "  step 4: balloon dropped a reference, now 1 (line N of balloon(): "
        "`madvise_dontneed(s.mm, HVA, PAGE_SIZE)`)"
    )


def test_a_store_to_a_page_that_was_freed():
    def task(s):
        page = get_user_page_fast_only(s.mm, HVA, True)
        khva = kmap(page)
        put_page(page)
        munmap(s.mm, HVA, PAGE_SIZE)
        store(khva, b"abc")

    assert said(UseAfterFree, task=task) == (
        "task stores 3 bytes at khva 0xffff_8880_0090_1000 in page frame 0x901 (line N of task(): "
        '`store(khva, b"abc")`), but that is free: task freed it at step 5 (line N of task(): '
        "`munmap(s.mm, HVA, PAGE_SIZE)`). Whoever uses a page must hold a reference to it, or stop "
        "using it when invalidate_range_start() comes.\n"
        "  the set-up took the first reference (line N of __init__(): "
        '`copy_to_user(self.mm, HVA, b"hello")`)\n'
        "  step 1: task took a reference, now 2 (line N of task(): "
        "`page = get_user_page_fast_only(s.mm, HVA, True)`)\n"
        "  step 3: task dropped a reference, now 1 (line N of task(): `put_page(page)`)\n"
        "  step 5: task dropped the last reference (line N of task(): "
        "`munmap(s.mm, HVA, PAGE_SIZE)`)"
    )


def test_a_guest_that_keeps_a_pfn():
    def task(s):
        page = get_user_page_fast_only(s.mm, HVA, True)
        put_page(page)
        migrate_page(s.mm, HVA)
        store_phys(PFN_PHYS(page.pfn), b"abc")

    assert said(UseAfterFree, task=task).startswith(
        "task stores 3 bytes at physical address 0x90_1000 in page frame 0x901 (line N of task(): "
        '`store_phys(PFN_PHYS(page.pfn), b"abc")`), but that is free: task freed it at step 4 '
        "(line N of task(): `migrate_page(s.mm, HVA)`). "
    )


def test_a_page_that_was_handed_out_again():
    def task(s):
        page = get_user_page_fast_only(s.mm, HVA, True)
        khva = kmap(page)
        put_page(page)
        munmap(s.mm, HVA, PAGE_SIZE)
        copy_to_user(s.mm, HVA + PAGE_SIZE, b"another")
        store(khva, b"abc")

    assert said(UseAfterFree, partial(Memory, 1), task=task).startswith(
        "task stores 3 bytes at khva 0xffff_8880_0090_1000 in page frame 0x901 (line N of task(): "
        '`store(khva, b"abc")`), through a mapping from before that was freed and handed out '
        "again. Whoever has the page now does not expect it. Unmap a page before you drop it, and "
        "stop using it when invalidate_range_start() comes.\n"
    )


def test_a_page_that_is_put_once_too_often():
    def twice(s):
        page = alloc_page()
        put_page(page)
        put_page(page)

    assert said(DoubleFree, task=twice) == (
        "task drops a reference to page frame 0x902 (line N of twice(): `put_page(page)`), but "
        "that is free: task freed it at step 2 (line N of twice(): `put_page(page)`). Drop only "
        "what you have taken, and drop it once.\n"
        "  step 1: task took the first reference (line N of twice(): `page = alloc_page()`)\n"
        "  step 2: task dropped the last reference (line N of twice(): `put_page(page)`)"
    )


def test_the_reference_of_a_page_table_is_not_ours():
    def task(s):
        page = get_user_page_fast_only(s.mm, HVA)
        put_page(page)
        put_page(page)

    assert said(DoubleFree, task=task).startswith(
        "task drops the last reference to page frame 0x901 (line N of task(): `put_page(page)`), "
        "but a page table still leads there, and that reference is the page table's. Drop only "
        "what you have taken, and drop it once.\n"
    )


def test_a_reference_to_a_free_page():
    def task(s):
        page = alloc_page()
        put_page(page)
        get_page(page)

    assert said(UseAfterFree, task=task).startswith(
        "task takes a reference to page frame 0x902 (line N of task(): `get_page(page)`), but that "
        "is free: task freed it at step 2 (line N of task(): `put_page(page)`). Whoever takes a "
        "reference needs one already, or the page table's.\n"
    )


def test_a_free_page_that_is_marked_dirty():
    def task(s):
        page = alloc_page()
        put_page(page)
        SetPageDirty(page)

    assert said(UseAfterFree, task=task).startswith(
        "task marks as dirty what was in page frame 0x902 (line N of task(): "
        "`SetPageDirty(page)`), but that is free: task freed it at step 2 (line N of task(): "
        "`put_page(page)`). "
    )


def test_addresses_where_nothing_is():
    def null(s):
        load(NULL + 8, 2)

    def unmapped(s):
        page = get_user_page_fast_only(s.mm, HVA)
        khva = kmap(page)
        kunmap(page)
        load(khva, 2)

    def nowhere(s):
        load(0xFFFF_8880_1234_5678, 2)

    def twice(s):
        page = get_user_page_fast_only(s.mm, HVA)
        kunmap(page)

    def across(s):
        page = get_user_page_fast_only(s.mm, HVA)
        store(kmap(page) + PAGE_SIZE - 2, b"abc")

    def zeroes(s):
        store(kmap(s.ram.zero_page), b"abc")

    def no_page(s):
        page: Any = get_user_pages_unlocked(s.mm, 0x1000)
        put_page(page)

    assert said(Oops, task=null) == (
        "task loads 2 bytes at address 0x8 (line N of null(): `load(NULL + 8, 2)`): that is a NULL "
        "pointer. Either the mapping has failed, or somebody has taken it away: look, and use it, "
        "under the lock that guards the pointer."
    )
    assert said(Oops, task=unmapped) == (
        "task loads 2 bytes at khva 0xffff_8880_0090_1000 (line N of unmapped(): `load(khva, 2)`), "
        "where nothing is mapped. Page frame 0x901: task mapped it at step 2 (line N of "
        "unmapped(): `khva = kmap(page)`); task unmapped it at step 3 (line N of unmapped(): "
        "`kunmap(page)`). Use a mapping between kmap() and kunmap(), and nowhere else."
    )
    assert said(Oops, task=nowhere) == (
        "task loads 2 bytes at khva 0xffff_8880_1234_5678 (line N of nowhere(): "
        "`load(0xFFFF_8880_1234_5678, 2)`), where no memory is. Look at how the address was "
        "computed."
    )
    assert said(Oops, task=twice) == (
        "task unmaps the kernel address 0xffff_8880_0090_1000 (line N of twice(): "
        "`kunmap(page)`), where nothing is mapped. Nobody has ever mapped it. Unmap once for each "
        "time that you have mapped."
    )
    assert said(Oops, task=no_page) == (
        "task hands over -14 where a page is wanted (line N of no_page(): `put_page(page)`). "
        "A lookup that fails returns None, or a negative error: look before you use it."
    )
    assert "runs past the end of the page" in said(Oops, task=across)
    assert "the page of zeroes, which all share" in said(Oops, task=zeroes)


def test_what_was_not_given_back():
    def task(s):
        page = get_user_page_fast_only(s.mm, HVA)
        kmap(page)

    assert said(PageLeak, final=lambda s: check_page_refs(s.ram), task=task) == (
        "At the end page frame 0x901 has 2 references, and should have 1 (1 of page tables, 0 of "
        "others), so it can never be freed. Somebody has taken a reference and not dropped it; "
        "look at the error paths and the retries.\n"
        "  the set-up took the first reference (line N of __init__(): "
        '`copy_to_user(self.mm, HVA, b"hello")`)\n'
        "  step 1: task took a reference, now 2 (line N of task(): "
        "`page = get_user_page_fast_only(s.mm, HVA)`)"
    )
    assert said(PageLeak, final=lambda s: check_kernel_mappings(s.ram), task=task) == (
        "At the end page frame 0x901 has 1 mapping into the kernel, and should have 0: kunmap() or "
        "memunmap() is missing.\n"
        "  step 2: task mapped it (line N of task(): `kmap(page)`)"
    )


def test_what_may_be_left_is_told():
    s = Memory()
    page = get_user_page_fast_only(s.mm, HVA)
    kmap(page)
    assert check_page_refs(s.ram, {page.pfn: 1}) and check_kernel_mappings(s.ram, {page.pfn: 1})
    with pytest.raises(PageLeak, match="has 2 references, and should have 4"):
        check_page_refs(s.ram, {page.pfn: 3})


def test_only_the_last_eight_are_told():
    def task(s):
        page = get_user_page_fast_only(s.mm, HVA)
        for _ in range(6):
            get_page(page)
            put_page(page)
        put_page(page)
        put_page(page)

    story = said(DoubleFree, task=task)
    assert len(story.splitlines()) == 1 + 8 and "the set-up" not in story


def test_a_run_without_memory_and_an_address_without_an_entry():
    def setup():
        return MmStruct("mm")

    Ram.current = None
    with pytest.raises(ModelError, match="Begin the set-up with `Ram"):
        setup()
    s = Memory()
    with pytest.raises(ModelError, match="has no page-table entry in this run"):
        s.mm.pte(HVA + 64 * PAGE_SIZE)
