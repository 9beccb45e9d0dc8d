"""cells.py: what the notebook's cells did to the names that the checks look at.

A check looks at names, and not at cells. So when the cell of an answer fails, the name still means
what an earlier cell has made of it, and that would be judged. IPython tells when a cell has run.
"""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

from .asking import named, short

_DEFINES = re.compile(
    r"^(?:(?:async )?def|class)[ \t]+(\w+)|^(\w+)[ \t]*(?::[^=\n]+)?=(?!=)", re.MULTILINE
)
"""A definition or an assignment in a cell's first column, even where the cell is no Python."""


class Cells:
    """Watches the cells of one notebook."""

    def __init__(
        self, namespace: dict[str, Any], answers: Collection[str], needs: Collection[str] = ()
    ) -> None:
        """Watch the cells that run in `namespace`, if it is that of a notebook."""
        self._namespace = namespace
        self._answers = answers
        self._needs = needs
        self._before = dict(namespace)  # Of the set-up cell itself we hear only the end.
        self._failed: dict[str, str] = {}
        self._homes: dict[str, str] = {}
        """For each answer the cell that has last defined it."""
        ipython = sys.modules.get("IPython")
        shell = ipython.get_ipython() if ipython else None
        if shell is not None and shell.user_ns is namespace:
            self._listen(shell.events)

    def _listen(self, events: Any) -> None:
        """Take the place of those who listened before the set-up cell was run again."""
        for event, hear in (("pre_run_cell", self.begins), ("post_run_cell", self.ends)):
            for other in list(events.callbacks[event]):
                if isinstance(getattr(other, "__self__", None), Cells):
                    events.unregister(event, other)
            events.register(event, hear)

    def trouble(self, name: str) -> str | None:
        """Say why `name` is not what the reader has last written, or None if it is."""
        return self._failed.get(name)

    def begins(self, info: Any) -> None:
        """Remember what the names mean before a cell runs."""
        self._before = dict(self._namespace)

    def ends(self, result: Any) -> None:
        """See what a cell has done to them."""
        error = result.error_before_exec or result.error_in_exec
        defined = _defined_by(result.info.raw_cell or "")
        for name in defined:
            if error is not None and self._unchanged(name):
                is_now = (
                    "is still what it was before" if name in self._namespace else "is not there"
                )
                self._failed[name] = (
                    f"The cell that defines `{name}` ended with {named(error)}, so `{name}` "
                    f"{is_now}. Repair that cell, run it, and check again."
                )
            else:
                self._failed.pop(name, None)
        self._see_what_was_renamed(getattr(result.info, "cell_id", None), defined)
        self._tell_of_lost_names()

    def _see_what_was_renamed(self, cell: str | None, defined: set[str]) -> None:
        """Find an answer whose cell now defines almost that name: a slip of the fingers."""
        for name in [name for name, home in self._homes.items() if home == cell]:
            others = get_close_matches(name, defined.difference(self._answers), 1)
            if name not in defined and others:
                self._failed[name] = (
                    f"The cell that had `{name}` now defines `{others[0]}`. Give it its name back, "
                    "run the cell, and check again."
                )
        if cell is not None:
            self._homes.update((name, cell) for name in defined.intersection(self._answers))

    def _unchanged(self, name: str) -> bool:
        nothing = object()
        now, then = self._namespace.get(name, nothing), self._before.get(name, nothing)
        return now is then

    def _tell_of_lost_names(self) -> None:
        for name, thing in self._before.items():
            if name in self._answers or name.startswith("_") or self._unchanged(name):
                continue
            is_there = name in self._namespace
            if _is_lost(thing, self._namespace.get(name), name in self._needs):
                now = short(self._namespace[name]) if is_there else "gone"
                print(
                    f"Careful: `{name}` was the course's, and is now {now}. Later cells use it. "
                    "To get it back, run the first cell of this notebook again."
                )
        for name in sorted(self._namespace.keys() - self._before.keys()):
            now = self._namespace[name]
            if callable(getattr(builtins, name, None)) and not callable(now):
                print(
                    f"Careful: `{name}` was Python's own, and is now {short(now)}. To get it back, "
                    f"run `del {name}` in a cell."
                )


def _is_lost(thing: object, now: object, is_needed: bool) -> bool:
    """Tell whether a name has lost what a reader would not give away on purpose.

    What an earlier lesson has built may be built anew, and be the reader's or ours.
    """
    if is_needed:
        return callable(thing) and not callable(now)
    return _is_ours(thing) and not _is_ours(now)


def _defined_by(cell: str) -> set[str]:
    return {match[1] or match[2] for match in _DEFINES.finditer(cell)}


def _is_ours(thing: object) -> bool:
    """Tell whether this is the lab itself, or a function or class that the course hands out."""
    home = getattr(type(thing), "__module__", "")
    if callable(thing):
        home = str(getattr(thing, "__module__", ""))
    return home.startswith("pfncache_lab") and (callable(thing) or home.endswith(".lab"))
