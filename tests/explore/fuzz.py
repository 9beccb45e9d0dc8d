"""Differential fuzz: random small programs, on which all searches must agree.

    python -m tests.explore.fuzz 5000 [first seed]

For each program every schedule is run; the traces that are told apart in them, the states that they
end in and the bugs that they find are the truth. Programs with too many schedules are left out.
"""

from __future__ import annotations

import linecache
import sys
from collections import Counter
from collections.abc import Hashable, Iterator
from itertools import islice
from random import Random
from textwrap import indent
from typing import Any

from pfncache_lab import sim
from pfncache_lab.explore import Scenario
from pfncache_lab.explore.dpor import SourceDpor
from pfncache_lab.explore.visited import CannotTell, VisitedStates
from pfncache_lab.sim import machine as running
from tests.explore.brute import all_runs

LIMIT = 1000
"""Schedules of one program. More would tell no more, and take long."""

STRUCT = """
class Shared(Struct):
    l = SpinLock()
    m = Mutex()
    rw = RwLock()
    done = Completion()
    srcu = Srcu()
    x = marked(0)
    y = marked(0)
    z = marked(0)
    n = shared(0, guarded_by="l")
    p = shared(0, guarded_by="rw")
    out0 = marked(None)
    out1 = marked(None)
    out2 = marked(None)
"""

STATEMENTS = [
    "s.{v} = {c}",
    "a = s.{v}",
    "s.{v} = s.{w} * 2 + s.{v}",
    "s.{v} += {c}",
    "if s.{v} == s.{w}:\n    s.{v} = {c}",
    "b = cmpxchg(s, '{v}', 0, {c})",
    "b = fetch_add(s, '{v}', {c})",
    "with s.{lock}:\n    s.{v} = a + {c}",
    "with s.l:\n    s.n += {c}\n    a = s.n",
    "with s.l:\n    with s.rw.write():\n        s.p = s.p + s.{v}",
    "s.m.lock()\ns.l.lock()\ns.l.unlock()\ns.m.unlock()",
    "s.l.lock()\ns.rw.read_lock()\nb = s.p\ns.rw.read_unlock()\ns.l.unlock()",
    "s.rw.write_lock()\ns.l.lock()\ns.n = s.p\ns.l.unlock()\ns.rw.write_unlock()",
    "if s.l.trylock():\n    s.n = {c}\n    s.l.unlock()\nelse:\n    b = 7",
    "with s.rw.read():\n    a = s.p + s.{v}",
    "with s.rw.write():\n    s.p = {c}",
    "for i in range(2):\n    a = a + s.{v} * i",
    "for i in range(2):\n    s.{v} = i",
    "while s.{v} > 1:\n    cpu_relax()",
    "while not s.{v}:\n    cpu_relax()",
    "for _ in range(3):\n    if s.l.trylock():\n        s.l.unlock()\n        break",
    "complete(s.done)",
    "wait_for_completion(s.done)",
    "r = srcu_read_lock(s.srcu)\na = s.{v}\nsrcu_read_unlock(s.srcu, r)",
    "s.{v} = {c}\nsynchronize_srcu(s.srcu)",
    "a = sum([s.{v}, s.{w}])",
    "for v in iter([s.{v}, {c}]):\n    s.{w} = v",
    "s.{v} = helper(s) - s.{w}",
]

HELPER = """
def helper(s):
    with s.l:
        s.n = s.n + 1
        return s.n + s.x
"""

WEIGHTS = [4, 4, 4, 4, 3, 3, 3, 3, 2, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]


def source(seed: int) -> tuple[str, int]:
    """Write the program of this seed; returns its text and how many tasks it has."""
    random = Random(seed)
    tasks = random.choice((2, 2, 2, 2, 3))
    text = STRUCT + HELPER
    for task in range(tasks):
        length = random.randint(1, 3 if tasks == 2 else 1)
        body = "a = b = 0\n"
        for template in random.choices(STATEMENTS, WEIGHTS, k=length):
            v, w = random.choice("xxyz"), random.choice("xxyz")
            lock, c = random.choice(("l", "m", "m")), random.randint(1, 2)
            body += template.format(v=v, w=w, lock=lock, c=c) + "\n"
        body += f"s.out{task} = a * 10 + b\n"
        text += f"\ndef task{task}(s):\n{indent(body, '    ')}"
    return text, tasks


