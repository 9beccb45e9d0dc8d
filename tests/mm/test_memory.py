"""What a process and the kernel see of memory, one thing after the other."""

from typing import Any

import pytest

from pfncache_lab.mm import (
    EAGAIN,
    EEXIST,
    EFAULT,
    EHWPOISON,
    EINVAL,
    ENOMEM,
    FIRST_DEVICE_PFN,
    FIRST_HVA,
    FIRST_PFN,
    NULL,
    PAGE_ALIGN,
    PAGE_ALIGN_DOWN,
    PAGE_POISON,
    PAGE_SIZE,
    PFN_PHYS,
    PHYS_PFN,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
    VM_IO,
    VM_PFNMAP,
    HwPoison,
    MmStruct,
    PageReserved,
    Present,
    Ram,
    SetPageDirty,
    SharedWrite,
    alloc_page,
    check_kernel_mappings,
    check_page_refs,
    copy_from_user,
    copy_to_user,
    exit_mmap,
    fixup_user_fault,
    follow_pte,
    fork_cow,
    get_page_unless_zero,
    get_user_page_fast_only,
    get_user_pages_unlocked,
    kmap,
    ksm_merge,
    kunmap,
    load,
    load_phys,
    madvise_dontneed,
    memory_failure,
    memremap,
    memunmap,
    migrate_page,
    mmap,
    mmap_read_lock,
    mmap_read_unlock,
    mprotect,
    mremap,
    munmap,
    offset_in_page,
    oom_reap_task_mm,
    page_count,
    page_to_pfn,
    pfn_to_page,
    pfn_valid,
    put_page,
    ram,
    store,
    store_phys,
    swap_out,
)
from pfncache_lab.sim import ModelError, Struct, new_world

ONE, TWO, THREE, FOUR = (FIRST_HVA + i * PAGE_SIZE for i in range(4))


class Host(Struct):
    def __init__(self, frames=8, **more):
        super().__init__()
        self.ram = Ram(frames, **more)
        self.mm = MmStruct("mm")
        self.child = MmStruct("child")
        mmap(self.mm, ONE, 3 * PAGE_SIZE)


@pytest.fixture
def s():
    new_world()
    host = Host()
    yield host
    check_page_refs(host.ram)
    check_kernel_mappings(host.ram)


def got(s, hva) -> Any:
    return get_user_pages_unlocked(s.mm, hva, write=True)


def entry_of(s, hva) -> Any:
    return follow_pte(s.mm, hva)


def frame(s, hva):
    return s.mm.entries()[hva].pfn


def test_addresses():
    assert (PAGE_ALIGN_DOWN(ONE + 1), PAGE_ALIGN(ONE + 1), offset_in_page(ONE + 1)) == (ONE, TWO, 1)
    assert PHYS_PFN(PFN_PHYS(0x901) + 5) == 0x901


def test_a_page_is_handed_out_first_in_first_out_and_poisoned_when_free(s):
    page = alloc_page()
    assert (page_to_pfn(page), page_count(page)) == (FIRST_PFN, 1)
    SetPageDirty(page)
    assert page.dirty and get_page_unless_zero(page)
    put_page(page)
    put_page(page)
    assert not get_page_unless_zero(page) and set(page.data) == {PAGE_POISON}
    pages = [alloc_page() for _ in range(9)]
    assert [p and p.pfn for p in pages] == [*range(FIRST_PFN + 1, FIRST_PFN + 8), FIRST_PFN, None]
    assert set(page.data) == {0} and not page.dirty
    for page in pages[:-1]:
        put_page(page)


def test_pfns_and_struct_pages(s):
    assert pfn_to_page(FIRST_PFN) is s.ram.pages[FIRST_PFN] and pfn_valid(FIRST_PFN)
    assert pfn_to_page(FIRST_DEVICE_PFN) is None and not pfn_valid(1)
    assert ram() is s.ram and PageReserved(s.ram.zero_page)
    assert repr(s.ram) == "<Ram, 8 of 8 page frames free>"
    assert repr(pfn_to_page(FIRST_PFN)) == "<Page 0x901, free>"
    assert s.ram.snapshot() == {"free": tuple(range(FIRST_PFN, FIRST_PFN + 8))}


