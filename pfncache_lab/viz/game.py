"""game.py: the reader is the scheduler.

The widget is thin: it holds a schedule, one letter a step, and shows the run that `replay` makes of
it. A click appends a letter, undo removes one, restart removes all. The letters stand in a text
field as well, so that the whole game can be played from the keyboard by typing.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import ipywidgets as w

from ..explore import BadSchedule, Run, Scenario, find_bug, letters, replay
from .program import draw_positions
from .stepper import headline, recorded
from .theme import task_colour
from .timeline import draw_timeline


class SchedulerGame(w.VBox):
    """Click who runs next, and make the program break its promise."""

    def __init__(self, scenario: Scenario) -> None:
        """Start a game of `scenario`, before its first step."""
        self.scenario = scenario
        self.run: Run = replay(scenario, "")
        self._panels = {name: w.HTML() for name in scenario.tasks}
        self._buttons = {name: self._task_button(name) for name in scenario.tasks}
        self._undo = self._button("Undo", "Take the last step back", self.undo)
        self._restart = self._button("Restart", "Go back to the first step", self.restart)
        self._show_me = self._button(
            "Show me a winning schedule", "Let the search find one", self.show_me
        )
        self._typed = w.Text(
            description="Schedule",
            continuous_update=True,
            placeholder="click, or type letters",
            tooltip="The schedule so far: a letter for each step. Type to play.",
        )
        self._typed.observe(self._on_typing, names="value")
        self._status = w.HTML()
        self._picture = w.HTML()
        super().__init__([self._controls(), self._status, self._picture])
        self.add_class("pfn-game")
        self._draw()

    def __repr__(self) -> str:
        tasks = " and ".join(self.scenario.tasks)
        return f"<A game of tasks {tasks}; so far {self.run.schedule!r}. {self.run.verdict()}>"

    @property
    def won(self) -> bool:
        """Whether the schedule so far breaks the program."""
        return self.run.bug is not None

    # -- moves -----------------------------------------------------------------------------

    def play(self, schedule: str) -> None:
        """Start again and take these steps. Raises BadSchedule, and leaves the game as it was."""
        self.run = replay(self.scenario, schedule)
        self._draw()

    def undo(self) -> None:
        """Take the last step back."""
        self.play(self.run.schedule[:-1])

    def restart(self) -> None:
        """Go back to before the first step."""
        self.play("")

    def show_me(self) -> None:
        """Play a schedule that breaks the program with as few switches as possible."""
        found = find_bug(self.scenario)
        if found is None:
            self._say("There is no winning schedule: the program keeps its promise in all of them.")
        else:
            self.play(found.schedule)

    # -- the page ----------------------------------------------------------------------------

    def _task_button(self, name: str) -> w.Button:
        tooltip = f"Let task {name} take one step"
        key = self.scenario.keys[name]
        button = self._button(f"Run {name}", tooltip, lambda: self.play(self.run.schedule + key))
        button.style = {
            "button_color": task_colour(list(self.scenario.tasks), name),
            "text_color": "#fff",
        }
        button.add_class(f"pfn-run-{name}")
        return button

    def _button(self, text: str, tooltip: str, action: Callable[[], None]) -> w.Button:
        button = w.Button(description=text, tooltip=tooltip, layout={"width": "auto"})
        button.on_click(lambda _: action())
        return button

    def _controls(self) -> w.Widget:
        tasks = w.HBox([w.VBox([self._panels[n], self._buttons[n]]) for n in self.scenario.tasks])
        return w.VBox([tasks, w.HBox([self._typed, self._undo, self._restart, self._show_me])])

    def _on_typing(self, change: dict[str, str]) -> None:
        """Play what was typed; what cannot be played is left standing, with the reason below."""
        try:
            if letters(change["new"]) != self.run.schedule:
                self.play(change["new"])
        except BadSchedule as problem:
            self._say(str(problem))

    def _draw(self) -> None:
        trace = recorded(self.run)
        for name, html in draw_positions(self.scenario, trace.frontier).items():
            self._panels[name].value = html
        for view in trace.frontier:
            self._buttons[view.name].disabled = not view.runnable or self.won
        self._undo.disabled = self._restart.disabled = not self.run.schedule
        self._typed.value = self.run.schedule
        self._picture.value = draw_timeline(trace, None, headline(self.run))
        self._say(self._state_of_play())

    def _state_of_play(self) -> str:
        if self.won:
            return f"You broke it with {self.run.schedule}. {self.run.verdict()}"
        if self.run.finished:
            return "The program kept its promise this time. Undo a few steps, or restart."
        if not self.run.schedule:
            return "Who runs first? Click a task, or type its letter into the field."
        return "Who runs next?"

    def _say(self, sentence: str) -> None:
        mark = "<b>You won.</b> " if self.won else ""
        self._status.value = (
            '<div class="pfn-status" role="status" aria-live="polite" style="padding:2px 4px">'
            f"{mark}{escape(sentence)}</div>"
        )
