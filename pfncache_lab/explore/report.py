"""report.py: what a check has shown, as plain data and as text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .scenario import Run, Scenario
from .schedule import digest, token


@dataclass(frozen=True)
class Verdict:
    """How much has been shown. Only PASS speaks of every schedule."""

    name: Literal["PASS", "PASS_BOUNDED", "SAMPLED", "FAIL"]
    number: int | None = None
    """The preemptions of PASS_BOUNDED, the runs of SAMPLED."""

    def __str__(self) -> str:
        return self.name if self.number is None else f"{self.name}({self.number})"


@dataclass
class Stats:
    """What a check has cost."""

    executions: int = 0
    """Runs that went to their end."""
    redundant: int = 0
    """Runs given up half-way: what they could lead to had been seen."""
    states: int = 0
    """States remembered by the visited-state search."""
    preemption_bound: int | None = None
    """Every schedule with at most so many preemptions has been tried."""

    @property
    def runs(self) -> int:
        """All of them."""
        return self.executions + self.redundant

    def tell(self, counted: str) -> str:
        """Say it in words: '1 bound, 12 runs'."""
        states = f"{self.states} states, " if counted == "states" else ""
        return f"{states}{self.in_words()}, counting {counted}"

    def in_words(self) -> str:
        """Say how many runs there were."""
        return f"{self.runs} run{'s' * (self.runs != 1)}"


@dataclass(frozen=True, repr=False)
class Report:
    """The result of a check."""

    scenario: Scenario
    verdict: Verdict
    counted: str
    """What the search that the verdict rests on counts: schedules, traces, states."""
    failure: Run | None = None
    """A run that goes wrong, recorded, as small as it could be made."""
    stats: Stats = field(default_factory=Stats)
    notes: tuple[str, ...] = ()
    """What the reader should know about how it was searched."""

    @property
    def passed(self) -> bool:
        """Whether no schedule goes wrong, and every one has been tried."""
        return self.verdict.name == "PASS"

    @property
    def token(self) -> str | None:
        """The schedule of the failure, for `replay`; it is refused once the program has changed."""
        if self.failure is None or self.failure.trace is None:
            return None
        return token(self.failure.schedule, digest(self.failure.trace))

    def __repr__(self) -> str:
        return f"<Report on {self.scenario.name!r}. {self._headline()}>"

    def __str__(self) -> str:
        lines = [self._headline(), *self.notes]
        if self.failure is not None and self.failure.trace is not None:
            lines += ["", self.failure.trace.table(), "", f"replay with {self.token!r}"]
        return "\n".join(lines)

    def _headline(self) -> str:
        if self.failure is not None:
            return f"FAIL: {self.failure.verdict()}"
        return f"{self.verdict}: {self.meaning} Tried: {self.stats.tell(self.counted)}."

    @property
    def meaning(self) -> str:
        """Say what it means that nothing has gone wrong."""
        number = self.verdict.number
        return _MEANING[self.verdict.name].format(number, s="" if number == 1 else "s")


_MEANING = {
    "PASS": "no schedule goes wrong.",
    "PASS_BOUNDED": "no schedule with at most {} preemption{s} goes wrong. That is not every one.",
    "SAMPLED": "none of {} schedules goes wrong. There are more, so that is no proof.",
}
