"""A machine for tables of cases, and a look at everything that a call has left in it.

    gfn    slot               hva page   page frame
    0x10   0, logs stores     0          0x901
    0x11   0                  1          0x902
    0x12   0                  2          none yet: a fault gets 0x905, the first that is free
    0x13   none
    0x14   1, read-only       3          0x903
    0x15   2                  4          0xfd00 of a device, which has no struct page
    0x16   3                  5          nothing is mapped there
    none                      6          0x904
    0x17   4                  7          nothing yet, and the process may not write there

Frames 0x905 to 0x90a are free. Five slots have been created, each of which has put the generation
of the address space up by 2. What the cases expect is from the specification, worked out by hand;
the addresses follow from the table above.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

from pfncache_lab.explore import DepthFirst
from pfncache_lab.kvm.kvm_host import KvmMemslots
from pfncache_lab.kvm.kvm_types import constant
from pfncache_lab.kvm.memory_region import KvmUserspaceMemoryRegion, kvm_set_memory_region
from pfncache_lab.kvm.pfn import hva_to_pfn
from pfncache_lab.kvm.vcpu import vcpu_load, vcpu_put
from pfncache_lab.kvm.vm import Vm
from pfncache_lab.mm import (
    PROT_READ,
    PROT_WRITE,
    VM_PFNMAP,
    MmuNotifierRange,
    copy_to_user,
    madvise_dontneed,
    memory_failure,
    migrate_page,
    mmap,
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
    mprotect,
    munmap,
    swap_out,
)
from pfncache_lab.sim import LockDep, Machine, new_world, srcu_read_lock, srcu_read_unlock
from pfncache_lab.sim import machine as sim

HVA = 0x7F5A_A000_0000
OUTSIDE = HVA + 0x6000
HOLE, READONLY, DEVICE, UNMAPPED, UNWRITABLE = 0x13_000, 0x14_000, 0x15_000, 0x16_000, 0x17_000
GEN = 10

DIRECT_MAP = 0xFFFF_8880_0000_0000
MEMREMAP = 0xFFFF_C900_0000_0000
NO_PFN = 0x7FF << 52
NO_GPA = 0xFFFF_FFFF_FFFF_FFFF
BAD, RO_BAD = DIRECT_MAP, DIRECT_MAP + 0x1000
"""KVM_HVA_ERR_BAD and KVM_HVA_ERR_RO_BAD: specification, B.2."""

PAGE_OF = {0x10: 0, 0x11: 1, 0x12: 2, 0x14: 3, 0x15: 4, 0x16: 5, 0x17: 7}
SLOT_OF = {0x10: (0, 0x10, 1), 0x11: (0, 0x10, 1), 0x12: (0, 0x10, 1)}
SLOT_OF |= {0x14: (1, 0x14, 2), 0x15: (2, 0x15, 0), 0x16: (3, 0x16, 0), 0x17: (4, 0x17, 0)}

LIST = "kvm.gpc_lock"
READ, WRITE = "read gpc.lock", "write gpc.lock"
MMAP, MMAP_W = "read mm.mmap_lock", "write mm.mmap_lock"
MMU, MMU_R, MMU_SPIN = "write kvm.mmu_lock", "read kvm.mmu_lock", "kvm.mmu_lock"
COUNT = "kvm.mn_invalidate_lock"


class Fields(NamedTuple):
    """What a cache has in its fields. A slot counts as (id, base_gfn, flags)."""

    gpa: int
    uhva: int
    pfn: int
    khva: int
    active: bool
    valid: bool
    generation: int
    slot: tuple[int, int, int] | None
    dirty: bool = False


def hva_of(gpa: int) -> int:
    """The user address of a guest address, by the table above."""
    return HVA + PAGE_OF[gpa >> 12] * 0x1000 + gpa % 0x1000


def khva_of(pfn: int, address: int) -> int:
    """Where the kernel has that byte of a frame."""
    return (MEMREMAP if pfn >= 0xFD00 else DIRECT_MAP) + pfn * 0x1000 + address % 0x1000


def valid(gpa: int, pfn: int, generation: int = GEN) -> Fields:
    """A cache that is valid for a guest address, as a refresh leaves it."""
    slot = SLOT_OF[gpa >> 12]
    return Fields(gpa, hva_of(gpa), pfn, khva_of(pfn, gpa), True, True, generation, slot)


def valid_hva(uhva: int, pfn: int, generation: int = 0) -> Fields:
    """A cache that is valid for a host address. It has no slot, and its generation is not used."""
    return Fields(NO_GPA, uhva, pfn, khva_of(pfn, uhva), True, True, generation, None)


def invalid(fields: Fields) -> Fields:
    """The same after a notifier: A.5, nothing is given back there."""
    return fields._replace(valid=False)


def empty(fields: Fields) -> Fields:
    """The same after a refresh that found no page: C.7, the address is kept."""
    return fields._replace(valid=False, pfn=NO_PFN, khva=0)


def gone(fields: Fields) -> Fields:
    """The same after it was given up: C.9, the address is left."""
    return empty(fields)._replace(active=False)


class World(Vm):
    """The machine of the table, and its caches."""

    caches: constant[tuple[Any, ...]] = constant(())
    gpcs: constant[Any] = constant()
    """The functions of the cache under test."""


Do = Callable[[Any], object]


def world(image: Any, make_cache: Callable[[Any, str], Any], *, mmu_rwlock: bool = True) -> World:
    """Make the machine of the table."""
    w = World()
    image.create_vm(
        1, pages=3, populated=2, spare_pages=5, frames=10, device_frames=1, flags=1, vm=w,
        mmu_rwlock=mmu_rwlock,
    )  # fmt: skip
    mmap(w.mm, HVA + 0x3000, 0x1000)
    mmap(w.mm, HVA + 0x4000, 0x1000, PROT_READ | PROT_WRITE, VM_PFNMAP, 0xFD00)
    mmap(w.mm, OUTSIDE, 0x1000)
    mmap(w.mm, HVA + 0x7000, 0x1000, PROT_READ)
    for hva in (HVA + 0x3000, OUTSIDE):
        assert not copy_to_user(w.mm, hva, b"x")
    for number, (gpa, page, flags) in enumerate(
        [(READONLY, 3, 2), (DEVICE, 4, 0), (UNMAPPED, 5, 0), (UNWRITABLE, 7, 0)], 1
    ):
        slot(number, gpa, 0x1000, page, flags)(w)
    w.caches = (make_cache(w.kvm, "gpc"), make_cache(w.kvm, "other"))
    w.gpcs = image
    return w


# -- what can be done ------------------------------------------------------------------------------


def slot(number: int, gpa: int, size: int, page: int, flags: int = 0) -> Do:
    mem = KvmUserspaceMemoryRegion(number, flags, gpa, size, HVA + page * 0x1000)
    return lambda w: kvm_set_memory_region(w.kvm, mem)


DELETE = slot(0, 0x10_000, 0, 0)
MOVE_AWAY = slot(0, 0x20_000, 0x3000, 0, 1)
MOVE_BY_ONE = slot(0, 0x11_000, 0x3000, 0, 1)
CREATE = slot(0, 0x10_000, 0x3000, 0, 1)
CREATE_AT_1 = slot(0, 0x10_000, 0x1000, 1, 1)
FLAGS = slot(0, 0x10_000, 0x3000, 0, 0)
SAME = slot(0, 0x10_000, 0x3000, 0, 1)
ELSEWHERE = slot(5, 0x30_000, 0x1000, 6, 0)


def publish(generation: int, flags: int = 1) -> Do:
    """Be in the middle of an update: with this generation, and these flags of slot 0."""

    def do(w: Any) -> None:
        slot0, *others = w.kvm.memslots0.slots
        slots = (slot0._replace(flags=flags), *others)
        w.kvm.memslots0 = KvmMemslots(generation, slots)

    return do


MID_UPDATE = 1 << 63
"""KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS: A.7."""
INVALID_SLOT = 1 << 16 | 1


def host(act: Callable[..., object], page: int, *args: object) -> Do:
    return lambda w: act(w.mm, HVA + page * 0x1000, *args)


def dontneed(page: int) -> Do:
    return host(madvise_dontneed, page, 0x1000)


def unmap(page: int) -> Do:
    return host(munmap, page, 0x1000)


def protect(page: int, prot: int = PROT_READ | PROT_WRITE) -> Do:
    return host(mprotect, page, 0x1000, prot)


migrate, swap = partial(host, migrate_page), partial(host, swap_out)
poison = partial(host, memory_failure)


def memremap_fails(w: World) -> None:
    w.ram.memremap_fails = True


def in_srcu(w: World, act: Callable[[], object]) -> object:
    """Look at the memslots as a caller of the cache must."""
    section = srcu_read_lock(w.kvm.srcu)
    result = act()
    srcu_read_unlock(w.kvm.srcu, section)
    return result


def on_a_vcpu(act: Do) -> Do:
    """Do it in the thread of a vCPU: who marks a page dirty must be one."""

    def do(w: World) -> object:
        vcpu_load(w.kvm.vcpus[0])
        result = act(w)
        vcpu_put(w.kvm.vcpus[0])
        return result

    return do


def invalidate(start: int, end: int, may_block: bool = True) -> Do:
    """Call what the notifier calls, and nothing else."""
    return lambda w: w.gpcs.gfn_to_pfn_cache_invalidate_start(w.kvm, start, end, may_block)


def meanwhile(*dos: Callable[[Any], object]) -> dict[str, Callable[..., int]]:
    """Link this: what the host does right after each of the first translations of the task."""
    left = list(dos)

    def translate(kvm: Any, addr: int, atomic: bool, write_fault: bool) -> int:
        pfn = hva_to_pfn(kvm, addr, atomic, write_fault)
        if sim.running is not None and left:
            left.pop(0)(SimpleNamespace(kvm=kvm, mm=kvm.mm))
        return pfn

    return {"hva_to_pfn": translate}


def half(notify: Callable[[MmuNotifierRange], object], page: int) -> Do:
    """One half of an invalidation."""
    hva = HVA + page * 0x1000
    return lambda w: notify(MmuNotifierRange(w.mm, hva, hva + 0x1000))


START = partial(half, mmu_notifier_invalidate_range_start)
END = partial(half, mmu_notifier_invalidate_range_end)
NO_MAPPING = {"gpc_map": lambda pfn: 0}
"""Link this: the kernel has no room for a mapping, where kmap() could fail."""


# -- one case --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """What is done to the machine, and what must come of it."""

    name: str
    given: list[Do]
    """Done in the set-up."""
    when: Do
    """Done by a task, alone."""
    returns: object
    then: Fields | tuple[Fields, ...]
    """The cache; or both, if the case is about two."""
    locks: list[str]
    """Locks in the order in which they are taken; kvm->srcu, which can always be had, apart."""
    maps: Mapping[int, int] = field(default_factory=dict)
    """Mappings into the kernel, by pfn."""
    refs: Mapping[int, int] = field(default_factory=dict)
    """References beyond those of page tables, by pfn."""
    bug: str = ""
    """The kind of KernelBug that ends the task, if one does."""
    dirty: frozenset[int] = frozenset()
    """Frames marked dirty: SetPageDirty()."""
    listed: int | None = None
    """How many caches are on the list; by default, as many as are active."""
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    """Linked in the place of the kernel's."""
    mmu_rwlock: bool = True
    """Whether mmu_lock is an rwlock: KVM_HAVE_MMU_RWLOCK."""


