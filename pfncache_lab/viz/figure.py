"""figure.py: how a picture reaches the page, whatever page it is.

A figure has two forms. Where scripts run (JupyterLab after you have run the cell, VS Code, an
exported HTML book) the reader sees the picture, and steps through it when it has several frames.
Everywhere else (a terminal, GitHub, a notebook that is not trusted yet) the reader sees its text
twin. The text is what the HTML holds, and the script puts the picture in its place: were it the
other way round, a page that drops scripts and pictures would be left with their bare labels.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class Figure:
    """One picture, or a film of several that the reader steps through without a kernel."""

    def __init__(
        self,
        frames: Sequence[str],
        text: str,
        *,
        label: str,
        captions: Sequence[str] = (),
        stops: Sequence[int] = (),
        looks: Mapping[str, Sequence[str]] | None = None,
        jump: str = "Next switch",
    ) -> None:
        """Make a figure.

        `frames` are SVG or HTML; `text` is the twin; `label` names the figure for a screen reader.
        A film has a caption for each step, and `stops`, the steps that the button `jump` visits.
        Its steps are frames of their own; or there is one frame for all, in which whatever carries
        a `data-step` that is still to come is pale, and a part that is named in `looks` by its
        `data-part` has another class at each step.
        """
        self.text = text
        self._film = {
            "label": label,
            "frames": list(frames),
            "captions": list(captions),
            "stops": list(stops),
            "looks": {part: list(classes) for part, classes in (looks or {}).items()},
            "jump": jump,
        }

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        return {"text/plain": self.text, "text/html": self.html()}

    def html(self) -> str:
        """Render the figure as a fragment of HTML."""
        # No "<" at all: not only "</script>" would end the script early, "<!--" changes it as well.
        film = json.dumps(self._film, ensure_ascii=False).replace("<", "\\u003c")
        return (
            f'<div class="pfn-figure"><pre>{html.escape(self.text)}</pre>'
            f'<script type="application/json">{film}</script>'
            f"<script>{_PLAYER}</script></div>"
        )


def prose(text: str) -> str:
    """Turn a few sentences into HTML: lines, and code where there are backticks."""
    marked_up = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", html.escape(text))
    return marked_up.replace("\n", "<br>")


class Note(Figure):
    """A few lines to read: no picture, the same words everywhere."""

    def __init__(self, text: str, *, code: bool = False) -> None:
        """Make a note of `text`; with `code` it is shown as it stands, in monospaced letters."""
        super().__init__([], text, label="Note")
        self._code = code

    def html(self) -> str:
        """Render the note as a fragment of HTML."""
        if self._code:
            scroll = "white-space:pre;overflow-x:auto"
            text = html.escape(self.text)
            return f'<pre class="pfn-note" tabindex="0" style="{scroll}">{text}</pre>'
        return f'<div class="pfn-note">{prose(self.text)}</div>'


class Album(Figure):
    """Several figures, one below the other, with one text for all."""

    def __init__(self, figures: Sequence[Figure], text: str) -> None:
        """Put `figures` together; `text` is what is left of them where there are no pictures."""
        super().__init__([], text, label="Album")
        self._figures = list(figures)

    def html(self) -> str:
        """Render one figure after the other."""
        return "".join(figure.html() for figure in self._figures)


_PLAYER = Path(__file__).with_name("player.js").read_text(encoding="utf-8")
