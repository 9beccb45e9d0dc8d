"""trial.py: an answer in all situations of its exercise: calls, and programs in every schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

from ..explore import Report, Run, Scenario, check, run
from ..sim import Task, link
from .asking import observed, one_budget, where
from .authoring import Hex, written
from .blame import first_wrong_step
from .exercise import Built, Case, Correct, Exercise, Incorrect, Program
from .sources import codes_of

PROGRAM_SECONDS = 3.0
"""CPU time for one program under all its schedules. The course's own need a tenth of it."""

BUDGET = 6000
"""Runs in the search of one program. The references of the course need a third of it."""


class Trial:
    """One answer in all situations of its exercise."""

    def __init__(
        self, exercise: Exercise, answers: Mapping[str, Any], built: Mapping[str, Any]
    ) -> None:
        self.exercise = exercise
        self.built = built
        self.files = {code.co_filename for a in answers.values() for code in codes_of(a)}
        self.reports: dict[int, Report] = {}
        self.my = assembled(exercise.modules, {**built, **answers})

    def verdict(self) -> Correct:
        """Return what has been shown. Raises Incorrect at the first difference."""
        with one_budget():
            for case in self.exercise.cases:
                fits, seen = self.case(case)
                if not fits:
                    raise Incorrect(_difference(case, seen))
        reports = [self.program(program) for program in self.exercise.programs]
        shown = None
        # The last run is the one that is shown: a picture of few tasks has large letters.
        for report in sorted(reports, key=lambda report: -len(report.scenario.tasks)):
            shown = self.on_their_lines(run(report.scenario, TakingTurns(), record=True))
            if shown.bug is not None:  # the search had a bound, and this run has more switches
                raise self._wrong(shown)
        return Correct(self._shows(reports), shown)

    def case(self, case: Case) -> tuple[bool, str]:
        """Return whether the case is as it should be, and what was seen. Raises Incorrect."""

        def look() -> tuple[bool, str]:
            seen = case.observe(self.my)
            fits = same(seen, case.expected)
            if isinstance(case.expected, Hex) and isinstance(seen, int):
                seen = Hex(seen)
            return fits, written(seen)

        what = case.what if case.what.endswith(")") else f"{case.what}: your code"
        fits, seen = observed(what, look, self.files)
        return bool(fits), str(seen)

    def program(self, program: Program) -> Report:
        """Return what the search has found. Raises Incorrect when a schedule goes wrong."""
        report = self.search(program)
        if report.failure is None:
            return report
        raise self._wrong(self.on_their_lines(report.failure))

    def on_their_lines(self, seen: Run) -> Run:
        """Tell a run by the lines of the answer, as far as it has called what is done."""
        return replace(seen, trace=seen.trace and seen.trace.on_lines_of(self.files))

    def _wrong(self, failure: Run) -> Incorrect:
        """Tell what went wrong, and at which step it did."""
        said = failure.verdict()
        if failure.bug is not None and failure.bug.__cause__ is not None:
            said = said.removesuffix(".") + where(failure.bug.__cause__, self.files)
        story = f"{failure.scenario.name}: {said}\n{first_wrong_step(failure)}"
        return Incorrect(story.rstrip(), failure)

    def search(self, program: Program) -> Report:
        """Run the program in every schedule, up to its bound. Raises Incorrect."""
        if id(program) in self.reports:
            return self.reports[id(program)]
        make = partial(program.make, self.my)
        scenario: Scenario = observed("Setting the program up", make, self.files)
        with one_budget(PROGRAM_SECONDS):
            search = partial(check, scenario, budget=BUDGET, max_preemptions=program.bound)
            report: Report = observed(f"The program {scenario.name!r}", search, self.files)
        self.reports[id(program)] = report
        return report

    def _shows(self, reports: list[Report]) -> str:
        count = len(self.exercise.cases)
        said = [f"{count} {'case' if count == 1 else 'cases'}."] if count else []
        for report in reports:
            said.append(f"{report.scenario.name}: {report.meaning} ({report.stats.in_words()})")
        return "\n".join(said)


def assembled(modules: Sequence[ModuleType], names: Mapping[str, Any]) -> Built:
    """Put what is built together; functions of the kernel are linked, so that they call these."""
    if not modules:
        return SimpleNamespace(**names)
    functions = {
        name: thing
        for name, thing in names.items()
        if any(isinstance(vars(module).get(name), FunctionType) for module in modules)
    }
    return SimpleNamespace(**{**names, **link(modules, functions).symbols})


def same(seen: object, expected: object) -> bool:
    """Compare two results as C would: True is 1. But 16.0 is not 16: an address has no fraction."""
    if isinstance(seen, float) != isinstance(expected, float):
        return False
    return bool(seen == expected)


def _difference(case: Case, seen: str) -> str:
    why = f": {case.because}" if case.because else ""
    return f"{case.what} → {seen}. Expected {written(case.expected)}{why}."


class TakingTurns:
    """Lets each task take one step, as long as it can: a run in which they meet often."""

    def choose(self, runnable: Sequence[Task], current: Task | None) -> Task | None:
        """Choose the next task in the order of their numbers."""
        last = -1 if current is None else current.index
        return min(runnable, key=lambda task: (task.index <= last, task.index))
