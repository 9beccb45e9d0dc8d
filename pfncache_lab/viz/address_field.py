"""address_field.py: the memory map with a field: type an address, or walk over the pages.

The widget is thin: it holds one guest physical address, and shows the map that belongs to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as w
from IPython.display import HTML, display

from ..kvm.vm import Vm
from ..mm import PAGE_SIZE
from .figure import prose
from .game import KEYS
from .memory import Memory, follow, gpa_text, memory_of
from .memory_map import draw_memory_map

MOVES = {"Page back": -PAGE_SIZE, "Byte back": -1, "Byte forward": 1, "Page forward": PAGE_SIZE}


class AddressField(w.VBox):
    """Type a guest physical address, and see where it leads."""

    def __init__(
        self, vm: Vm | Memory, *functions: Callable[..., Any], gpa: int | None = None
    ) -> None:
        """Start at `gpa`, or at the first byte of the first slot."""
        self.memory = memory_of(vm)
        self.functions = functions
        self.gpa = self.memory.gfns[1] * PAGE_SIZE if gpa is None else gpa
        self._typed = w.Text(
            value=gpa_text(self.gpa),
            description="gpa",
            continuous_update=True,
            tooltip="A guest physical address: 0x12_abc or 0x12abc.",
        )
        self._typed.observe(self._on_typing, names="value")
        self._says = w.HTML()
        self._picture = w.HTML()
        buttons = [self._button(text, by) for text, by in MOVES.items()]
        row = w.HBox([self._typed, *buttons], layout={"flex_flow": "row wrap"})
        super().__init__([row, self._says, self._picture])
        self.add_class("pfn-field")
        self._draw()

    def __repr__(self) -> str:
        return f"<A memory map with a field. {follow(self.memory, self.gpa, self.functions)}>"

    def _ipython_display_(self) -> None:
        """Show it, and the script that keeps its keys away from the notebook."""
        display(self._repr_mimebundle_(), raw=True)
        display(HTML(f"<script>{KEYS}</script>"))

    def _button(self, text: str, by: int) -> w.Button:
        layout = {"width": "auto", "flex": "0 0 auto"}
        button = w.Button(description=text, tooltip=f"{text}: {by:+#x}", layout=layout)
        button.on_click(lambda _: self.move(by))
        return button

    def move(self, by: int) -> None:
        """Go to another address, and write it into the field."""
        self.gpa = max(0, self.gpa + by)
        self._typed.value = gpa_text(self.gpa)
        self._draw()

    def _on_typing(self, change: dict[str, str]) -> None:
        try:
            gpa = int(change["new"].strip(), 16)
        except ValueError:
            self._say("That is no hexadecimal number yet.")
            return
        if gpa < 0:
            self._say("A guest physical address is not negative.")
            return
        self.gpa = gpa
        self._draw()

    def _draw(self) -> None:
        chain = follow(self.memory, self.gpa, self.functions)
        self._picture.value = draw_memory_map(self.memory, chain)
        self._say(chain.end or "It gets to the end: the kernel could store there.")

    def _say(self, sentence: str) -> None:
        self._says.value = (
            '<div class="pfn-status" role="status" aria-live="polite" style="padding:2px 4px">'
            f"{prose(sentence)}</div>"
        )
