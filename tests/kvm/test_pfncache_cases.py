"""Today's cache, one task: every return code, field, reference and lock, path by path.

Expected values are those of the specification, C.3 to C.12. The machine is drawn in cases.py.
"""

from __future__ import annotations

import pytest

from pfncache_lab.kvm import MODULES, no_pfncache
from pfncache_lab.kvm.kvm_types import KVM_GUEST_USES_PFN, GfnToPfnCache
from pfncache_lab.mm import PROT_READ
from pfncache_lab.mm.uaccess import TASK_SIZE_MAX
from pfncache_lab.sim import link
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
    MMU_SPIN,
    MOVE_AWAY,
    MOVE_BY_ONE,
    NO_GPA,
    NO_MAPPING,
    NO_PFN,
    OUTSIDE,
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
    khva_of,
    meanwhile,
    memremap_fails,
    migrate,
    play,
    poison,
    protect,
    publish,
    swap,
    unmap,
    valid,
    valid_hva,
)  # fmt: skip

REFRESH = "gpc.refresh_lock"
A, B, C = 0x10_080, 0x11_080, 0x12_080
H = OUTSIDE + 0x80
P, Q, R, X = 0x901, 0x902, 0x905, 0x904
"""The frames of A, of B, the first free one, and the one at H."""
NO_PFNCACHE = {"gfn_to_pfn_cache_invalidate_start": no_pfncache.gfn_to_pfn_cache_invalidate_start}
FRESH = Fields(NO_GPA, BAD, NO_PFN, 0, False, False, 0, None)

NEW = [REFRESH, LIST, WRITE, WRITE]
"""C.4: on the list, then active; and the refresh, up to where it drops the lock."""
FAULT = [MMAP]
"""get_user_pages_unlocked()."""
NO_PAGE = [MMAP, MMAP]
"""The same in vain, and a look for what a driver has mapped."""
NOTIFIED = [COUNT, LIST, READ, WRITE, MMU, MMU, COUNT]
"""A.6, C.10: start and end of an invalidation that concerns one cache."""


def kvm_gpc(name: str, *args: object, which: int = 0, srcu: bool = True) -> Do:
    def do(w: World) -> object:
        call = getattr(w.gpcs, f"kvm_gpc_{name}")
        return in_srcu(w, lambda: call(w.caches[which], *args)) if srcu else call(*args)

    return do


def activate(gpa: int, length: int = 1, which: int = 0) -> Do:
    return kvm_gpc("activate", gpa, length, which=which)


def activate_hva(uhva: int, length: int = 1, which: int = 0) -> Do:
    return kvm_gpc("activate_hva", uhva, length, which=which)


def refresh(length: int = 1) -> Do:
    return kvm_gpc("refresh", length)


def deactivate(which: int = 0) -> Do:
    return kvm_gpc("deactivate", which=which)


def check(length: int = 1) -> Do:
    def do(w: World) -> object:
        gpc = w.caches[0]
        gpc.lock.read_lock_irq()
        usable = w.gpcs.kvm_gpc_check(gpc, length)
        gpc.lock.read_unlock_irq()
        return usable

    return lambda w: in_srcu(w, lambda: do(w))


def at(gpa: int, uhva: int, slot: tuple[int, int, int] | None, generation: int = GEN) -> Fields:
    """An active cache without a page."""
    return Fields(gpa, uhva, NO_PFN, 0, True, False, generation, slot)


ONE = {P: 1}
ON_A, ON_B, ON_H = [activate(A)], [activate(B)], [activate_hva(H)]
INVALID = [*ON_A, invalidate(HVA, HVA + 0x1000)]

# -- activation ------------------------------------------------------------------------------------

