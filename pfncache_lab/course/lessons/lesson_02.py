"""Lesson 02, Memslots and generations: look up a frame, and know when to look again."""

from __future__ import annotations

from collections.abc import Callable

from ...explore import replay
from ...kvm import memslots
from ...kvm.kvm_host import (
    KVM_MEM_LOG_DIRTY_PAGES,
    KVM_MEM_READONLY,
    KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS,
    KVM_MEMSLOT_INVALID,
    KvmMemorySlot,
    KvmMemslots,
)
from ...kvm.kvm_types import KVM_HVA_ERR_BAD, KVM_HVA_ERR_RO_BAD
from ...mm import FIRST_HVA, PAGE_SIZE
from ..authoring import edited
from ..exercise import Built, Case, Exercise, Lesson, Mutant, Prediction, Program
from .slots import (
    AFTER,
    BEFORE,
    KEPT,
    KEPT_HVA,
    LOW,
    MOVED,
    NEW_HVA,
    SEVERAL,
    after,
    cache_of,
    moving,
    one_slot,
    publish,
    several_slots,
)
from .updating import ONE_STORE, SWAP

# -- 02.1. Readers see these answers. --------------------------------------------------------------


def search_memslots(slots, gfn):
    """Return the slot that has frame `gfn`, or None."""
    for slot in slots.slots:
        if slot.base_gfn <= gfn < slot.base_gfn + slot.npages:
            return slot
    return None


def by_next(slots, gfn):
    """Ask for the first of those that have it."""
    return next((s for s in slots.slots if gfn in range(s.base_gfn, s.base_gfn + s.npages)), None)


def from_the_end(slots, gfn):
    """Begin with the highest that does not lie above."""
    for slot in reversed(slots.slots):
        if slot.base_gfn <= gfn:
            return slot if gfn - slot.base_gfn < slot.npages else None


SEARCH_STUB = '''\
def search_memslots(slots, gfn):
    """Return the slot that has frame `gfn`, or None."""
    for slot in slots.slots:
        if ____:
            return slot
    return None
'''

HIGH = KvmMemorySlot(1, 0, 0x20, 4, FIRST_HVA + 4 * PAGE_SIZE)
ONE = KvmMemorySlot(2, 0, 0x24, 1, FIRST_HVA)
SLOTS = KvmMemslots(4, (LOW, HIGH, ONE))


def _search(gfn: int, expected: KvmMemorySlot | None, because: str = "") -> Case:
    what = f"search_memslots(slots, {gfn:#x})"
    return Case(what, lambda my: my.search_memslots(SLOTS, gfn), expected, because)


def _searching(new: str, says: str) -> Mutant:
    old = "slot.base_gfn <= gfn < slot.base_gfn + slot.npages"
    return Mutant(edited(search_memslots, (old, new)), f"This is what happens {says}")


SEARCH = Exercise(
    id="02.1",
    title="Which slot?",
    minutes=7,
    dots=1,
    spec=(
        "A slot has `npages` frames, from `base_gfn` on. `slots.slots` is a tuple of them; they "
        "do not overlap, and there may be holes between them. Return the slot of a frame."
    ),
    answer="search_memslots",
    stub=SEARCH_STUB,
    reference=lambda: search_memslots,
    modules=[memslots],
    cases=[
        _search(0x10, LOW, "it is the slot's first frame"),
        _search(0x11, LOW, "it is the slot's last frame"),
        _search(0x12, None, "the slot has two frames, 0x10 and 0x11"),
        _search(0x0F, None, "no slot begins so low"),
        _search(0x1F, None, "it is in the hole between two slots"),
        _search(0x22, HIGH, "it is in the second slot"),
        _search(0x24, ONE, "one slot ends where the next one begins"),
        _search(0x25, None),
        _search(1, None, "a frame's number is no place in a slot"),
        Case("no slots", lambda my: my.search_memslots(KvmMemslots(0), 0x10), None),
        Case(
            "gfn_to_memslot(kvm, 0x11), the kernel's, which calls yours",
            lambda my: my.gfn_to_memslot(one_slot().kvm, 0x11),
            LOW,
        ),
    ],
    mutants={
        "one too far": _searching(
            "slot.base_gfn <= gfn <= slot.base_gfn + slot.npages",
            "when the end is counted in: the frame after the last one belongs to nobody.",
        ),
        "one too late": _searching(
            "slot.base_gfn < gfn < slot.base_gfn + slot.npages",
            "when the first frame is left out.",
        ),
        "no end": _searching("slot.base_gfn <= gfn", "when you do not ask where the slot ends."),
        "no beginning": _searching(
            "gfn < slot.base_gfn + slot.npages", "when you do not ask where the slot begins."
        ),
        "length for end": _searching(
            "slot.base_gfn <= gfn < slot.npages",
            "when the number of frames is taken for the end.",
        ),
        "first slot only": Mutant(
            edited(search_memslots, ("    return None", "        return None")),
            "This is what happens when you give up after the first slot: look where the last line "
            "begins.",
        ),
        "a place": Mutant(
            edited(search_memslots, ("return slot\n", "return slot.id\n")),
            "This is what happens when you return the slot's id, and not the slot.",
        ),
    },
    alternatives=[by_next, from_the_end],
    hints=(
        "Which is the last frame of a slot that begins at 0x10 and has two?",
        "Compare the frame with both ends. Which of them belongs to the slot?",
        "The frame is at least base_gfn, and less than base_gfn and npages together.",
    ),
    kernel=(
        "`search_memslots()` in [include/linux/kvm_host.h]"
        "(https://github.com/torvalds/linux/blob/v5.17/include/linux/kvm_host.h). It has thousands "
        "of slots to search, and walks down a tree."
    ),
)

