"""asking.py: call the reader's code, and turn whatever it does into a sentence."""

from __future__ import annotations

import ast
import inspect
import textwrap
import traceback
from collections.abc import Callable
from itertools import islice
from typing import Any

from .exercise import Incorrect
from .limits import TimeLimit, time_limit

BLANK = "____"


def ask(function: Callable[..., Any], *args: Any) -> Any:
    """Call the reader's function. Raises Incorrect when it crashes or does not come back."""
    return _guarded(function, args, lambda: function(*args))


def ask_for_list(function: Callable[..., Any], *args: Any, most: int) -> list[Any]:
    """Call the reader's function for a list, or anything that can be iterated: a generator, a set.

    Takes no more than `most` items, so that one that never stops is only a wrong answer.
    """
    result = ask(function, *args)
    if isinstance(result, str) or not hasattr(result, "__iter__"):
        call = _call_text(function, args)
        raise Incorrect(f"{call} returned {result!r}, which is no list of strings.")
    return list(_guarded(function, args, lambda: list(islice(result, most))))


def blank_line(answer: Any) -> int | None:
    """Tell on which line of the answer's source a blank is left, counted from 1; None if filled.

    A blank is `____`, or a `...` that stands as a statement of its own. It is found in the source,
    not by running it: an answer that raises NameError is wrong, but it has been attempted.
    """
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
    return min(filter(None, map(_blank_at, ast.walk(tree))), default=None)


def _blank_at(node: ast.AST) -> int | None:
    if isinstance(node, ast.Name) and node.id == BLANK:
        return node.lineno
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return node.lineno if node.value.value is ... else None
    return None


def _guarded(function: Callable[..., Any], args: tuple[Any, ...], action: Callable[[], Any]) -> Any:
    call = _call_text(function, args)
    try:
        with time_limit():
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
    except (Exception, SystemExit) as error:
        raise Incorrect(f"{call} raised {_named(error)}{_where(error, function)}") from None


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _where(error: BaseException, function: Callable[..., Any]) -> str:
    """Point at the reader's own line: the innermost one in the cell that defines the function."""
    cell = getattr(getattr(function, "__code__", None), "co_filename", None)
    mine = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == cell]
    if not mine or not mine[-1].line:
        return "."
    return f",\n  in line {mine[-1].lineno} of your cell: {mine[-1].line}"


def _call_text(function: Callable[..., Any], args: tuple[Any, ...]) -> str:
    name = getattr(function, "__name__", "your answer")
    return f"{name}({', '.join(map(repr, args))})"
