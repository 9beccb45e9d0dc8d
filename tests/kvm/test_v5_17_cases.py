"""The cache as it was merged, one task: every return code, field, reference and lock.

Expected values are those of the specification, A.5: with the labels R0 to R7 of refresh, and with
what was wrong. The machine is drawn in cases.py; `refs` are the references of the cache, and those
that it has lost.

The merged init() stores its fields without a lock. The model takes the lock it has just made for
that, and so there is one more in the front (MODEL).
"""

from __future__ import annotations

import pytest

from pfncache_lab.kvm.history.bug import V5_17
from pfncache_lab.kvm.history.v5_17 import GfnToPfnCache517
from pfncache_lab.mm import PROT_READ
from tests.kvm.cases import (
    BAD,
    COUNT,
    CREATE,
    CREATE_AT_1,
    DELETE,
    DEVICE,
    ELSEWHERE,
    END,
    FLAGS,
    GEN,
    HOLE,
    HVA,
    INVALID_SLOT,
    LIST,
    MID_UPDATE,
    MMAP,
    MMAP_W,
    MMU,
    MMU_R,
    MMU_SPIN,
    MOVE_AWAY,
    MOVE_BY_ONE,
    NO_MAPPING,
    NO_PFN,
    READ,
    READONLY,
    RO_BAD,
    SAME,
    START,
    UNMAPPED,
    UNWRITABLE,
    WRITE,
    Case,
    Do,
    Fields,
    World,
    dontneed,
    empty,
    gone,
    in_srcu,
    invalid,
    invalidate,
    meanwhile,
    memremap_fails,
    migrate,
    on_a_vcpu,
    play,
    poison,
    protect,
    publish,
    swap,
    unmap,
    valid,
)  # fmt: skip
from tests.kvm.test_pfncache_cases import FITS, TOO_LONG, around

A, B, C = 0x10_080, 0x11_080, 0x12_080
SAME_PAGE = 0x10_200
P, Q, R = 0x901, 0x902, 0x905
"""The frames of A, of B, and the first free one."""
FRESH = Fields(0, BAD, NO_PFN, 0, False, False, 0, None)
DEV = 0xFD00

MODEL = [WRITE]
NEW = [*MODEL, LIST]
TRANSLATE = [WRITE, MMU_R, WRITE]
"""R1; the retry test; R4.g."""
FAULT = [WRITE, MMAP, MMU_R, WRITE]
"""The same, and the page is not there at first."""
NO_PAGE = [WRITE, MMAP, MMAP, WRITE]
"""The same, and there is none: the retry test is not reached."""
DEVICES = [WRITE, MMAP, MMAP, MMU_R, WRITE]
"""The same, and it is what a driver has mapped."""
NOTIFIED = [COUNT, LIST, WRITE, MMU, MMU, COUNT]
"""A.6: start and end of an invalidation, with one cache on the list."""


def init(
    gpa: int, length: int = 1, dirty: bool = False, *, khva: bool = True, which: int = 0
) -> Do:
    """Call init() for the host; without `khva`, for a guest that uses the pfn (A.3)."""

    def do(w: World) -> object:
        return w.gpcs.kvm_gfn_to_pfn_cache_init(
            w.kvm, w.caches[which], None if khva else w.kvm.vcpus[0], not khva, khva, gpa, length,
            dirty,
        )  # fmt: skip

    return lambda w: in_srcu(w, lambda: do(w))


def refresh(gpa: int, length: int = 1, dirty: bool = False) -> Do:
    def do(w: World) -> object:
        return w.gpcs.kvm_gfn_to_pfn_cache_refresh(w.kvm, w.caches[0], gpa, length, dirty)

    return lambda w: in_srcu(w, lambda: do(w))


def give_up(how: str, which: int = 0) -> Do:
    def do(w: World) -> object:
        return getattr(w.gpcs, f"kvm_gfn_to_pfn_cache_{how}")(w.kvm, w.caches[which])

    return lambda w: in_srcu(w, lambda: do(w))


def check(gpa: int, length: int = 1) -> Do:
    def do(w: World) -> object:
        gpc = w.caches[0]
        gpc.lock.read_lock_irq()
        usable = w.gpcs.kvm_gfn_to_pfn_cache_check(w.kvm, gpc, gpa, length)
        gpc.lock.read_unlock_irq()
        return usable

    return lambda w: in_srcu(w, lambda: do(w))


UNMAP, DESTROY = give_up("unmap"), give_up("destroy")


def at(gpa: int, uhva: int, slot: tuple[int, int, int] | None, generation: int = GEN) -> Fields:
    """An active cache without a page."""
    return Fields(gpa, uhva, NO_PFN, 0, True, False, generation, slot)


def no_khva(fields: Fields) -> Fields:
    return fields._replace(khva=0)


