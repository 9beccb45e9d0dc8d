"""The generations of an update: what a function publishes, and what comes too early."""

from __future__ import annotations

from pfncache_lab import generation_graph
from pfncache_lab.course.lessons.updating import SWAP, swap_memslots
from pfncache_lab.viz.dot import BAD


def test_the_graph_has_a_box_for_each_set_that_is_published():
    assert generation_graph(swap_memslots).text.splitlines() == [
        "generation 2: the old slots",
        "generation 2 | 1 << 63: the new slots; somebody may still read the old ones",
        "generation 4: the new slots; nobody reads the old ones",
    ]
    assert "pfn-dot" in generation_graph(swap_memslots).html()


def test_a_number_that_comes_too_early_is_crossed():
    """Goal: the picture tells what the check tells. Method: all mutants, each with its box."""
    crossed = {}
    for name, mutant in SWAP.mutants.items():
        lines = generation_graph(mutant.answer).text.splitlines()
        crossed[name] = [line.split(":")[0] for line in lines if "✗" in line]
    crossed["another bit"].remove("generation 3")
    early = dict.fromkeys(("no bit", "no wait", "waits first", "the old slots"), ["generation 4"])
    assert crossed == {**dict.fromkeys(SWAP.mutants, []), **early}
    assert BAD not in generation_graph(SWAP.mutants["no bit"].answer).html()


def test_a_blank_is_said_and_a_crash_is_no_traceback():
    def blank(kvm, slots):
        ____  # type: ignore[name-defined]  # noqa: B018, F821

    assert generation_graph(blank).text.startswith("A blank is left.")
    crashed = generation_graph(lambda kvm, slots: 1 / 0).text
    assert crashed.splitlines()[0] == "generation 2: the old slots"
    assert "raised ZeroDivisionError" in crashed
