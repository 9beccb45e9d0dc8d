"""buffers.py: exercise 05.3, a function that sleeps under a spinlock, and what mends it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from ...explore import Condition, Scenario, run
from ...sim import BUG_ON, Mutex, SpinLock, Struct, marked, set_bit, shared, test_and_set_bit
from ...viz import Figure, LockBars, Note
from ..authoring import edited
from ..exercise import Built, Case, Exercise, Mutant, Program
from ..sources import blank_line
from ..trial import TakingTurns

# -- what the reader writes ------------------------------------------------------------------------


def get_buffer(block):
    """Return the one buffer of the block; read it in, if there is none yet."""
    block.lock.lock()
    if block.buffer is None:
        block.lock.unlock()
        mine = block.read()
        block.lock.lock()
        if block.buffer is None:
            block.buffer = mine
        else:
            block.drop(mine)
    found = block.buffer
    block.lock.unlock()
    return found


STUB = '''\
def get_buffer(block):
    """Return the one buffer of the block; read it in, if there is none yet."""
    block.lock.lock()
    if block.buffer is None:
        block.buffer = block.read()  # sleeps, and you hold the lock
        ____  # mend it, and take this line out
    found = block.buffer
    block.lock.unlock()
    return found
'''

# -- the programs ----------------------------------------------------------------------------------


class Block(Struct):
    """A block of the disk. Its buffers are numbers; one of them is kept, under `lock`."""

    lock = SpinLock()
    buffer = shared(None, guarded_by="lock")
    reads = shared(0, guarded_by="disk")
    dropped = marked(0)
    written = marked(0)

    def __init__(self, get: Any) -> None:
        """Set up with the block on the disk only."""
        super().__init__("block")
        self.disk = Mutex("disk")
        self.get = get

    def read(self):
        """Read the block into a new buffer. The disk does one thing at a time: this sleeps."""
        self.disk.lock()
        self.reads += 1
        mine = self.reads
        self.disk.unlock()
        return mine

    def drop(self, buffer):
        """Give a buffer back that nobody needs. This does not sleep."""
        was_set = test_and_set_bit(buffer, self, "dropped")
        BUG_ON(was_set, f"buffer {buffer} is dropped twice")

    def snapshot(self) -> dict[str, Any]:
        """Show which buffer is kept, which were dropped, and which were written to."""
        state = super().snapshot()
        bits = {name: _numbers(state[name]) for name in ("dropped", "written")}
        return {"buffer": state["buffer"], "reads": state["reads"], **bits}


def _numbers(bits: int) -> list[int]:
    return [number for number in range(bits.bit_length()) if bits >> number & 1]


def write_to_it(block):
    """Get the buffer, and write to it."""
    mine = block.get(block)
    BUG_ON(not isinstance(mine, int), f"get_buffer() returned {mine!r}, and that is no buffer")
    set_bit(mine, block, "written")


ONE_FOR_ALL = Condition(
    "every write is in the buffer that is kept",
    lambda block: block.snapshot()["written"] == [block.buffer],
)
NONE_LOST = Condition(
    "every other buffer is dropped",
    lambda block: (
        {block.buffer, *block.snapshot()["dropped"]} == set(range(1, block.reads + 1))
        and block.buffer not in block.snapshot()["dropped"]
    ),
)


def wanted_by(name: str, tasks: str) -> Callable[[Built], Scenario]:
    """Make the program in which all these tasks want the block."""
    return lambda my: Scenario(
        name,
        lambda: Block(my.get_buffer),
        dict.fromkeys(tasks, write_to_it),
        [ONE_FOR_ALL, NONE_LOST],
    )


def _twice(my: Built) -> str:
    block = Block(my.get_buffer)
    first, second = my.get_buffer(block), my.get_buffer(block)
    return f"{first}, then {second}; reads: {block.reads}"


def your_reading(function: Any) -> Figure:
    """Run two tasks that want the block at once, and show who holds the lock when."""
    if blank_line(function) is not None:
        return Note("A blank is left in get_buffer. Your own run will stand here.")
    make = wanted_by("reading", "ab")
    try:
        scenario = make(SimpleNamespace(get_buffer=function))
        return LockBars(run(scenario, TakingTurns(), record=True), "block.lock")
    except Exception as problem:
        return Note(f"I could not draw this run: {type(problem).__name__}: {problem}")


# -- mistakes, and other ways ----------------------------------------------------------------------


def _wrong(happens: str, *changes: tuple[str, str]) -> Mutant:
    return Mutant(edited(get_buffer, *changes), f"This is what happens when {happens}")


DROP = "        block.lock.unlock()\n        mine"
TAKE = "        block.lock.lock()\n        if"
AGAIN = """        if block.buffer is None:
            block.buffer = mine
        else:
            block.drop(mine)
