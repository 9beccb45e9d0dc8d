"""asking.py: call the reader's code, and turn whatever it does into a sentence."""

from __future__ import annotations

import ast
import builtins
import inspect
import io
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from itertools import islice
from typing import Any

from ..sim import limits
from ..sim.limits import Meter, TimeLimit, time_limit
from ..sim.shown import shown
from .exercise import Incorrect

BLANK = "____"

LONGEST = 200
"""Characters of somebody else's text that a sentence quotes."""

LINES_SHOWN = 20
"""Lines that an answer prints which are let through."""


_budget: Meter | None = None


@contextmanager
def one_budget() -> Iterator[None]:
    """Let all calls in the body share the time of one answer: ten slow cases are slow, too."""
    global _budget
    _budget = Meter(limits.SECONDS)
    try:
        yield
    finally:
        _budget = None


def ask(function: Callable[..., Any], *args: Any) -> Any:
    """Call the reader's function. Raises Incorrect when it crashes or does not come back."""
    return _guarded(function, args, lambda: function(*args))


def ask_for_list(function: Callable[..., Any], *args: Any, most: int) -> list[Any]:
    """Call the reader's function for a list, or anything that can be iterated: a generator, a set.

    Takes no more than `most` items, so that one that never stops is only a wrong answer.
    """
    result = ask(function, *args)
    if isinstance(result, str) or not isinstance(result, Iterable):
        call = _call_text(function, args)
        raise Incorrect(f"{call} returned {short(result)}, which is no list of strings.")
    return list(_guarded(function, args, lambda: list(islice(result, most))))


def short(value: object) -> str:
    """Write a value of the reader's so that it fits into a sentence, whatever it is."""
    return shown(value)


@contextmanager
def quiet() -> Iterator[None]:
    """Let through the first lines that the body prints. An answer may print ten thousand."""
    printed = _FirstLines()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        print(printed.summary(), end="")


@contextmanager
def no_way_out() -> Iterator[None]:
    """Refuse `input()`, which would wait for the reader, and IPython's `exit()`.

    The latter would end the notebook's kernel, when the check is long over.
    """

    def refuse(*args: object) -> Any:
        raise SystemExit("an answer must not ask or leave")

    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    before = builtins.input
    builtins.input = refuse
    if shell is not None:
        shell.ask_exit = refuse
    try:
        yield
    finally:
        builtins.input = before
        if shell is not None:
            del shell.ask_exit


class _FirstLines(io.TextIOBase):
    def __init__(self) -> None:
        self._kept: list[str] = []
        self._lines = 0

    def write(self, text: str) -> int:
        if self._lines < LINES_SHOWN:
            self._kept.append(text[: LINES_SHOWN * LONGEST])
        self._lines += text.count("\n")
        return len(text)

    def summary(self) -> str:
        lines = "".join(self._kept).splitlines(keepends=True)[:LINES_SHOWN]
        rest = self._lines - len(lines)
        return "".join(lines) + (f"(… and {rest} lines more)\n" if rest > 0 else "")


def blank_line(answer: Any) -> int | None:
    """Tell on which line of the answer's source a blank is left, counted from 1; None if filled.

    A blank is `____`, or a `...` that stands in the body itself. It is found in the source, not by
    running it: an answer that raises NameError is wrong, but it has been attempted.
    """
    answer = inspect.unwrap(answer) if callable(answer) else answer
    if isinstance(answer, str):
        return 1 if BLANK in answer else None
    if answer is ...:
        return 1
    if not inspect.isfunction(answer):
        return None
    return _blank_in_source(answer)


def _blank_in_source(function: Callable[..., Any]) -> int | None:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError):  # no source to read: its compiled names tell the same
        return 1 if BLANK in function.__code__.co_names else None
    names = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
    blanks = [name.lineno for name in names if name.id == BLANK]
    body = tree.body[0].body if isinstance(tree.body[0], ast.FunctionDef) else []
    return min(blanks + [line.lineno for line in body if _is_ellipsis(line)], default=None)


def _is_ellipsis(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Constant):
        return False
    return statement.value.value is ...


def _guarded(function: Callable[..., Any], args: tuple[Any, ...], action: Callable[[], Any]) -> Any:
    call = _call_text(function, args)
    try:
        with time_limit(_budget), quiet(), no_way_out():
            return action()
    except TimeLimit:
        raise Incorrect(
            f"{call} did not come back, so I stopped it. Does every loop end, and does every "
            "call of itself ask for something smaller?"
        ) from None
    except RecursionError:
        raise Incorrect(
            f"{call} called itself until Python gave up. Each call of itself must ask for "
            "something smaller, and one case must return without a call."
        ) from None
    except KeyboardInterrupt:
        raise  # the reader's own: they have pressed the stop button
    except BaseException as error:
        raise Incorrect(f"{call} raised {named(error)}{_where(error, function)}") from None


def named(error: BaseException) -> str:
    """Name an exception and quote its message, as far as it has one that can be shown."""
    try:
        message = textwrap.shorten(str(error), LONGEST)
    except Exception:  # the message is the reader's code as well
        message = ""
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _where(error: BaseException, function: Callable[..., Any]) -> str:
    """Point at the reader's own line: the innermost one in the cell that defines the function."""
    cell = getattr(getattr(function, "__code__", None), "co_filename", None)
    mine = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == cell]
    if not mine or not mine[-1].line:
        return "."
    return f",\n  in line {mine[-1].lineno} of your cell: {mine[-1].line}"


def _call_text(function: Callable[..., Any], args: tuple[Any, ...]) -> str:
    name = getattr(function, "__name__", "your answer")
    return f"{name}({', '.join(map(short, args))})"
