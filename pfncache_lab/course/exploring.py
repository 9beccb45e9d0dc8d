"""exploring.py: judge an answer that searches: by the runs that it makes, each of them watched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..explore import Followed, Scenario, attempt, follow
from ..explore.prefix import watching
from .asking import ask, ask_for_list, one_budget, short
from .exercise import Incorrect

MOST = 3000
"""Runs to shrink one schedule. Leaving out a letter at a time takes some fifty."""

MANY_SECONDS = 3.0
"""CPU time for a search of many runs. Ours needs a tenth of it: a reader's machine may be slow."""


def runs_made(
    function: Any, expected: Sequence[str] | int, program: Scenario, *bound: int
) -> list[Followed]:
    """Let an answer search; returns the runs it has made. Raises Incorrect."""
    name = getattr(function, "__name__", "your answer")
    call = f"{name}({', '.join(map(str, (program.name, *bound)))})"
    number = expected if isinstance(expected, int) else len(expected)
    most = 3 * number + 50
    with watching(most) as made:
        try:
            with one_budget(MANY_SECONDS if isinstance(expected, int) else None):
                got = ask_for_list(function, program, *bound, most=most, call=call)
        except Incorrect:
            _none_twice(call, made)
            if bound:
                _none_beyond(call, made, *bound)
            raise
    _none_twice(call, made)
    _only_runs(call, got, made)
    if isinstance(expected, int):
        if len(made) != expected:
            raise Incorrect(f"{call} made {len(made)} runs, and there are {expected} schedules.")
        return made
    if bound:
        _none_beyond(call, made, *bound)
    if missing := sorted(set(expected) - {one.schedule for one in made}):
        price = f" It has {_number(_preemptions(follow(program, missing[0])))}." if bound else ""
        raise Incorrect(
            f"{call} made {len(made)} of {number} runs. {missing[0]}, for one, is missing.{price}"
            f"{_turn_off(missing[0], made, bool(bound))}"
        )
    kept = {one.schedule for one in got}
    if lost := [one.schedule for one in made if one.schedule not in kept]:
        raise Incorrect(f"{call} ran {lost[0]}, and it is not among the runs that it returned.")
    return made


def _none_twice(call: str, made: Sequence[Followed]) -> None:
    """Refuse a search that runs a schedule again, and say how it came to it."""
    twice = [schedule for schedule, n in Counter(one.schedule for one in made).items() if n > 1]
    if not twice:
        return
    first, second = [repr(one.prefix) for one in made if one.schedule == twice[0]][:2]
    if first == second:
        how = f"each time for the prefix {first}. A prefix that has been run must not come again."
    else:
        how = (
            f"for the prefixes {first} and {second}. A run brings up only choices that lie beyond "
            "its own prefix, and only those that it did not take."
        )
    raise Incorrect(f"{call} ran the schedule {twice[0]} more than once, {how}")


def _only_runs(call: str, got: Sequence[Any], made: Sequence[Followed]) -> None:
    mine = {id(one) for one in made}
    for item in got:
        if not isinstance(item, Followed):
            raise Incorrect(
                f"{call} returned a list with {short(item)} in it. Keep what `follow` returns."
            )
        if id(item) not in mine:
            raise Incorrect(
                f"{call} returned the run {item.schedule}, which it has not made in this call. "
                "What an earlier call has found belongs to that call."
            )
    if twice := [
        schedule for schedule, n in Counter(item.schedule for item in got).items() if n > 1
    ]:
        raise Incorrect(f"{call} made the run {twice[0]} once, and returned it more than once.")


def _turn_off(missing: str, made: Sequence[Followed], bounded: bool) -> str:
    """Say where the search should have turned off, to come to this schedule."""
    part = next(
        missing[:n]
        for n in range(1, len(missing) + 1)
        if not any(one.schedule.startswith(missing[:n]) for one in made)
    )
    openers = [one for one in made if one.schedule.startswith(part[:-1])]
    if not openers:
        return ""
    wrong = ""
    if [one for one in made if one.bug] == [made[-1]]:
        wrong = " The last run that it made went wrong. One failure is not all of them: go on."
    elif all(one.bug for one in openers):
        wrong = " That run went wrong. What it has left open must be run all the same."
    elif bounded and len(part) == 1:
        wrong = " The first step is never a preemption."
    elif bounded and part[-2] not in openers[0].choices[len(part) - 1]:
        wrong = f" There {part[-2]} could not go on, so the switch costs nothing."
    return (
        f" At step {len(part)} of {openers[0].schedule}, {part[-1]} could have run as well, and no "
        f"run begins with {part}.{wrong}"
    )


def _none_beyond(call: str, made: Sequence[Followed], bound: int) -> None:
    worst = max(made, key=_preemptions, default=None)
    if worst and _preemptions(worst) > bound:
        raise Incorrect(
            f"{call} ran {worst.schedule}, which has {_number(_preemptions(worst))}. A bound is "
            "there to save such runs: know the number before you run a prefix."
        )


def _preemptions(one: Followed) -> int:
    steps = zip(one.schedule, one.schedule[1:], one.choices[1:], strict=False)
    return sum(now != before and before in choice for before, now, choice in steps)


def _number(n: int) -> str:
    return "1 preemption" if n == 1 else f"{n or 'no'} preemptions"


def _fails_like(call: str, program: Scenario, failing: Followed, prefix: Any) -> Followed:
    """Return the run of a prefix that is as it should be. Raises Incorrect."""
    if not isinstance(prefix, str):
        raise Incorrect(f"{call} returned {short(prefix)}. A prefix is a string such as 'ab'.")
    one, kind = attempt(program, prefix), type(failing.bug).__name__
    if one is None:
        raise Incorrect(f"{call} returned {prefix!r}, which cannot be run: somebody has to wait.")
    if type(one.bug) is not type(failing.bug):
        now = f"a {type(one.bug).__name__}" if one.bug else "no failure at all"
        raise Incorrect(f"{call} returned {prefix!r}. The run was a {kind}; this one is {now}.")
    for i, letter in enumerate(prefix):
        shorter = prefix[:i] + prefix[i + 1 :]
        less = attempt(program, shorter)
        if less and type(less.bug) is type(failing.bug):
            raise Incorrect(
                f"{call} returned {prefix!r}. Leave out letter {i + 1}, {letter}: {shorter!r} is a "
                f"{kind} as well."
            )
    return one


def shrunk(function: Any, program: Scenario, failing: Followed) -> Followed:
    """Let an answer shrink a run that fails; returns the run of its prefix. Raises Incorrect."""
    call = f"shrink({program.name}, the run {failing.schedule})"
    with watching(MOST) as made:
        try:
            prefix = ask(function, program, failing, call=call)
        except Incorrect:
            if len(made) < MOST:
                raise
            raise Incorrect(
                f"{call} had made {MOST} runs, and I stopped it. Is what you go on with shorter "
                "than before, each time?"
            ) from None
    return _fails_like(call, program, failing, prefix)