def dirty(fields: Fields) -> Fields:
    return fields._replace(dirty=True)


def lost(uhva: int, gpa: int, slot: tuple[int, int, int] | None, generation: int = GEN) -> Fields:
    """H1: A's page has been given back, and pfn, khva and valid are left as they were (R3)."""
    return valid(A, P)._replace(gpa=gpa, uhva=uhva, slot=slot, generation=generation)


ONE = {P: 1}
ON_A, ON_B, PFN_ONLY = [init(A)], [init(B)], [init(A, khva=False)]
DIRTY = [init(A, dirty=True)]
INVALIDATE = invalidate(HVA, HVA + 0x1000)
INVALID = [*ON_A, INVALIDATE]

# -- init() ----------------------------------------------------------------------------------------

INIT = [
    Case("a page that is there", [], init(A), 0, valid(A, P), [*NEW, *TRANSLATE], ONE, ONE),
    Case("for the guest alone", [], init(A, khva=False), 0, no_khva(valid(A, P)),
         [*NEW, *TRANSLATE], {}, ONE),
    Case("to be written to", [], init(A, dirty=True), 0, dirty(valid(A, P)), [*NEW, *TRANSLATE],
         ONE, ONE),
    Case("a page that has to be faulted in", [], init(C), 0, valid(C, R), [*NEW, *FAULT], {R: 1},
         {R: 1}),
    Case("a page on the swap device", [swap(0)], init(A), 0, valid(A, R), [*NEW, *FAULT], {R: 1},
         {R: 1}),
    Case("a page that has moved", [migrate(0)], init(A), 0, valid(A, R), [*NEW, *TRANSLATE],
         {R: 1}, {R: 1}),
    Case("a broken page", [poison(0)], init(A), -14, at(A, HVA + 0x80, (0, 0x10, 1)),
         [*NEW, *NO_PAGE]),
    Case("a page that was taken away", [unmap(0)], init(A), -14, at(A, HVA + 0x80, (0, 0x10, 1)),
         [*NEW, *NO_PAGE]),
    Case("a hole", [], init(HOLE), -14, at(HOLE, BAD, None), [*NEW, WRITE]),
    Case("a hole, to be written to: not dirty (R6)", [], init(HOLE, dirty=True), -14,
         at(HOLE, BAD, None), [*NEW, WRITE]),
    Case("a read-only slot", [], init(READONLY), -14, at(READONLY, RO_BAD, (1, 0x14, 2)),
         [*NEW, WRITE]),
    Case("nothing is mapped there", [], init(UNMAPPED), -14,
         at(UNMAPPED, HVA + 0x5000, (3, 0x16, 0)), [*NEW, *NO_PAGE]),
    Case("nothing is mapped there, to be written to", [], init(UNMAPPED, dirty=True), -14,
         at(UNMAPPED, HVA + 0x5000, (3, 0x16, 0)), [*NEW, *NO_PAGE]),
    Case("the process may not write there", [], init(UNWRITABLE), -14,
         at(UNWRITABLE, HVA + 0x7000, (4, 0x17, 0)), [*NEW, *NO_PAGE]),
    Case("a device", [], init(DEVICE + 8), 0, valid(DEVICE + 8, DEV), [*NEW, *DEVICES], {DEV: 1}),
    Case("a device, for the guest alone", [], init(DEVICE, khva=False), 0,
         no_khva(valid(DEVICE, DEV)), [*NEW, *DEVICES]),
    Case("a device that cannot be mapped", [memremap_fails], init(DEVICE), -14,
         empty(valid(DEVICE, DEV)), [*NEW, *DEVICES]),
    Case("a device that need not be mapped", [memremap_fails], init(DEVICE, khva=False), 0,
         no_khva(valid(DEVICE, DEV)), [*NEW, *DEVICES]),
    Case("while active, for another page", ON_A, init(B), 0, valid(B, Q), TRANSLATE, {Q: 1},
         {Q: 1}),
    Case("while active, for the same", ON_A, init(A), 0, valid(A, P), [WRITE], ONE, ONE),
    Case("after it was destroyed", [*ON_A, DESTROY], init(A), 0, valid(A, P),
         [*NEW, *TRANSLATE], ONE, ONE),
    Case("the second one goes to the front of the list", ON_A, init(B, which=1), 0,
         (valid(A, P), valid(B, Q)),
         ["write other.lock", LIST, "write other.lock", MMU_R, "write other.lock"], {P: 1, Q: 1},
         {P: 1, Q: 1}),
    Case("two for one page", ON_A, init(A + 8, which=1), 0, (valid(A, P), valid(A + 8, P)),
         ["write other.lock", LIST, "write other.lock", MMU_R, "write other.lock"], {P: 2},
         {P: 2}),
]  # fmt: skip

