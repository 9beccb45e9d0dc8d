"""kvm_types.py: addresses of the guest, values that mean "no address", and the cache's struct.

Mirrors include/linux/kvm_types.h, and of include/linux/kvm_host.h what is arithmetic; v5.17, the
struct as of v6.9 with the two fields for guest use that v5.18 to v6.8 had.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, ClassVar, Generic, NewType, Self, TypeVar, overload

from ..mm import DIRECT_MAP, NULL, PAGE_SHIFT, PAGE_SIZE, PFN_PHYS, Hpa
from ..sim import ModelError, Mutex, RwLock, Struct, machine, shared

if TYPE_CHECKING:
    from .kvm_host import Kvm, KvmMemorySlot, KvmVcpu

Gpa = NewType("Gpa", int)
"""A guest physical address, in bytes: 0x10_080 is byte 0x80 of gfn 0x10."""
Gfn = NewType("Gfn", int)
"""The number of a guest page frame: a Gpa without its last twelve bits."""

PAGE_OFFSET = DIRECT_MAP
"""Where kernel addresses begin; no user address is as high."""

INVALID_GPA = Gpa(~0 & 0xFFFF_FFFF_FFFF_FFFF)

KVM_PFN_ERR_MASK = 0x7FF << 52
KVM_PFN_ERR_NOSLOT_MASK = 0xFFF << 52
KVM_PFN_NOSLOT = 1 << 63
KVM_PFN_ERR_FAULT = KVM_PFN_ERR_MASK
KVM_PFN_ERR_HWPOISON = KVM_PFN_ERR_MASK + 1
KVM_PFN_ERR_RO_FAULT = KVM_PFN_ERR_MASK + 2

KVM_HVA_ERR_BAD = PAGE_OFFSET
KVM_HVA_ERR_RO_BAD = PAGE_OFFSET + PAGE_SIZE

KVM_GUEST_USES_PFN = 1
"""The guest uses the pfn while its vCPU is in guest mode, and must be made to leave."""
KVM_HOST_USES_PFN = 2
"""The host uses the khva under the lock of the cache."""
KVM_GUEST_AND_HOST_USE_PFN = KVM_GUEST_USES_PFN | KVM_HOST_USES_PFN


def gpa_to_gfn(gpa: int) -> Gfn:
    """Return the number of the frame in which `gpa` lies."""
    return Gfn(gpa >> PAGE_SHIFT)


def gfn_to_gpa(gfn: int) -> Gpa:
    """Return the address of the first byte of frame `gfn`."""
    return Gpa(gfn << PAGE_SHIFT)


def pfn_to_hpa(pfn: int) -> Hpa:
    """Return the host physical address of the first byte of frame `pfn`."""
    return PFN_PHYS(pfn)


def is_error_pfn(pfn: int) -> bool:
    """Whether `pfn` says that there is a memslot, and a page could not be had."""
    return bool(pfn & KVM_PFN_ERR_MASK)


def is_error_noslot_pfn(pfn: int) -> bool:
    """Whether `pfn` is none: an error, or no memslot."""
    return bool(pfn & KVM_PFN_ERR_NOSLOT_MASK)


def is_noslot_pfn(pfn: int) -> bool:
    """Whether `pfn` says that no memslot is there."""
    return pfn == KVM_PFN_NOSLOT


def kvm_is_error_hva(hva: int) -> bool:
    """Whether `hva` is no user address, but says why there is none."""
    return hva >= PAGE_OFFSET


def kvm_is_error_gpa(gpa: int) -> bool:
    """Whether `gpa` is INVALID_GPA."""
    return gpa == INVALID_GPA


T = TypeVar("T")


class constant(Generic[T]):
    """A field that is stored before others know of the struct, and never again: `kvm` of a vCPU.

    Loading it needs no lock and is no step. A task may store once where nothing was stored before,
    and may repeat what is there; another store is a ModelError, for nobody would see it as a step.
    """

    def __init__(self, initial: T | None = None) -> None:
        self.initial = initial

    def __set_name__(self, owner: type, name: str) -> None:
        self.name, self.key = name, f"_{name}"  # the search by states asks state() for it

    @overload
    def __get__(self, struct: None, owner: type) -> Self: ...
    @overload
    def __get__(self, struct: Struct, owner: type) -> T: ...
    def __get__(self, struct: Struct | None, owner: type) -> T | Self:
        if struct is None:
            return self
        value: T = struct.__dict__.get(self.key, self.initial)  # type: ignore[assignment]
        return value

    def __set__(self, struct: Struct, value: T) -> None:
        stored = struct.__dict__.get(self.key, value)
        if machine.running is not None and stored != value:
            raise ModelError(f"{self.name} of a {type(struct).__name__} is stored once, in set-up.")
        struct.__dict__[self.key] = value


class WithConstants(Struct):
    """A Struct some of whose fields are constant."""

    _constants: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        cls._constants = tuple(cls._declared(constant))  # asked for at every step

    def state(self) -> Hashable:
        """Return the values of all fields. A constant counts: it is unset until it is set."""
        return (super().state(), *[getattr(self, name) for name in self._constants])


class GfnToPfnCache(WithConstants):
    """struct gfn_to_pfn_cache: one page of the guest, translated once and kept.

    Whoever changes where it points holds `refresh_lock` all the time and `lock` for the moment of
    the change, so either of them keeps the fields still. Only `valid` is taken back by notifiers,
    which may not sleep and know `lock` alone. The entry in `kvm.gpc_list` belongs to kvm.gpc_lock.
    """

    lock = RwLock()
    refresh_lock = Mutex()

    kvm: constant[Kvm] = constant()
    vcpu: constant[KvmVcpu | None] = constant()
    """Who is made to leave guest mode when the page goes; needed for KVM_GUEST_USES_PFN."""
    usage = constant(KVM_HOST_USES_PFN)

    generation = shared(0, guarded_by=("refresh_lock", "lock"))
    gpa = shared[int](INVALID_GPA, guarded_by=("refresh_lock", "lock"))
    uhva = shared[int](KVM_HVA_ERR_BAD, guarded_by=("refresh_lock", "lock"))
    """The user address of `gpa`, with the offset in the page."""
    memslot: shared[KvmMemorySlot | None] = shared(None, guarded_by=("refresh_lock", "lock"))
    khva = shared[int](NULL, guarded_by=("refresh_lock", "lock"))
    """Where the kernel has mapped the page, with the offset; NULL if nowhere."""
    pfn = shared[int](KVM_PFN_ERR_FAULT, guarded_by=("refresh_lock", "lock"))
    active = shared(False, guarded_by=("refresh_lock", "lock"))
    valid = shared(False, guarded_by="lock")
