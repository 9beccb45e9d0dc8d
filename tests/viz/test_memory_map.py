"""The map, the ruler and the graph: what is drawn is where an address leads, by whose functions."""

from __future__ import annotations

import sys
from xml.etree import ElementTree

import pytest

from pfncache_lab import (
    AddressField,
    MemoryMap,
    PageRuler,
    address_graph,
    show,
)
from pfncache_lab.course.lessons.lesson_01 import fits_in_page, one_guest
from pfncache_lab.kvm.kvm_host import KVM_MEM_READONLY
from pfncache_lab.kvm.memory_region import KvmUserspaceMemoryRegion, kvm_set_memory_region
from pfncache_lab.viz import dot
from pfncache_lab.viz.memory import follow, memory_of
from pfncache_lab.viz.memory_map import draw_memory_map
from pfncache_lab.viz.theme import CHAR

MEMORY = memory_of(one_guest())
SVG = "{http://www.w3.org/2000/svg}"


def blank(*args):
    """Be an exercise that nobody has begun."""
    return ____  # type: ignore[name-defined]


def lit(gpa, *functions):
    """List the texts of the boxes that are drawn thick."""
    root = ElementTree.fromstring(draw_memory_map(MEMORY, follow(MEMORY, gpa, functions)))
    groups = [g for g in root.iter(f"{SVG}g") if g.get("class") == "pfn-lit"]
    return [text.text for g in groups for text in g.iter(f"{SVG}text")]


def test_the_way_of_an_address_is_drawn_to_its_end():
    assert lit(0x12_ABC) == [
        "0x12_abc",
        "0x12",
        "0x7f5a_a000_2abc",
        "0x901",
        "0xffff_8880_0090_1abc",
    ]


@pytest.mark.parametrize(
    ("gpa", "boxes", "why"),
    [
        (0x11_000, 3, "The host has given this hva no page yet."),
        (0x14_000, 2, "No memslot translates gfn 0x14: it has no user address."),
        (0xFFFF_F000, 0, "No memslot translates gfn 0xfffff: it has no user address."),
    ],
)
def test_a_way_that_ends_early_says_why(gpa, boxes, why):
    assert len(lit(gpa)) == boxes
    assert follow(MEMORY, gpa).end == why


def test_the_picture_is_drawn_by_the_functions_that_are_given():
    def gpa_to_gfn(gpa):
        return (gpa >> 12) + 1

    assert lit(0x12_ABC, gpa_to_gfn)[:3] == ["0x12_abc", "0x13", "0x7f5a_a000_3abc"]


@pytest.mark.parametrize(
    ("returns", "why"),
    [
        (blank, "offset_in_page() has a blank left, so the way ends here."),
        (lambda: 1 / 0, "offset_in_page() raised ZeroDivisionError: division by zero"),
        (lambda: None, "offset_in_page() returned None, which is no whole number."),
    ],
)
def test_a_function_that_fails_ends_the_way(returns, why):
    def offset_in_page(gpa):
        return returns()

    assert follow(MEMORY, 0x12_ABC, (offset_in_page,)).end == why
    assert MemoryMap(MEMORY, 0x12_ABC, offset_in_page).text.endswith(f"✗ {why}")


def test_every_page_keeps_its_place_whatever_the_chain_is():
    def places(svg):
        groups = [g for g in ElementTree.fromstring(svg).iter(f"{SVG}g")]
        pages = [g for g in groups if g.get("class") == "pfn-page"]
        return [tuple(g.find(f"{SVG}rect").attrib.values()) for g in pages]

    pictures = [draw_memory_map(MEMORY, follow(MEMORY, gpa)) for gpa in (0x10_000, 0x11_000, 0)]
    assert places(pictures[0]) == places(pictures[1]) == places(pictures[2])
    assert len({ElementTree.fromstring(svg).get("height") for svg in pictures}) == 1


def test_nothing_sticks_out_of_a_map():
    root = ElementTree.fromstring(draw_memory_map(MEMORY, follow(MEMORY, 0x12_ABC)))
    for text in root.iter(f"{SVG}text"):
        assert float(text.get("x")) + len(text.text) * CHAR <= float(root.get("width")), text.text


def test_a_machine_can_be_shown_and_a_read_only_slot_says_so():
    vm = one_guest()
    mem = KvmUserspaceMemoryRegion(1, KVM_MEM_READONLY, 0x20_000, 0x1000, 0x7F5A_A000_0000)
    assert kvm_set_memory_region(vm.kvm, mem) == 0
    figure = show(vm)
    assert "0x20_000  0x20  1 read-only  0x7f5a_a000_0000" in figure.text
    assert "slot 1 read-only" in figure.html()
    end = "The slot of gfn 0x20 is read-only: no address to write to."
    assert follow(memory_of(vm), 0x20_000).end == end


def test_the_ruler_shows_what_a_function_says_and_whether_it_says_anything():
    figure = PageRuler(fits_in_page, (0x12_FF8, 8), (0x12_FFC, 8), (0x12_000, 4096))
    assert [line[-17:].strip(" f") for line in figure.text.splitlines()][1] == "✗ it does not fit"
    assert figure.text.count("✓ it fits") == 2
    assert PageRuler(blank, (0, 1)).text.endswith("? a blank is left")
    assert PageRuler(lambda gpa, n: n / 0, (0, 1)).text.endswith("? it raised ZeroDivisionError")
    assert PageRuler(lambda gpa, n: 1, (0, 1)).text.endswith("? it returned 1")
    assert figure.html().count("key solid") == 3


def test_the_graph_of_addresses_has_its_text_twin(monkeypatch):
    assert "gfn → hva: memslots, userspace changes them" in address_graph().text
    assert "pfn-dot" in address_graph().html()
    module = sys.modules["pfncache_lab.viz.addresses"]
    monkeypatch.setattr(module, "draw_dot", lambda *_: None)
    assert address_graph().text.endswith(dot.INSTALL_HINT)


def test_a_map_says_that_an_update_is_in_progress():
    assert "memslots: generation 2" in show(one_guest()).text
    updating = MEMORY._replace(slots=MEMORY.slots._replace(generation=4 | 1 << 63))
    assert "memslots: generation 4, updating" in MemoryMap(updating).text


def test_a_search_that_finds_no_slot_but_something_ends_the_way():
    def search_memslots(slots, gfn):
        return 3

    end = "search_memslots() returned 3, which is no slot."
    assert follow(MEMORY, 0x12_ABC, (search_memslots,)).end == end


def test_a_way_may_lead_out_of_the_process():
    def gfn_to_hva_memslot(slot, gfn):
        return 0x1000

    assert lit(0x12_ABC, gfn_to_hva_memslot) == ["0x12_abc", "0x12"]
    end = "Nothing of this process is at hva 0x1abc."
    assert follow(MEMORY, 0x12_ABC, (gfn_to_hva_memslot,)).end == end


def test_the_field_is_typed_into_and_walked_with():
    field = AddressField(one_guest(), gpa=0x10_FFF)
    field.move(1)
    assert field._typed.value == "0x11_000"
    assert "no page yet" in field._says.value
    field._typed.value = "0x12abc"
    assert field.gpa == 0x12_ABC
    assert "gets to the end" in field._says.value
    for text, said in (("hello", "no hexadecimal number yet"), ("-1", "not negative")):
        field._typed.value = text
        assert said in field._says.value
    assert field.gpa == 0x12_ABC
    assert "khva 0xffff_8880_0090_1abc" in repr(field)
    field._typed.value = "0x0"
    field.move(-1)
    assert field.gpa == 0