def test_user_kernel_and_guest_reach_the_same_bytes(s):
    assert copy_to_user(s.mm, ONE + 0x10, b"user") == 0
    page = got(s, ONE)
    khva = kmap(page)
    assert load(khva + 0x10, 4) == load_phys(PFN_PHYS(page.pfn) + 0x10, 4) == b"user"
    store(khva + 0x11, b"S")
    store_phys(PFN_PHYS(page.pfn) + 0x13, b"R")
    assert copy_from_user(s.mm, ONE + 0x10, 5) == b"uSeR\0"
    kunmap(page)
    put_page(page)


def test_a_copy_crosses_pages_and_stops_where_no_area_is(s):
    assert copy_to_user(s.mm, TWO - 2, b"four") == 0
    assert copy_from_user(s.mm, TWO - 2, 4) == b"four"
    assert copy_to_user(s.mm, FOUR - 2, b"four") == 2
    assert copy_from_user(s.mm, FOUR - 2, 4) == copy_from_user(s.mm, ONE - 9, 1) == -EFAULT


def test_who_only_reads_shares_a_page_of_zeroes(s):
    assert copy_from_user(s.mm, ONE, 2) == b"\0\0"
    assert s.mm.entries() == {ONE: Present(s.ram.zero_page, False)}
    assert get_user_page_fast_only(s.mm, ONE) is s.ram.zero_page
    assert get_user_page_fast_only(s.mm, ONE, write=True) is None
    page = got(s, ONE)
    assert page.pfn == FIRST_PFN and page.refcount == 2
    put_page(page)


def test_the_fast_path_takes_no_fault(s):
    assert get_user_page_fast_only(s.mm, ONE) is None
    assert get_user_page_fast_only(s.mm, ONE - PAGE_SIZE) is None
    assert get_user_pages_unlocked(s.mm, FOUR) == -EFAULT


def test_no_memory_is_left():
    new_world()
    s = Host(frames=1)
    assert copy_to_user(s.mm, ONE, b"x") == 0 and copy_to_user(s.mm, TWO, b"x") == 1
    assert get_user_pages_unlocked(s.mm, TWO, write=True) == -ENOMEM
    assert migrate_page(s.mm, ONE) == -ENOMEM and copy_from_user(s.mm, ONE, 1) == b"x"
    assert fork_cow(s.mm, s.child, ONE, PAGE_SIZE) == 0
    assert copy_to_user(s.mm, ONE, b"y") == 1


def test_munmap_frees_and_splits_areas(s):
    copy_to_user(s.mm, ONE, b"x" * PAGE_SIZE * 3)
    assert munmap(s.mm, TWO, 1) == 0
    assert [(vma.start, vma.end) for vma in s.mm.vmas] == [(ONE, TWO), (THREE, FOUR)]
    assert set(s.mm.entries()) == {ONE, THREE} and copy_to_user(s.mm, TWO, b"x") == 1
    assert repr(s.mm.vmas[0]) == "<Vma 0x7f5a_a000_0000 to 0x7f5a_a000_1000, rw>"
    assert munmap(s.mm, TWO, PAGE_SIZE) == 0
    assert munmap(s.mm, ONE + 1, 1) == munmap(s.mm, ONE, 0) == -EINVAL


def test_mmap_refuses_what_is_taken(s):
    assert mmap(s.mm, THREE, PAGE_SIZE) == -EEXIST and mmap(s.mm, THREE + 1, 9) == -EINVAL
    assert mmap(s.mm, FOUR, PAGE_SIZE) == 0
    with pytest.raises(ModelError, match="Give MmStruct"):
        mmap(s.mm, FOUR + PAGE_SIZE, 1)
    with pytest.raises(ModelError, match="Only the frames of a device"):
        mmap(s.mm, ONE, 1, pfn=FIRST_PFN)


def test_dontneed_leaves_zeroes(s):
    copy_to_user(s.mm, ONE, b"x")
    assert madvise_dontneed(s.mm, ONE, PAGE_SIZE) == 0
    assert copy_from_user(s.mm, ONE, 1) == b"\0"
    assert madvise_dontneed(s.mm, FOUR, PAGE_SIZE) == -ENOMEM
    assert madvise_dontneed(s.mm, ONE + 1, PAGE_SIZE) == -EINVAL


