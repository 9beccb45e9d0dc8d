"""sources.py: read an answer's source: where a blank is left, and which names it uses."""

from __future__ import annotations

import ast
import inspect
import linecache
import os
import symtable
import textwrap
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

BLANK = "____"


def source_of(thing: Any) -> str | None:
    """Return the source of a function or a class, or None if there is none to be had."""
    thing = inspect.unwrap(thing)
    try:
        if inspect.isclass(thing):
            return _source_of_class(thing)
        return textwrap.dedent(inspect.getsource(thing))
    except (OSError, TypeError, SyntaxError):
        return None


def _source_of_class(cls: type) -> str | None:
    """Find a class by the lines of its methods: `inspect` finds none that a notebook defines.

    One without methods is the one of its name in the latest cell that has one.
    """
    for code in codes_of(cls):
        return _class_at(cls.__name__, code.co_filename, code.co_firstlineno)
    if cls.__module__ != "__main__":
        return textwrap.dedent(inspect.getsource(cls))
    cells = [file for file in linecache.cache if not os.path.exists(file)]
    return next(filter(None, (_class_at(cls.__name__, cell) for cell in reversed(cells))), None)


def _class_at(name: str, file: str, line: int | None = None) -> str | None:
    """Return the source of a class in a file or cell; with a `line`, of the one around it."""
    lines = linecache.getlines(file)
    for node in ast.walk(ast.parse("".join(lines))):
        if isinstance(node, ast.ClassDef) and node.name == name:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            last = node.end_lineno or node.lineno
            if line is None or first <= line <= last:
                return textwrap.dedent("".join(lines[first - 1 : last]))
    return None


def codes_of(thing: Any) -> Iterator[CodeType]:
    """Yield the compiled code of a function, or of each function that a class defines."""
    for function in _functions_of(thing):
        yield function.__code__


def globals_of(thing: Any) -> dict[str, Any]:
    """Return the names among which a function or class was defined."""
    for function in _functions_of(thing):
        return function.__globals__
    return {}


def _functions_of(thing: Any) -> Iterator[FunctionType]:
    if inspect.isclass(thing):
        members = [inspect.unwrap(getattr(m, "__func__", m)) for m in vars(thing).values()]
        for member in members:
            if inspect.isfunction(member) and member.__module__ == thing.__module__:
                yield member
    elif inspect.isfunction(thing := inspect.unwrap(thing)):
        yield thing


def blank_line(answer: Any) -> int | None:
    """Tell on which line of the answer's source a blank is left, counted from 1; None if filled.

    A blank is `____`, or a `...` that stands in the body itself. It is found in the source, not by
    running it: an answer that raises NameError is wrong, but it has been attempted.
    """
    if isinstance(answer, str):
        return 1 if BLANK in answer else None
    if answer is ...:
        return 1
    if not callable(answer):
        return None
    source = source_of(answer)
    if source is None:  # its compiled names tell the same
        return 1 if any(BLANK in code.co_names for code in codes_of(answer)) else None
    return _blank_in(ast.parse(source))


def returns_nothing(answer: Any) -> bool:
    """Tell whether a function returns None, whatever happens in it: its `return` is forgotten."""
    source = source_of(answer) if inspect.isfunction(answer) else None
    if source is None:
        return False
    function = ast.parse(source).body[0]
    nodes = list(ast.walk(function))
    is_def = isinstance(function, ast.FunctionDef)  # a lambda returns what it computes
    if not is_def or any(isinstance(node, ast.Yield | ast.YieldFrom) for node in nodes):
        return False
    returned = [node.value for node in nodes if isinstance(node, ast.Return)]
    return all(v is None or (isinstance(v, ast.Constant) and v.value is None) for v in returned)


def _blank_in(tree: ast.Module) -> int | None:
    names = (node for node in ast.walk(tree) if isinstance(node, ast.Name | ast.Attribute))
    blanks = [name.lineno for name in names if _word(name) == BLANK]
    bodies = [node.body for node in tree.body if isinstance(node, ast.FunctionDef)]
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            bodies += [node.body]
            bodies += [inner.body for inner in node.body if isinstance(inner, ast.FunctionDef)]
    blanks += [line.lineno for body in bodies for line in body if _is_ellipsis(line)]
    return min(blanks, default=None)


def _word(node: ast.Name | ast.Attribute) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr


def _is_ellipsis(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Constant):
        return False
    return statement.value.value is ...


def used_names(source: str) -> set[str]:
    """List the names that a piece of source looks up outside of its functions.

    A function's own `one` has nothing to do with the `one` of another cell.
    """
    tables, found = [symtable.symtable(source, "<answer>", "exec")], set[str]()
    while tables:
        table = tables.pop()
        tables += table.get_children()
        outermost = table.get_type() == "module"
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (outermost or symbol.is_global()):
                found.add(symbol.get_name())
    return found


def remember(file: str, source: str) -> None:
    """Let the lines of `source` be found under the name `file`, as those of a cell are."""
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
