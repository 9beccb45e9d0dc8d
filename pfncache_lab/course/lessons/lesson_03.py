"""Lesson 03, The host owns the page: get_user_pages, references, and a pfn that is out of date."""

from __future__ import annotations

from typing import Any

from ...explore import Condition, Scenario, find_bug, replay
from ...kvm import pfn as kvm_pfn
from ...kvm.kvm_types import (
    KVM_PFN_ERR_FAULT,
    KVM_PFN_ERR_HWPOISON,
    is_error_pfn,
)
from ...kvm.pfn import hva_to_pfn_remapped, kvm_release_pfn_clean
from ...mm import (
    EFAULT,
    EHWPOISON,
    EINVAL,
    PAGE_SIZE,
    Page,
    SetPageDirty,
    get_user_page_fast_only,
    get_user_pages_unlocked,
    kmap,
    kunmap,
    load,
    mmap_read_lock,
    mmap_read_unlock,
    offset_in_page,
    page_to_pfn,
    put_page,
    store,
)
from ..authoring import edited
from ..exercise import Exercise, Lesson, Mutant, Prediction, Program
from ..host import (
    CASES,
    HELD,
    LATE,
    NO_LEAK,
    NO_MAPPING,
    ONE,
    STALE,
    SWAP,
    TWO,
    ZAP,
    ZERO,
    Host,
    bytes_at,
    migrating,
    swapping,
)
from .too_late import TOO_LATE

# -- 03.1: hva_to_pfn ------------------------------------------------------------------------------


def hva_to_pfn(kvm, addr, atomic, write_fault):
    """Return the pfn behind a user address, with a reference to its page, or KVM_PFN_ERR_*."""
    if write_fault:  # the fast path: a page that is there, and can be written to
        fast = get_user_page_fast_only(kvm.mm, addr, True)
        if fast:
            return page_to_pfn(fast)
    if atomic:
        return KVM_PFN_ERR_FAULT
    page = get_user_pages_unlocked(kvm.mm, addr, write_fault)  # the slow path
    if isinstance(page, Page):
        return page_to_pfn(page)
    if page == -EHWPOISON:
        return KVM_PFN_ERR_HWPOISON
    mmap_read_lock(kvm.mm)  # the memory of a device? Nothing to fill in from here on
    pfn = hva_to_pfn_remapped(kvm, addr, write_fault)
    mmap_read_unlock(kvm.mm)
    return pfn


STUB = '''\
def hva_to_pfn(kvm, addr, atomic, write_fault):
    """Return the pfn behind a user address, with a reference to its page, or KVM_PFN_ERR_*."""
    if write_fault:  # the fast path: a page that is there, and can be written to
        fast = ____
        if fast:
            return page_to_pfn(fast)
    if ____:
        return KVM_PFN_ERR_FAULT
    page = ____  # the slow path
    if isinstance(page, Page):
        return ____
    if ____:
        return KVM_PFN_ERR_HWPOISON
    mmap_read_lock(kvm.mm)  # the memory of a device? Nothing to fill in from here on
    pfn = hva_to_pfn_remapped(kvm, addr, write_fault)
    mmap_read_unlock(kvm.mm)
    return pfn
'''


def in_two_halves(kvm, addr, atomic, write_fault):
    """Ask the fast path for reading as well, and return where the answer is known."""

    def slow():
        page = get_user_pages_unlocked(kvm.mm, addr, write=write_fault)
        if page == -EHWPOISON:
            return KVM_PFN_ERR_HWPOISON
        if not isinstance(page, int):
            return page.pfn
        mmap_read_lock(kvm.mm)
        try:
            return hva_to_pfn_remapped(kvm, addr, write_fault)
        finally:
            mmap_read_unlock(kvm.mm)

    found = get_user_page_fast_only(kvm.mm, addr, write_fault)
    if found is not None:
        return page_to_pfn(found)
    return KVM_PFN_ERR_FAULT if atomic else slow()


