"""link.py: put functions in the place of others, by name, as a linker does.

The modules of a simulated kernel call each other by global name, and so does the code that a reader
writes: `refresh()` calls `hva_to_pfn_retry()`, whoever has written that. To try another
`hva_to_pfn_retry()`, nothing may be patched: two versions are compared side by side, and one of
them may be wrong. So `link` makes a second copy of all functions, in which the name means the other
function, and leaves the first as it was.

    image = link([memslots, kvm_main, pfncache], {"hva_to_pfn_retry": mine})
    image.refresh(gpc)          calls mine
    pfncache.refresh(gpc)       does not

Only functions are linked, and only where a name of a module stands for them. A function that a
class, a table or a `partial` holds is not found there: the modules of the kernel have none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import FunctionType, ModuleType
from typing import Any

from .errors import ModelError


class Image:
    """A linked kernel: its functions are attributes, under the names they are called by."""

    def __init__(self, symbols: Mapping[str, Callable[..., Any]]) -> None:
        """Make an image of these functions."""
        self.symbols = dict(symbols)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__") or name not in self.symbols:
            raise AttributeError(f"There is no function {name!r} in this image.")
        return self.symbols[name]


def link(
    modules: Iterable[ModuleType],
    replacements: Mapping[str, Callable[..., Any]] | None = None,
    instead_of: Iterable[ModuleType] = (),
) -> Image:
    """Link the functions of `modules`, with `replacements` in the place of those they name.

    What a replacement calls by a name of the modules is linked as well; what it replaces it can
    still call, if its module has imported that under another name. Who has imported a function
    from a module of `instead_of` gets the one of that name among `modules`. Raises ModelError if a
    name stands for nothing, or for two functions.
    """
    return _Linker(list(modules), dict(replacements or {}), list(instead_of)).image()


class _Linker:
    def __init__(
        self,
        modules: list[ModuleType],
        replacements: dict[str, Callable[..., Any]],
        instead_of: list[ModuleType],
    ) -> None:
        self.originals = _defined_in(modules)
        self.left_out = set(_defined_in(instead_of).values())
        for name, function in replacements.items():
            if name not in self.originals:
                raise ModelError(f"Nothing is called {name!r}, so it cannot be replaced.")
            if not isinstance(function, FunctionType):
                raise ModelError(f"{name!r} has to be a function, made with `def`.")
        self.replacements = replacements
        homes = [vars(module) for module in modules]
        homes += [f.__globals__ for f in replacements.values() if isinstance(f, FunctionType)]
        self.homes = {id(home): home for home in homes}
        self.linked: dict[int, dict[str, Any]] = {}
        self.copies: dict[FunctionType, FunctionType] = {}

    def image(self) -> Image:
        """Link everything."""
        return Image({name: self.resolve(function) for name, function in self.originals.items()})

    def concerns(self, function: FunctionType) -> bool:
        """Tell whether `function` is one of those that are linked."""
        return id(function.__globals__) in self.homes or function in self.left_out

    def resolve(self, function: FunctionType) -> FunctionType:
        """Return what is to be called where `function` was."""
        if function in self.left_out:
            if function.__name__ not in self.originals:
                raise ModelError(f"Nothing was linked in the place of {function.__name__}().")
            function = self.originals[function.__name__]
        if self.originals.get(function.__name__) is function:
            function = self.replacements.get(function.__name__, function)  # type: ignore[assignment]
        return self.copy(function)

    def copy(self, function: FunctionType) -> FunctionType:
        """Return `function`, among linked names."""
        if function not in self.copies:
            copied = FunctionType(
                function.__code__,
                self.names(function.__globals__),
                function.__name__,
                function.__defaults__,
                function.__closure__,
            )
            copied.__kwdefaults__ = function.__kwdefaults__
            copied.__doc__ = function.__doc__
            copied.__module__ = function.__module__
            copied.__qualname__ = function.__qualname__
            self.copies[function] = copied
        return self.copies[function]

    def names(self, home: dict[str, Any]) -> dict[str, Any]:
        """Return the names of a module, or of a notebook, with each function linked."""
        if id(home) not in self.linked:
            names = self.linked[id(home)] = dict(home)
            for name, value in home.items():
                if not isinstance(value, FunctionType) or not self.concerns(value):
                    continue
                mine = self.replacements.get(value.__name__)
                as_it_was = mine is not None and mine.__globals__ is home
                names[name] = self.copy(value) if as_it_was else self.resolve(value)
        return self.linked[id(home)]


def _defined_in(modules: list[ModuleType]) -> dict[str, FunctionType]:
    """Find the functions that the modules define, by name."""
    found: dict[str, FunctionType] = {}
    for module in modules:
        for name, value in vars(module).items():
            if isinstance(value, FunctionType) and value.__globals__ is vars(module):
                if name != value.__name__:
                    raise ModelError(f"{module.__name__} calls {value.__name__} {name} as well.")
                if name in found:
                    raise ModelError(f"{name} is defined in {module.__name__}, and somewhere else.")
                found[name] = value
    return found