# -- refresh() -------------------------------------------------------------------------------------

LEAK = {P: 2}
"""H5: the cache owns one of them, and nobody the other."""
REFRESH = [
    Case("R5: nothing has changed", ON_A, refresh(A), 0, valid(A, P), [WRITE], ONE, ONE),
    Case("R5: to be written to", ON_A, refresh(A, dirty=True), 0, dirty(valid(A, P)), [WRITE],
         ONE, ONE),
    Case("R5: it was written to, and R6 forgets that", DIRTY, refresh(A), 0, valid(A, P), [WRITE],
         ONE, ONE),
    Case("R4: another page", ON_A, refresh(B), 0, valid(B, Q), TRANSLATE, {Q: 1}, {Q: 1}),
    Case("R4: another page, for the guest alone", PFN_ONLY, refresh(B), 0, no_khva(valid(B, Q)),
         TRANSLATE, {}, {Q: 1}),
    Case("R4: a page that has to be faulted in", ON_A, refresh(C), 0, valid(C, R), FAULT, {R: 1},
         {R: 1}),
    Case("R4: another byte of the page (H6), and a reference too many (H5)", ON_A,
         refresh(SAME_PAGE), 0, valid(SAME_PAGE, P), TRANSLATE, ONE, LEAK),
    Case("R4: another byte, for the guest alone: the old reference goes back", PFN_ONLY,
         refresh(SAME_PAGE), 0, no_khva(valid(SAME_PAGE, P)), TRANSLATE, {}, ONE),
    Case("R3: to a hole (H1)", ON_A, refresh(HOLE), -14, lost(BAD, HOLE, None), [WRITE]),
    Case("R3: to a hole, for the guest alone (H1)", PFN_ONLY, refresh(HOLE), -14,
         no_khva(lost(BAD, HOLE, None)), [WRITE]),
    Case("R3: to a read-only slot (H1)", ON_A, refresh(READONLY), -14,
         lost(RO_BAD, READONLY, (1, 0x14, 2)), [WRITE]),
    Case("R3: from a hole", [init(HOLE)], refresh(A), 0, valid(A, P), TRANSLATE, ONE, ONE),
    Case("R3: from a hole to a hole", [init(HOLE)], refresh(HOLE), -14, at(HOLE, BAD, None),
         [WRITE]),
    Case("R4.g: to where nothing is mapped", ON_A, refresh(UNMAPPED), -14,
         empty(valid(UNMAPPED, 0)), NO_PAGE),
    Case("R4.g: to where nothing is mapped, for the guest alone", PFN_ONLY, refresh(UNMAPPED),
         -14, empty(valid(UNMAPPED, 0)), NO_PAGE),
    Case("R4.g: once more", [*ON_A, refresh(UNMAPPED)], refresh(UNMAPPED), -14,
         empty(valid(UNMAPPED, 0)), NO_PAGE),
    Case("R4.d: to a device", ON_A, refresh(DEVICE), 0, valid(DEVICE, DEV), DEVICES, {DEV: 1}),
    Case("R4.d: from a device", [init(DEVICE)], refresh(A), 0, valid(A, P), TRANSLATE, ONE, ONE),
    Case("R4.e: to a device that cannot be mapped", [*ON_A, memremap_fails], refresh(DEVICE), -14,
         empty(valid(DEVICE, DEV)), DEVICES),
    Case("R4.d: invalidated, and the page is the same (H5)", INVALID, refresh(A), 0, valid(A, P),
         TRANSLATE, ONE, LEAK),
    Case("R4.d: the same twice", [*INVALID, refresh(A), INVALIDATE], refresh(A), 0, valid(A, P),
         TRANSLATE, ONE, {P: 3}),
    Case("R4: the same, for the guest alone: no leak", [*PFN_ONLY, INVALIDATE], refresh(A), 0,
         no_khva(valid(A, P)), TRANSLATE, {}, ONE),
    Case("R4.d: a device's, invalidated", [init(DEVICE), invalidate(HVA + 0x4000, HVA + 0x5000)],
         refresh(DEVICE), 0, valid(DEVICE, DEV), DEVICES, {DEV: 1}),
    Case("R4.d: the same, and memremap() is not asked",
         [init(DEVICE), invalidate(HVA + 0x4000, HVA + 0x5000), memremap_fails], refresh(DEVICE),
         0, valid(DEVICE, DEV), DEVICES, {DEV: 1}),
    Case("R4: the page was replaced", [*ON_A, dontneed(0)], refresh(A), 0, valid(A, R), FAULT,
         {R: 1}, {R: 1}),
    Case("R4: replaced twice", [*ON_A, dontneed(0), refresh(A), dontneed(0)], refresh(A), 0,
         valid(A, 0x906), FAULT, {0x906: 1}, {0x906: 1}),
    Case("R4: another page was replaced", [*ON_A, dontneed(1)], refresh(A), 0, valid(A, P),
         [WRITE], ONE, ONE),
    Case("R4: swapped out, as far as the swap cache (H5)", [*ON_A, swap(0)], refresh(A), 0,
         valid(A, P), FAULT, ONE, LEAK),
    Case("R4: broken", [*ON_A, poison(0)], refresh(A), -14, empty(valid(A, P)), NO_PAGE),
    Case("R4: unmapped", [*ON_A, unmap(0)], refresh(A), -14, empty(valid(A, P)), NO_PAGE),
    Case("R4: protected against writing", [*ON_A, protect(0, PROT_READ)], refresh(A), -14,
         empty(valid(A, P)), NO_PAGE),
    # The fault must copy, for the cache has a reference; it tells the notifier, who does not see
    # the placeholder; the sequence has changed, and the turn is taken again, with its reference.
    Case("R4: protected, and no more", [*ON_A, protect(0, PROT_READ), protect(0)], refresh(A), 0,
         valid(A, R), [WRITE, MMAP, *NOTIFIED, MMU_R, MMU_R, WRITE], {R: 1}, {R: 2}),
    Case("inactive: refreshed all the same (H11a)", [*ON_A, DESTROY], refresh(A), 0,
         valid(A, P)._replace(active=False), TRANSLATE, ONE, ONE),
    Case("never initialised, and a hole", [], refresh(HOLE), -14,
         at(HOLE, BAD, None)._replace(active=False), [WRITE]),
]  # fmt: skip

