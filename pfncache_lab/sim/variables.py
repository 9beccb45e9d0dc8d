"""variables.py: which variables of a function still matter, at some place of its code.

A variable whose value nobody will read any more is dead, and two states that differ only in dead
variables have the same future (Bozga, Fernandez and Ghirvu, "State space reduction based on live
variables analysis", SAS 1999). What a loop carries from one iteration to the next are the variables
that its body stores to and that are not dead.

Only the compiled code knows all ways to go on from a place: `if`, `while`, `break`, exceptions.
"""

from __future__ import annotations

import dis
from bisect import bisect_right
from functools import cached_property
from types import CodeType
from typing import NamedTuple

Span = tuple[int, int]
"""Where a loop begins and ends in the code, both included."""


class Loop(NamedTuple):
    """What is known of a loop, at some place in it."""

    carries: tuple[str, ...]
    """The variables that carry something over to the next iteration."""
    counts: bool
    """Whether it is a `for`, which comes to the end of its items."""


_READERS_OF_ALL = frozenset({"locals", "vars", "dir", "eval", "exec", "super"})
"""Who calls one of these may read a variable without naming it."""


class Variables:
    """The variables of one function."""

    def __init__(self, code: CodeType) -> None:
        """Look at its code, once."""
        self._code = code
        self._instructions = list(dis.get_instructions(code))
        self._offsets = [instruction.offset for instruction in self._instructions]
        self._known_loops: dict[int, Loop | None] = {}

    def live(self, offset: int) -> frozenset[str]:
        """Name those whose values may be read after the instruction at `offset`, which calls."""
        return self._live_after[self._at(offset)]

    def loop(self, offset: int) -> Loop | None:
        """Tell what is known of the innermost loop around a place; None if it is in no loop."""
        if offset not in self._known_loops:
            self._known_loops[offset] = self._find_loop(offset)
        return self._known_loops[offset]

    def ends_by_itself(self, offset: int) -> bool:
        """Whether each loop around a place is a `for`."""
        return all([self._is_for(loop) for loop in self._around(offset)])

    def _at(self, offset: int) -> int:
        return bisect_right(self._offsets, offset) - 1  # it may point into an inline cache

    # -- what is live --------------------------------------------------------------------------

    @cached_property
    def _live_after(self) -> list[frozenset[str]]:
        """By instruction; found backwards, round by round, until nothing is added any more."""
        code, instructions = self._code, self._instructions
        always = frozenset(code.co_cellvars + code.co_freevars)  # other functions may read these
        if not _READERS_OF_ALL.isdisjoint(code.co_names):
            always |= frozenset(code.co_varnames)
        ways = [self._ways_on(i) + self._handlers[i] for i in range(len(instructions))]
        used = [frozenset(loaded_by(instruction)) for instruction in instructions]
        stored = [frozenset(stored_by(instruction)) for instruction in instructions]
        before = [always] * len(instructions)
        after = list(before)
        changed = True
        while changed:
            changed = False
            for i in reversed(range(len(instructions))):
                after[i] = always.union(*[before[k] for k in ways[i]])
                found = used[i] | (after[i] - stored[i])
                changed = changed or found != before[i]
                before[i] = found
        return after

    def _ways_on(self, i: int) -> list[int]:
        """List the instructions that can come next, but for exceptions."""
        instruction = self._instructions[i]
        ways = [self._at(instruction.argval)] if jumps(instruction) else []
        return ways if goes_nowhere_else(instruction) else [*ways, i + 1]

    @cached_property
    def _handlers(self) -> list[list[int]]:
        """By instruction: where an exception in it leads to."""
        handlers: list[list[int]] = [[] for _ in self._instructions]
        for entry in dis.Bytecode(self._code).exception_entries:  # type: ignore[attr-defined]
            for i in range(self._at(entry.start), self._at(entry.end - 1) + 1):
                handlers[i].append(self._at(entry.target))
        return handlers

    # -- loops ---------------------------------------------------------------------------------

    def _find_loop(self, offset: int) -> Loop | None:
        around = self._around(offset)
        if not around:
            return None
        start, end = innermost = min(around, key=lambda loop: loop[1] - loop[0])
        body = self._instructions[self._at(start) : self._at(end) + 1]
        stored = {name for instruction in body for name in stored_by(instruction)}
        counts = self._is_for(innermost)
        if not counts:  # else they may tell how far it has come
            stored &= self.live(offset)
        return Loop(tuple(sorted(stored)), counts)

    def _around(self, offset: int) -> list[Span]:
        return [(start, end) for start, end in self._loops if start <= offset <= end]

    def _is_for(self, loop: Span) -> bool:
        return self._instructions[self._at(loop[0])].opname == "FOR_ITER"

    @cached_property
    def _loops(self) -> list[Span]:
        """A loop goes from the target of a jump backward to the jump.

        It can have several: one from a `continue` to its condition, one from its end to its body.
        And the handler of an exception lies behind all else, and jumps back into the loop. So what
        overlaps is one loop, unless one lies within the other.
        """
        loops: list[Span] = []
        for start, end in sorted(self._jumps_back()):
            met = [loop for loop in loops if loop[0] == start or start <= loop[1] < end]
            loops = [loop for loop in loops if loop not in met]
            loops.append((min([start, *(a for a, _ in met)]), max([end, *(b for _, b in met)])))
        return loops

    def _jumps_back(self) -> list[Span]:
        back = [i for i in self._instructions if jumps(i) and i.argval <= i.offset]
        pairs = [(instruction.argval, instruction.offset) for instruction in back]
        # A `yield from` is a loop for the interpreter, and not for the reader.
        return [p for p in pairs if self._instructions[self._at(p[0])].opname != "SEND"]


def variables_of(code: CodeType) -> Variables:
    """Return what is known of a function's variables: it is looked at once."""
    kept = _kept.get(id(code))
    if kept is None:
        if len(_kept) >= CODES_KEPT:
            _kept.clear()
        kept = _kept[id(code)] = code, Variables(code)
    return kept[1]


CODES_KEPT = 1000
"""A program has a few dozen functions, but a process may run many programs."""

_kept: dict[int, tuple[CodeType, Variables]] = {}
"""By the id() of the code, which is kept so that no other gets its id: its own hash is slow."""


# -- one instruction -------------------------------------------------------------------------------


def jumps(instruction: dis.Instruction) -> bool:
    """Whether it can go on at its `argval`."""
    return instruction.opcode in dis.hasjrel or instruction.opcode in dis.hasjabs


def goes_nowhere_else(instruction: dis.Instruction) -> bool:
    """Whether what stands behind it never comes next."""
    name = instruction.opname
    return name in _ENDS or (name.startswith("JUMP") and "IF" not in name)


_ENDS = ("RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE")


def stored_by(instruction: dis.Instruction) -> list[str]:
    """Name the variables that it stores to, in order."""
    name, value = instruction.opname, instruction.argval
    if name in ("STORE_FAST", "STORE_DEREF"):
        return [value]
    if name == "STORE_FAST_STORE_FAST":
        return list(value)
    return [value[0]] if name == "STORE_FAST_LOAD_FAST" else []


def loaded_by(instruction: dis.Instruction) -> list[str]:
    """Name the variables that it loads, or finds unbound."""
    name, value = instruction.opname, instruction.argval
    if name == "STORE_FAST_LOAD_FAST":
        return [value[1]]
    if not name.startswith(("LOAD_FAST", "DELETE_FAST")):
        return []
    return list(value) if isinstance(value, tuple) else [value]
