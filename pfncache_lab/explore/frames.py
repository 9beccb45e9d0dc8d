"""frames.py: what a search must know of a function to tell frames of it apart, found out once."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from types import CodeType, FrameType

from ..sim import machine as sim
from ..sim import stacks
from .hidden import Place, all_names, calls_back, globals_of, hidden
from .values import CannotTell, Values

_OURS = sim.__name__.rpartition(".")[0] + "."
_SCHEDULERS = (sim.__name__, stacks.__name__)
_EXPLORE = __name__.rpartition(".")[0] + "."


class Code:
    """A function, in one search."""

    __slots__ = (
        "id",
        "name",
        "scheduler",
        "sim",
        "ours",
        "calls_back",
        "_code",
        "_places",
    )

    def __init__(self, frame: FrameType, numbers: Mapping[int, int]) -> None:
        """Look at the function of this frame. Raises CannotTell if it uses what is not simulated.

        `numbers` are those of the simulated objects, by id().
        """
        code = self._code = frame.f_code  # kept, or another might get the same id()
        module: str = frame.f_globals.get("__name__", "")
        self.id = id(code)
        self.name = code.co_name
        self.scheduler = module in _SCHEDULERS or module.startswith(_EXPLORE)
        self.sim = module.startswith(_OURS)
        self.ours = self.sim or "PRIMITIVES" in frame.f_globals
        """Whether it is the code of a primitive: it hides nothing but what its operation shows."""
        self.calls_back = calls_back(code)
        self._places: dict[int, Place] = {}
        if not (self.ours or self.scheduler):
            _check_globals(code, frame.f_globals, numbers)

    def place(self, offset: int) -> Place:
        """Say what counts of a frame there. Raises CannotTell if that does not show."""
        place = self._places.get(offset)
        if place is None:
            look = _of_a_primitive if self.ours else hidden
            place = self._places[offset] = look(self._code, offset)
        if place.trouble:
            raise CannotTell(place.trouble)
        return place


def _of_a_primitive(code: CodeType, offset: int) -> Place:
    """Leave out dead variables, but keep what the primitive was called with."""
    place = hidden(code, offset)
    called_with = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    count = {*place.names, *called_with}
    return Place(tuple([name for name in all_names(code) if name in count]))


def _check_globals(
    code: CodeType, outside: Mapping[str, object], numbers: Mapping[int, int]
) -> None:
    """See that what the function uses from outside does not change during a run."""
    names, stores = globals_of(code)
    if stores:
        raise CannotTell(f"{code.co_name} stores to a global variable")
    for name in names:
        value = outside.get(name, getattr(builtins, name, None))
        values = Values(numbers)
        try:
            values.key(value)
        except CannotTell:
            values.mutable = not callable(value)
        if values.mutable:
            raise CannotTell(f"{code.co_name} uses the global {name}, which is not simulated")