FAILED_DEVICE = empty(valid(DEVICE + 0x80, 0xFD00))
ACTIVATE = [
    Case("a page that is there", [], activate(A), 0, valid(A, P), [*NEW, WRITE], ONE),
    Case("a page that has to be faulted in", [], activate(C), 0, valid(C, R),
         [*NEW, *FAULT, WRITE], {R: 1}),
    Case("a hole", [], activate(HOLE + 0x80), -14, at(HOLE + 0x80, BAD, None), NEW),
    Case("beyond all slots", [], activate(0x999_000), -14, at(0x999_000, BAD, None), NEW),
    Case("a read-only slot", [], activate(READONLY + 0x80), -14,
         at(READONLY + 0x80, RO_BAD, (1, 0x14, 2)), NEW),
    Case("a slot of which nothing is mapped", [], activate(UNMAPPED + 0x80), -14,
         at(UNMAPPED + 0x80, HVA + 0x5080, (3, 0x16, 0)), [*NEW, *NO_PAGE, WRITE]),
    Case("a slot that the process may not write to", [], activate(UNWRITABLE + 0x80), -14,
         at(UNWRITABLE + 0x80, HVA + 0x7080, (4, 0x17, 0)), [*NEW, *NO_PAGE, WRITE]),
    Case("a page that has been taken away", [unmap(0)], activate(A), -14,
         at(A, HVA + 0x80, (0, 0x10, 1)), [*NEW, *NO_PAGE, WRITE]),
    Case("a broken page", [poison(0)], activate(A), -14, at(A, HVA + 0x80, (0, 0x10, 1)),
         [*NEW, *NO_PAGE, WRITE]),
    Case("a page on the swap device", [swap(0)], activate(A), 0, valid(A, R),
         [*NEW, *FAULT, WRITE], {R: 1}),
    Case("a page that has moved", [migrate(0)], activate(A), 0, valid(A, R), [*NEW, WRITE],
         {R: 1}),
    Case("the memory of a device", [], activate(DEVICE + 0x80), 0, valid(DEVICE + 0x80, 0xFD00),
         [*NEW, *NO_PAGE, WRITE], {0xFD00: 1}),
    Case("the memory of a device that cannot be mapped", [memremap_fails],
         activate(DEVICE + 0x80), -14, FAILED_DEVICE, [*NEW, *NO_PAGE, WRITE]),
    Case("INVALID_GPA", [], activate(NO_GPA), None, FRESH, [], bug="Warn"),
    Case("INVALID_GPA, while active", ON_A, activate(NO_GPA), None, valid(A, P), [], ONE,
         bug="Warn"),
    Case("while valid, though not active: -EIO, and the VM is broken",
         [lambda w: setattr(w.caches[0], "valid", True)], activate(A), None,
         FRESH._replace(valid=True), [REFRESH, LIST, WRITE], bug="Warn", listed=1),
    Case("the second one goes to the front of the list", ON_A, activate(B, which=1), 0,
         (valid(A, P), valid(B, Q)),
         ["other.refresh_lock", LIST, *["write other.lock"] * 3], {P: 1, Q: 1}),
    Case("two for one page", ON_A, activate(A + 8, which=1), 0, (valid(A, P), valid(A + 8, P)),
         ["other.refresh_lock", LIST, *["write other.lock"] * 3], {P: 2}),
]  # fmt: skip

ACTIVATE_HVA = [
    Case("a page outside of the slots", [], activate_hva(H), 0, valid_hva(H, X), [*NEW, WRITE],
         {X: 1}),
    Case("a page of the guest", [], activate_hva(HVA + 0x80), 0, valid_hva(HVA + 0x80, P),
         [*NEW, WRITE], ONE),
    Case("a page of a read-only slot: the host may write", [], activate_hva(HVA + 0x3080), 0,
         valid_hva(HVA + 0x3080, 0x903), [*NEW, WRITE], {0x903: 1}),
    Case("a page that has to be faulted in", [], activate_hva(HVA + 0x2080), 0,
         valid_hva(HVA + 0x2080, R), [*NEW, *FAULT, WRITE], {R: 1}),
    Case("the memory of a device", [], activate_hva(HVA + 0x4080), 0,
         valid_hva(HVA + 0x4080, 0xFD00), [*NEW, *NO_PAGE, WRITE], {0xFD00: 1}),
    Case("the memory of a device that cannot be mapped", [memremap_fails],
         activate_hva(HVA + 0x4080), -14, empty(valid_hva(HVA + 0x4080, 0xFD00)),
         [*NEW, *NO_PAGE, WRITE]),
    Case("nothing is mapped there", [], activate_hva(HVA + 0x5080), -14,
         empty(valid_hva(HVA + 0x5080, 0)), [*NEW, *NO_PAGE, WRITE]),
    Case("the process may not write there", [], activate_hva(HVA + 0x7080), -14,
         empty(valid_hva(HVA + 0x7080, 0)), [*NEW, *NO_PAGE, WRITE]),
    Case("the first kernel address", [], activate_hva(BAD), -22, FRESH, []),
    Case("all ones", [], activate_hva(NO_GPA), -22, FRESH, []),
    Case("the first that is no user address", [], activate_hva(TASK_SIZE_MAX), -22, FRESH, []),
    Case("the last byte that is one", [], activate_hva(TASK_SIZE_MAX - 1, 1), -14,
         empty(valid_hva(TASK_SIZE_MAX - 1, 0)), [*NEW, *NO_PAGE, WRITE]),
    Case("a kernel address, while active", ON_A, activate_hva(BAD), -22, valid(A, P), [], ONE),
]  # fmt: skip

