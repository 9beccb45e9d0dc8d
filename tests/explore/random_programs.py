"""Random small programs over all primitives, as a person writes them, mistakes included.

A program is a text, so that it can be printed, read and run again: its seed says all. Each task is
a few snippets in a row, from the files in snippets/, in which an empty line comes between two:

    data, atomic    loads, stores, temporaries and loops; changes in one step
    locked          critical sections, as they should be
    waiting         spins, completions, rcuwait, SRCU
    broken          mistakes: leaks, double unlocks, lost wake-ups, what must not sleep, …
    unguarded       a plain field without a guard. Its races depend on history, so the search by
                    states cannot tell; such programs are few.
"""

from __future__ import annotations

import linecache
from collections.abc import Sequence
from pathlib import Path
from random import Random
from textwrap import indent

from pfncache_lab import sim
from pfncache_lab.explore import Condition, Scenario

STRUCT = """
class Node(Struct):
    value = marked(0)


class Shared(Struct):
    l = SpinLock()
    k = SpinLock()
    m = Mutex()
    rw = RwLock()
    done = Completion()
    wait = RcuWait()
    srcu = Srcu()
    x = marked(0)
    y = marked(0)
    z = marked(0)
    ptr = marked(None)
    n = shared(0, guarded_by="l")
    p = shared(0, guarded_by="rw")
    q = shared(0, guarded_by=("l", "m"))
    out0 = marked(None)
    out1 = marked(None)
    out2 = marked(None)


def helper(s):
    with s.l:
        s.n = s.n + 1
        return s.n + s.x


def look(s, name):
    return getattr(s, name)


def under(lock, work):
    with lock:
        return work()
"""

PLAIN = """
class Plain(Struct):
    value = shared(0)


class Shared(Shared):
    u = shared(0)
"""

WEIGHTS = {"data": 5, "atomic": 2, "locked": 4, "waiting": 3, "broken": 4}

SNIPPETS = {
    file.stem: file.read_text("utf-8").strip().split("\n\n")
    for file in (Path(__file__).parent / "snippets").glob("*.txt")
}


def source(seed: int) -> str:
    """Write the program of this seed."""
    random = Random(seed)
    tasks = random.choice((2, 2, 3))
    text, weights = "", dict(WEIGHTS)
    if random.random() < 0.1:
        text, weights = PLAIN, weights | {"unguarded": 8}
    if random.random() < 0.5:
        weights["broken"] = 0  # or hardly any program would come to its end
    for task in range(tasks):
        length = random.randint(1, 3 if tasks == 2 else 1)
        body = "a = b = 0\n"
        for group in random.choices(list(weights), list(weights.values()), k=length):
            v, w = random.choice("xxyz"), random.choice("xxyz")
            lock, c = random.choice(("l", "k", "m", "m")), random.randint(1, 2)
            snippet = random.choice(SNIPPETS[group])
            body += snippet.format(v=v, w=w, lock=lock, c=c) + "\n"
        body += f"s.out{task} = a * 10 + b\n"
        interrupt = "@hard_irq\n" if random.random() < 0.08 else ""
        text += f"\n\n{interrupt}def task{task}(s):\n{indent(body, '    ')}"
    return text


def program(seed: int) -> Scenario:
    """Make the scenario of this seed."""
    promises = [SMALL] if Random(f"{seed}").random() < 0.06 else []
    return scenario(source(seed), f"<fuzz {seed}>", promises)


SMALL = Condition("x < 3 and not (y and z)", lambda s: s.x < 3 and not (s.y and s.z))


def scenario(text: str, file: str = "<fuzz>", invariants: Sequence[Condition] = ()) -> Scenario:
    """Make a scenario of a text that defines task0, task1 and so on."""
    text = STRUCT + text
    names = {name: getattr(sim, name) for name in sim.__all__}
    names["__name__"] = file
    linecache.cache[file] = len(text), None, text.splitlines(True), file
    exec(compile(text, file, "exec"), names)
    bodies = {"abc"[i]: names[f"task{i}"] for i in range(3) if f"task{i}" in names}
    return Scenario(file, names["Shared"], bodies, invariants=invariants)
