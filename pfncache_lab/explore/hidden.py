"""hidden.py: what a frame holds that its locals do not show.

The interpreter keeps values on a stack of its own: the left side of a sum while the right side is
loaded, the iterator of a `for`, the exit of a `with`. Two states that differ only there look alike
from outside, and a search that takes them for one would miss what follows from the second. Python
does not let us look; but where a function is in its code tells how deep the stack is, and what
sort of thing lies there.

The other way round, its locals show more than matters: a variable that nobody will read any more.
"""

from __future__ import annotations

import dis
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType
from typing import NamedTuple

from ..sim.variables import goes_nowhere_else, jumps, stored_by, variables_of


class Item(NamedTuple):
    """Something on the stack."""

    kind: str
    names: tuple[str, ...] = ()
    """The variables that tell the rest: of `for i in range(n)` those are i and n."""
    path: str = ""
    """Of an exit: 's.lock', where nothing stores to the variable s."""


VALUE, ITERATOR = Item("value"), Item("iterator")
RANGE, EXIT = "range", "exit"
"""The other kinds: an iterator whose position follows from variables, and a `with` block."""

Stack = tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """What counts of a frame while an operation at one place of its function is pending."""

    names: tuple[str, ...]
    """The variables that may still be read, or tell what lies on the stack."""
    values: bool = False
    """Whether there are values on the stack that were computed earlier in the statement."""
    exits: tuple[str, ...] = ()
    """Open `with` blocks: 's.lock' where nothing stores to the variable s, otherwise nothing."""
    iterators: int = 0
    """Loops whose position shows only if they are over a list of the machine: sim.lists."""
    trouble: str | None = None
    """What cannot be told apart here, as a sentence."""


UNSEEN = (
    "{} loops over something other than a ListHead, or range() of fixed bounds with a variable of "
    "its own. How far the loop has come does not show"
)
_UNKNOWN = "{} is in the middle of handling an exception, or of what I cannot follow"


@lru_cache(maxsize=4096)
def hidden(code: CodeType, offset: int) -> Place:
    """Say what the stack of `code` holds below the operation at `offset`."""
    offsets, stacks = _stacks(code)
    at = bisect_right(offsets, offset) - 1  # a call in progress may point into its inline cache
    stack = stacks.get(offsets[at])
    names = all_names(code)
    if stack is None:
        return Place(names, trouble=_UNKNOWN.format(code.co_name))
    if VALUE in stack and any([item.kind == RANGE for item in stack[stack.index(VALUE) :]]):
        return Place(names, trouble=UNSEEN.format(code.co_name))  # a comprehension, half-way
    exits = tuple([item.path for item in stack if item.kind == EXIT])
    if all([item.names for item in stack]):  # else a value on it may be that of a dead variable
        count = variables_of(code).live(offset).union(*[item.names for item in stack])
        names = tuple([name for name in names if name in count])
    return Place(names, VALUE in stack, exits, stack.count(ITERATOR))


def all_names(code: CodeType) -> tuple[str, ...]:
    """Name all variables of a function, always in the same order."""
    return tuple(dict.fromkeys((*code.co_varnames, *code.co_cellvars, *code.co_freevars)))


