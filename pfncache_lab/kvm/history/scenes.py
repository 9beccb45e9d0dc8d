"""scenes.py: the set-ups and the tasks of which the scenarios are made.

Each is a function, linked with a version of the cache, and knows it only by the functions of the
driver. The machine of every scene has a guest with two pages, and a cache for a byte of the first:

    gpa 0x10_080   gfn 0x10   hva 0x7f5a_a000_0080        HERE
    gpa 0x11_080   gfn 0x11   hva 0x7f5a_a000_1080        THERE
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ...mm.frames import Ram
from ...mm.highmem import store
from ...mm.migrate import migrate_page
from ...mm.mm_struct import PROT_READ, PROT_WRITE, MmStruct
from ...mm.mmu_notifier import (
    MmuNotifierRange,
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from ...mm.types import FIRST_HVA, PAGE_SIZE
from ...mm.uaccess import copy_to_user
from ...mm.vma import madvise_dontneed, mmap, mprotect, munmap
from ...sim import Struct, marked, srcu_read_lock, srcu_read_unlock
from ..kvm_host import Kvm
from ..memory_region import KvmUserspaceMemoryRegion, kvm_set_memory_region
from ..vm import create_vm
from .driver import activate, activate_hva, check, deactivate, is_active, make_cache, move, refresh

HERE = 0x10_080
SAME_PAGE = 0x10_200
THERE = 0x11_080
HVA = FIRST_HVA
OUTSIDE = HVA + 3 * PAGE_SIZE
"""A page of the process that the guest does not have."""
SLOT = KvmUserspaceMemoryRegion(0, 0, 0x10_000, 2 * PAGE_SIZE, HVA)


class Progress(Struct):
    """What the tasks of a scene tell each other."""

    done = marked(False)


class Shared(NamedTuple):
    """What the tasks of a scene share."""

    ram: Ram
    mm: MmStruct
    kvm: Kvm
    gpc: Any
    progress: Progress

    def snapshot(self) -> dict[str, Any]:
        """Copy what a picture or a message shows: the cache, and the notifiers' counters."""
        gpc, kvm = self.gpc, self.kvm
        shown = {f"gpc.{name}": value for name, value in gpc.snapshot().items() if name in SHOWN}
        counters = (
            "mn_active_invalidate_count",
            "mmu_invalidate_seq",
            "mmu_invalidate_in_progress",
        )
        return shown | {f"kvm.{name}": kvm.snapshot()[name] for name in counters}


SHOWN = ("gpa", "uhva", "pfn", "khva", "active", "valid")


# -- set-ups ---------------------------------------------------------------------------------------


def inactive_cache() -> Shared:
    """A VM whose cache has not been activated."""
    vm = create_vm(spare_pages=2)
    gpc = make_cache(vm.kvm, "gpc")
    return Shared(vm.ram, vm.mm, vm.kvm, gpc, Progress("progress"))


def active_cache() -> Shared:
    """A VM whose cache is valid for HERE."""
    vm = inactive_cache()
    activate(vm.kvm, vm.gpc, HERE, 1)
    return vm


def invalid_cache() -> Shared:
    """A VM whose cache is active for HERE, and whose page the host has replaced since."""
    vm = active_cache()
    replace_the_page(vm)
    return vm


def inactive_again() -> Shared:
    """A VM whose cache was valid for HERE, and has been given up."""
    vm = active_cache()
    deactivate(vm.kvm, vm.gpc)
    return vm


def cache_of_a_host_address() -> Shared:
    """A VM whose cache is active for a host address that is in no memslot, and not valid."""
    vm = inactive_cache()
    mmap(vm.mm, OUTSIDE, PAGE_SIZE, PROT_READ | PROT_WRITE)
    copy_to_user(vm.mm, OUTSIDE, b"\0")
    activate_hva(vm.kvm, vm.gpc, OUTSIDE + 0x80, 1)
    drop_outside(vm)
    return vm


def touched_cache() -> Shared:
    """A VM whose cache is active for HERE and not valid, though its page is still the same."""
    vm = active_cache()
    mprotect(vm.mm, HVA, PAGE_SIZE, PROT_READ | PROT_WRITE)
    return vm


def stale_generation() -> Shared:
    """A VM whose cache was valid, and whose slots have changed, and whose page is a new one."""
    vm = invalid_cache()
    kvm_set_memory_region(vm.kvm, SLOT._replace(flags=1))
    return vm


# -- who uses the cache ----------------------------------------------------------------------------


def refresh_here(vm: Shared) -> int:
    """Refresh the cache for HERE, once."""
    section = srcu_read_lock(vm.kvm.srcu)
    error = refresh(vm.kvm, vm.gpc, HERE, 1)
    srcu_read_unlock(vm.kvm.srcu, section)
    return error


