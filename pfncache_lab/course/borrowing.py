"""borrowing.py: is an answer the reader's work, or the course's own in other clothes?

Ours would pass, be kept, and stand in for what the reader has built; and that would mean nothing.
There is no harm in looking at it, and a solution that is pasted counts. But an answer must not come
by ours when it runs. So whatever it uses is followed, in the reader's own code: names, imports,
helpers, closures, defaults, base classes, a `partial`.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

OURS = "pfncache_lab."
COURSE = "pfncache_lab.course."
"""Lessons are kept there. What an answer may import is elsewhere."""


def is_borrowed(answer: Any, names: Collection[str], references: Sequence[Any]) -> bool:
    """Tell whether an answer is, or uses, a reference, or what is ours and has one of `names`."""
    return any(_is_ours(thing, names, references) for thing in _reached(answer))


def _is_ours(thing: Any, names: Collection[str], references: Sequence[Any]) -> bool:
    if isinstance(thing, ModuleType):
        return thing.__name__.startswith(COURSE)
    if any(thing is reference for reference in references):
        return True
    return _home(thing).startswith(OURS) and getattr(thing, "__name__", None) in names


def _home(thing: Any) -> str:
    return str(getattr(thing, "__module__", ""))


def _reached(answer: Any) -> Iterator[Any]:
    """Yield an answer and all that it uses, as far as that is the reader's code as well."""
    readers = {"__main__", _home(answer)}
    todo, seen = [answer], dict[int, Any]()
    while todo:
        thing = todo.pop()
        if id(thing) in seen:
            continue
        seen[id(thing)] = thing
        yield thing
        if isinstance(thing, partial):
            todo += [thing.func, *thing.args, *thing.keywords.values()]
        elif isinstance(thing, MethodType):
            todo += [thing.__func__, type(thing.__self__)]
        elif _home(thing) in readers:
            todo += _used_by(thing)


def _used_by(thing: Any) -> list[Any]:
    if isinstance(thing, FunctionType):
        cells = [cell.cell_contents for cell in thing.__closure__ or ()]
        defaults = [*(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {}).values()]
        kept = [*cells, *defaults, *vars(thing).values()]
        return [*kept, *_named(thing.__code__, thing.__globals__)]
    if isinstance(thing, type):
        members = [getattr(m, "__func__", getattr(m, "fget", m)) for m in vars(thing).values()]
        return [*thing.__mro__[1:], *members]
    return [type(thing), *vars(thing).values()] if hasattr(thing, "__dict__") else []


def _named(code: CodeType, known: dict[str, Any]) -> Iterator[Any]:
    """Yield what a piece of code names: `one`, `module.one`, `import_module("module").one`."""
    words = [*code.co_names, *(word for word in code.co_consts if isinstance(word, str))]
    values = [known[name] for name in code.co_names if name in known]
    modules = [value for value in values if isinstance(value, ModuleType)]
    modules += [sys.modules[word] for word in words if word in sys.modules]
    for module in modules:  # and those that are found in them
        found = [vars(module)[word] for word in words if word in vars(module)]
        values += found
        modules += [one for one in found if isinstance(one, ModuleType) and one not in modules]
    yield from [*values, *modules]
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _named(inner, known)