def test_mprotect_takes_rights_away_and_faults_give_them_back(s):
    copy_to_user(s.mm, ONE, b"x")
    assert mprotect(s.mm, ONE, 2 * PAGE_SIZE, PROT_READ) == 0
    assert copy_to_user(s.mm, ONE, b"y") == 1 and copy_from_user(s.mm, ONE, 1) == b"x"
    assert get_user_pages_unlocked(s.mm, ONE, write=True) == -EFAULT
    assert mprotect(s.mm, ONE, PAGE_SIZE, PROT_NONE) == 0
    assert copy_from_user(s.mm, ONE, 1) == -EFAULT and get_user_page_fast_only(s.mm, ONE) is None
    assert mprotect(s.mm, ONE, PAGE_SIZE, PROT_READ | PROT_WRITE) == 0
    assert copy_from_user(s.mm, ONE, 1) == b"x" and copy_to_user(s.mm, ONE, b"y") == 0
    assert len(s.mm.vmas) == 3 and mprotect(s.mm, FOUR, 1, PROT_READ) == -ENOMEM
    assert mprotect(s.mm, ONE + 1, 1, PROT_READ) == -EINVAL


def test_mremap_moves_pages_with_their_contents(s):
    copy_to_user(s.mm, ONE, b"x")
    before = frame(s, ONE)
    assert mremap(s.mm, ONE, PAGE_SIZE, FOUR) == 0
    assert frame(s, FOUR) == before and copy_from_user(s.mm, FOUR, 1) == b"x"
    assert copy_from_user(s.mm, ONE, 1) == -EFAULT
    assert mremap(s.mm, TWO, PAGE_SIZE, THREE) == 0  # what was there is unmapped
    assert mremap(s.mm, TWO, PAGE_SIZE, ONE) == -EFAULT
    assert mremap(s.mm, THREE, 2 * PAGE_SIZE, FOUR) == -EINVAL


def test_migration_moves_unless_somebody_has_a_reference(s):
    copy_to_user(s.mm, ONE, b"x")
    before = frame(s, ONE)
    page = get_user_page_fast_only(s.mm, ONE)
    assert migrate_page(s.mm, ONE) == -EAGAIN and frame(s, ONE) == before
    put_page(page)
    assert migrate_page(s.mm, ONE) == 0 and frame(s, ONE) != before
    assert copy_from_user(s.mm, ONE, 1) == b"x"
    assert migrate_page(s.mm, TWO) == -EAGAIN


def test_swap_goes_through_the_swap_cache(s):
    copy_to_user(s.mm, ONE, b"x")
    page = get_user_page_fast_only(s.mm, ONE, write=True)
    assert swap_out(s.mm, ONE) == -EAGAIN
    assert get_user_page_fast_only(s.mm, ONE) is None
    khva = kmap(page)
    store(khva, b"y")  # it is still in the swap cache, so this is not lost
    kunmap(page)
    put_page(page)
    assert copy_from_user(s.mm, ONE, 1) == b"y" and frame(s, ONE) == page.pfn
    assert swap_out(s.mm, ONE) == 0 and len(s.ram.free) == 8
    assert copy_from_user(s.mm, ONE, 1) == b"y" and frame(s, ONE) != page.pfn
    assert swap_out(s.mm, FOUR) == -EAGAIN


def test_merged_pages_are_copied_when_one_is_written_to(s):
    copy_to_user(s.mm, ONE, b"x")
    copy_to_user(s.mm, TWO, b"y")
    assert ksm_merge(s.mm, ONE, TWO) == -EAGAIN and ksm_merge(s.mm, ONE, ONE + 1) == -EINVAL
    copy_to_user(s.mm, TWO, b"x")
    assert ksm_merge(s.mm, ONE, TWO) == 0 and frame(s, ONE) == frame(s, TWO)
    assert ksm_merge(s.mm, ONE, THREE) == migrate_page(s.mm, ONE) == -EAGAIN
    copy_to_user(s.mm, TWO, b"y")
    assert copy_from_user(s.mm, ONE, 1) == b"x" and frame(s, ONE) != frame(s, TWO)
    before = frame(s, ONE)
    copy_to_user(s.mm, ONE, b"z")  # the last one need not copy
    assert frame(s, ONE) == before