def use_here(vm: Shared) -> None:
    """Store a byte to HERE: the canonical loop of a reader."""
    kvm, gpc = vm.kvm, vm.gpc
    section = srcu_read_lock(kvm.srcu)
    gpc.lock.read_lock_irq()
    usable = True
    while usable and not check(kvm, gpc, HERE, 1):
        gpc.lock.read_unlock_irq()
        usable = not refresh(kvm, gpc, HERE, 1)
        gpc.lock.read_lock_irq()
    if usable:
        store(gpc.khva, b"\1")
    gpc.lock.read_unlock_irq()
    srcu_read_unlock(kvm.srcu, section)


def look_once(vm: Shared) -> None:
    """Store a byte to HERE if the cache is valid: what a hard interrupt does."""
    kvm, gpc = vm.kvm, vm.gpc
    section = srcu_read_lock(kvm.srcu)
    gpc.lock.read_lock_irq()
    if check(kvm, gpc, HERE, 1):
        store(gpc.khva, b"\1")
    gpc.lock.read_unlock_irq()
    srcu_read_unlock(kvm.srcu, section)


def refresh_and_use(vm: Shared) -> None:
    """Refresh the cache for HERE, and if that worked look once."""
    if not refresh_here(vm):
        look_once(vm)


def activate_here(vm: Shared) -> None:
    """Activate the cache for HERE."""
    section = srcu_read_lock(vm.kvm.srcu)
    activate(vm.kvm, vm.gpc, HERE, 1)
    srcu_read_unlock(vm.kvm.srcu, section)


def activate_across(vm: Shared) -> None:
    """Activate the cache for a range across two pages; if it is active then, refresh it."""
    section = srcu_read_lock(vm.kvm.srcu)
    activate(vm.kvm, vm.gpc, HERE, PAGE_SIZE)
    if is_active(vm.kvm, vm.gpc):
        refresh(vm.kvm, vm.gpc, HERE, 1)
    srcu_read_unlock(vm.kvm.srcu, section)


def deactivate_here(vm: Shared) -> None:
    """Give the cache up."""
    deactivate(vm.kvm, vm.gpc)


def move_here(vm: Shared) -> None:
    """Turn the cache to HERE."""
    _move(vm, HERE)


def move_there(vm: Shared) -> None:
    """Turn the cache to THERE."""
    _move(vm, THERE)


def move_within_the_page(vm: Shared) -> None:
    """Turn the cache to another byte of the same page."""
    _move(vm, SAME_PAGE)


def _move(vm: Shared, gpa: int) -> None:
    section = srcu_read_lock(vm.kvm.srcu)
    move(vm.kvm, vm.gpc, gpa, 1)
    srcu_read_unlock(vm.kvm.srcu, section)


# -- the host --------------------------------------------------------------------------------------


def replace_the_page(vm: Shared) -> None:
    """Drop the page at HERE; the next who touches it gets another one."""
    madvise_dontneed(vm.mm, HVA, PAGE_SIZE)


def unmap_the_page(vm: Shared) -> None:
    """Take the page at HERE away, and leave nothing there."""
    munmap(vm.mm, HVA, PAGE_SIZE)


def drop_outside(vm: Shared) -> None:
    """Drop the page that the guest does not have."""
    madvise_dontneed(vm.mm, OUTSIDE, PAGE_SIZE)


def move_the_page(vm: Shared) -> None:
    """Move the page at HERE to another frame, and tell whether that worked."""
    vm.progress.done = migrate_page(vm.mm, HVA) == 0


def touch_the_page(vm: Shared) -> None:
    """Invalidate the page at HERE without taking it away, and refresh the cache."""
    mprotect(vm.mm, HVA, PAGE_SIZE, PROT_READ | PROT_WRITE)
    refresh_here(vm)


def lose_the_slot(vm: Shared) -> None:
    """Delete the slot of HERE, refresh the cache in vain, and give it up."""
    kvm_set_memory_region(vm.kvm, SLOT._replace(memory_size=0))
    refresh_here(vm)
    deactivate(vm.kvm, vm.gpc)


def invalidate_elsewhere(vm: Shared) -> None:
    """Invalidate, until the refresh is done, user memory that the guest does not have."""
    elsewhere = MmuNotifierRange(vm.mm, OUTSIDE, OUTSIDE + PAGE_SIZE)
    while not vm.progress.done:
        mmu_notifier_invalidate_range_start(elsewhere)
        mmu_notifier_invalidate_range_end(elsewhere)


def refresh_and_tell(vm: Shared) -> None:
    """Refresh the cache for HERE, and tell the others when that is done."""
    refresh_here(vm)
    vm.progress.done = True
