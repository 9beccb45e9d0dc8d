"""outcome.py: the three outcomes of a check, as text and as a card on the page."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from html import escape
from typing import Any

from ..viz import Figure, prose
from .exercise import Exercise
from .judging import INCORRECT, NOT_ATTEMPTED, PASSED

_COLOR = {PASSED: "#2e7d32", NOT_ATTEMPTED: "#757575", INCORRECT: "#c62828"}


WIDTH = 80
"""Characters of a line of text: a terminal has as many."""

_CODE = re.compile(r"`[^`]*`|\blab\.\w+\([^)]*\)")
"""What is to be copied, and stays in one line."""


def _filled(text: str) -> str:
    """Break long lines between words, as a page does and a terminal does not."""
    lines = list[str]()
    for line in text.splitlines():
        kept = _CODE.sub(lambda code: code[0].replace(" ", "\0"), line)
        indent = " " * (len(line) - len(line.lstrip()))
        lines += textwrap.wrap(
            kept, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
    return "\n".join(lines).replace("\0", " ")


@dataclass(frozen=True, repr=False)
class Outcome:
    """What a check found."""

    exercise: Exercise
    kind: str
    """'passed', 'not attempted' or 'incorrect'."""
    message: str
    picture: Figure | None = None
    """The reader's own run: a film of it once it has passed, a still of what went wrong."""
    notice: str = ""
    """What the reader should know about their record, if it could not be kept."""

    @property
    def headline(self) -> str:
        """The outcome and the exercise: '[passed] 00.1 Break counter += 1'."""
        return f"[{self.kind}] {self.exercise.id} {self.exercise.title}"

    def __repr__(self) -> str:
        head = f"{self.headline}\n{self.message}"
        picture = self.picture.text if self.picture else ""
        parts = [_filled(head), picture, _filled(self.advice), _filled(self.notice)]
        return "\n\n".join(part for part in parts if part)

    @property
    def advice(self) -> str:
        """Where to go from here, unless the exercise is done."""
        if self.kind == PASSED:
            return ""
        return f'Stuck? Run lab.hint("{self.exercise.id}"): there are three hints.'

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        picture = self.picture.html() if self.picture else ""
        html = (
            f'<div class="pfn-outcome" style="border-left:6px solid {_COLOR[self.kind]};'
            f'padding:4px 12px"><b>{escape(self.headline)}</b><div>{prose(self.message)}</div>'
            f"{picture}<div>{escape(self.advice)}</div><div>{escape(self.notice)}</div></div>"
        )
        return {"text/plain": repr(self), "text/html": html}