"""

MUTANTS = {
    "asleep with the lock": _wrong(
        "a task reads the disk with the spinlock in its hands.",
        (DROP, "        mine"),
        (TAKE, "        if"),
    ),
    "not looked again": _wrong(
        "you do not look again: somebody has put a buffer there while you slept, and you put "
        "yours on top. What they write, nobody will find.",
        (AGAIN, "        block.buffer = mine\n"),
    ),
    "not taken again": _wrong(
        "the lock is given back for the sleep, and not taken again.", (TAKE, "        if")
    ),
    "published without the lock": _wrong(
        "the buffer is stored before the lock is taken again.",
        (
            f"        mine = block.read()\n{TAKE} block.buffer is None:\n"
            "            block.buffer = mine\n        else:\n            block.drop(mine)\n",
            "        block.buffer = block.read()\n        block.lock.lock()\n",
        ),
    ),
    "one buffer too many": _wrong(
        "the buffer that came too late is kept by nobody, and dropped by nobody.",
        ("        else:\n            block.drop(mine)\n", ""),
    ),
    "the wrong one dropped": _wrong(
        "you drop the buffer that everybody uses, and not the one that came too late.",
        ("block.drop(mine)", "block.drop(block.buffer)"),
    ),
    "always dropped": _wrong(
        "the buffer that everybody is to use is dropped as well.",
        ("        else:\n            block.drop(mine)\n", "        block.drop(mine)\n"),
    ),
    "given back too early": _wrong(
        "the lock is given back in the `if`, and `buffer` is looked at after that.",
        (
            "            block.drop(mine)\n",
            "            block.drop(mine)\n        block.lock.unlock()\n",
        ),
    ),
    "its own": _wrong(
        "whoever comes too late goes on with a buffer of its own, which it has dropped.",
        (
            AGAIN,
            AGAIN + "        block.lock.unlock()\n        return mine\n",
        ),
    ),
    "a short way out": _wrong(
        "somebody returns with the lock still taken.",
        (
            "            block.buffer = mine\n",
            "            block.buffer = mine\n" + "            return mine\n",
        ),
    ),
    "looked without the lock": _wrong(
        "the first look is made without the lock.",
        (
            "    block.lock.lock()\n    if block.buffer is None:\n        block.lock.unlock()\n",
            "    if block.buffer is None:\n",
        ),
        (
            "            block.drop(mine)\n",
            "            block.drop(mine)\n    else:\n        block.lock.lock()\n",
        ),
    ),
    "reads in any case": _wrong(
        "the disk is read even when the buffer is there.",
        ("block.lock.lock()\n    if block.buffer is None:", "block.lock.lock()\n    if True:"),
    ),
}


def until_it_is_there(block):
    """Go round: look under the lock, sleep without it, look again."""
    mine = None
    while True:
        block.lock.lock()
        if block.buffer is None and mine is not None:
            block.buffer, mine = mine, None
        found = block.buffer
        block.lock.unlock()
        if found is not None:
            break
        mine = block.read()
    if mine is not None:
        block.drop(mine)
    return found


def with_blocks(block):
    """Let `with` give the lock back, and return early."""
    with block.lock:
        if block.buffer is not None:
            return block.buffer
    mine = block.read()
    with block.lock:
        if block.buffer is None:
            block.buffer = mine
            return mine
        found = block.buffer
    block.drop(mine)
    return found


GET_BUFFER = Exercise(
    id="05.3",
    title="Asleep with the lock",
    minutes=12,
    dots=3,
    spec=(
        "`get_buffer` makes the mistake of the beginning. `block.read()` reads the block into a "
        "new buffer, and sleeps. Mend it: (1) nobody sleeps with the lock; (2) `buffer` is touched "
        "only under it; (3) all tasks get the same buffer; (4) a buffer that nobody needs goes "
        "back: `block.drop(it)`, which does not sleep. With a buffer there, nothing is read."
    ),
    answer="get_buffer",
    stub=STUB,
    reference=lambda: get_buffer,
    cases=[
        Case(
            "get_buffer(block), twice",
            _twice,
            "1, then 1; reads: 1",
            "the second one finds the buffer of the first",
        ),
    ],
    programs=[
        Program(wanted_by("two want it", "ab"), runs=72),
        Program(wanted_by("three want it", "abc"), runs=78, bound=1),
    ],
    mutants=MUTANTS,
    alternatives=[until_it_is_there, with_blocks],
    hints=(
        "When `read()` returns, what do you still know of what you saw under the lock?",
        "Give the lock back before you read, and take it again before you store. In between "
        "somebody may have done the same. So ask your question a second time.",
        "Unlock, read into `mine`, lock. If there is still no buffer, keep mine; else drop mine. "
        "Then take the buffer that is there, unlock, and return it.",
    ),
    kernel="[`iget_locked()`](https://github.com/torvalds/linux/blob/v5.17/fs/inode.c).",
    out_of_scope="Not asked for: that the disk is read once only.",
)