SAME_PAGE = Fields(NO_GPA, HVA + 0x200, P, khva_of(P, 0x200), True, True, GEN, None)
RETARGET = [
    Case("to the same byte", ON_A, activate(A), 0, valid(A, P), [REFRESH, WRITE], ONE),
    Case("to another byte of the page", ON_A, activate(0x10_200), 0, valid(0x10_200, P),
         [REFRESH, WRITE], ONE),
    Case("to the last byte of the page", ON_A, activate(0x10_FFF), 0, valid(0x10_FFF, P),
         [REFRESH, WRITE], ONE),
    Case("to another byte, while invalid", INVALID, activate(0x10_200), 0, valid(0x10_200, P),
         [REFRESH, WRITE, WRITE], ONE),
    Case("to another page", ON_A, activate(B), 0, valid(B, Q), [REFRESH, WRITE, WRITE], {Q: 1}),
    Case("to another page, while invalid", INVALID, activate(B), 0, valid(B, Q),
         [REFRESH, WRITE, WRITE], {Q: 1}),
    Case("there and back", [*ON_A, activate(B)], activate(A), 0, valid(A, P),
         [REFRESH, WRITE, WRITE], ONE),
    Case("to a page that has to be faulted in", ON_A, activate(C), 0, valid(C, R),
         [REFRESH, WRITE, *FAULT, WRITE], {R: 1}),
    Case("to a hole", ON_A, activate(HOLE), -14, at(HOLE, BAD, None), [REFRESH, WRITE]),
    Case("to a hole, and back", [*ON_A, activate(HOLE)], activate(A), 0, valid(A, P),
         [REFRESH, WRITE, WRITE], ONE),
    Case("to a hole, and to the same hole", [activate(HOLE)], activate(HOLE), -14,
         at(HOLE, BAD, None), [REFRESH, WRITE]),
    Case("to a read-only slot", ON_A, activate(READONLY), -14,
         at(READONLY, RO_BAD, (1, 0x14, 2)), [REFRESH, WRITE]),
    Case("to where nothing is mapped", ON_A, activate(UNMAPPED), -14,
         at(UNMAPPED, HVA + 0x5000, (3, 0x16, 0)), [REFRESH, WRITE, *NO_PAGE, WRITE]),
    Case("to a device", ON_A, activate(DEVICE), 0, valid(DEVICE, 0xFD00),
         [REFRESH, WRITE, *NO_PAGE, WRITE], {0xFD00: 1}),
    Case("to a device that cannot be mapped", [*ON_A, memremap_fails], activate(DEVICE + 0x80),
         -14, FAILED_DEVICE, [REFRESH, WRITE, *NO_PAGE, WRITE]),
    Case("from a device", [activate(DEVICE)], activate(A), 0, valid(A, P),
         [REFRESH, WRITE, WRITE], ONE),
    Case("by host address, within the page", ON_A, activate_hva(HVA + 0x200), 0, SAME_PAGE,
         [REFRESH, WRITE], ONE),
    Case("by host address, to another page", ON_A, activate_hva(H), 0, valid_hva(H, X, GEN),
         [REFRESH, WRITE, WRITE], {X: 1}),
    Case("from a host address to its guest address", [activate_hva(HVA + 0x200)], activate(A), 0,
         valid(A, P), [REFRESH, WRITE], ONE),
    Case("from a host address to another page", ON_H, activate(A), 0, valid(A, P),
         [REFRESH, WRITE, WRITE], ONE),
    Case("from a host address to a hole", ON_H, activate(HOLE), -14, at(HOLE, BAD, None),
         [REFRESH, WRITE]),
    Case("from a hole to a host address", [activate(HOLE)], activate_hva(H), 0,
         valid_hva(H, X, GEN), [REFRESH, WRITE, WRITE], {X: 1}),
    Case("from a host address to a slot that has got the page", [*ON_H, ELSEWHERE],
         activate(0x30_200), 0,
         Fields(0x30_200, OUTSIDE + 0x200, X, khva_of(X, 0x200), True, True, 12, (5, 0x30, 0)),
         [REFRESH, WRITE], {X: 1}),
]  # fmt: skip

# -- refresh ---------------------------------------------------------------------------------------