def under_a_spinlock(my: Any) -> Scenario:
    """Make the program in which a lookup must not sleep."""

    def reader(s):
        s.lock.lock()
        pfn = my.hva_to_pfn(s, ZERO, True, True)
        s.lock.unlock()
        if not is_error_pfn(pfn):
            kvm_release_pfn_clean(pfn)

    tasks = {"reader": reader, "host": swapping}
    return Scenario("a lookup under a spinlock", Host, tasks, [NO_LEAK])


def while_it_moves(my: Any) -> Scenario:
    """Make the program in which the host moves the page that is looked up."""

    def reader(s):
        pfn = my.hva_to_pfn(s, ZERO, False, True)
        s.saved = pfn
        kvm_release_pfn_clean(pfn)

    tasks = {"host": migrating, "reader": reader}  # the host first: its film has the slow path
    return Scenario("a lookup while the page moves", Host, tasks, [NO_LEAK])


HVA_TO_PFN = Exercise(
    id="03.1",
    title="From hva to pfn",
    minutes=12,
    dots=3,
    spec=(
        "(1) If the caller will write, try the fast path. (2) A caller that is `atomic` may not "
        "sleep, so it gets no further. (3) Take the slow path. (4) Return a pfn, or say whether "
        "the memory is broken (`-EHWPOISON`). All you need of `kvm` here is `kvm.mm`."
    ),
    answer="hva_to_pfn",
    stub=STUB,
    reference=lambda: hva_to_pfn,
    modules=[kvm_pfn],
    cases=CASES,
    programs=[Program(under_a_spinlock, runs=24), Program(while_it_moves, runs=22)],
    mutants={
        "sleeps always": Mutant(
            edited(hva_to_pfn, ("if atomic:", "if False:")),
            "This is what happens when `atomic` is not looked at: the slow path may sleep.",
        ),
        "never sleeps": Mutant(
            edited(hva_to_pfn, ("if atomic:", "if True:")),
            "This is what happens when the slow path is never taken.",
        ),
        "atomic the wrong way round": Mutant(
            edited(hva_to_pfn, ("if atomic:", "if not atomic:")),
            "This is what happens when the test of `atomic` is the wrong way round.",
        ),
        "the page itself": Mutant(
            edited(hva_to_pfn, ("(page, Page):\n        return page_to_pfn(page)",
                                "(page, Page):\n        return page")),
            "This is what happens when the slow path returns the page, and not its pfn.",
        ),
        "only to read": Mutant(
            edited(hva_to_pfn, ("addr, write_fault)  # the slow", "addr)  # the slow")),
            "This is what happens when the slow path does not hear that the caller will write.",
        ),
        "always to write": Mutant(
            edited(hva_to_pfn, ("addr, write_fault)  # the slow", "addr, True)  # the slow")),
            "This is what happens when the slow path asks to write for a caller that only reads.",
        ),
        "one error for all": Mutant(
            edited(hva_to_pfn, ("page == -EHWPOISON", "page == EHWPOISON")),
            "This is what happens when errors are compared without their sign: -EHWPOISON.",
        ),
        "dropped at once": Mutant(
            edited(
                hva_to_pfn,
                ("        if fast:\n", "        if fast:\n            put_page(fast)\n"),
            ),
            "This is what happens when the reference is dropped before the caller has it.",
        ),
    },
    alternatives=[in_two_halves],
    hints=(
        "Two functions look pages up. Which of them may be called where nobody may sleep?",
        "Each of the two takes the address space, the address, and whether you will write. The "
        "slow one returns a Page, or a negative number.",
        "Fast: get_user_page_fast_only of kvm.mm, addr, True. Then stop if atomic. Slow: "
        "get_user_pages_unlocked of kvm.mm, addr, write_fault; its page_to_pfn, or, where it has "
        "returned -EHWPOISON, the error of that name.",
    ),
)  # fmt: skip

# -- 03.2: a copy that gives back what it took -----------------------------------------------------