TAKES = {"lock": "", "read_lock": "read ", "write_lock": "write "}


def locks_taken(machine: Machine) -> list[str]:
    """The names of the locks, in the order in which they were taken."""
    events = machine.trace.events
    named = [(event.kind, event.text.split()[1]) for event in events if event.kind in TAKES]
    return [TAKES[kind] + name for kind, name in named]


def fields(gpc: Any) -> Fields:
    """Everything in a cache."""
    at = gpc.memslot and (gpc.memslot.id, gpc.memslot.base_gfn, gpc.memslot.flags)
    return Fields(
        gpc.gpa, gpc.uhva, gpc.pfn, gpc.khva, gpc.active, gpc.valid, gpc.generation, at,
        getattr(gpc, "dirty", False),
    )  # fmt: skip


def play(case: Case, image: Any, make_cache: Callable[[Any, str], Any]) -> None:
    """Do it, and compare everything."""
    new_world()
    w = world(image, make_cache, mmu_rwlock=case.mmu_rwlock)
    for do in case.given:
        do(w)
    result: list[object] = []
    machine = Machine(DepthFirst(), dict, lockdep=LockDep())
    machine.spawn("vcpu0", lambda: result.append(case.when(w)))
    machine.run()
    assert type(machine.bug).__name__ == (case.bug or "NoneType"), machine.bug
    assert result == ([] if case.bug else [case.returns])
    wanted = case.then if isinstance(case.then[0], tuple) else (case.then,)
    assert tuple(map(fields, w.caches[: len(wanted)])) == wanted
    assert locks_taken(machine) == case.locks
    assert_memory(w, case)
    active = sum(gpc.active for gpc in w.caches)
    assert len(w.kvm.gpc_list) == (active if case.listed is None else case.listed)


def assert_memory(w: World, case: Case) -> None:
    """Compare what others have of the page frames."""
    pages = w.ram.pages.values()
    entries = Counter(pte.page.pfn for pte in w.mm.all_ptes() if pte.page)
    more = {p.pfn: p.refcount - entries[p.pfn] for p in pages if p.counted}
    assert {pfn: count for pfn, count in more.items() if count} == dict(case.refs)
    assert {p.pfn: p.kmaps for p in pages if p.kmaps} == dict(case.maps)
    assert {p.pfn for p in pages if p.dirty} == set(case.dirty)