NEVER_MIND = [REFRESH, WRITE]
REFRESHED = [
    Case("never activated", [], refresh(), None, FRESH, [REFRESH], bug="Warn"),
    Case("never activated, and too long", [], refresh(0x1001), -22, FRESH, [REFRESH]),
    Case("given up", [*ON_A, deactivate()], refresh(), -22, gone(valid(A, P)), NEVER_MIND),
    Case("given up, by host address", [*ON_H, deactivate()], refresh(), -22,
         gone(valid_hva(H, X)), NEVER_MIND),
    Case("valid", ON_A, refresh(), 0, valid(A, P), NEVER_MIND, ONE),
    Case("valid, by host address", ON_H, refresh(), 0, valid_hva(H, X), NEVER_MIND, {X: 1}),
    Case("a hole again", [activate(HOLE)], refresh(), -14, at(HOLE, BAD, None), NEVER_MIND),
    Case("a hole that has got a slot", [activate(0x30_080), ELSEWHERE], refresh(), 0,
         Fields(0x30_080, H, X, khva_of(X, H), True, True, 12, (5, 0x30, 0)),
         [REFRESH, WRITE, WRITE], {X: 1}),
    Case("invalidated, and the page is still there", INVALID, refresh(), 0, valid(A, P),
         [REFRESH, WRITE, WRITE], ONE),
    Case("invalidated and refreshed before", [*INVALID, refresh(), *INVALID[1:]], refresh(), 0,
         valid(A, P), [REFRESH, WRITE, WRITE], ONE),
    Case("protected as before", [*ON_A, protect(0)], refresh(), 0, valid(A, P),
         [REFRESH, WRITE, WRITE], ONE),
    Case("protected against writing", [*ON_A, protect(0, PROT_READ)], refresh(), -14,
         empty(valid(A, P)), [REFRESH, WRITE, *NO_PAGE, WRITE]),
    Case("protected, and no more", [*ON_A, protect(0, PROT_READ), protect(0)], refresh(), 0,
         valid(A, P), [REFRESH, WRITE, *FAULT, WRITE], ONE),
    Case("replaced", [*ON_A, dontneed(0)], refresh(), 0, valid(A, R),
         [REFRESH, WRITE, *FAULT, WRITE], {R: 1}),
    Case("replaced twice", [*ON_A, dontneed(0), refresh(), dontneed(0)], refresh(), 0,
         valid(A, 0x906), [REFRESH, WRITE, *FAULT, WRITE], {0x906: 1}),
    Case("replaced, by host address", [*ON_H, dontneed(6)], refresh(), 0, valid_hva(H, R),
         [REFRESH, WRITE, *FAULT, WRITE], {R: 1}),
    Case("moved", [*ON_A, migrate(0)], refresh(), 0, valid(A, R), [REFRESH, WRITE, WRITE],
         {R: 1}),
    Case("swapped out", [*ON_A, swap(0)], refresh(), 0, valid(A, R),
         [REFRESH, WRITE, *FAULT, WRITE], {R: 1}),
    Case("broken", [*ON_A, poison(0)], refresh(), -14, empty(valid(A, P)),
         [REFRESH, WRITE, *NO_PAGE, WRITE]),
    Case("unmapped", [*ON_A, unmap(0)], refresh(), -14, empty(valid(A, P)),
         [REFRESH, WRITE, *NO_PAGE, WRITE]),
    Case("unmapped, and in vain before", [*ON_A, unmap(0), refresh()], refresh(), -14,
         empty(valid(A, P)), [REFRESH, WRITE, *NO_PAGE, WRITE]),
    Case("unmapped, by host address", [*ON_H, unmap(6)], refresh(), -14, empty(valid_hva(H, X)),
         [REFRESH, WRITE, *NO_PAGE, WRITE]),
    Case("another page replaced", [*ON_A, dontneed(1)], refresh(), 0, valid(A, P), NEVER_MIND,
         ONE),
    Case("a device's, invalidated",
         [activate(DEVICE), invalidate(HVA + 0x4000, HVA + 0x5000)], refresh(), 0,
         valid(DEVICE, 0xFD00), [REFRESH, WRITE, *NO_PAGE, WRITE], {0xFD00: 1}),
    Case("a device's, and memremap() would fail, but the mapping is there",
         [activate(DEVICE), invalidate(HVA + 0x4000, HVA + 0x5000), memremap_fails], refresh(), 0,
         valid(DEVICE, 0xFD00), [REFRESH, WRITE, *NO_PAGE, WRITE], {0xFD00: 1}),
]  # fmt: skip

FLAGGED = valid(A, P, 12)._replace(slot=(0, 0x10, 0))
SLOTS = [
    Case("the flags of the slot", [*ON_A, FLAGS], refresh(), 0, FLAGGED, NEVER_MIND, ONE),
    Case("the flags, and the page replaced", [*ON_A, FLAGS, dontneed(0)], refresh(), 0,
         valid(A, R, 12)._replace(slot=(0, 0x10, 0)), [REFRESH, WRITE, *FAULT, WRITE], {R: 1}),
    Case("the flags of another slot", [*ON_A, ELSEWHERE], refresh(), 0, valid(A, P, 12),
         NEVER_MIND, ONE),
    Case("the slot deleted", [*ON_A, DELETE], refresh(), -14, at(A, BAD, None, 14), NEVER_MIND),
    Case("the slot deleted, twice in vain", [*ON_A, DELETE, refresh()], refresh(), -14,
         at(A, BAD, None, 14), NEVER_MIND),
    Case("deleted and created again", [*ON_A, DELETE, CREATE], refresh(), 0, valid(A, P, 16),
         NEVER_MIND, ONE),
    Case("deleted, refreshed in vain, and created", [*ON_A, DELETE, refresh(), CREATE], refresh(),
         0, valid(A, P, 16), [REFRESH, WRITE, WRITE], ONE),
    Case("created with another page", [*ON_A, DELETE, CREATE_AT_1], refresh(), 0,
         valid(B, Q, 16)._replace(gpa=A), [REFRESH, WRITE, WRITE], {Q: 1}),
    Case("the slot moved away", [*ON_A, MOVE_AWAY], refresh(), -14, at(A, BAD, None, 14),
         NEVER_MIND),
    Case("the slot moved away and back", [*ON_A, MOVE_AWAY, SAME], refresh(), 0, valid(A, P, 18),
         NEVER_MIND, ONE),
    Case("the slot moved by one page", [*ON_B, MOVE_BY_ONE], refresh(), 0,
         valid(A, P, 14)._replace(gpa=B, slot=(0, 0x11, 1)), [REFRESH, WRITE, WRITE], ONE),
    Case("moved and followed", [*ON_A, MOVE_AWAY], activate(0x20_080), 0,
         valid(A, P, 14)._replace(gpa=0x20_080, slot=(0, 0x20, 1)), NEVER_MIND, ONE),
    Case("nothing changed", [*ON_A, SAME], refresh(), 0, valid(A, P), NEVER_MIND, ONE),
    Case("the slot deleted, by host address", [activate_hva(HVA + 0x80), DELETE], refresh(), 0,
         valid_hva(HVA + 0x80, P), NEVER_MIND, ONE),
]  # fmt: skip

