"""page_ruler.py: accesses near the end of a page, drawn to scale, a byte a mark."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Any

from ..mm import PAGE_SIZE, offset_in_page
from ..sim.shown import shown
from .figure import Figure
from .memory import gpa_text
from .theme import CHAR, STYLE

BYTE = 9
"""Pixels a byte is wide."""
BYTES = 24
"""So many bytes are shown on either side of the end of the page."""
LEFT = 180
TOP = 52
ROW = 34


class PageRuler(Figure):
    """Accesses, each a pair (gpa, length), and what your function says: does it fit the page?"""

    def __init__(self, fits: Callable[[int, int], Any], *accesses: tuple[int, int]):
        verdicts = [_verdict(fits, gpa, length) for gpa, length in accesses]
        text = "\n".join(
            f"{_name(*access).ljust(22)} {_place(*access).ljust(44)} {verdict}"
            for access, verdict in zip(accesses, verdicts, strict=True)
        )
        super().__init__([draw_page_ruler(accesses, verdicts)], text, label="Accesses and a page")


def draw_page_ruler(accesses: Sequence[tuple[int, int]], verdicts: Sequence[str]) -> str:
    """Draw the accesses as bars across the end of a page, as SVG."""
    edge, right = LEFT + BYTE * BYTES, LEFT + 2 * BYTE * BYTES
    width = right + 20 + int(max(map(len, verdicts)) * CHAR) + 14
    bottom = TOP + ROW * len(accesses)
    body = [
        _text(LEFT, 22, f"the last {BYTES} bytes of the page", "code"),
        _text(edge + 10, 22, "the next page", "code"),
        _text(right + 20, 22, "your answer", "code"),
        f'<path class="line" d="M{edge} 30V{bottom}"/>',
        *(line for i, access in enumerate(accesses) for line in _bar(i, *access, verdicts[i])),
        _text(
            14, bottom + 22, "a bar: the bytes of one access; dashed: it begins farther left", ""
        ),
    ]
    label = " ".join(f"{_name(*a)}: {v}." for a, v in zip(accesses, verdicts, strict=True))
    height = bottom + 36
    return (
        f'<svg class="pfn-svg pfn-ruler" xmlns="http://www.w3.org/2000/svg" role="img" '
        f'aria-label="{escape(label)}" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">{STYLE}'
        f'<rect class="card" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="6"/>'
        f"{''.join(body)}</svg>"
    )


def _bar(row: int, gpa: int, length: int, verdict: str) -> Iterator[str]:
    y = TOP + ROW * row
    first = offset_in_page(gpa) - PAGE_SIZE  # counted from the end of the page
    last = min(first + length, BYTES)
    cut = first < -BYTES
    x = LEFT + BYTE * (BYTES + max(first, -BYTES))
    width = BYTE * (last - max(first, -BYTES))
    dash = ' stroke-dasharray="4 3"' if cut else ""
    yield _text(14, y + 13, _name(gpa, length), "effect")
    yield f'<rect class="key solid" x="{x}" y="{y}" width="{max(width, 1)}" height="18"{dash}/>'
    kind = {"✓": "good", "✗": "bad"}.get(verdict[:1], "quiet")
    yield _text(LEFT + 2 * BYTE * BYTES + 20, y + 13, verdict, kind)


def _verdict(fits: Callable[[int, int], Any], gpa: int, length: int) -> str:
    try:
        answer = fits(gpa, length)
    except Exception as error:
        blank = isinstance(error, NameError) and error.name == "____"
        return "? a blank is left" if blank else f"? it raised {type(error).__name__}"
    if type(answer) is not bool:
        return f"? it returned {shown(answer)}"
    return "✓ it fits" if answer else "✗ it does not fit"


def _name(gpa: int, length: int) -> str:
    return f"{gpa_text(gpa)}, {length} byte{'s' * (length != 1)}"


def _place(gpa: int, length: int) -> str:
    first = offset_in_page(gpa)
    return f"bytes {first:#x} to {first + length - 1:#x} of a page that ends at 0xfff"


def _text(x: int, y: int, text: str, kind: str) -> str:
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(text)}</text>'