SLOTS = [
    Case("the flags of the slot", [*ON_A, FLAGS], refresh(A), 0,
         valid(A, P, 12)._replace(slot=(0, 0x10, 0)), [WRITE], ONE, ONE),
    Case("the flags, and it was written to (H3)", [*DIRTY, FLAGS], refresh(A), 0,
         valid(A, P, 12)._replace(slot=(0, 0x10, 0)), [WRITE], ONE, ONE),
    Case("another slot", [*ON_A, ELSEWHERE], refresh(A), 0, valid(A, P, 12), [WRITE], ONE, ONE),
    Case("another slot, and invalid", [*INVALID, ELSEWHERE], refresh(A), 0, valid(A, P, 12),
         TRANSLATE, ONE, LEAK),
    Case("the slot deleted (H1)", [*ON_A, DELETE], refresh(A), -14, lost(BAD, A, None, 14),
         [WRITE]),
    Case("the slot moved away (H1)", [*ON_A, MOVE_AWAY], refresh(A), -14,
         lost(BAD, A, None, 14), [WRITE]),
    Case("moved away and back", [*ON_A, MOVE_AWAY, SAME], refresh(A), 0, valid(A, P, 18), [WRITE],
         ONE, ONE),
    Case("moved away, and followed", [*ON_A, MOVE_AWAY], refresh(0x20_080), 0,
         valid(A, P, 14)._replace(gpa=0x20_080, slot=(0, 0x20, 1)), [WRITE], ONE, ONE),
    Case("moved by one page", [*ON_B, MOVE_BY_ONE], refresh(B), 0,
         valid(A, P, 14)._replace(gpa=B, slot=(0, 0x11, 1)), TRANSLATE, ONE, ONE),
    Case("deleted and created", [*ON_A, DELETE, CREATE], refresh(A), 0, valid(A, P, 16), [WRITE],
         ONE, ONE),
    Case("created with another page", [*ON_A, DELETE, CREATE_AT_1], refresh(A), 0,
         valid(B, Q, 16)._replace(gpa=A), TRANSLATE, {Q: 1}, {Q: 1}),
    Case("nothing changed", [*ON_A, SAME], refresh(A), 0, valid(A, P), [WRITE], ONE, ONE),
]  # fmt: skip

BIT63, MID = GEN | MID_UPDATE, publish(GEN | MID_UPDATE)
GOING = publish(GEN | MID_UPDATE, INVALID_SLOT)
DURING = [
    Case("initialised", [MID], init(A), 0, valid(A, P, BIT63), [*NEW, *TRANSLATE], ONE, ONE),
    Case("valid from before it", [*ON_A, MID], check(A), False, valid(A, P), [READ], ONE, ONE),
    Case("refreshed", [*ON_A, MID], refresh(A), 0, valid(A, P, BIT63), [WRITE], ONE, ONE),
    Case("refreshed, and used", [*ON_A, MID, refresh(A)], check(A), True, valid(A, P, BIT63),
         [READ], ONE, ONE),
    Case("refreshed, and the update is done", [*ON_A, MID, refresh(A), publish(GEN + 2)], check(A),
         False, valid(A, P, BIT63), [READ], ONE, ONE),
    Case("a slot that is about to go", [GOING], init(A), -14,
         at(A, BAD, (0, 0x10, INVALID_SLOT), BIT63), [*NEW, WRITE]),
    Case("valid, and the slot is about to go (H1)", [*ON_A, GOING], refresh(A), -14,
         lost(BAD, A, (0, 0x10, INVALID_SLOT), BIT63), [WRITE]),
]  # fmt: skip