# -- 02.2 ------------------------------------------------------------------------------------------


def gfn_to_hva_memslot(slot, gfn):
    """Return the user address of frame `gfn`, to write to, or an error address."""
    if slot is None or slot.flags & KVM_MEMSLOT_INVALID:
        return KVM_HVA_ERR_BAD
    if slot.flags & KVM_MEM_READONLY:
        return KVM_HVA_ERR_RO_BAD
    return slot.userspace_addr + ((gfn - slot.base_gfn) << 12)


def one_page_after_the_other(slot, gfn):
    """Begin with what is good, and count in bytes."""
    if slot is not None and not slot.flags & (KVM_MEMSLOT_INVALID | KVM_MEM_READONLY):
        return gfn * 4096 - slot.base_gfn * 4096 + slot.userspace_addr
    gone = slot is None or bool(slot.flags & KVM_MEMSLOT_INVALID)
    return KVM_HVA_ERR_BAD if gone else KVM_HVA_ERR_RO_BAD


HVA_STUB = '''\
def gfn_to_hva_memslot(slot, gfn):
    """Return the user address of frame `gfn`, to write to, or an error address."""
    if slot is None or slot.flags & KVM_MEMSLOT_INVALID:
        return ____
    if ____:
        return ____
    return ____
'''


def _hva(what: str, slot: KvmMemorySlot | None, gfn: int, expected: int, because: str) -> Case:
    what = f"{what}, gfn {gfn:#x}"
    return Case(what, lambda my: my.gfn_to_hva_memslot(slot, gfn), expected, because)


def _translating(old: str, new: str, says: str) -> Mutant:
    return Mutant(edited(gfn_to_hva_memslot, (old, new)), f"This is what happens {says}")


BOTH = KVM_MEM_READONLY | KVM_MEMSLOT_INVALID