BIT63, MID = GEN | MID_UPDATE, publish(GEN | MID_UPDATE)
GOING = publish(GEN | MID_UPDATE, INVALID_SLOT)
DURING = [
    Case("activated", [MID], activate(A), 0, valid(A, P, BIT63), [*NEW, WRITE], ONE),
    Case("valid from before it", [*ON_A, MID], check(), False, valid(A, P), [READ], ONE),
    Case("refreshed", [*ON_A, MID], refresh(), 0, valid(A, P, BIT63), NEVER_MIND, ONE),
    Case("refreshed, and used", [*ON_A, MID, refresh()], check(), True, valid(A, P, BIT63), [READ],
         ONE),
    Case("refreshed, and the update is done", [*ON_A, MID, refresh(), publish(GEN + 2)], check(),
         False, valid(A, P, BIT63), [READ], ONE),
    Case("refreshed, done, and refreshed", [*ON_A, MID, refresh(), publish(GEN + 2)], refresh(), 0,
         valid(A, P, GEN + 2), NEVER_MIND, ONE),
    Case("by host address: it is not concerned", [*ON_H, MID], check(), True, valid_hva(H, X),
         [READ], {X: 1}),
    Case("a slot that is about to go", [GOING], activate(A), -14,
         at(A, BAD, (0, 0x10, INVALID_SLOT), BIT63), NEW),
    Case("valid, and the slot is about to go", [*ON_A, GOING], refresh(), -14,
         at(A, BAD, (0, 0x10, INVALID_SLOT), BIT63), NEVER_MIND),
    Case("in vain, and the slot stays", [*ON_A, GOING, refresh(), publish(GEN + 2)], refresh(), 0,
         valid(A, P, GEN + 2), [REFRESH, WRITE, WRITE], ONE),
]  # fmt: skip

UPDATE = ["kvm.slots_lock", "kvm.slots_arch_lock", COUNT]
UPDATES = [
    Case("its flags", ON_A, FLAGS, 0, valid(A, P), UPDATE, ONE),
    Case("deleted", ON_A, DELETE, 0, valid(A, P), [*UPDATE, MMU, UPDATE[1], COUNT], ONE),
    Case("moved", ON_A, MOVE_AWAY, 0, valid(A, P), [*UPDATE, MMU, UPDATE[1], COUNT], ONE),
    Case("left as it is", ON_A, SAME, 0, valid(A, P), UPDATE[:1], ONE),
]  # fmt: skip

# -- check -----------------------------------------------------------------------------------------

CHECK = [
    Case("never activated", [], check(), False, FRESH, [READ]),
    Case("valid", ON_A, check(), True, valid(A, P), [READ], ONE),
    Case("valid, by host address", ON_H, check(), True, valid_hva(H, X), [READ], {X: 1}),
    Case("given up", [*ON_A, deactivate()], check(), False, gone(valid(A, P)), [READ]),
    Case("invalidated", INVALID, check(), False, invalid(valid(A, P)), [READ], ONE),
    Case("refreshed", [*INVALID, refresh()], check(), True, valid(A, P), [READ], ONE),
    Case("a hole", [activate(HOLE)], check(), False, at(HOLE, BAD, None), [READ]),
    Case("unmapped", [*ON_A, unmap(0), refresh()], check(), False, empty(valid(A, P)), [READ]),
    Case("another slot", [*ON_A, ELSEWHERE], check(), False, valid(A, P), [READ], ONE),
    Case("another slot, refreshed", [*ON_A, ELSEWHERE, refresh()], check(), True, valid(A, P, 12),
         [READ], ONE),
    Case("nothing changed", [*ON_A, SAME], check(), True, valid(A, P), [READ], ONE),
    Case("slot deleted", [*ON_A, DELETE], check(), False, valid(A, P), [READ], ONE),
    Case("slot deleted, by host address", [activate_hva(HVA + 0x80), DELETE], check(), True,
         valid_hva(HVA + 0x80, P), [READ], ONE),
    Case("turned to a hole and back", [*ON_A, activate(HOLE), activate(A)], check(), True,
         valid(A, P), [READ], ONE),
]  # fmt: skip