# -- unmap() and destroy() -------------------------------------------------------------------------

AFTER_H1 = [*ON_A, DELETE, refresh(A)]
DOWN = [
    Case("unmap", ON_A, UNMAP, None, empty(valid(A, P)), [WRITE]),
    Case("unmap, for the guest alone", PFN_ONLY, UNMAP, None, empty(valid(A, P)), [WRITE]),
    Case("unmap twice", [*ON_A, UNMAP], UNMAP, None, empty(valid(A, P)), [WRITE]),
    Case("unmap what was never initialised", [], UNMAP, None, FRESH, [WRITE]),
    Case("unmap what is invalid", INVALID, UNMAP, None, empty(valid(A, P)), [WRITE]),
    Case("unmap a page that the host has dropped: it is free now", [*ON_A, dontneed(0)], UNMAP,
         None, empty(valid(A, P)), [WRITE]),
    Case("unmap a device", [init(DEVICE)], UNMAP, None, empty(valid(DEVICE, DEV)), [WRITE]),
    Case("unmap, and refresh: the address is still known", [*ON_A, UNMAP], refresh(A), 0,
         valid(A, P), TRANSLATE, ONE, ONE),
    Case("destroy", ON_A, DESTROY, None, gone(valid(A, P)), [LIST, WRITE]),
    Case("destroy twice", [*ON_A, DESTROY], DESTROY, None, gone(valid(A, P)), []),
    Case("destroy what was never initialised", [], DESTROY, None, FRESH, []),
    Case("destroy what is invalid", INVALID, DESTROY, None, gone(valid(A, P)), [LIST, WRITE]),
    Case("destroy what has no page", [init(HOLE)], DESTROY, None,
         at(HOLE, BAD, None)._replace(active=False), [LIST, WRITE]),
    Case("destroy a device", [init(DEVICE)], DESTROY, None, gone(valid(DEVICE, DEV)),
         [LIST, WRITE]),
    Case("destroy, with what H5 has lost", [*INVALID, refresh(A)], DESTROY, None,
         gone(valid(A, P)), [LIST, WRITE], {}, ONE),
    Case("destroy the first of two", [*ON_A, init(B, which=1)], DESTROY, None,
         (gone(valid(A, P)), valid(B, Q)), [LIST, WRITE], {Q: 1}, {Q: 1}),
    Case("destroy the one on the page of another", [*ON_A, init(A, which=1)], DESTROY, None,
         (gone(valid(A, P)), valid(A, P)), [LIST, WRITE], ONE, ONE),
    Case("destroy what was refreshed while inactive (H11a): nothing is given back",
         [*ON_A, DESTROY, refresh(A)], DESTROY, None, valid(A, P)._replace(active=False), [], ONE,
         ONE),
    Case("unmap after H1", AFTER_H1, UNMAP, None, empty(lost(BAD, A, None, 14)), [WRITE],
         bug="Oops"),
    Case("destroy after H1", AFTER_H1, DESTROY, None, empty(lost(BAD, A, None, 14)),
         [LIST, WRITE], bug="Oops", listed=0),
    Case("destroy after H1, for the guest alone: the page table's reference",
         [*PFN_ONLY, DELETE, refresh(A)], DESTROY, None, empty(lost(BAD, A, None, 14)),
         [LIST, WRITE], bug="DoubleFree", listed=0),
    # R3 looks A up again. R4 finds the page that the cache still names, and takes its mapping for
    # its own, though that is gone.
    Case("refresh after H1, and the slot is back: a mapping that is gone", [*AFTER_H1, CREATE],
         refresh(A), 0, valid(A, P, 16), TRANSLATE, {}, ONE),
]  # fmt: skip

# -- dirty -----------------------------------------------------------------------------------------

LAST = frozenset([P])


def logged(do: Do) -> Do:
    """On a vCPU; returns what is in the dirty log after that."""

    def look(w: World) -> object:
        do(w)
        return w.slot.dirty_bitmap.bits, w.kvm.vcpus[0].dirty_ring

    return on_a_vcpu(look)


