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
        found = timed(bug.find, 3)
        proved = 0.0
        if bug.commit:
            proved = timed(bug.prove, 3)
        total += found + proved
        print(f"| {bug.label} | {found * 1000:.0f} | {proved * 1000:.0f} |", flush=True)
    print(f"| all | {total * 1000:.0f} | |")