@lru_cache(maxsize=1024)
def globals_of(code: CodeType) -> tuple[tuple[str, ...], bool]:
    """Name the globals that `code` loads, and tell whether it stores to any."""
    names = {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    stores = any(i.opname in ("STORE_GLOBAL", "DELETE_GLOBAL") for i in dis.get_instructions(code))
    return tuple(sorted(names)), stores


@lru_cache(maxsize=1024)
def calls_back(code: CodeType) -> bool:
    """Whether `code` may call a builtin that calls a function in turn: its state is in C."""
    return not _CALL_BACK.isdisjoint(code.co_names)


_CALL_BACK = frozenset({"map", "filter", "sorted", "sort", "min", "max", "reduce", "iter"})


# -- the stack at each place, by following the code ------------------------------------------------

_RESULTS = {
    "LOAD_ATTR": 1, "LOAD_METHOD": 2, "STORE_ATTR": 0, "DELETE_ATTR": 0, "CALL": 1, "CALL_KW": 1,
    "CALL_FUNCTION_EX": 1, "BINARY_OP": 1, "COMPARE_OP": 1, "CONTAINS_OP": 1, "BINARY_SUBSCR": 1,
    "STORE_SUBSCR": 0, "BEFORE_WITH": 2, "UNARY_NOT": 1, "TO_BOOL": 1, "UNARY_NEGATIVE": 1,
    "PRECALL": 1,
}  # fmt: skip
"""What can lead to an operation, and how many results it leaves on the stack."""


@lru_cache(maxsize=1024)
def _stacks(code: CodeType) -> tuple[list[int], dict[int, Stack]]:
    """Compute, for each place that can be reached without an exception, what stays on the stack.

    The places are offsets in the code; returned with all offsets there are.
    """
    instructions = list(dis.get_instructions(code))
    index = {instruction.offset: i for i, instruction in enumerate(instructions)}
    before: dict[int, Stack] = {}
    todo: list[tuple[int, Stack]] = [(0, ())]
    while todo:
        i, stack = todo.pop()
        if i in before:
            continue
        before[i] = stack
        instruction = instructions[i]
        if jumps(instruction):
            todo.append((index[instruction.argval], _after(instructions, i, stack, True)))
        if not goes_nowhere_else(instruction):
            todo.append((i + 1, _after(instructions, i, stack, False)))
    return list(index), {
        instructions[i].offset: left
        for i, stack in before.items()
        if (left := _below(instructions[i], stack)) is not None
    }


def _effect(instruction: dis.Instruction, jump: bool) -> int:
    arg = instruction.arg if instruction.opcode >= dis.HAVE_ARGUMENT else None
    return dis.stack_effect(instruction.opcode, arg, jump=jump)


def _below(instruction: dis.Instruction, stack: Stack) -> Stack | None:
    """Take off what the instruction uses itself: the pending operation knows that."""
    results = _RESULTS.get(instruction.opname)
    if results is None:
        return None
    effect = _effect(instruction, False)
    if instruction.opname == "LOAD_ATTR" and effect == 1:
        results = 2  # a method, and whom it belongs to
    return stack[: len(stack) + effect - results]


def _after(instructions: list[dis.Instruction], i: int, stack: Stack, jump: bool) -> Stack:
    instruction = instructions[i]
    name, effect = instruction.opname, _effect(instruction, jump)
    if name == "SWAP":
        moved = list(stack)
        depth = instruction.arg or 0
        moved[-1], moved[-depth] = moved[-depth], moved[-1]
        return tuple(moved)
    if name == "COPY":
        return (*stack, stack[-(instruction.arg or 0)])
    if name == "GET_ITER":
        names = _tell_position(instructions, i)
        return (*stack[:-1], Item(RANGE, names) if names else ITERATOR)
    if name.startswith("LOAD_FAST") and instruction.argval == ".0":  # what a comprehension is over
        return (*stack, ITERATOR)
    if name == "BEFORE_WITH":
        return (*stack[:-1], _exit(instructions, i), VALUE)
    return (*stack, *[VALUE] * effect) if effect >= 0 else stack[:effect]


def _exit(instructions: list[dis.Instruction], i: int) -> Item:
    """Tell what a `with` will leave, if it is a lock of a variable that does not change.

    That is `with s.lock:` and `with s.lock.write():`.
    """
    parts = [x for x in instructions[max(0, i - 8) : i] if x.opname not in ("PRECALL", "PUSH_NULL")]
    if parts and parts[-1].opname == "CALL" and parts[-1].arg == 0:
        del parts[-2:]
    if len(parts) < 2 or parts[-1].opname != "LOAD_ATTR" or parts[-2].opname != "LOAD_FAST":
        return Item(EXIT)
    variable = parts[-2].argval
    if any(variable in stored_by(instruction) for instruction in instructions):
        return Item(EXIT)
    return Item(EXIT, (variable,), f"{variable}.{parts[-1].argval}")


def _tell_position(instructions: list[dis.Instruction], i: int) -> tuple[str, ...]:
    """Name the variables that tell how far `for x in range(…)` has come: x, and the bounds.

    If there are any: the bounds must not change, and nothing else may store to x.
    """
    stores = [name for instruction in instructions for name in stored_by(instruction)]
    # A jump over a long body has its distance in two instructions.
    loop, store = [x for x in instructions[i + 1 : i + 6] if x.opname != "EXTENDED_ARG"][:2]
    variable = stored_by(store)[:1]
    if loop.opname != "FOR_ITER" or not variable or stores.count(variable[0]) != 1:
        return ()
    parts = [x for x in instructions[:i] if x.opname not in ("PRECALL", "PUSH_NULL", "CACHE")]
    if not parts or parts[-1].opname != "CALL":
        return tuple(variable) if parts and _is_distinct(parts[-1]) else ()
    count = parts[-1].arg or 0
    bounds, function = parts[-1 - count : -1], parts[-2 - count]
    fixed = all(
        x.opname == "LOAD_CONST"
        or (x.opname in ("LOAD_FAST", "LOAD_DEREF") and x.argval not in stores)
        for x in bounds
    )
    if not fixed or function.opname != "LOAD_GLOBAL" or function.argval != "range":
        return ()
    return (*variable, *[x.argval for x in bounds if x.opname != "LOAD_CONST"])


def _is_distinct(instruction: dis.Instruction) -> bool:
    """Whether this loads a constant tuple or string whose items are all different."""
    items = instruction.argval
    if instruction.opname != "LOAD_CONST" or not isinstance(items, str | tuple):
        return False
    return len(set(map(repr, items))) == len(items)