# -- deactivation ----------------------------------------------------------------------------------

DOWN = [REFRESH, WRITE, LIST]
DEACTIVATE = [
    Case("never activated", [], deactivate(), None, FRESH, [REFRESH]),
    Case("valid", ON_A, deactivate(), None, gone(valid(A, P)), DOWN),
    Case("valid, by host address", ON_H, deactivate(), None, gone(valid_hva(H, X)), DOWN),
    Case("twice", [*ON_A, deactivate()], deactivate(), None, gone(valid(A, P)), [REFRESH]),
    Case("invalidated", INVALID, deactivate(), None, gone(valid(A, P)), DOWN),
    Case("its page is free", [*ON_A, dontneed(0)], deactivate(), None, gone(valid(A, P)), DOWN),
    Case("a hole", [activate(HOLE)], deactivate(), None,
         at(HOLE, BAD, None)._replace(active=False), DOWN),
    Case("unmapped", [*ON_A, unmap(0), refresh()], deactivate(), None, gone(valid(A, P)), DOWN),
    Case("a device's", [activate(DEVICE)], deactivate(), None, gone(valid(DEVICE, 0xFD00)), DOWN),
    Case("the slot deleted", [*ON_A, DELETE], deactivate(), None, gone(valid(A, P)), DOWN),
    Case("the first of two", [*ON_A, activate(B, which=1)], deactivate(), None,
         (gone(valid(A, P)), valid(B, Q)), DOWN, {Q: 1}),
    Case("the one on the page of another", [*ON_A, activate(A, which=1)], deactivate(), None,
         (gone(valid(A, P)), valid(A, P)), DOWN, ONE),
    Case("and activated again", [*ON_A, deactivate()], activate(A), 0, valid(A, P),
         [*NEW, WRITE], ONE),
    Case("and activated for another byte", [*ON_A, deactivate()], activate(A + 8), 0,
         valid(A + 8, P), [*NEW, WRITE], ONE),
    Case("and activated by host address", [*ON_A, deactivate()], activate_hva(H), 0,
         valid_hva(H, X, GEN), [*NEW, WRITE], {X: 1}),
    Case("and activated for too much", [*ON_A, deactivate()], activate(A, 0x1000), -22,
         gone(valid(A, P)), []),
]  # fmt: skip

# -- the host --------------------------------------------------------------------------------------

EVENTS = [
    Case("madvise", ON_A, dontneed(0), 0, invalid(valid(A, P)), [MMAP, *NOTIFIED], ONE),
    Case("munmap", ON_A, unmap(0), 0, invalid(valid(A, P)), [MMAP_W, *NOTIFIED], ONE),
    Case("mprotect", ON_A, protect(0), 0, invalid(valid(A, P)), [MMAP_W, *NOTIFIED], ONE),
    Case("migration", ON_A, migrate(0), 0, invalid(valid(A, P)), NOTIFIED, ONE),
    Case("swap", ON_A, swap(0), 0, invalid(valid(A, P)), NOTIFIED, ONE),
    Case("memory failure", ON_A, poison(0), 0, invalid(valid(A, P)), NOTIFIED, ONE),
    Case("another page", ON_A, dontneed(1), 0, valid(A, P),
         [MMAP, COUNT, LIST, READ, MMU, MMU, COUNT], ONE),
    Case("outside of the slots", ON_H, dontneed(6), 0, invalid(valid_hva(H, X)),
         [MMAP, COUNT, LIST, READ, WRITE, COUNT], {X: 1}),
    Case("nobody has a cache", [], dontneed(0), 0, FRESH,
         [MMAP, COUNT, LIST, MMU, MMU, COUNT]),
    Case("a cache that is invalid", INVALID, dontneed(0), 0, invalid(valid(A, P)),
         [MMAP, COUNT, LIST, READ, MMU, MMU, COUNT], ONE),
    Case("a cache that was given up", [*ON_A, deactivate()], dontneed(0), 0, gone(valid(A, P)),
         [MMAP, COUNT, LIST, MMU, MMU, COUNT]),
    Case("one of two caches", [*ON_A, activate(B, which=1)], invalidate(HVA, HVA + 0x1000), None,
         (invalid(valid(A, P)), valid(B, Q)), [LIST, "read other.lock", READ, WRITE],
         {P: 1, Q: 1}),
    Case("both of two caches", [*ON_A, activate(B, which=1)], invalidate(HVA, HVA + 0x2000), None,
         (invalid(valid(A, P)), invalid(valid(B, Q))),
         [LIST, "read other.lock", "write other.lock", READ, WRITE], {P: 1, Q: 1}),
    Case("both caches of a page", [*ON_A, activate_hva(HVA, which=1)],
         invalidate(HVA, HVA + 0x1000), None,
         (invalid(valid(A, P)), invalid(valid_hva(HVA, P))),
         [LIST, "read other.lock", "write other.lock", READ, WRITE], {P: 2}),
    Case("a hole's cache", [activate(HOLE)], invalidate(0, BAD), None, at(HOLE, BAD, None),
         [LIST, READ]),
    Case("valid, and without a page: not concerned",
         [activate(HOLE), lambda w: setattr(w.caches[0], "valid", True)], invalidate(0, BAD + 1),
         None, at(HOLE, BAD, None)._replace(valid=True), [LIST, READ]),
    Case("no waiting", ON_A, invalidate(HVA, HVA + 0x1000, False), None, invalid(valid(A, P)),
         [LIST, READ, WRITE], ONE),
    Case("mmu_lock is a spinlock", ON_A, dontneed(0), 0, invalid(valid(A, P)),
         [MMAP, COUNT, LIST, READ, WRITE, MMU_SPIN, MMU_SPIN, COUNT], ONE, mmu_rwlock=False),
    Case("a kernel without the cache", [], dontneed(0), 0, FRESH, [MMAP, COUNT, MMU, MMU, COUNT],
         functions=NO_PFNCACHE),
    Case("a kernel without the cache, and mmu_lock is a spinlock", [], dontneed(0), 0, FRESH,
         [MMAP, COUNT, MMU_SPIN, MMU_SPIN, COUNT], functions=NO_PFNCACHE, mmu_rwlock=False),
]  # fmt: skip