NOTHING_LOGGED = (0, ())
"""H3: mark_page_dirty() gets a gpa where it wants a gfn, and there is no such gfn."""
MARKED = [
    Case("unmap", DIRTY, logged(UNMAP), NOTHING_LOGGED, dirty(empty(valid(A, P))), [WRITE],
         dirty=LAST),
    Case("unmap without a vCPU", DIRTY, UNMAP, None, dirty(empty(valid(A, P))), [WRITE],
         dirty=LAST, bug="Warn"),
    Case("unmap, after a refresh that was not for writing (H3)", [*DIRTY, refresh(A)],
         logged(UNMAP), NOTHING_LOGGED, empty(valid(A, P)), [WRITE]),
    Case("destroy", DIRTY, logged(DESTROY), NOTHING_LOGGED, dirty(gone(valid(A, P))),
         [LIST, WRITE], dirty=LAST),
    Case("another page", DIRTY, logged(refresh(B)), NOTHING_LOGGED, valid(B, Q), TRANSLATE,
         {Q: 1}, {Q: 1}, dirty=LAST),
    Case("another page, to be written to as well", DIRTY, logged(refresh(B, dirty=True)),
         NOTHING_LOGGED, dirty(valid(B, Q)), TRANSLATE, {Q: 1}, {Q: 1}, dirty=LAST),
    Case("another page, without a vCPU", DIRTY, refresh(B), None, valid(B, Q), TRANSLATE, {Q: 1},
         {Q: 1}, dirty=LAST, bug="Warn"),
    Case("a hole", DIRTY, logged(refresh(HOLE)), NOTHING_LOGGED, lost(BAD, HOLE, None), [WRITE],
         dirty=LAST),
    Case("no page", DIRTY, logged(refresh(UNMAPPED)), NOTHING_LOGGED, empty(valid(UNMAPPED, 0)),
         NO_PAGE, dirty=LAST),
    Case("the same page, and nothing is given back", [*DIRTY, INVALIDATE], logged(refresh(A)),
         NOTHING_LOGGED, valid(A, P), TRANSLATE, ONE, LEAK),
    Case("for the guest alone", [init(A, dirty=True, khva=False)], logged(UNMAP), NOTHING_LOGGED,
         dirty(empty(valid(A, P))), [WRITE], dirty=LAST),
    Case("the notifier marks nothing (A.5)", DIRTY, INVALIDATE, None, dirty(invalid(valid(A, P))),
         [LIST, WRITE], ONE, ONE),
]  # fmt: skip

# -- check() ---------------------------------------------------------------------------------------

CHECK = [
    Case("never initialised", [], check(A), False, FRESH, [READ]),
    Case("valid", ON_A, check(A), True, valid(A, P), [READ], ONE, ONE),
    Case("for the guest alone", PFN_ONLY, check(A), True, no_khva(valid(A, P)), [READ], {}, ONE),
    Case("another address", ON_A, check(B), False, valid(A, P), [READ], ONE, ONE),
    Case("another byte", ON_A, check(SAME_PAGE), False, valid(A, P), [READ], ONE, ONE),
    Case("invalidated", INVALID, check(A), False, invalid(valid(A, P)), [READ], ONE, ONE),
    Case("another slot", [*ON_A, ELSEWHERE], check(A), False, valid(A, P), [READ], ONE, ONE),
    Case("a hole", [init(HOLE)], check(HOLE), False, at(HOLE, BAD, None), [READ]),
    Case("after H1: uhva is an error", AFTER_H1, check(A), False, lost(BAD, A, None, 14), [READ]),
    Case("destroyed", [*ON_A, DESTROY], check(A), False, gone(valid(A, P)), [READ]),
    Case("destroyed, and refreshed: `active` is not looked at (H11a)",
         [*ON_A, DESTROY, refresh(A)], check(A), True, valid(A, P)._replace(active=False), [READ],
         ONE, ONE),
    Case("a placeholder: pfn and khva are not looked at (H8b)", [
        *ON_A, UNMAP, lambda w: setattr(w.caches[0], "valid", True)], check(A), True,
         empty(valid(A, P))._replace(valid=True), [READ]),
]  # fmt: skip

# -- the host --------------------------------------------------------------------------------------


def request(do: Do) -> Do:
    return lambda w: (do(w), w.kvm.vcpus[0].requests)[1]


