"""game.py: the reader is the scheduler.

The widget is thin: it holds a schedule, one letter a step, and shows the run that `replay` makes of
it. A click appends a letter, undo removes one, restart removes all. The letters stand in a text
field as well, so that the whole game can be played from the keyboard by typing.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources

import ipywidgets as w
from IPython.display import HTML, display

from ..explore import BadSchedule, GaveUp, Run, Scenario, find_bug, parse, replay
from .figure import prose
from .program import draw_positions
from .stepper import first_line, recorded
from .theme import task_color
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
        self._undo.add_class("pfn-undo")
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

    def _ipython_display_(self) -> None:
        """Show the game, and the script that keeps its keys away from the notebook."""
        display(self._repr_mimebundle_(), raw=True)
        display(HTML(f"<script>{KEYS}</script>"))

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
        """Play a schedule that breaks the program, with as few preemptions as possible."""
        try:
            found = find_bug(self.scenario)
        except GaveUp as limit:
            self._say(str(limit))
            return
        if found is None:
            self._say("I tried every schedule, and none breaks this program.")
        else:
            self.play(found.schedule)

    # -- the page ----------------------------------------------------------------------------

    def _task_button(self, name: str) -> w.Button:
        tooltip = f"Let task {name} take one step"
        key = self.scenario.keys[name]
        button = self._button(f"Run {name}", tooltip, lambda: self.play(self.run.schedule + key))
        button.style = {
            "button_color": task_color(list(self.scenario.tasks), name),
            "text_color": "#fff",
        }
        button.add_class(f"pfn-run-{name}")
        return button

    def _button(self, text: str, tooltip: str, action: Callable[[], None]) -> w.Button:
        layout = {"width": "auto", "flex": "0 0 auto"}
        button = w.Button(description=text, tooltip=tooltip, layout=layout)
        button.on_click(lambda _: self._try(action))
        return button

    def _controls(self) -> w.Widget:
        wrap = {"flex_flow": "row wrap"}
        panels = [w.VBox([self._panels[n], self._buttons[n]]) for n in self.scenario.tasks]
        moves = [self._typed, self._undo, self._restart, self._show_me]
        return w.VBox([w.HBox(panels, layout=wrap), w.HBox(moves, layout=wrap)])

    def _on_typing(self, change: dict[str, str]) -> None:
        """Play what was typed; what cannot be played is left standing, with the reason below."""
        self._try(lambda: self._play_typed(change["new"]))

    def _play_typed(self, text: str) -> None:
        if parse(text) != self.run.schedule:
            self.play(text)
        else:
            self._say(self._state_of_play())

    def _try(self, action: Callable[[], None]) -> None:
        """Do what a click or a key asks for. What it raises would be lost: Jupyter drops it."""
        try:
            action()
        except BadSchedule as problem:
            self._restart.disabled = False  # it clears the field, too
            self._say(str(problem))
        except Exception as error:
            self._say(f"The program raised {type(error).__name__}: {error}")

    def _draw(self) -> None:
        trace = recorded(self.run)
        for name, html in draw_positions(self.scenario, trace.frontier).items():
            self._panels[name].value = html
        for view in trace.frontier:
            self._buttons[view.name].disabled = not view.runnable or self.won
        self._undo.disabled = self._restart.disabled = not self.run.schedule
        self._typed.value = self.run.schedule
        self._picture.value = draw_timeline(trace, None, first_line(self.run))
        self._say(self._state_of_play())

    def _state_of_play(self) -> str:
        if self.won:
            return f"You won: {self.run.schedule} breaks it. {self.run.verdict()}"
        if self.run.finished:
            return "Nothing went wrong this time. Undo a few steps, or restart."
        if not self.run.schedule:
            return "Who runs first? Click a task, or type its letter into the field."
        return "Who runs next?"

    def _say(self, sentence: str) -> None:
        self._status.value = (
            '<div class="pfn-status" role="status" aria-live="polite" style="padding:2px 4px">'
            f"{prose(sentence)}</div>"
        )


KEYS = resources.files(__package__).joinpath("game.js").read_text(encoding="utf-8")
