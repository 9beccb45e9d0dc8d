"""authoring.py: short ways to write down what an exercise is made of."""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable, Mapping
from copy import deepcopy
from itertools import count
from typing import Any

from ..explore import BadSchedule, Run, Scenario, find_bug, replay
from .asking import short
from .exercise import Built, Case, Correct, Incorrect
from .sources import remember

_numbers = count(1)


def call(name: str, *args: Any, gives: object, because: str = "") -> Case:
    """Make the case of one call: `call("gpa_to_gfn", 0x10_080, gives=0x10, because="…")`."""

    def observe(my: Built) -> object:
        return getattr(my, name)(*deepcopy(args))

    return Case(f"{name}({', '.join(map(written, args))})", observe, gives, because)


class Hex(int):
    """A small number that is written as an address is: a frame's."""

    def __repr__(self) -> str:
        return f"{self:#_x}"


def written(value: object) -> str:
    """Write a value as this course does: addresses in hexadecimal."""
    if isinstance(value, Hex):
        return repr(value)
    if type(value) is int and abs(value) >= 0x1000:
        return _address(value)
    if type(value) is tuple and 0 < len(value) <= 8:
        return f"({', '.join(map(written, value))}{',' * (len(value) == 1)})"
    return short(value)


def _address(value: int) -> str:
    """Write a number as the maps do: 0x12_abc of a guest, 0x7f5a_a000_2abc of a process."""
    if not 0x1_0000 <= value < 1 << 32:
        return f"{value:#_x}"
    return f"{value >> 12:#x}_{value & 0xFFF:03x}"


def edited(thing: Any, *changes: tuple[str, str]) -> Any:
    """Return a function or a class as it is after some text in its source has been replaced.

    A mutant of forty lines differs from the reference in one: `edited(refresh, ("==", "!="))`. Each
    text must stand there exactly once.
    """
    source = textwrap.dedent(inspect.getsource(thing))
    for old, new in changes:
        if source.count(old) != 1:
            raise ValueError(f"{old!r} stands {source.count(old)} times in {thing.__name__}.")
        source = source.replace(old, new)
    return made(source, thing.__name__, vars(sys.modules[thing.__module__]))


def made(source: str, name: str, namespace: Mapping[str, Any]) -> Any:
    """Run the source of a function or class among the names of `namespace`, and return it."""
    return made_all(source, f"<{name} {next(_numbers)}>", namespace)[name]


def made_all(source: str, file: str, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Run a piece of source among the names of `namespace`; returns all names there are then.

    Its lines are remembered under the name `file`, so that a trace can show them.
    """
    remember(file, source)
    names = dict(namespace)
    exec(compile(source, file, "exec"), names)
    return names


# -- checks of answers that are no code ------------------------------------------------------------


def breaks(
    scenario: Scenario, kept: Callable[[Run], str], name: str = ""
) -> Callable[[Any], Correct]:
    """Make the check of an exercise whose answer is a schedule that breaks `scenario`.

    `kept` says what to look at, of a run in which nothing went wrong. With the `name` of a bug,
    'Deadlock', no other will do.
    """

    def check(answer: Any) -> Correct:
        if not isinstance(answer, str):
            raise Incorrect(f"A schedule is a string such as 'aabb'; yours is {short(answer)}.")
        try:
            run = replay(scenario, answer)
        except BadSchedule as problem:
            raise Incorrect(str(problem)) from None
        if run.bug is None:
            raise Incorrect(kept(run) if run.finished else _unfinished(run), run)
        if name and type(run.bug).__name__ != name:
            kind = type(run.bug).__name__
            raise Incorrect(f"Asked for is a {name}, and this is a {kind}: {run.bug}", run)
        story = str(run.bug).splitlines()[0]
        return Correct(f"With {run.schedule} the program breaks. {story} Token: {run.token}", run)

    return check


def _unfinished(run: Run) -> str:
    assert run.trace is not None
    going = ", ".join(f"{v.name} is about to {v.next}" for v in run.trace.frontier if v.next)
    return f"{run.schedule!r} stops before the program does: {going}. Add a letter a step."


def first_break(scenario: Scenario) -> Callable[[], str]:
    """Make the reference of such an exercise: what the search finds."""

    def reference() -> str:
        found = find_bug(scenario)
        assert found is not None, f"{scenario.name} does not break"
        return found.schedule

    return reference


def is_value(truth: Callable[[], object], wrong: Callable[[Any], str]) -> Callable[[Any], Correct]:
    """Make the check of an exercise whose answer is one value, which the machine knows.

    `wrong` says what is wrong with another one, without giving the right one away.
    """

    def check(answer: Any) -> Correct:
        right = truth()
        if type(answer) is not type(right) or answer != right:
            raise Incorrect(wrong(answer))
        return Correct(f"{written(answer)}, and so says the machine.")

    return check
