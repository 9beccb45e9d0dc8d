"""memory_map.py: five columns, one for each kind of address; each page has a fixed place.

`draw_memory_map(memory, chain)` is a pure function. The chain is drawn thick: it is the way of one
guest physical address, and where it ends early the sentence below says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from typing import Any

from ..kvm.kvm_host import KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS, KvmMemorySlot
from ..kvm.vm import Vm
from ..mm import DIRECT_MAP, PAGE_MASK, PAGE_SHIFT
from .figure import Figure
from .memory import Chain, Memory, follow, gfns_of, gpa_text, memory_of, slot_text
from .theme import CHAR, STYLE

COLUMNS = {
    "gpa": (14, 84, "guest's"),
    "gfn": (116, 60, "guest's"),
    "hva": (300, 138, "userspace's"),
    "pfn": (500, 66, "host's"),
    "khva": (590, 172, "kernel's"),
}
"""Of each column: its left edge, its width, and whose addresses it holds."""

BRACKET = 188
_HALO = "paint-order:stroke;stroke:var(--jp-layout-color0,#fff);stroke-width:5px"
"""Keeps letters readable where a line runs behind them."""
WIDTH = 776
TOP = 66
ROW = 34
BOX = 24


class MemoryMap(Figure):
    """The memory of a machine, and the way of one address through it.

    With functions of yours, such as `gpa_to_gfn`, it is they that find the way.
    """

    def __init__(self, vm: Vm | Memory, gpa: int | None = None, *functions: Callable[..., Any]):
        memory = memory_of(vm)
        chain = None if gpa is None else follow(memory, gpa, functions)
        super().__init__(
            [draw_memory_map(memory, chain)], map_text(memory, chain), label="Memory map"
        )


def generation_text(memory: Memory) -> str:
    """Name the generation of the memslots, and say whether an update is in progress."""
    generation = memory.slots.generation
    plain = generation & ~KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS
    return f"generation {plain}" + ("" if plain == generation else ", updating")


def map_text(memory: Memory, chain: Chain | None = None) -> str:
    """Render the map as text: a line for each frame of the guest, and then the chain."""
    rows = [("gpa", "gfn", "slot", "hva", "pfn", "khva")]
    slots = {gfn: slot for slot in memory.slots.slots for gfn in gfns_of(slot)}
    for gfn in memory.gfns:
        slot = slots.get(gfn)
        row = [gpa_text(gfn << PAGE_SHIFT), f"{gfn:#x}", "none", "", "", ""]
        if slot is not None:
            hva = hva_in(slot, gfn)
            row[2:4] = slot_text(slot).removeprefix("slot "), f"{hva:#_x}"
            pfn = memory.pages.get(hva)
            if pfn is not None:
                row[4:] = f"{pfn:#x}", f"{khva_of(pfn):#_x}"
        rows.append((row[0], row[1], row[2], row[3], row[4], row[5]))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    said = [f"memslots: {generation_text(memory)}", *_said(chain)]
    return "\n".join([*table, *said])


def draw_memory_map(memory: Memory, chain: Chain | None = None) -> str:
    """Draw the map as SVG, with one chain in it drawn thick."""
    places = _Places(memory)
    lines = [places.generation(), *places.header()]
    lines += [*places.arrows(None), *places.boxes(None)]
    if chain is not None:
        lines += [*places.arrows(chain), *places.boxes(chain)]
    lines += places.brackets()
    said = _said(chain)
    drawn = " ".join(said[:1]).replace(" → hva", "\n    → hva").split("\n") + said[1:]
    foot = places.bottom + 22
    for i, sentence in enumerate(drawn):
        kind = "bad" if sentence.startswith("✗") else "code"
        lines.append(_text(14 + 28 * sentence.startswith(" "), foot + 18 * i, sentence, kind))
    height = foot + 18 * (3 if said else 0) + 26  # the same for every chain
    width = max([WIDTH, *(int(len(sentence) * CHAR) + 28 for sentence in drawn)])
    label = f"Memory map. {' '.join(said)}".strip()
    return (
        f'<svg class="pfn-svg pfn-map" xmlns="http://www.w3.org/2000/svg" role="img" '
        f'aria-label="{escape(label)}" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">{STYLE}'
        f'<rect class="card" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="6"/>'
        f"{''.join(lines)}{_legend(height - 14)}</svg>"
    )


def hva_in(slot: KvmMemorySlot, gfn: int) -> int:
    """Return the user address of a frame of `slot`, whatever its flags say."""
    return slot.userspace_addr + ((gfn - slot.base_gfn) << PAGE_SHIFT)


def khva_of(pfn: int) -> int:
    """Return where the kernel sees a page frame."""
    return DIRECT_MAP + (pfn << PAGE_SHIFT)


def _said(chain: Chain | None) -> list[str]:
    if chain is None:
        return []
    return [str(chain), f"✗ {chain.end}"] if chain.end else [str(chain)]


class _Places:
    """Where each page stands, which depends on the memory and never on the chain."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        gfns, hvas, pfns = memory.gfns, list(memory.pages), list(memory.frames)
        self.bottom = TOP + ROW * max(len(gfns), len(hvas), len(pfns))
        self.rows = {
            "gfn": {gfn: i for i, gfn in enumerate(gfns)},
            "hva": {hva: i for i, hva in enumerate(hvas)},
            "pfn": {pfn: i for i, pfn in enumerate(pfns)},
        }

    def y(self, column: str, page: int | None) -> int | None:
        """Return the middle of a page's box, or None if it is not on the map."""
        at = self.rows[column].get(-1 if page is None else page)
        return None if at is None else TOP + ROW * at + BOX // 2

    def header(self) -> Iterator[str]:
        for name, (x, _, owner) in COLUMNS.items():
            yield _text(x, 24, name, "code")
            yield _text(x, 42, owner, "quiet")

    def generation(self) -> str:
        return _text(BRACKET, 24, "memslots", "code") + _text(
            BRACKET, 42, generation_text(self.memory), "quiet"
        )

    def brackets(self) -> Iterator[str]:
        """Draw each slot as a bracket at its frames."""
        for slot in self.memory.slots.slots:
            first, last = self.y("gfn", slot.base_gfn), self.y("gfn", gfns_of(slot)[-1])
            assert first is not None and last is not None
            yield (
                f'<path class="line pfn-slot" d="M{BRACKET - 6} {first - 10}h6V{last + 10}h-6"/>'
            )
            name = _text(BRACKET + 5, first - 4, slot_text(slot), "effect")
            yield name.replace("<text", f'<text style="{_HALO}"', 1)

    def boxes(self, chain: Chain | None) -> Iterator[str]:
        """Draw all boxes, or only those of the chain, with the address itself instead."""
        memory = self.memory
        if chain is None:
            slots = {gfn for slot in memory.slots.slots for gfn in gfns_of(slot)}
            for gfn in memory.gfns:
                yield self._box("gpa", gfn, gpa_text(gfn << PAGE_SHIFT), gfn in slots)
                yield self._box("gfn", gfn, f"{gfn:#x}", gfn in slots)
            for hva, pfn in memory.pages.items():
                yield self._box("hva", hva, f"{hva:#_x}", pfn is not None)
            for pfn, used in memory.frames.items():
                yield self._box("pfn", pfn, f"{pfn:#x}", used)
                yield self._box("khva", pfn, f"{khva_of(pfn):#_x}", used)
            return
        yield self._box("gpa", chain.gpa >> PAGE_SHIFT, gpa_text(chain.gpa), True, True)
        if chain.gfn is not None:
            yield self._box("gfn", chain.gfn, f"{chain.gfn:#x}", True, True)
        if chain.hva is not None:
            yield self._box("hva", chain.hva & PAGE_MASK, f"{chain.hva:#_x}", True, True)
        if chain.pfn is not None and chain.khva is not None:
            yield self._box("pfn", chain.pfn, f"{chain.pfn:#x}", True, True)
            yield self._box("khva", chain.pfn, f"{chain.khva:#_x}", True, True)

    def _box(self, column: str, page: int, text: str, there: bool, lit: bool = False) -> str:
        row = {"gpa": "gfn", "khva": "pfn"}.get(column, column)
        middle = self.y(row, page)
        if middle is None:
            return ""
        x, width, _ = COLUMNS[column]
        width = max(width, int(len(text) * CHAR) + 12)
        dash = "" if there else ' stroke-dasharray="4 3"'
        thick = ' style="stroke-width:3"' if lit else ""
        kind = "code" if lit else "effect" if there else "quiet"
        return (
            f'<g class="pfn-{"lit" if lit else "page"}" data-column="{column}">'
            f'<rect class="key hollow" x="{x}" y="{middle - BOX // 2}" width="{width}" '
            f'height="{BOX}" rx="4"{dash}{thick}/>{_text(x + 6, middle + 4, text, kind)}</g>'
        )

    def arrows(self, chain: Chain | None) -> Iterator[str]:
        """Draw where each page leads, or only the way of the chain."""
        lit = chain is not None
        for left, a, right, b in self._pairs() if chain is None else _way(chain):
            rows = {"gpa": "gfn", "khva": "pfn"}
            y0, y1 = self.y(rows.get(left, left), a), self.y(rows.get(right, right), b)
            if y0 is None or y1 is None:
                continue
            x0 = COLUMNS[left][0] + COLUMNS[left][1]
            style = 'style="stroke-width:3"' if lit else 'style="stroke-width:1;opacity:.55"'
            yield f'<path class="line" {style} d="M{x0} {y0}L{COLUMNS[right][0]} {y1}"/>'

    def _pairs(self) -> Iterator[tuple[str, int | None, str, int | None]]:
        for slot in self.memory.slots.slots:
            for gfn in gfns_of(slot):
                yield "gpa", gfn, "gfn", gfn
                yield "gfn", gfn, "hva", hva_in(slot, gfn)
        for hva, pfn in self.memory.pages.items():
            yield "hva", hva, "pfn", pfn
            yield "pfn", pfn, "khva", pfn


def _way(chain: Chain) -> Iterator[tuple[str, int | None, str, int | None]]:
    hva = None if chain.hva is None else chain.hva & PAGE_MASK
    yield "gpa", chain.gpa >> PAGE_SHIFT, "gfn", chain.gfn
    yield "gfn", chain.gfn, "hva", hva
    yield "hva", hva, "pfn", chain.pfn
    yield "pfn", chain.pfn, "khva", chain.pfn


def _text(x: int, y: int, text: str, kind: str) -> str:
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(text)}</text>'


def _legend(y: int) -> str:
    def box(x: int, style: str, text: str) -> str:
        rect = f'<rect class="key hollow" x="{x}" y="{y - 10}" width="22" height="12" {style}/>'
        return rect + _text(x + 28, y, text, "quiet")

    return (
        box(14, "", "a page")
        + box(104, 'stroke-dasharray="4 3"', "a hole, or a page that is nowhere")
        + box(390, 'style="stroke-width:3"', "the way of one address")
        + f'<path class="line" d="M590 {y - 10}h6v12h-6"/>'
        + _text(604, y, "a memslot", "quiet")
    )