TO_HVA = Exercise(
    id="02.2",
    title="From a frame to a user address",
    minutes=8,
    dots=2,
    spec=(
        "Return the hva of the frame's first byte. (1) Without a slot, or where it is about to go: "
        "`KVM_HVA_ERR_BAD`. (2) Where it is read-only: `KVM_HVA_ERR_RO_BAD`, since the address is "
        "wanted for writing. (3) Else as many pages behind `slot.userspace_addr` as the frame is "
        "behind `slot.base_gfn`."
    ),
    answer="gfn_to_hva_memslot",
    stub=HVA_STUB,
    reference=lambda: gfn_to_hva_memslot,
    modules=[memslots],
    cases=[
        _hva("a slot's first frame", LOW, 0x10, FIRST_HVA, "it is where the slot begins"),
        _hva("its second", LOW, 0x11, FIRST_HVA + PAGE_SIZE, "it is one page farther"),
        _hva("another slot", HIGH, 0x23, FIRST_HVA + 7 * PAGE_SIZE, "it is its fourth page"),
        _hva("no slot", None, 0x12, KVM_HVA_ERR_BAD, "the frame is in a hole"),
        _hva(
            "a read-only slot",
            LOW._replace(flags=KVM_MEM_READONLY),
            0x10,
            KVM_HVA_ERR_RO_BAD,
            "there is a page, and nobody may write to it",
        ),
        _hva(
            "a read-only slot that logs",
            LOW._replace(flags=KVM_MEM_READONLY | KVM_MEM_LOG_DIRTY_PAGES),
            0x10,
            KVM_HVA_ERR_RO_BAD,
            "each flag is one bit, and others may be set",
        ),
        _hva(
            "a slot that logs",
            LOW._replace(flags=KVM_MEM_LOG_DIRTY_PAGES),
            0x11,
            FIRST_HVA + PAGE_SIZE,
            "a log does not forbid to write",
        ),
        _hva(
            "a slot about to go",
            LOW._replace(flags=KVM_MEMSLOT_INVALID),
            0x10,
            KVM_HVA_ERR_BAD,
            "it translates nothing any more",
        ),
        _hva("a read-only one about to go", LOW._replace(flags=BOTH), 0x10, KVM_HVA_ERR_BAD, ""),
        Case(
            "gfn_to_hva(kvm, gfn), the kernel's, which calls yours, for 0x11, 0x12 and 0x14",
            lambda my: tuple([my.gfn_to_hva(several_slots().kvm, gfn) for gfn in (17, 18, 20)]),
            (FIRST_HVA + PAGE_SIZE, KVM_HVA_ERR_BAD, KVM_HVA_ERR_RO_BAD),
        ),
    ],
    mutants={
        "the number itself": _translating(
            "(gfn - slot.base_gfn)", "gfn", "when the frame is not counted from the slot's first."
        ),
        "no shift": _translating(
            " << 12", "", "when frames are added to an address: a frame is 0x1000 bytes."
        ),
        "minus": _translating(
            "(gfn - slot.base_gfn)", "(slot.base_gfn - gfn)", "when you count backwards."
        ),
        "read-only is none": _translating(
            "KVM_HVA_ERR_RO_BAD",
            "KVM_HVA_ERR_BAD",
            "when both errors are the same: a caller could not tell a ROM from a hole.",
        ),
        "flags are a number": _translating(
            "slot.flags & KVM_MEM_READONLY",
            "slot.flags == KVM_MEM_READONLY",
            "when all the flags are compared, and not the one bit.",
        ),
        "any flag": _translating(
            "slot.flags & KVM_MEM_READONLY",
            "slot.flags",
            "when every flag is taken for read-only.",
        ),
        "still there": _translating(
            " or slot.flags & KVM_MEMSLOT_INVALID",
            "",
            "when a slot that is about to go still translates.",
        ),
        "no hole": _translating(
            "slot is None or slot.flags",
            "slot.flags",
            "when you look at the flags of a slot that is not there.",
        ),
    },
    alternatives=[one_page_after_the_other],
    hints=(
        "How many pages behind the slot's first frame is `gfn`? How many bytes is that?",
        "Two ways to fail, two error addresses. Then: where the slot begins, and the distance.",
        "The distance in frames is gfn less base_gfn; shifted left by twelve it is in bytes. Add "
        "that to userspace_addr. The read-only bit is tested with &.",
    ),
    kernel=(
        "`__gfn_to_hva_many()` and `__gfn_to_hva_memslot()` in [virt/kvm/kvm_main.c]"
        "(https://github.com/torvalds/linux/blob/v5.17/virt/kvm/kvm_main.c) and kvm_host.h."
    ),
)

# -- 02.3: an hva that is kept ---------------------------------------------------------------------


def cached_hva(kvm, cache):
    """Return the user address of `cache.gfn`; look it up only if the memslots have changed."""
    slots = memslots.kvm_memslots(kvm)
    if cache.generation != slots.generation:
        slot = memslots.search_memslots(slots, cache.gfn)
        cache.hva = memslots.gfn_to_hva_memslot(slot, cache.gfn)
        cache.generation = slots.generation
    return cache.hva


def early_return(kvm, cache):
    """Leave where there is nothing to do."""
    slots = memslots.kvm_memslots(kvm)
    if slots.generation == cache.generation:
        return cache.hva
    cache.generation = slots.generation
    hva = memslots.gfn_to_hva_memslot(memslots.search_memslots(slots, cache.gfn), cache.gfn)
    cache.hva = hva
    return hva


CACHED_STUB = '''\
def cached_hva(kvm, cache):
    """Return the user address of `cache.gfn`; look it up only if the memslots have changed."""
    slots = memslots.kvm_memslots(kvm)
    if ____:
        slot = memslots.search_memslots(slots, cache.gfn)
        cache.hva = memslots.gfn_to_hva_memslot(slot, cache.gfn)
        ____
    return cache.hva
'''


def _asked(generation: int, gfn: int = 0x10) -> Callable[[Built], object]:
    """Make what a case does: ask once, with a cache of this generation. The slots have 4."""
    return lambda my: my.cached_hva(after().kvm, cache_of(generation, gfn=gfn))


def _asked_twice(my: Built) -> str:
    vm, cache = after(), cache_of(2)
    first = my.cached_hva(vm.kvm, cache) == NEW_HVA
    kept = cache.generation == 4 and cache.hva == NEW_HVA
    publish(vm, LOW)
    back = my.cached_hva(vm.kvm, cache) == FIRST_HVA
    words = [f"the first answer is {'right' if first else 'wrong'}"]
    words.append(f"what is kept {'fits' if kept else 'does not fit'}")
    words.append(f"after a move back it is {'right' if back else 'wrong'}")
    return ", ".join(words)