def copy_bytes(mm, src, dst, length):
    """Copy bytes from one page of a user to another, as the kernel does. Returns 0 or -errno."""
    source = get_user_pages_unlocked(mm, src)
    if not isinstance(source, Page):
        return source
    target = get_user_pages_unlocked(mm, dst, True)
    if not isinstance(target, Page):
        put_page(source)
        return target
    if offset_in_page(dst) + length > PAGE_SIZE:
        put_page(source)
        put_page(target)
        return -EINVAL
    data = load(kmap(source) + offset_in_page(src), length)
    kunmap(source)
    store(kmap(target) + offset_in_page(dst), data)
    kunmap(target)
    SetPageDirty(target)
    put_page(source)
    put_page(target)
    return 0


COPY_STUB = '''\
def copy_bytes(mm, src, dst, length):
    """Copy bytes from one page of a user to another, as the kernel does. Returns 0 or -errno."""
    source = get_user_pages_unlocked(mm, src)
    if not isinstance(source, Page):
        return source
    target = get_user_pages_unlocked(mm, dst, True)
    if not isinstance(target, Page):
        ____  # exit 1
        return target
    if offset_in_page(dst) + length > PAGE_SIZE:
        ____  # exit 2
        return -EINVAL
    data = load(kmap(source) + offset_in_page(src), length)
    kunmap(source)
    store(kmap(target) + offset_in_page(dst), data)
    kunmap(target)
    SetPageDirty(target)
    ____  # exit 3
    return 0
'''


def with_nested_exits(mm, src, dst, length):
    """Let each reference have one place where it is dropped, as `goto out` does in C."""
    source = get_user_pages_unlocked(mm, src)
    if isinstance(source, int):
        return source
    try:
        target = get_user_pages_unlocked(mm, dst, True)
        if isinstance(target, int):
            return target
        try:
            if offset_in_page(dst) + length > PAGE_SIZE:
                return -EINVAL
            data = load(kmap(source) + offset_in_page(src), length)
            kunmap(source)
            store(kmap(target) + offset_in_page(dst), data)
            kunmap(target)
            SetPageDirty(target)
            return 0
        finally:
            put_page(target)
    finally:
        put_page(source)


def source_first(mm, src, dst, length):
    """Drop the source as soon as its bytes are read."""
    source = get_user_pages_unlocked(mm, src)
    if not isinstance(source, Page):
        return source
    data = load(kmap(source) + offset_in_page(src), length)
    kunmap(source)
    put_page(source)
    if offset_in_page(dst) + length > PAGE_SIZE:
        return -EINVAL
    target = get_user_pages_unlocked(mm, dst, True)
    if not isinstance(target, Page):
        return target
    store(kmap(target) + offset_in_page(dst), data)
    kunmap(target)
    SetPageDirty(target)
    put_page(target)
    return 0


def copying(name, src, dst, wanted, why, runs=1, arrives=None, **more) -> Program:
    """Make the program of one copy of six bytes, and what it returns; perhaps with a host."""

    def make(my: Any) -> Scenario:
        def copier(s):
            s.returned = my.copy_bytes(s.mm, src, dst, 6)

        returns = Condition(f"copy_bytes() returns {why}", lambda s: s.returned == wanted)
        final = [NO_MAPPING, NO_LEAK, returns]
        if arrives:
            there = lambda s: bytes_at(s.mm, dst, 6) == arrives  # noqa: E731
            final.append(Condition("the bytes have arrived", there))
        return Scenario(name, Host, {"copier": copier, **more}, final)

    return Program(make, runs)


