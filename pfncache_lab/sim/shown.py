"""shown.py: somebody else's value as text that fits into a sentence, whatever it is.

How a value looks is code of the program, and it is called only where a run is recorded. Were it to
fail there, or to take a step, a schedule that went well in the search would go wrong on replay.
"""

from __future__ import annotations

import re
import reprlib

from . import machine

LONGEST = 200
"""Characters of one value."""

COUNTED = 1 << 32
"""From here on a number is an address, and no count: it is written as the maps of memory do."""

ITEMS = 20
"""Items of a tuple, or of whatever else holds some."""


def shown(value: object) -> str:
    """Write `value` in at most some hundred characters, without a step and without an error."""
    if value is None or type(value) is bool or (type(value) is int and abs(value) < 1 << 64):
        # Most of them: the rest takes ten times as long.
        return repr(value) if not value or abs(value) < COUNTED else f"{value:#_x}"
    before, machine.running = machine.running, None
    try:
        text = _REPR.repr(value)
    except Exception:
        text = f"something of type {type(value).__name__}"
    finally:
        machine.running = before
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", text)  # an address is another one in every run
    return text if len(text) <= 2 * LONGEST else text[: 2 * LONGEST] + "..."


_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = LONGEST
_REPR.maxtuple = _REPR.maxlist = _REPR.maxset = _REPR.maxfrozenset = _REPR.maxdict = ITEMS
