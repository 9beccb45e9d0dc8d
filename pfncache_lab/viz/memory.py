"""memory.py: what a machine's memory looks like at one moment, and where one address leads.

The functions that translate are arguments: a reader's picture is drawn by what the reader wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..kvm.kvm_host import KVM_MEM_READONLY, KVM_MEMSLOT_INVALID, KvmMemorySlot, KvmMemslots
from ..kvm.kvm_types import KVM_HVA_ERR_RO_BAD, gpa_to_gfn, kvm_is_error_hva
from ..kvm.memslots import gfn_to_hva_memslot, search_memslots
from ..kvm.vm import Vm
from ..mm import DIRECT_MAP, PAGE_MASK, PAGE_SHIFT, Present, offset_in_page
from ..sim.shown import shown

OURS: dict[str, Callable[..., Any]] = {
    "gpa_to_gfn": gpa_to_gfn,
    "offset_in_page": offset_in_page,
    "search_memslots": search_memslots,
    "gfn_to_hva_memslot": gfn_to_hva_memslot,
}
"""The steps of the way that a reader can write; those that they have not are ours."""


class Memory(NamedTuple):
    """The memory of a virtual machine, copied: it stays as it was when the machine goes on."""

    slots: KvmMemslots
    pages: Mapping[int, int | None]
    """The process's pages by hva: the number of the frame that each has, or None."""
    frames: Mapping[int, bool]
    """The host's page frames: whether each of them is in use."""

    @property
    def gfns(self) -> list[int]:
        """The frames of the guest that a picture shows: all in slots, and one on either side."""
        inside = [gfn for slot in self.slots.slots for gfn in gfns_of(slot)]
        around = {gfn + by for gfn in inside for by in (-1, 0, 1)}
        return sorted(gfn for gfn in around if gfn >= 0)


class Chain(NamedTuple):
    """Where one guest physical address leads: each of its addresses, as far as it gets."""

    gpa: int
    gfn: int | None = None
    offset: int | None = None
    slot: KvmMemorySlot | None = None
    hva: int | None = None
    pfn: int | None = None
    khva: int | None = None
    end: str = ""
    """Why it gets no farther, as a sentence; empty if it gets to the end."""

    def __str__(self) -> str:
        parts = [f"gpa {gpa_text(self.gpa)}"]
        if self.gfn is not None:
            offset = "" if self.offset is None else f", offset {self.offset:#x}"
            parts.append(f"gfn {self.gfn:#x}{offset}")
        if self.slot is not None:
            parts.append(f"slot {self.slot.id}")
        parts += [f"hva {self.hva:#_x}"] if self.hva is not None else []
        parts += [f"pfn {self.pfn:#x}"] if self.pfn is not None else []
        parts += [f"khva {self.khva:#_x}"] if self.khva is not None else []
        return " → ".join(parts)


def memory_of(vm: Vm | Memory) -> Memory:
    """Copy the memory of a machine; outside a run, or at the end of one."""
    if isinstance(vm, Memory):
        return vm
    pages = {pte.hva: pte.value for pte in vm.mm.all_ptes()}
    used = {pte.pfn for pte in pages.values() if isinstance(pte, Present)}
    kinds = sorted(vm.ram.pages)[1:]  # the first one is the page of zeroes, which all share
    return Memory(
        vm.kvm.memslots0,
        {hva: pte.pfn if isinstance(pte, Present) else None for hva, pte in pages.items()},
        {pfn: pfn in used for pfn in kinds},
    )


def follow(memory: Memory, gpa: int, functions: tuple[Callable[..., Any], ...] = ()) -> Chain:
    """Find the addresses that `gpa` has, with these functions where they are given, by name."""
    steps = {**OURS, **{function.__name__: function for function in functions}}
    chain = Chain(gpa)
    try:
        chain = chain._replace(gfn=_number(steps, "gpa_to_gfn", gpa))
        chain = chain._replace(offset=_number(steps, "offset_in_page", gpa))
        slot = _asked(steps, "search_memslots", memory.slots, chain.gfn)
        if slot is not None and not isinstance(slot, KvmMemorySlot):
            raise _Ends(f"search_memslots() returned {shown(slot)}, which is no slot.")
        chain = chain._replace(slot=slot)
        hva = _number(steps, "gfn_to_hva_memslot", slot, chain.gfn)
        return _through_the_host(memory, chain, hva)
    except _Ends as end:
        return chain._replace(end=str(end))


def _through_the_host(memory: Memory, chain: Chain, page: int) -> Chain:
    """Go on from the user address of the page: by the page table, and by the direct map."""
    gfn, offset = chain.gfn, chain.offset
    assert gfn is not None and offset is not None
    if page == KVM_HVA_ERR_RO_BAD:
        raise _Ends(f"The slot of gfn {gfn:#x} is read-only: no address to write to.")
    if kvm_is_error_hva(page):
        raise _Ends(f"No memslot translates gfn {gfn:#x}: it has no user address.")
    chain = chain._replace(hva=page + offset)
    if page & PAGE_MASK not in memory.pages:
        return chain._replace(end=f"Nothing of this process is at hva {page + offset:#_x}.")
    pfn = memory.pages[page & PAGE_MASK]
    if pfn is None:
        return chain._replace(end="The host has given this hva no page yet.")
    khva = DIRECT_MAP + (pfn << PAGE_SHIFT) + offset
    return chain._replace(pfn=pfn, khva=khva)


class _Ends(Exception):
    """The chain ends here; the message says why."""


def _asked(steps: Mapping[str, Callable[..., Any]], name: str, *args: object) -> Any:
    try:
        return steps[name](*args)
    except Exception as error:  # a reader's function; a blank is a name that nobody has defined
        if isinstance(error, NameError) and error.name == "____":
            raise _Ends(f"{name}() has a blank left, so the way ends here.") from None
        raise _Ends(f"{name}() raised {type(error).__name__}: {error}") from None


def _number(steps: Mapping[str, Callable[..., Any]], name: str, *args: object) -> int:
    value = _asked(steps, name, *args)
    if type(value) is not int:
        raise _Ends(f"{name}() returned {shown(value)}, which is no whole number.")
    return value


def gfns_of(slot: KvmMemorySlot) -> range:
    """Return the frames of a slot."""
    return range(slot.base_gfn, slot.base_gfn + slot.npages)


def gpa_text(gpa: int) -> str:
    """Write a guest physical address with its offset apart: 0x10_080."""
    return f"{gpa >> PAGE_SHIFT:#x}_{offset_in_page(gpa):03x}" if gpa >= 0 else f"{gpa:#x}"


def slot_text(slot: KvmMemorySlot) -> str:
    """Name a slot, and say what is special about it."""
    flags = [(KVM_MEM_READONLY, " read-only"), (KVM_MEMSLOT_INVALID, " going")]
    return f"slot {slot.id}" + "".join(text for bit, text in flags if slot.flags & bit)