def with_vcpu(w: World) -> None:
    w.gpcs.kvm_gpc_init(w.caches[0], w.kvm, w.kvm.vcpus[0], KVM_GUEST_USES_PFN)


def requests(do: Do) -> Do:
    return lambda w: (do(w), w.kvm.vcpus[0].requests)[1]


EVENTS.append(
    Case("a vCPU that is outside is left alone", [with_vcpu, *ON_A],
         requests(invalidate(HVA, HVA + 0x1000)), 0, invalid(valid(A, P)), [LIST, READ, WRITE], ONE)
)  # fmt: skip


def around(uhva: int) -> list[tuple[str, int, int, bool]]:
    """Ranges, and whether they concern a cache at this address: start <= uhva < end."""
    page = uhva & ~0xFFF
    return [
        ("its page", page, page + 0x1000, True),
        ("the page before", page - 0x1000, page, False),
        ("the page after", page + 0x1000, page + 0x2000, False),
        ("three pages", page - 0x1000, page + 0x2000, True),
        ("its byte", uhva, uhva + 1, True),
        ("from its byte on", uhva, page + 0x1000, True),
        ("up to its byte, with it", page, uhva + 1, True),
        ("up to its byte, without it", page, uhva, False),
        ("from the next byte on", uhva + 1, page + 0x2000, False),
        ("nothing, at its byte", uhva, uhva, False),
        ("nothing, at its page", page, page, False),
        ("everything", 0, BAD, True),
    ]


def ranges(kind: str, given: list[Do], cache: Fields, maps: dict[int, int]) -> list[Case]:
    return [
        Case(f"{kind}: {name}", given, invalidate(start, end), None,
             invalid(cache) if hit else cache, [LIST, READ, WRITE] if hit else [LIST, READ], maps)
        for name, start, end, hit in around(cache.uhva)
    ]  # fmt: skip


RANGES = [
    *ranges("by guest address", ON_A, valid(A, P), ONE),
    *ranges("by host address", ON_H, valid_hva(H, X), {X: 1}),
    *ranges("first byte", [activate(0x10_000)], valid(0x10_000, P), ONE),
    *ranges("last byte", [activate(0x10_FFF)], valid(0x10_FFF, P), ONE),
]

# -- lengths ---------------------------------------------------------------------------------------

FITS = [(0, 1), (0, 0x1000), (0x80, 0xF80), (0xFFF, 1), (0x80, 0)]
TOO_LONG = [(0, 0x1001), (0x80, 0xF81), (0xFFF, 2), (0x80, 1 << 40)]


def lengths() -> list[Case]:
    cases = []
    for offset, length in FITS + TOO_LONG:
        fits = (offset, length) in FITS
        name, gpa, hva = f"{length:#x} bytes at {offset:#x}", 0x10_000 + offset, OUTSIDE + offset
        by_gpa, by_hva = valid(gpa, P), valid_hva(hva, X)
        ret, up = (0, [*NEW, WRITE]) if fits else (-22, [])
        new = NEVER_MIND if fits else [REFRESH]
        cases += [
            Case(f"activate {name}", [], activate(gpa, length), ret, by_gpa if fits else FRESH, up,
                 ONE if fits else {}),
            Case(f"activate {name} by host address", [], activate_hva(hva, length), ret,
                 by_hva if fits else FRESH, up, {X: 1} if fits else {}),
            Case(f"turn to {name}", ON_B, activate(gpa, length), ret,
                 by_gpa if fits else valid(B, Q), [REFRESH, WRITE, WRITE] if fits else [],
                 ONE if fits else {Q: 1}),
            Case(f"refresh {name}", [activate(gpa)], refresh(length), ret, by_gpa, new, ONE),
            Case(f"refresh {name} by host address", [activate_hva(hva)], refresh(length), ret,
                 by_hva, new, {X: 1}),
            Case(f"check {name}", [activate(gpa)], check(length), fits, by_gpa, [READ], ONE),
            Case(f"check {name} by host address", [activate_hva(hva)], check(length), fits,
                 by_hva, [READ], {X: 1}),
        ]  # fmt: skip
    return cases


