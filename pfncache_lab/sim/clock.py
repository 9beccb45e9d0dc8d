"""clock.py: vector clocks. What a task knows of how far every task has come.

Entry i counts the releases of task i that one has learned of. An access of task i at its count n
happens before everything done by those who know of at least n (Lamport 1978; Mattern 1989).
"""

Clock = list[int]


def join(mine: Clock, theirs: Clock) -> None:
    """Learn all that `theirs` knows."""
    for i, count in enumerate(theirs):
        if count > mine[i]:
            mine[i] = count


def joined(one: Clock | None, other: Clock) -> Clock:
    """Return a new clock that knows what both know."""
    clock = other.copy()
    if one is not None:
        join(clock, one)
    return clock
