"""The floor as a whole: its functions can be linked, its table tells of what exists."""

import inspect
import pkgutil

import pytest

from pfncache_lab import mm
from pfncache_lab.explore import Scenario, check, replay
from pfncache_lab.mm import FIRST_HVA, PAGE_SIZE, get_user_page_fast_only, munmap, put_page
from pfncache_lab.mm.fidelity import MEMORY, fidelity_table
from pfncache_lab.mm.modules import MODULES
from pfncache_lab.sim import link

from .worlds import Memory


def test_all_modules_with_functions_of_the_kernel_are_linked():
    names = {module.name for module in pkgutil.iter_modules(mm.__path__)}
    linked = {module.__name__.rpartition(".")[2] for module in MODULES}
    assert names - linked == {"errors", "fidelity", "modules"}


def test_a_function_of_the_floor_can_be_replaced_by_name():
    zapped = []

    def zap_pte(mm, hva):
        zapped.append(hva)

    image = link(MODULES, {"zap_pte": zap_pte})
    s = Memory()
    assert image.munmap(s.mm, FIRST_HVA, PAGE_SIZE) == 0
    assert zapped == [FIRST_HVA] and FIRST_HVA in s.mm.entries()
    munmap(s.mm, FIRST_HVA + PAGE_SIZE, PAGE_SIZE)  # the other one is as it was
    assert list(s.mm.entries()) == [FIRST_HVA]


def test_a_linked_image_uses_the_memory_of_the_run():
    image = link(MODULES)

    def use(s):
        page = image.get_user_page_fast_only(s.mm, FIRST_HVA)
        if page is not None:
            image.put_page(page)

    def remove(s):
        image.munmap(s.mm, FIRST_HVA, PAGE_SIZE)

    assert not check(Scenario("linked", Memory, {"a": use, "b": remove})).failure


def test_a_step_is_shown_on_the_line_that_calls_the_primitive():
    def task(s):
        page = get_user_page_fast_only(s.mm, FIRST_HVA)
        put_page(page)
        munmap(s.mm, FIRST_HVA, PAGE_SIZE)

    scenario = Scenario("one task", Memory, {"a": task})
    trace = replay(scenario, "a" * 5).trace
    assert [(event.line.text, event.text) for event in trace.events] == [
        (
            "page = get_user_page_fast_only(s.mm, FIRST_HVA)",
            "get the page at 0x7f5a_a000_0000 → page frame 0x901",
        ),
        ("put_page(page)", "drop a reference to page frame 0x901, now 1"),
        ("mmap_write_lock(mm)", "write_lock mm.mmap_lock"),
        ("zap_pte(mm, hva)", "unmap 0x7f5a_a000_0000 → page frame 0x901"),
        ("mmap_write_unlock(mm)", "write_unlock mm.mmap_lock"),
    ]


@pytest.mark.parametrize("name", mm.__all__)
def test_whatever_is_public_says_what_it_is(name):
    thing = getattr(mm, name)
    if callable(thing) and inspect.isfunction(thing):
        assert thing.__doc__ and len(thing.__doc__.splitlines()[0]) <= 98


def test_the_docstring_names_every_public_function():
    doc = mm.__doc__
    functions = [name for name in mm.__all__ if inspect.isfunction(getattr(mm, name))]
    assert [name for name in functions if name not in doc] == []


def test_the_table_of_what_is_modelled():
    table = fidelity_table(MEMORY)
    assert table.count("\n") == len(MEMORY) + 1 and "| left out |" in table
    assert len({m.name for m in MEMORY}) == len(MEMORY)
