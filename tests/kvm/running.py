"""Run a task alone and look at what it did, or run a scenario in every way there is."""

from __future__ import annotations

from functools import partial
from itertools import islice

from pfncache_lab.explore import DepthFirst, Scenario
from pfncache_lab.explore.dpor import SourceDpor
from pfncache_lab.explore.values import Values
from pfncache_lab.explore.visited import VisitedStates
from pfncache_lab.sim import Deadlock, Livelock, LockDep, Machine, new_world
from pfncache_lab.sim import machine as running
from tests.explore.brute import all_runs


class Alone:
    """One task run alone, after `setup`: what it returned, and what it did."""

    def __init__(self, setup, body, name="vcpu0"):
        new_world()
        self.shared = setup()
        self.machine = Machine(DepthFirst(), dict, lockdep=LockDep())
        self.machine.spawn(name, partial(self._run, body))
        self.machine.run()
        self.bug = self.machine.bug

    def _run(self, body):
        self.returned = body(self.shared)

    @property
    def did(self):
        """Each step as a text."""
        return [event.text for event in self.machine.trace.events]

    @property
    def notes(self):
        """Each access to a plain field."""
        return [note.text for event in self.machine.trace.events for note in event.notes]


def returned(setup, body, name="vcpu0"):
    """What `body` returns, without a bug."""
    alone = Alone(setup, body, name)
    assert alone.bug is None, alone.bug
    return alone.returned


LIMIT = 20_000


def ending(bug):
    """The state at the end, or the kind of bug. Objects of other runs count by their numbers."""
    if bug is not None and not isinstance(bug, Deadlock | Livelock):
        return type(bug).__name__  # the other tasks are where they happen to be
    things = running.world.things
    key = Values({id(thing): number for number, thing in things.items()}).key
    return type(bug).__name__, tuple([(n, key(things[n].state())) for n in sorted(things)])


def searched(search, scenario, **options):
    """Run a search; returns the endings it finds, and what `look` says of each."""
    found = set()
    look = options.pop("look", None)
    seen = set()

    def observe(machine, shared):
        found.add(ending(machine.bug))
        seen.add(type(machine.bug).__name__ if machine.bug else look and look(shared))

    for _ in search(scenario, observe, **options).runs():
        pass
    return found, seen


def endings(scenario: Scenario, look=None, brute=False):
    """Find all endings by traces and by states, and see that the searches agree.

    With `brute`, every schedule is run as well. Returns what `look` says of the shared state at the
    end of each run without a bug, and the kinds of bug.
    """
    by_traces, seen = searched(SourceDpor, scenario, look=look)
    for reduce in (False, True):
        by_states, _ = searched(VisitedStates, scenario, reduce=reduce)
        assert by_states == by_traces, reduce
    if brute:
        known = set()
        for count, ran in enumerate(islice(all_runs(scenario), LIMIT + 1)):
            assert count < LIMIT, "too many schedules for brute force"
            known.add(ending(ran.run.bug))
        assert known == by_traces
    return seen


def bug_in(scenario: Scenario):
    """The bug that the search by states finds first, and whether it is one."""
    for run in VisitedStates(scenario).runs():
        if run.bug is not None:
            return run.bug
    return None