# -- an invalidation in the middle -----------------------------------------------------------------


SKIPPED = [COUNT, LIST, READ, MMU, MMU, COUNT]
"""Start and end of an invalidation that finds no cache valid."""
RETRY = [
    Case("the page is replaced", [], activate(A), 0, valid(A, R),
         [*NEW, MMAP, *SKIPPED, WRITE, *FAULT, WRITE], {R: 1}, functions=meanwhile(dontneed(0))),
    Case("another page is replaced: once more all the same", [], activate(A), 0, valid(A, P),
         [*NEW, MMAP, *SKIPPED, WRITE, WRITE], ONE, functions=meanwhile(dontneed(1))),
    Case("a page outside of the slots is replaced: nobody can see that", [], activate(A), 0,
         valid(A, P), [*NEW, MMAP, COUNT, LIST, READ, COUNT, WRITE], ONE,
         functions=meanwhile(dontneed(6))),
    Case("the page of a host address: stale (candidate O6)", [], activate_hva(H), 0,
         valid_hva(H, X), [*NEW, MMAP, COUNT, LIST, READ, COUNT, WRITE], {X: 1},
         functions=meanwhile(dontneed(6))),
    Case("another page, and the mapping is used again", INVALID, refresh(), 0, valid(A, P),
         [REFRESH, WRITE, MMAP, *SKIPPED, WRITE, WRITE], ONE, functions=meanwhile(dontneed(1))),
    Case("the page, whose mapping was to be used again", INVALID, refresh(), 0, valid(A, R),
         [REFRESH, WRITE, MMAP, *SKIPPED, WRITE, *FAULT, WRITE], {R: 1},
         functions=meanwhile(dontneed(0))),
    Case("the page is unmapped", [], activate(A), -14, empty(valid(A, P)),
         [*NEW, MMAP_W, *SKIPPED, WRITE, *NO_PAGE, WRITE], functions=meanwhile(unmap(0))),
    Case("the page is unmapped, whose mapping was to be used again", INVALID, refresh(), -14,
         empty(valid(A, P)), [REFRESH, WRITE, MMAP_W, *SKIPPED, WRITE, *NO_PAGE, WRITE],
         functions=meanwhile(unmap(0))),
    Case("a device's page is invalidated", [], activate(DEVICE), 0, valid(DEVICE, 0xFD00),
         [*NEW, *NO_PAGE, MMAP, *SKIPPED, WRITE, *NO_PAGE, WRITE], {0xFD00: 1},
         functions=meanwhile(dontneed(4))),
    Case("turned to another page, and that is replaced", ON_A, activate(B), 0, valid(B, R),
         [REFRESH, WRITE, MMAP, *SKIPPED, WRITE, *FAULT, WRITE], {R: 1},
         functions=meanwhile(dontneed(1))),
    Case("an invalidation elsewhere has begun, and ends a turn later", [], activate(A), 0,
         valid(A, P), [*NEW, COUNT, LIST, READ, WRITE, COUNT, WRITE], ONE,
         functions=meanwhile(START(6), END(6))),
    Case("one of the guest has begun, and ends a turn later: the sequence takes a third",
         [], activate(A), 0, valid(A, P),
         [*NEW, *SKIPPED[:4], WRITE, *SKIPPED[4:], WRITE, WRITE], ONE,
         functions=meanwhile(START(1), END(1))),
    Case("no room for a mapping: the reference goes back", [], activate(A), -14,
         empty(valid(A, P)), [*NEW, WRITE], functions=NO_MAPPING),
]  # fmt: skip

TABLES = {
    "activate": ACTIVATE, "activate_hva": ACTIVATE_HVA, "turn": RETARGET, "refresh": REFRESHED,
    "after an update": SLOTS, "update": UPDATES, "during an update": DURING, "check": CHECK,
    "deactivate": DEACTIVATE, "host": EVENTS, "ranges": RANGES, "lengths": lengths(),
    "meanwhile": RETRY,
}  # fmt: skip
CASES = [pytest.param(c, id=f"{name}: {c.name}") for name, table in TABLES.items() for c in table]


def make_cache(kvm, name):
    gpc = GfnToPfnCache(name)
    IMAGE.kvm_gpc_init(gpc, kvm)
    return gpc


IMAGE = link(MODULES, {})


@pytest.mark.parametrize("case", CASES)
def test_as_the_specification_says(case):
    play(case, link(MODULES, case.functions) if case.functions else IMAGE, make_cache)


def test_there_are_enough_of_them_and_no_two_alike():
    assert len({case.id for case in CASES}) == len(CASES) >= 150