def program(seed: int) -> Scenario:
    """Make the scenario of this seed."""
    text, tasks = source(seed)
    names = {name: getattr(sim, name) for name in sim.__all__}
    names["__name__"] = file = f"<fuzz {seed}>"
    linecache.cache[file] = len(text), None, text.splitlines(True), file
    exec(compile(text, file, "exec"), names)
    bodies = {name: names[f"task{i}"] for i, name in zip(range(tasks), "abc", strict=False)}
    return Scenario(file, names["Shared"], bodies)


Ending = Hashable


def ending(machine: Any, bug: Any) -> Ending:
    """What a search must find: the states at the end, and the kinds of bug on the way."""
    kind = type(bug).__name__
    if bug is not None and not isinstance(bug, sim.Deadlock | sim.Livelock):
        return kind  # the other tasks are where they happen to be
    things = sorted(running.world.things.items())
    return kind, tuple((number, thing.state()) for number, thing in things)


def searched(search: Any, scenario: Scenario, **options: Any) -> tuple[set[Ending], int]:
    """Run a search; returns the endings it finds, and in how many runs."""
    found: set[Ending] = set()

    def observe(machine: Any, shared: Any) -> None:
        found.add(ending(machine, machine.bug))

    count = sum(1 for _ in search(scenario, observe, **options).runs())
    return found, count


def truth(scenario: Scenario) -> tuple[set[Ending], int, int] | None:
    """Find the endings, traces and schedules by brute force; None if there are too many."""
    endings: set[Ending] = set()
    traces = set()
    schedules = 0
    for run, graph, machine in islice(all_runs(scenario), LIMIT + 1):
        schedules += 1
        endings.add(ending(machine, run.bug))
        traces.add(graph)
    return None if schedules > LIMIT else (endings, len(traces), schedules)


def disagreements(scenario: Scenario, totals: Counter[str]) -> Iterator[str]:
    """Say where a search differs from brute force."""
    known = truth(scenario)
    if known is None:
        totals["too large"] += 1
        return
    endings, traces, schedules = known
    totals.update(programs=1, schedules=schedules, traces=traces, endings=len(endings))
    broken = any(isinstance(e, str) for e in endings)
    totals["with a bug"] += broken
    found, count = searched(SourceDpor, scenario)
    if found != endings:
        yield f"traces: {len(endings - found)} endings missed, {len(found - endings)} invented"
    if count != traces and not broken:  # a run that a bug ends early is no whole trace
        yield f"traces: {count} of {traces}"
    for reduce in (False, True):
        try:
            found, _ = searched(VisitedStates, scenario, reduce=reduce)
        except CannotTell:
            totals["not to be told apart"] += 1
            return
        if found != endings:
            missed, invented = len(endings - found), len(found - endings)
            yield f"states, reduce={reduce}: {missed} endings missed, {invented} invented"
    totals["by states"] += 1


def fuzz(seeds: range) -> tuple[list[str], Counter[str]]:
    """Try these seeds; returns what differs, and what has been tried."""
    totals: Counter[str] = Counter()
    found = []
    for seed in seeds:
        try:
            found += [f"seed {seed}: {text}" for text in disagreements(program(seed), totals)]
        except Exception as error:
            found.append(f"seed {seed}: {type(error).__name__}: {error}")
    return found, totals


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    differences, tried = fuzz(range(first, first + count))
    print("\n".join(differences))
    print(f"{len(differences)} disagreements;", ", ".join(f"{n} {k}" for k, n in tried.items()))
    sys.exit(bool(differences))
