"""values.py: anything a task can hold, as a value that is equal where the thing is equal.

Simulated objects count as themselves, by their number: their contents are hashed once, as part of
the shared state. Everything else counts by what is in it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from enum import Enum
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from ..sim import Task

PLAIN = (str, bytes, type(None), complex, type(Ellipsis))
"""Types whose values are their own key."""

FIXED = (type, ModuleType, BuiltinFunctionType, CodeType)
"""Things of which there is one, in every run."""


class CannotTell(Exception):
    """Two things could differ and look the same; the message names the thing."""


_BOOLS = (bool, "False"), (bool, "True")  # True is not 1


def number_key(value: int) -> Hashable:
    """Make a key whose hash is that of no other number.

    hash(-1) is hash(-2), and hash(2**64 - 1), which is how C writes ~0, is hash(7).
    """
    return value if 0 <= value < 1 << 60 else (int, hex(value))


class Values:
    """Makes keys in one run, in which `numbers` are those of the simulated objects."""

    def __init__(self, numbers: Mapping[int, int]) -> None:
        self.numbers = numbers  # by id(): the objects live as long as the run
        self.mutable = False
        """Whether a key was made of something that can change without a step."""

    def key(self, value: Any, seen: dict[int, int] | None = None) -> Hashable:
        """Make the key of `value`. Raises CannotTell."""
        kind = type(value)
        if kind is int:
            return number_key(value)
        if kind is str or value is None:
            return value  # type: ignore[no-any-return]
        if kind is bool:
            return _BOOLS[value]
        if kind is tuple:  # most states of objects are one
            return self._tuple(value, {} if seen is None else seen)
        if isinstance(value, PLAIN):
            return value
        if kind is float or isinstance(value, Enum):
            return kind, repr(value)
        number = self.numbers.get(id(value))
        if number is not None:
            return "#", number
        if isinstance(value, Task):
            return "task", value.index
        if kind is CodeType:
            return id(value)  # its own hash goes through all of it, each time
        if isinstance(value, FIXED) or kind is range:
            return value  # type: ignore[no-any-return]
        return self._made_of_parts(value, {} if seen is None else seen)

    def _made_of_parts(self, value: Any, seen: dict[int, int]) -> Hashable:
        """Go through the parts. `seen` tells a thing met twice from two that are equal."""
        if id(value) in seen:
            return "again", seen[id(value)]
        seen[id(value)] = len(seen)
        if isinstance(value, MethodType):
            return "method", self.key(value.__func__, seen), self.key(value.__self__, seen)
        if isinstance(value, FunctionType):
            cells = [cell.cell_contents for cell in value.__closure__ or () if _filled(cell)]
            parts = [*cells, *(value.__defaults__ or ())]
            return "function", id(value.__code__), tuple([self.key(part, seen) for part in parts])
        if isinstance(value, tuple):
            return type(value), tuple([self.key(item, seen) for item in value])
        self.mutable = True
        return self._mutable(value, seen)

    def _tuple(self, value: tuple[Any, ...], seen: dict[int, int]) -> Hashable:
        if not value:
            return tuple, ()  # there is only one
        if id(value) in seen:
            return "again", seen[id(value)]
        seen[id(value)] = len(seen)
        return tuple, tuple([self.key(item, seen) for item in value])

    def _mutable(self, value: Any, seen: dict[int, int]) -> Hashable:
        if isinstance(value, list):
            return "list", tuple([self.key(item, seen) for item in value])
        if isinstance(value, dict):
            items = [(self.key(k, seen), self.key(v, seen)) for k, v in value.items()]
            return "dict", tuple(items)  # its order shows in the program, so it counts
        if isinstance(value, frozenset | set):
            return "set", frozenset([self.key(item, {}) for item in value])
        if isinstance(value, BaseException) or not hasattr(value, "__dict__"):
            raise CannotTell(f"a {type(value).__name__}")
        if hasattr(type(value), "__next__") or hasattr(type(value), "__slots__"):
            raise CannotTell(f"a {type(value).__name__}")
        parts = [(name, self.key(part, seen)) for name, part in sorted(vars(value).items())]
        return type(value), tuple(parts)


def _filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True