def test_a_child_shares_until_one_of_them_writes(s):
    copy_to_user(s.mm, ONE, b"x")
    copy_to_user(s.mm, TWO, b"swapped")
    swap_out(s.mm, TWO)
    assert fork_cow(s.mm, s.child, ONE, 3 * PAGE_SIZE) == 0
    assert fork_cow(s.mm, s.child, ONE, PAGE_SIZE) == -EFAULT
    assert copy_to_user(s.child, ONE, b"y") == 0
    assert (copy_from_user(s.mm, ONE, 1), copy_from_user(s.child, ONE, 1)) == (b"x", b"y")
    assert copy_from_user(s.mm, TWO, 7) == copy_from_user(s.child, TWO, 7) == b"swapped"


def test_a_store_past_copy_on_write_is_seen_by_all(s):
    copy_to_user(s.mm, ONE, b"x")
    page = get_user_page_fast_only(s.mm, ONE, write=True)
    fork_cow(s.mm, s.child, ONE, PAGE_SIZE)
    khva = kmap(page)
    with pytest.raises(SharedWrite, match="2 page-table entries lead there, which share it"):
        store(khva, b"y")
    kunmap(page)
    put_page(page)


def test_broken_memory_is_not_handed_out_again(s):
    copy_to_user(s.mm, ONE, b"x")
    page = get_user_page_fast_only(s.mm, ONE)
    assert memory_failure(s.mm, ONE) == 0
    put_page(page)
    assert s.mm.entries() == {ONE: HwPoison(page.pfn)} and page not in s.ram.free
    assert get_user_pages_unlocked(s.mm, ONE) == -EHWPOISON
    assert copy_to_user(s.mm, ONE, b"x") == 1 and memory_failure(s.mm, TWO) == -EFAULT
    munmap(s.mm, ONE, PAGE_SIZE)


def test_the_reaper_and_the_exit_empty_an_address_space(s):
    copy_to_user(s.mm, ONE, b"x")
    assert oom_reap_task_mm(s.mm) and not s.mm.entries() and s.mm.vmas
    copy_to_user(s.mm, ONE, b"x")
    exit_mmap(s.mm)
    assert not s.mm.entries() and not s.mm.vmas


def test_the_memory_of_a_device_has_no_references_to_take():
    new_world()
    s = Host(device_frames=1)
    device = VM_IO | VM_PFNMAP
    mmap(s.mm, FOUR, PAGE_SIZE, PROT_READ | PROT_WRITE, device, FIRST_DEVICE_PFN)
    assert get_user_pages_unlocked(s.mm, FOUR) == -EFAULT
    mmap_read_lock(s.mm)
    assert follow_pte(s.mm, FOUR) == -EINVAL and fixup_user_fault(s.mm, FOUR, True) == 0
    entry = entry_of(s, FOUR)
    mmap_read_unlock(s.mm)
    assert (entry.pfn, entry.writable) == (FIRST_DEVICE_PFN, True) and not pfn_valid(entry.pfn)
    assert get_user_page_fast_only(s.mm, FOUR) is None
    khva = memremap(PFN_PHYS(entry.pfn) + 0x20, 4)
    assert khva == 0xFFFF_C900_0FD0_0020
    store(khva, b"regs")
    assert copy_from_user(s.mm, FOUR + 0x20, 4) == b"regs"
    memunmap(khva)
    assert memremap(PFN_PHYS(1), 1) == memremap(PFN_PHYS(entry.pfn), PAGE_SIZE + 1) == NULL
    assert oom_reap_task_mm(s.mm) and FOUR in s.mm.entries()
    munmap(s.mm, FOUR, PAGE_SIZE)
    assert check_page_refs(s.ram) and check_kernel_mappings(s.ram)


def test_a_device_may_be_missing_and_a_mapping_may_fail():
    new_world()
    s = Host(device_frames=1, memremap_fails=True)
    mmap(s.mm, FOUR, PAGE_SIZE, PROT_READ, VM_PFNMAP, FIRST_DEVICE_PFN + 1)
    assert copy_from_user(s.mm, FOUR, 1) == -EFAULT
    assert memremap(PFN_PHYS(FIRST_DEVICE_PFN), 1) == NULL