def _caching(says: str, *changes: tuple[str, str]) -> Mutant:
    return Mutant(edited(cached_hva, *changes), f"This is what happens {says}")


IN_PROGRESS = KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS

CACHED = Exercise(
    id="02.3",
    title="Look again when you must",
    minutes=10,
    dots=3,
    spec=(
        "`cache` keeps a `gfn`, its `hva`, and the `generation` of the memslots that said so. "
        "Return the hva; look it up again only if the memslots have another generation. The caller "
        "is in a read section, so `slots` stays as it is. (What is in `memslots` is the kernel's "
        "own: a slip in 02.1 does not follow you here.)"
    ),
    answer="cached_hva",
    stub=CACHED_STUB,
    reference=lambda: cached_hva,
    cases=[
        Case("the same generation", _asked(4), KEPT_HVA, "what is kept is still true"),
        Case("an older generation", _asked(2), NEW_HVA, "the slot has moved since"),
        Case("an empty cache", _asked(0), NEW_HVA, "generation 0 has said nothing"),
        Case(
            "a cache that was filled during an update, generation 2 | 1 << 63",
            _asked(2 | IN_PROGRESS),
            NEW_HVA,
            "another generation is another one, be it larger or smaller",
        ),
        Case("a frame in no slot", _asked(2, 0x12), KVM_HVA_ERR_BAD, "an error is an answer"),
        Case(
            "asked, moved, asked again",
            _asked_twice,
            "the first answer is right, what is kept fits, after a move back it is right",
        ),
    ],
    programs=[Program(moving, runs=6)],
    mutants={
        "never again": _caching(
            "when you look up only what has never been looked up.",
            ("cache.generation != slots.generation", "cache.generation == 0"),
        ),
        "always": _caching(
            "when you look it up every time: right, and as slow as without a cache.",
            ("cache.generation != slots.generation", "True"),
        ),
        "the wrong way round": _caching(
            "when the test is the wrong way round.",
            ("cache.generation != slots.generation", "cache.generation == slots.generation"),
        ),
        "older only": _caching(
            "when you ask for a smaller generation: during an update its highest bit is set, and "
            "what is filled then looks newer than all that comes later.",
            ("cache.generation != slots.generation", "cache.generation < slots.generation"),
        ),
        "generation forgotten": _caching(
            "when the new generation is not kept: then no look-up is ever the last.",
            ("cache.generation = slots.generation", "pass"),
        ),
        "generation of another set": _caching(
            "when the memslots are loaded a second time: the address is from one set, and the "
            "generation from the next.",
            (
                "cache.generation = slots.generation",
                "cache.generation = memslots.kvm_memslots(kvm).generation",
            ),
        ),
        "counted": _caching(
            "when you count generations yourself: you may have slept through one.",
            ("cache.generation = slots.generation", "cache.generation += 2"),
        ),
    },
    alternatives=[early_return],
    hints=(
        "What has to be the same, so that what is kept is still true?",
        "Compare for being different, not for being older. After a look-up, keep from which "
        "generation it is: that of the set you have looked into.",
        "If the cache's generation is not that of slots: look up, then give the cache the "
        "generation of slots.",
    ),
    kernel=(
        "`kvm_write_guest_offset_cached()` in [virt/kvm/kvm_main.c]"
        "(https://github.com/torvalds/linux/blob/v5.17/virt/kvm/kvm_main.c), with a "
        "`struct gfn_to_hva_cache`."
    ),
)

# -- predictions -----------------------------------------------------------------------------------

STALE = "kkkuk"
"""The kernel looks up, userspace moves the slot, the kernel stores."""


def who_sees() -> str:
    """Let the kernel store to an address that it has kept."""
    run = replay(KEPT, STALE)
    return "nobody in the guest" if run.bug is not None else "the guest"


def when_again() -> str:
    """Ask for an old address that is kept under the published generation, before and after one."""
    vm, cache = after(), cache_of(after().kvm.memslots0.generation)
    if cached_hva(vm.kvm, cache) != KEPT_HVA:
        return "the next time it asks"
    publish(vm, MOVED)
    assert cached_hva(vm.kvm, cache) == NEW_HVA
    return "only after the next update"


LESSON = Lesson(
    number=2,
    title="Memslots and generations",
    scenarios=[BEFORE, AFTER, SEVERAL, KEPT, ONE_STORE],
    predictions=[
        Prediction(
            "who sees it",
            who_sees,
            "Nothing failed: the old address is still memory of the process. But it is no memory "
            "of the guest any more.",
        ),
        Prediction(
            "slow reader",
            when_again,
            "The numbers are the same, so it asks nobody. Until then it stores to the wrong page.",
        ),
    ],
    exercises=[SEARCH, TO_HVA, CACHED, SWAP],
    needs=("gpa_to_gfn", "offset_in_page"),
)
