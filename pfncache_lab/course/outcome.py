"""outcome.py: the three outcomes of a check, as text and as a card on the page."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any

from ..explore import Run
from ..viz import Figure, TraceStepper, prose, show
from .exercise import Exercise, Shown

PASSED = "passed"
NOT_ATTEMPTED = "not attempted"
INCORRECT = "incorrect"

_COLOR = {PASSED: "#2e7d32", NOT_ATTEMPTED: "#757575", INCORRECT: "#c62828"}


@dataclass(frozen=True, repr=False)
class Outcome:
    """What a check found."""

    exercise: Exercise
    kind: str
    """'passed', 'not attempted' or 'incorrect'."""
    message: str
    shown: Shown | None = None
    notice: str = ""
    """What the reader should know about their record, if it could not be kept."""

    @property
    def headline(self) -> str:
        """The outcome and the exercise: '[passed] 00.1 Break counter += 1'."""
        return f"[{self.kind}] {self.exercise.id} {self.exercise.title}"

    @cached_property
    def picture(self) -> Figure | None:
        """The reader's own run: a film of it once it has passed, a still of what went wrong."""
        if self.shown is None:
            return None
        if self.kind == PASSED and isinstance(self.shown, Run):
            return TraceStepper(self.shown)
        return show(self.shown)

    def __repr__(self) -> str:
        picture = self.picture
        head = f"{self.headline}\n{self.message}"
        parts = [head, picture.text if picture else "", self.advice, self.notice]
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
