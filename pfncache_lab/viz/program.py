"""program.py: the program of a scenario, as code to read, with the place where each task stands."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from ..explore import Scenario
from ..sim import TaskView
from ..sim.shown import shown
from .figure import Figure
from .theme import NEUTRAL, task_color


@dataclass(frozen=True)
class _Listing:
    """Lines of source, each with its number in the file; docstrings are left out."""

    lines: tuple[tuple[int, str], ...]

    @property
    def text(self) -> str:
        return "\n".join(line for _, line in self.lines)


def program_figure(scenario: Scenario) -> Figure:
    """Show what a scenario runs: the shared state, the code of each task, what must hold."""
    groups = _same_code(scenario)
    panels = "".join(
        _panel(_who(names), _header_color(scenario, names), _code(listing, None))
        for names, listing in groups
    )
    state, promise = _shared(scenario), _promise(scenario)
    html = _card(f"{_row('Shared', state)}{panels}{_row('Should hold at the end', promise)}")
    text = "\n".join(
        f"{_who(names)}:\n{textwrap.indent(code.text, '    ')}" for names, code in groups
    )
    twin = f"shared: {state}\n{text}\nshould hold at the end: {promise}"
    return Figure([html], twin, label=f"The program {scenario.name}")


def draw_positions(scenario: Scenario, frontier: Sequence[TaskView]) -> dict[str, str]:
    """Draw each task's code with an arrow at its next line; returns HTML by the task's name."""
    names = list(scenario.tasks)
    return {
        view.name: _panel(
            f"task {view.name}",
            task_color(names, view.name),
            _code(_listing(scenario.tasks[view.name]), view.line.number if view.line else None),
            view.blocked or (f"next: {view.next}" if view.next else "finished"),
        )
        for view in frontier
    }


def _header_color(scenario: Scenario, names: Sequence[str]) -> str:
    return NEUTRAL if len(names) > 1 else task_color(list(scenario.tasks), names[0])


def _same_code(scenario: Scenario) -> list[tuple[list[str], _Listing]]:
    groups: dict[Callable[[Any], object], list[str]] = {}
    for name, body in scenario.tasks.items():
        groups.setdefault(body, []).append(name)
    return [(names, _listing(body)) for body, names in groups.items()]


def _listing(body: Callable[[Any], object]) -> _Listing:
    try:
        source, first = inspect.getsourcelines(body)
    except (OSError, TypeError):
        return _Listing(((0, getattr(body, "__name__", repr(body)) + "(shared)"),))
    text = textwrap.dedent("".join(source))
    hidden = _docstring_lines(text)
    numbered = enumerate(text.splitlines())
    return _Listing(tuple((first + i, line) for i, line in numbered if i not in hidden))


def _docstring_lines(text: str) -> range:
    """Tell which lines, counted from 0, are the docstring of the function in `text`."""
    try:
        function = ast.parse(text).body[0]
    except SyntaxError:  # a lambda in the middle of a line has no source of its own
        return range(0)
    if isinstance(function, ast.FunctionDef) and ast.get_docstring(function) is not None:
        return range(function.body[0].lineno - 1, function.body[0].end_lineno or 0)
    return range(0)


def _code(listing: _Listing, here: int | None) -> str:
    return "\n".join(_code_line(listing, here))


def _code_line(listing: _Listing, here: int | None) -> Iterator[str]:
    for number, line in listing.lines:
        if here is not None and number == here:
            yield f'<b class="pfn-here" style="background:{_MARK}">▶ {escape(line)}</b>'
        else:
            yield f"  {escape(line)}"


_MARK = "var(--jp-layout-color3,#d5d5d5)"


def _who(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"task {names[0]}"
    return f"tasks {', '.join(names[:-1])} and {names[-1]} each run"


def _shared(scenario: Scenario) -> str:
    return ", ".join(f"{k} = {shown(v)}" for k, v in scenario.setup().snapshot().items())


def _promise(scenario: Scenario) -> str:
    return " and ".join(condition.name for condition in scenario.final) or "nothing is promised"


def _card(inner: str) -> str:
    return (
        '<div class="pfn-program" style="width:fit-content;min-width:min(460px,100%);'
        "max-width:100%;box-sizing:border-box;padding:8px;border-radius:6px;"
        "color:var(--jp-content-font-color1,#111);background:var(--jp-layout-color0,#fff);"
        f'border:1px solid var(--jp-border-color1,#bbb)">{inner}</div>'
    )


def _row(name: str, text: str) -> str:
    return f'<div style="padding:2px 4px">{name}: <code>{escape(text)}</code></div>'


def _panel(title: str, color: str, code: str, foot: str = "") -> str:
    foot = f'<div class="pfn-next" style="padding:3px 8px">{escape(foot)}</div>' if foot else ""
    return (
        '<div class="pfn-task" style="margin:4px;background:var(--jp-layout-color0,#fff);'
        f'color:var(--jp-content-font-color1,#111);border:1px solid {color}">'
        f'<div style="background:{color};color:#fff;font-weight:bold;padding:2px 8px">'
        f"{title}</div>"
        f'<pre tabindex="0" style="margin:6px 8px;line-height:1.4;white-space:pre;overflow-x:auto">'
        f"{code}</pre>"
        f"{foot}</div>"
    )