EVENTS = [
    Case("madvise", ON_A, dontneed(0), 0, invalid(valid(A, P)), [MMAP, *NOTIFIED], ONE, ONE),
    Case("munmap", ON_A, unmap(0), 0, invalid(valid(A, P)), [MMAP_W, *NOTIFIED], ONE, ONE),
    Case("mprotect", ON_A, protect(0), 0, invalid(valid(A, P)), [MMAP_W, *NOTIFIED], ONE, ONE),
    Case("migration, in vain (H9)", ON_A, migrate(0), -11, invalid(valid(A, P)), NOTIFIED, ONE,
         ONE),
    Case("swap, in vain (H9)", ON_A, swap(0), -11, invalid(valid(A, P)), NOTIFIED, ONE, ONE),
    Case("memory failure", ON_A, poison(0), 0, invalid(valid(A, P)), NOTIFIED, ONE, ONE),
    Case("another page", ON_A, dontneed(1), 0, valid(A, P), [MMAP, *NOTIFIED], ONE, ONE),
    Case("outside of the slots", ON_A, dontneed(6), 0, valid(A, P),
         [MMAP, COUNT, LIST, WRITE, COUNT], ONE, ONE),
    Case("nobody has a cache", [], dontneed(0), 0, FRESH, [MMAP, COUNT, LIST, MMU, MMU, COUNT]),
    Case("one of two caches", [*ON_A, init(B, which=1)], INVALIDATE, None,
         (invalid(valid(A, P)), valid(B, Q)), [LIST, "write other.lock", WRITE], {P: 1, Q: 1},
         {P: 1, Q: 1}),
    Case("both caches of a page", [*ON_A, init(A + 8, which=1)], INVALIDATE, None,
         (invalid(valid(A, P)), invalid(valid(A + 8, P))), [LIST, "write other.lock", WRITE],
         {P: 2}, {P: 2}),
    Case("a cache that is destroyed", [*ON_A, DESTROY], INVALIDATE, None, gone(valid(A, P)),
         [LIST]),
    Case("a cache that was refreshed while inactive (H11a)", [*ON_A, DESTROY, refresh(A)],
         INVALIDATE, None, valid(A, P)._replace(active=False), [LIST], ONE, ONE),
    Case("a placeholder is passed over (H8c)",
         [*ON_A, UNMAP, lambda w: setattr(w.caches[0], "valid", True)], INVALIDATE, None,
         empty(valid(A, P))._replace(valid=True), [LIST, WRITE]),
    Case("after H1", AFTER_H1, INVALIDATE, None, lost(BAD, A, None, 14), [LIST, WRITE]),
    Case("a vCPU that uses the pfn gets request 5 (H2)", PFN_ONLY, request(INVALIDATE), 1 << 5,
         invalid(no_khva(valid(A, P))), [LIST, WRITE], {}, ONE),
    Case("no vCPU uses the pfn", ON_A, request(INVALIDATE), 0, invalid(valid(A, P)),
         [LIST, WRITE], ONE, ONE),
    Case("a vCPU that uses another page", PFN_ONLY, request(invalidate(HVA + 0x1000, BAD)), 0,
         no_khva(valid(A, P)), [LIST, WRITE], {}, ONE),
    Case("mmu_lock is a spinlock", ON_A, dontneed(0), 0, invalid(valid(A, P)),
         [MMAP, COUNT, LIST, WRITE, MMU_SPIN, MMU_SPIN, COUNT], ONE, ONE, mmu_rwlock=False),
    Case("no waiting, and the vCPU is outside", PFN_ONLY,
         request(invalidate(HVA, HVA + 0x1000, False)), 1 << 5, invalid(no_khva(valid(A, P))),
         [LIST, WRITE], {}, ONE),
]  # fmt: skip


def ranges(gpa: int) -> list[Case]:
    cache = valid(gpa, P)
    return [
        Case(f"byte {gpa % 0x1000:#x}: {name}", [init(gpa)], invalidate(start, end), None,
             invalid(cache) if hit else cache, [LIST, WRITE], ONE, ONE)
        for name, start, end, hit in around(cache.uhva)
    ]  # fmt: skip


RANGES = [case for gpa in (A, 0x10_000, 0x10_FFF) for case in ranges(gpa)]

# -- lengths: R0, and the first test of check() ----------------------------------------------------


def lengths() -> list[Case]:
    cases = []
    for offset, length in FITS + TOO_LONG:
        fits = (offset, length) in FITS
        name, gpa = f"{length:#x} bytes at {offset:#x}", 0x10_000 + offset
        ret, refs = (0, ONE) if fits else (-22, {})
        active = FRESH._replace(active=True)  # H21 was there from the first day
        cases += [
            Case(f"init {name}", [], init(gpa, length), ret, valid(gpa, P) if fits else active,
                 [*NEW, *(TRANSLATE if fits else [])], refs, refs),
            Case(f"turn to {name}", ON_B, init(gpa, length), ret,
                 valid(gpa, P) if fits else valid(B, Q), TRANSLATE if fits else [],
                 ONE if fits else {Q: 1}, ONE if fits else {Q: 1}),
            Case(f"refresh {name}", [init(gpa)], refresh(gpa, length), ret, valid(gpa, P),
                 [WRITE] if fits else [], ONE, ONE),
            Case(f"refresh {name}, to be written to", [init(gpa)], refresh(gpa, length, True), ret,
                 valid(gpa, P)._replace(dirty=fits), [WRITE] if fits else [], ONE, ONE),
            Case(f"check {name}", [init(gpa)], check(gpa, length), fits, valid(gpa, P), [READ],
                 ONE, ONE),
        ]  # fmt: skip
    return cases


