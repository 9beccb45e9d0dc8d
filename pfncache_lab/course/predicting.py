"""predicting.py: a question to answer before the run, as a row of buttons."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import ipywidgets as w

from .progress import Progress


class Question(w.VBox):
    """A question with its options. The last click counts; it is remembered and never graded."""

    def __init__(
        self, question: str, options: Sequence[str], progress: Progress, name: str
    ) -> None:
        """Ask `question`; the reader's choice is kept in `progress` under `name`."""
        self._question = question
        self._options = list(options)
        self._progress = progress
        self._name = name
        self._status = w.HTML()
        self._buttons = {option: self._button(option) for option in options}
        row = w.HBox(list(self._buttons.values()), layout={"flex_flow": "row wrap"})
        super().__init__([w.HTML(f"<b>Predict:</b> {escape(question)}"), row, self._status])
        self.add_class("pfn-question")
        self._tell(progress.prediction(name))

    def __repr__(self) -> str:
        return f"Predict: {self._question} ({' / '.join(self._options)})"

    def choose(self, option: str) -> None:
        """Commit to `option`."""
        self._progress.add_prediction(self._name, option)
        self._tell(option)

    def _button(self, option: str) -> w.Button:
        button = w.Button(description=option, tooltip=option, layout={"width": "auto"})
        button.on_click(lambda _: self.choose(option))
        return button

    def _tell(self, chosen: str | None) -> None:
        for option, button in self._buttons.items():
            button.icon = "check" if option == chosen else ""
        text = f"Noted: {chosen}. Now run the next cell." if chosen else "Choose one."
        text = escape(f"{text} {self._progress.news()}".rstrip())
        self._status.value = f'<div role="status" aria-live="polite">{text}</div>'
