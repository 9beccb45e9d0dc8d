"""How long it takes to find each bug of the history, and to prove that it is gone.

    python -m benchmarks.history

Prints a table in Markdown: milliseconds, the median of several runs.
"""

from __future__ import annotations

from benchmarks.search import timed
from pfncache_lab.kvm.history import BUGS

if __name__ == "__main__":
    print("| bug | found, ms | proved, ms |\n|---|---|---|")
    total = 0.0
    for bug in BUGS:
        found, proof = timed(bug.find, 3), ""
        total += found
        if bug.commit:
            proved = timed(bug.prove, 3)
            total += proved
            proof = f"{proved * 1000:.0f}"
        name = f"{bug.label} (candidate)" if bug.title.startswith("candidate") else bug.label
        print(f"| {name} | {found * 1000:.0f} | {proof} |", flush=True)
    print(f"\nAll of it: {total:.1f} s")
