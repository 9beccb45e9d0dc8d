"""machine.py: one run of a small concurrent program, one task at a time.

Tasks are greenlets, so the code they run is ordinary code: no `yield`, no `await`. Whatever other
tasks can observe goes through `Machine.step`, in this order and without a gap:

    announce the operation  →  the oracle chooses who runs  →  effect  →  event

The choice comes *before* the effect. Were it the other way round, the trace would tell of things
that had not happened yet when another task looked.

Everything that is not determined by the program is one call: `oracle.choose(runnable, current)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from greenlet import GreenletExit, getcurrent, greenlet

from .crash import crashed
from .errors import KernelBug, ModelError, StepLimit
from .limits import TimeLimit, watched
from .lockdep import LockDep
from .lockup import Lockup, Watchdog
from .op import Op
from .recorder import Recorder
from .site import program_frame
from .stacks import stack
from .stuck import left_behind, not_determined, settle, still_running
from .task import Oracle as Oracle
from .task import Task as Task
from .trace import State, Trace
from .weak import WeakMemory
from .world import SETUP, HasState, World

STEP_LIMIT = 2000
"""Steps in one run. The course's programs need fewer than a hundred."""


class Machine:
    """Runs tasks under an oracle until all have finished, one goes wrong, or nobody can run."""

    def __init__(
        self,
        oracle: Oracle,
        snapshot: Callable[[], State] | None = None,
        script: Iterable[int] = (),
        watch: Callable[[], KernelBug | None] | None = None,
        lockdep: LockDep | None = None,
    ) -> None:
        """Make a machine; with a `snapshot` of the shared state, it keeps a trace as well.

        The first choices are those of `script`, and the oracle is not asked: the tasks by number.
        After that `watch` looks at the shared state before each step, and at the end.
        A search hands the same `lockdep` to all its runs; without one, lock order is not checked.
        """
        self.oracle = oracle
        self._script = iter(script)
        self._watch = watch
        self.lockdep = lockdep
        self.memory: WeakMemory | None = None
        self.tasks: list[Task] = []
        self.current: Task | None = None
        self.schedule: list[Task] = []
        self.bug: KernelBug | None = None
        self.trace: Trace | None = None
        self.recorder = Recorder(snapshot) if snapshot else None
        self.hub: greenlet | None = None
        self._fault: BaseException | None = None
        self._started = self._starting = self._waiting = self._stopping = False

    def spawn(self, name: str, body: Callable[[], object], companion: bool = False) -> None:
        """Add a task. It runs nothing before `run`."""
        self.tasks.append(Task(len(self.tasks), name, body, companion))

    def weaken(self) -> None:
        """Let a load return an older store: call it after the last task has been added."""
        self.memory = WeakMemory(self, world)

    def run(self) -> None:
        """Run to the end, or to where the oracle stops; see `bug`, `schedule` and `trace`."""
        self._execute(self._drive_to_the_end)
        if self._fault is not None:
            raise self._fault

    def walk(self, steps: Iterable[int] = ()) -> None:
        """Take these steps, go on to where the oracle stops, wait there; in the end, `close`."""
        self._script = iter(steps)
        self._execute(self._drive)
        if self._fault is not None:
            raise self._fault

    def close(self) -> None:
        """End the tasks that have not finished, so that no frame of theirs outlives the run."""
        self._execute(self._unwind)

    def step(self, op: Op) -> Any:
        """Announce `op`, wait until this task is chosen, then do it; returns what it returns.

        Every primitive of the simulated machine is one call of this.
        """
        task = self.current
        if task is None or self._stopping:
            raise GreenletExit  # unwinding: whatever the program still tries must not happen
        task.pending = op
        if self.recorder is not None:
            task.frame = program_frame(2)
        chosen = None if self._starting else self._choose()
        if chosen is not task:
            self._yield_to(chosen)
        result = op.effect() if self.recorder is None else self.recorder.do(task, op)
        task.results.append(result)
        return result

    def executing(self) -> Task:
        """Return the task that executes now. In one that is being unwound, nothing may happen."""
        if self.current is None or self._stopping:
            raise GreenletExit
        return self.current

    def report(self, bug: KernelBug) -> NoReturn:
        """End the run with this verdict. What the task does with the exception does not matter."""
        task = self.executing()
        if self.recorder is not None:
            self.recorder.note(task, type(bug).__name__)
        self.condemn(bug)
        raise bug

    def condemn(self, bug: KernelBug) -> None:
        """Settle the verdict. The task that executes has to get out, and can do no more steps."""
        assert self.current is not None
        self.bug, self._stopping = bug, True
        self.current.pending = None

    # -- one run ---------------------------------------------------------------------------

    def _execute(self, action: Callable[[], None]) -> None:
        """Do something in which tasks run: they are those of this machine, and of no other."""
        global running
        if running is not None:
            raise ModelError("A task cannot run a machine of its own.")
        running, self.hub = self, getcurrent()
        try:
            with watched(Watchdog(self).tick):
                action()
        finally:
            running = None

    def _drive_to_the_end(self) -> None:
        try:
            self._drive()
            if self.recorder is not None:
                self.trace = self.recorder.trace(self.tasks)
        finally:
            self._unwind()

    def _start(self) -> None:
        """Run each task up to its first operation: nobody can observe what comes before."""
        self._started = self._starting = True
        size = self.memory.size if self.memory else len(self.tasks)
        for task in self.tasks:
            task.context.begin(task.index, size)
            task.greenlet = stack()
            self._resume(task, self._body, task)
            if self.bug is not None or self._fault is not None:
                break
        self._starting = False
        self.current = None

    def _drive(self) -> None:
        """Resume whom the oracle chooses. Control is back here when a task ends or all stop."""
        if not self._started:
            self._start()
        self._waiting = False
        while self.bug is None and self._fault is None:
            task = None if self._waiting else self._choose()
            if task is None:
                return
            self._resume(task)

    def _yield_to(self, chosen: Task | None) -> None:
        """Give the CPU to the next task: straight to its greenlet, for a switch is the cost."""
        if chosen is not None:
            self._resume(chosen)
        else:
            assert self.hub is not None
            self._waiting = True
            self.hub.switch()

    def _resume(self, task: Task, *args: object) -> None:
        assert task.greenlet is not None
        self.current = task
        task.greenlet.switch(*args)

    def _choose(self) -> Task | None:
        """Ask the oracle. Its errors must not surface in a task, whose code might catch them."""
        chosen: Task | None
        try:
            number = next(self._script, None)
            if number is None:
                chosen = self._ask()
            else:  # a search spends most of its steps on the way to its place
                chosen = self.tasks[number]
                op = chosen.pending
                if op is None or (op.waits and not op.enabled()):
                    raise ModelError(not_determined(len(self.schedule) + 1, chosen))
        except KernelBug as bug:
            chosen, self.bug = None, bug
        except RecursionError as error:  # the stack is the task's, and so is the fault
            assert self.current is not None
            chosen, self.bug = None, crashed(self.current.name, error)
        except Exception as fault:
            chosen, self._fault = None, fault
        if chosen is not None:
            self.schedule.append(chosen)
        return chosen

    def _ask(self) -> Task | None:
        if self._watch is not None and (bug := self._look(self._watch)):
            raise bug
        runnable = []
        for task in self.tasks:
            op = task.pending
            if op is not None and (not op.waits or op.enabled()):
                runnable.append(task)
        if not runnable:
            settle(self.tasks)
            return None
        if len(self.schedule) >= STEP_LIMIT:
            raise StepLimit(still_running(STEP_LIMIT, (self.current, *self.tasks)))
        return self.oracle.choose(runnable, self.current)

    def _look(self, watch: Callable[[], KernelBug | None]) -> KernelBug | None:
        """Let the invariants look at a state. For once, an access by them is not a step."""
        global running
        running = None
        try:
            return watch()
        finally:
            running = self

    def _body(self, task: Task) -> None:
        """Run inside the task's greenlet: the program, and what becomes of its exceptions."""
        try:
            task.body()
            if leak := left_behind(task):
                raise leak
        except (GreenletExit, Lockup):
            return
        except (KeyboardInterrupt, TimeLimit):
            raise  # meant for whoever has called run()
        except ModelError as fault:
            self._fault = fault
        except BaseException as error:
            if self.bug is None and not self._stopping:  # in one that is unwound it is no news
                self.bug = error if isinstance(error, KernelBug) else crashed(task.name, error)
        if not self._stopping:
            task.pending = None

    def _unwind(self) -> None:
        self._stopping = True
        interrupts: list[BaseException] = []
        for task in self.tasks:
            self.current = task
            interrupts += task.unwind()  # the others must be unwound all the same
        if interrupts:
            raise interrupts[0]


running: Machine | None = None
"""The machine whose task is executing, or None outside a run. One process runs one machine."""


def me() -> Task:
    """Return the task that executes, from inside an operation of its own."""
    assert running is not None and running.current is not None
    return running.current


world = World()
"""The objects of the run at hand."""


def new_world() -> World:
    """Forget the objects of earlier runs; belongs in front of each set-up."""
    global world
    world = World()
    return world


def new_id(thing: HasState, count: int = 1) -> int:
    """Give `thing` a number, or several in a row: a struct has one for each field.

    Belongs in the `__init__` of every simulated object. Returns the first number.
    """
    task = running.current if running is not None else None
    return world.add(thing, count, SETUP if task is None else task.index)