# -- an invalidation in the middle of a refresh ----------------------------------------------------


RETRY = [
    Case("the page is replaced: once more, and the reference of the first turn is lost", [],
         init(A), 0, valid(A, R), [*NEW, WRITE, MMAP, *NOTIFIED, MMU_R, MMAP, MMU_R, WRITE],
         {R: 1}, {P: 1, R: 1}, functions=meanwhile(dontneed(0))),
    Case("another page of the guest is replaced: the same", [], init(A), 0, valid(A, P),
         [*NEW, WRITE, MMAP, *NOTIFIED, MMU_R, MMU_R, WRITE], ONE, LEAK,
         functions=meanwhile(dontneed(1))),
    Case("a page outside of the slots is replaced: no retry", [], init(A), 0, valid(A, P),
         [*NEW, WRITE, MMAP, COUNT, LIST, WRITE, COUNT, MMU_R, WRITE], ONE, ONE,
         functions=meanwhile(dontneed(6))),
    Case("the page is unmapped", [], init(A), -14, empty(valid(A, P)),
         [*NEW, WRITE, MMAP_W, *NOTIFIED, MMU_R, MMAP, MMAP, WRITE], {}, ONE,
         functions=meanwhile(unmap(0))),
    Case("the old page was the cache's", INVALID, refresh(A), 0, valid(A, R),
         [WRITE, MMAP, *NOTIFIED, MMU_R, MMAP, MMU_R, WRITE], {R: 1}, {P: 1, R: 1},
         functions=meanwhile(dontneed(0))),
    Case("turned to another page, and that is replaced", ON_A, refresh(B), 0, valid(B, R),
         [WRITE, MMAP, *NOTIFIED, MMU_R, MMAP, MMU_R, WRITE], {R: 1}, {Q: 1, R: 1},
         functions=meanwhile(dontneed(1))),
    Case("an invalidation elsewhere is under way: no retry, it is not for this address", [],
         init(A), 0, valid(A, P), [*NEW, WRITE, COUNT, LIST, WRITE, MMU_R, WRITE], ONE, ONE,
         functions=meanwhile(START(6))),
    Case("one of another page of the guest is under way: no retry", [], init(A), 0, valid(A, P),
         [*NEW, WRITE, COUNT, LIST, WRITE, MMU, MMU_R, WRITE], ONE, ONE,
         functions=meanwhile(START(1))),
    Case("one of this page is under way, and ends a turn later: the sequence takes a third", [],
         init(A), 0, valid(A, P),
         [*NEW, WRITE, *NOTIFIED[:4], MMU_R, *NOTIFIED[4:], MMU_R, MMU_R, WRITE], ONE, {P: 3},
         functions=meanwhile(START(0), END(0))),
    Case("mmu_lock is a spinlock: the retry test takes that", [], init(A), 0, valid(A, P),
         [*NEW, WRITE, MMU_SPIN, WRITE], ONE, ONE, mmu_rwlock=False),
    Case("mmu_lock is a spinlock, and the page is replaced", [], init(A), 0, valid(A, R),
         [*NEW, WRITE, MMAP, COUNT, LIST, WRITE, *[MMU_SPIN] * 2, COUNT, MMU_SPIN, MMAP, MMU_SPIN,
          WRITE], {R: 1}, {P: 1, R: 1}, functions=meanwhile(dontneed(0)), mmu_rwlock=False),
    Case("no room for a mapping (R4.e): the reference is lost", [], init(A), -14,
         empty(valid(A, P)), [*NEW, *TRANSLATE], {}, ONE, functions=NO_MAPPING),
]  # fmt: skip

TABLES = {
    "init": INIT, "refresh": REFRESH, "after an update": SLOTS, "during an update": DURING,
    "down": DOWN, "dirty": MARKED, "check": CHECK, "host": EVENTS, "ranges": RANGES,
    "lengths": lengths(), "meanwhile": RETRY,
}  # fmt: skip
CASES = [pytest.param(c, id=f"{name}: {c.name}") for name, table in TABLES.items() for c in table]
IMAGE = V5_17.image({})


def make_cache(kvm, name):
    return GfnToPfnCache517(name)


@pytest.mark.parametrize("case", CASES)
def test_as_the_specification_says(case):
    play(case, V5_17.image(case.functions) if case.functions else IMAGE, make_cache)


def test_there_are_enough_of_them_and_no_two_alike():
    assert len({case.id for case in CASES}) == len(CASES) >= 150