NOWHERE = ZERO + 3 * PAGE_SIZE
COPY = Exercise(
    id="03.2",
    title="Give back what you took",
    minutes=12,
    dots=2,
    spec=(
        "To touch the bytes of a page, the kernel maps it: `kmap(page)` returns an address for "
        "`load` and `store`, and `kunmap(page)` ends that. Here those are in balance. The "
        "references are not: none of the three marked exits gives anything back. Drop at each what "
        "is held there: `put_page(page)`, as many lines as it takes."
    ),
    answer="copy_bytes",
    stub=COPY_STUB,
    reference=lambda: copy_bytes,
    programs=[
        copying("a copy", ZERO, ONE, 0, "0", arrives=b"page 0"),
        copying("a source that is not there", NOWHERE, ONE, -EFAULT, "-EFAULT"),
        copying("a target that is not there", ZERO, NOWHERE, -EFAULT, "-EFAULT"),
        copying("a target at the page's end", ZERO, TWO - 3, -EINVAL, "-EINVAL"),
        copying("within one page", ZERO, ZERO + 8, 0, "0", arrives=b"page 0"),
        copying("a copy while the page moves", ONE, ZERO, 0, "0", 70, b"page 1", host=migrating),
    ],
    mutants={
        "only when all went well": Mutant(
            edited(
                copy_bytes,
                ("        put_page(source)\n        return target", "        return target"),
                ("        put_page(source)\n        put_page(target)\n        return -E",
                 "        return -E"),
            ),
            "This is what happens when nothing is dropped on the error paths.",
        ),
        "one of two": Mutant(
            edited(
                copy_bytes,
                ("        put_page(source)\n        put_page(target)\n        return -E",
                 "        put_page(target)\n        return -E"),
            ),
            "This is what happens when exit 2 drops one page, and two are held there.",
        ),
        "only the target": Mutant(
            edited(copy_bytes, ("    put_page(source)\n    put_page(target)\n    return 0",
                                "    put_page(target)\n    return 0")),
            "This is what happens when exit 3 drops the target only: the source was looked up, "
            "too.",
        ),
        "twice": Mutant(
            edited(copy_bytes, ("    put_page(target)\n    return 0",
                                "    put_page(source)\n    put_page(target)\n    return 0")),
            "This is what happens when exit 3 drops the source twice: the second reference is "
            "the page table's.",
        ),
        "too early": Mutant(
            edited(
                copy_bytes,
                ("    store(kmap(target)", "    put_page(target)\n    store(kmap(target)"),
                ("    put_page(target)\n    return 0", "    return 0"),
            ),
            "This is what happens when the target is dropped before the store: alone it works, "
            "but the host may take the page in between.",
        ),
        "the wrong one": Mutant(
            edited(copy_bytes, ("        put_page(source)\n        return target",
                                "        put_page(target)\n        return target")),
            "This is what happens when exit 1 drops the target, which is an error there, and no "
            "page.",
        ),
    },
    alternatives=[with_nested_exits, source_first],
    hints=(
        "Go down to each exit, and count: which lookups have succeeded on the way?",
        "At exit 1 one lookup has succeeded, at the other two both.",
        "Exit 1 drops source. Exits 2 and 3 drop source and target: put_page, once each.",
    ),
    out_of_scope="The source never reaches over the end of its page.",
)  # fmt: skip

# -- predictions -----------------------------------------------------------------------------------


def where_it_goes() -> str:
    """Run the trouble, and look whose page has changed."""
    run = replay(STALE, TROUBLE)
    return "into a page of the bank" if run.bug is not None else "into the process's page"


TROUBLE = "wwwhhbbbbbw"


def can_it_move() -> str:
    """Let the host try while the writer has its reference, and look where the page is."""
    run = replay(HELD, "wwhh")
    assert run.trace is not None
    memory = run.trace.end["memory"]
    return "it stays where it is" if memory.entries[0].pfn == 0x901 else "it moves"


def is_a_reference_enough() -> str:
    """Let the balloon take the page away from under a reference."""
    return "no" if find_bug(ZAP) is not None else "yes"


LESSON = Lesson(
    number=3,
    title="The host owns the page",
    scenarios=[STALE, LATE, HELD, SWAP, ZAP],
    predictions=[
        Prediction(
            "stale",
            where_it_goes,
            "The frame was free, and the bank was the next to need one. Nothing has failed.",
        ),
        Prediction(
            "pinned",
            can_it_move,
            "Migration counts the references. One that it cannot account for ends the attempt.",
        ),
        Prediction(
            "balloon",
            is_a_reference_enough,
            "A reference keeps the frame from being freed. It does not keep its place.",
        ),
    ],
    exercises=[HVA_TO_PFN, COPY, TOO_LATE],
)
