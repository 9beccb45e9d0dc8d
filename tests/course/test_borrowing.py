"""The course's own answer does not count as the reader's, however it is dressed up."""

from __future__ import annotations

import functools

import pytest

from pfncache_lab.course.authoring import made_all
from pfncache_lab.course.judging import judged
from pfncache_lab.course.lab import reference_source
from pfncache_lab.course.lessons import lesson_00, lesson_02
from tests.course.sample import LOCK

SCHEDULES = lesson_00.LESSON.exercises[2]
SEARCH = lesson_02.LESSON.exercises[0]

IMPORTS = """
import functools, importlib, inspect, sys
import pfncache_lab.sim as sim
from pfncache_lab.kvm import memslots
from pfncache_lab.course.lessons import lesson_00
from pfncache_lab.course.lessons.lesson_00 import schedules as theirs
"""


def notebook(source: str) -> dict:
    return made_all(IMPORTS + source, "<cell>", {"__name__": "__main__"})


def function(line: str) -> str:
    return f"def schedules(a, b):\n    {line}\n"


BORROWED = {
    "imported": "schedules = theirs",
    "imported inside": function("from pfncache_lab.course.lessons.lesson_00 import schedules as s")
    + "    return s(a, b)",
    "called": function("return theirs(a, b)"),
    "by its module": function("return lesson_00.schedules(a, b)"),
    "from the top": function("import pfncache_lab")
    + "    return pfncache_lab.course.lessons.lesson_00.schedules(a, b)",
    "importlib": function(
        "return importlib.import_module('pfncache_lab.course.lessons.lesson_00').schedules(a, b)"
    ),
    "sys.modules": function(
        "return sys.modules['pfncache_lab.course.lessons.lesson_00'].schedules(a, b)"
    ),
    "getattr": function("return getattr(lesson_00, 'sched' + 'ules')(a, b)"),
    "the exercise's": function("return lesson_00.LESSON.exercises[2].reference()(a, b)"),
    "a lambda": "schedules = lambda a, b: theirs(a, b)",
    "a default": "schedules = lambda a, b, function=theirs: function(a, b)",
    "a partial": "schedules = functools.partial(theirs)",
    "a partial of a lambda": "schedules = functools.partial(lambda a, b: theirs(a, b))",
    "a cache": "schedules = functools.lru_cache(theirs)",
    "a closure": "def wrap(f):\n    return lambda a, b: f(a, b)\nschedules = wrap(theirs)",
    "a helper": "def helper(a, b):\n    return theirs(a, b)\n" + function("return helper(a, b)"),
    "an inner function": function("return (lambda: theirs(a, b))()"),
    "an object": "class S:\n    def __call__(self, a, b): return theirs(a, b)\nschedules = S()",
    "a method": "class S:\n    def f(self, a, b): return theirs(a, b)\nschedules = S().f",
    "a static method": (
        "class S:\n    @staticmethod\n    def f(a, b): return theirs(a, b)\n"
        + function("return S.f(a, b)")
    ),
}


@pytest.mark.parametrize("cell", BORROWED.values(), ids=BORROWED)
def test_what_hands_on_ours_is_not_attempted(cell):
    verdict = judged(SCHEDULES, notebook(cell), {})
    assert verdict.kind == "not attempted"
    assert verdict.message == (
        "`schedules` is the course's own, or hands on what the course's own returns. You need not "
        "import it: until you have written yours, later lessons use ours anyway."
    )


@pytest.mark.parametrize(
    "cell",
    [
        "from pfncache_lab.kvm.memslots import search_memslots",
        "def search_memslots(slots, gfn):\n    return memslots.search_memslots(slots, gfn)",
    ],
)
def test_a_function_of_the_kernel_is_ours_as_well(cell):
    """Goal: the reference is not the only one. Method: that of the simulated kernel."""
    assert judged(SEARCH, notebook(cell), {}).kind == "not attempted"


@pytest.mark.parametrize(
    "cell",
    [
        "SpinLock = sim.SpinLock",
        "class SpinLock(sim.SpinLock): pass",
        "class SpinLock:\n    def __init__(self): self.lock = sim.SpinLock('mine').lock",
        "class SpinLock:\n    @property\n    def lock(self): return sim.SpinLock('mine').lock",
    ],
)
def test_a_class_that_derives_from_ours_or_has_one_is_ours(cell):
    assert judged(LOCK, notebook(cell), {}).kind == "not attempted"


@pytest.mark.parametrize(
    "cell",
    [
        reference_source(SCHEDULES),
        "exec(inspect.getsource(theirs))",
        function('"""Not theirs, and not lesson_00."""')
        + "    if not a or not b: return ['a' * a + 'b' * b]\n"
        "    rest = functools.partial(schedules)\n"
        "    return ['a' + s for s in rest(a - 1, b)] + ['b' + s for s in rest(a, b - 1)]",
    ],
    ids=["pasted", "made from its source", "their own"],
)
def test_a_solution_that_is_pasted_counts_and_so_does_what_only_looks_alike(cell):
    """Goal: the solution costs nothing. Method: its text, in a notebook that knows ours as well."""
    assert judged(SCHEDULES, notebook(cell), {}).kind == "passed"


def test_what_a_kernel_function_needs_may_be_imported():
    cell = (
        "def search_memslots(slots, gfn):\n"
        "    from pfncache_lab.kvm.kvm_host import KVM_MEM_READONLY\n"
        "    assert memslots.kvm_memslots\n"
        "    return next((s for s in slots.slots if 0 <= gfn - s.base_gfn < s.npages), None)"
    )
    built = {"gpa_to_gfn": functools.partial(int), "offset_in_page": abs}
    assert judged(SEARCH, notebook(cell), built).kind == "passed"
