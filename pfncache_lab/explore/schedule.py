"""schedule.py: a schedule as text, to read, to type and to paste.

'abba'         one letter a step
'v1:a.b2.a'    the same as a token: a version, then runs of steps, each with its length
'v1:a.b2.a#4f09c2'    a token that knows what those steps did, and is refused if they now differ
"""

from __future__ import annotations

import re
from itertools import groupby
from zlib import crc32

from ..sim import Trace

VERSION = 1
MAX_STEPS = 10_000


class BadSchedule(ValueError):
    """The text is no schedule of this program; the message says where and why."""

    def _render_traceback_(self) -> list[str]:
        """Let a notebook show the sentence alone: the reader's mistake is in the text."""
        return [str(self)]


def token(schedule: str, digest: str = "") -> str:
    """Write a schedule of one letter a step as a token."""
    runs = ((name, len(list(group))) for name, group in groupby(schedule))
    steps = ".".join(name + (str(n) if n > 1 else "") for name, n in runs)
    return f"v{VERSION}:{steps}" + (f"#{digest}" if digest else "")


def digest(trace: Trace) -> str:
    """Sum up what the steps of a run did, so that a program that now does otherwise is noticed.

    It is about the operations, not the source: a new comment changes nothing, a new step does. And
    it is the same on every version of Python.
    """
    story = "\n".join(f"{event.task} {event.text}" for event in trace.events)
    story = re.sub(r" at 0x[0-9a-fA-F]+", "", story)  # an address is another one in every run
    return f"{crc32(story.encode()) & 0xFFFFFF:06x}"


def digest_of(text: str) -> str:
    """Return the digest that a token carries, or nothing."""
    match = re.search(r"^\s*v\d+:.*#([0-9a-f]{6})\s*$", text, re.DOTALL)
    return match[1] if match else ""


def parse(text: str) -> str:
    """Read either form; returns one letter a step. Raises BadSchedule."""
    version, steps = _split(text.strip())
    if version is not None and version != str(VERSION):
        raise BadSchedule(f"This is a schedule of version {version[:9]}; I read version {VERSION}.")
    parts = re.findall(r"([a-z])(\d*)|(.)", steps.replace(".", ""), re.DOTALL)
    for _, _, stray in parts:
        if stray:
            raise BadSchedule(
                f"{stray!r} has no place in a schedule: write a lower-case letter for each step."
            )
    digits = [count.lstrip("0")[:6] or "0" if count else "1" for _, count, _ in parts]
    counts = [int(some) for some in digits]  # of a number with thousands of digits, six will do
    if sum(counts) > MAX_STEPS:
        raise BadSchedule(f"A schedule of more than {MAX_STEPS} steps is longer than any here.")
    return "".join(name * n for (name, _, _), n in zip(parts, counts, strict=True))


def _split(text: str) -> tuple[str | None, str]:
    match = re.fullmatch(r"v(\d+):(.*?)(?:#[0-9a-f]{6})?", text, re.DOTALL)
    return (match[1], match[2]) if match else (None, text)
