"""What each bug comes to when somebody uses the cache: the crash, or the loss.

The scenes of kvm.history are as small as the broken invariant allows, often of one task. Here are
the others of the story as well, and no invariant: what is found is what a kernel would do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from pfncache_lab.explore import Condition, Scenario, check
from pfncache_lab.explore.shrink import preemptions
from pfncache_lab.kvm.history import BUGS, h19
from pfncache_lab.kvm.history.bug import Era, Functions
from pfncache_lab.kvm.history.scenes import HVA, THERE
from pfncache_lab.kvm.kvm_types import GfnToPfnCache
from pfncache_lab.kvm.pfncache import __kvm_gpc_refresh as refresh_core
from pfncache_lab.kvm.pfncache import kvm_gpc_init
from pfncache_lab.kvm.requests import KVM_BUG_ON
from pfncache_lab.kvm.vm import FIRST_GPA
from pfncache_lab.mm import copy_from_user, store
from pfncache_lab.sim import list_add, marked, srcu_read

BY_LABEL = {bug.label: bug for bug in BUGS}
Task = Callable[[Any, Any], object]
"""A function of the linked kernel, and of what the tasks share."""


@dataclass(frozen=True)
class Story:
    """Who is there, and how it ends."""

    label: str
    setup: list[str]
    """Functions of `scenes`: the first makes the machine, the others change it."""
    tasks: dict[str, list[str | Task]]
    """What each does, one after the other."""
    ends: str
    """The kind of KernelBug."""
    says: str
    """What is in its message."""
    also: Functions = field(default_factory=dict)
    """Linked besides the bug: what was different at the time, and does not show otherwise."""
    never: tuple[str, Callable[[Any], bool]] | None = None
    """What must hold at the end, where nothing crashes."""

    def __str__(self) -> str:
        return f"{self.label}: {self.ends}"

    def scenario(self, era: Era, functions: Functions) -> Scenario:
        """Link it, and make the scenario."""
        image = era.image(functions)

        def setup() -> Any:
            first, *others = self.setup
            vm = getattr(image, first)()
            for name in others:
                getattr(image, name)(vm)
            return vm

        def task(acts: list[str | Task]) -> Callable[[Any], None]:
            def body(vm: Any) -> None:
                for act in acts:
                    if isinstance(act, str):
                        getattr(image, act)(vm)
                    else:
                        act(image, vm)

            return body

        bodies = {name: task(acts) for name, acts in self.tasks.items()}
        final = [Condition(*self.never)] if self.never else []
        return Scenario(str(self), setup, bodies, final)


def nobody_looks(condition: object, kvm: Any, text: str = "") -> bool:
    """KVM_BUG_ON() of a kernel that does not ask here: before 5762cb102357."""
    return False


class Unlocked(GfnToPfnCache):
    """A cache whose khva was stored without a lock. With one, the search would report the race."""

    khva = marked(0)


def unlocked(kvm: Any, name: str) -> Unlocked:
    gpc = Unlocked(name)
    kvm_gpc_init(gpc, kvm)
    return gpc


def activate_6_2(gpc: Any, gpa: int, uhva: int, length: int) -> int:
    """Activation as from 6.2 to 6.8: refresh_lock is taken for the refresh alone."""
    activate_on_the_list(gpc, list_first=True)
    with gpc.refresh_lock:
        error: int = refresh_core(gpc, gpa, uhva)
    return error


def activate_6_0(gpc: Any, gpa: int, uhva: int, length: int) -> int:
    """The same with H11d: usable first."""
    activate_on_the_list(gpc, list_first=False)
    with gpc.refresh_lock:
        error: int = refresh_core(gpc, gpa, uhva)
    return error


def activate_on_the_list(gpc: Any, list_first: bool) -> None:
    with gpc.lock.read_irq():
        active, valid = gpc.active, gpc.valid
    if active:
        return
    KVM_BUG_ON(valid, gpc.kvm, "an inactive cache is valid")
    for on_the_list in (list_first, not list_first):
        if on_the_list:
            with gpc.kvm.gpc_lock:
                gpc.kvm.gpc_list = list_add(gpc, gpc.kvm.gpc_list)
        else:
            with gpc.lock.write_irq():
                gpc.active = True


LOCK_ALONE: Functions = {"make_cache": h19.make_cache, "refresh": h19.refresh}
"""The cache whose fields belong to gpc->lock, as they did before 6.9."""


def write_there(image: Any, vm: Any) -> None:
    """Turn the cache to THERE, and store a byte if that has worked."""
    with srcu_read(vm.kvm.srcu):
        image.move(vm.kvm, vm.gpc, THERE, 1)
        with vm.gpc.lock.read_irq():
            written = image.check(vm.kvm, vm.gpc, THERE, 1)
            if written:
                store(vm.gpc.khva, b"\1")
    vm.progress.done = written


def is_there(vm: Any) -> bool:
    return not vm.progress.done or copy_from_user(vm.mm, HVA + THERE - FIRST_GPA, 1) == b"\1"


ALREADY_GONE = ["refresh_here", "unmap_the_page", "look_once"]
"""A process that has its cache refreshed, takes the page away, and uses the cache."""

STORIES = [
    Story(
        "H7a", ["invalid_cache"], {"one": ["move_here"], "other": [write_there]},
        "ConditionBroken", "what was written is there",
        never=("what was written is there", is_there),
    ),
    Story(
        "H8a", ["touched_cache"],
        {"refresher": ["refresh_and_use"], "host": ["unmap_the_page"]}, "UseAfterFree", "0x901",
    ),
    Story(
        "H8b", ["invalid_cache"], {"refresher": ["refresh_here"], "event": ["look_once"]},
        "Oops", "NULL",
    ),
    Story(
        "H8c", ["touched_cache"],
        {"refresher": ["refresh_and_use"], "host": ["unmap_the_page"]}, "UseAfterFree", "0x901",
    ),
    Story(
        "H11a", ["inactive_again"], {"event": ["refresh_and_use"], "host": ["replace_the_page"]},
        "UseAfterFree", "0x901",
    ),
    # It goes on where H11a ends: the cache is valid, and not active.
    Story(
        "H11b", ["inactive_again", "refresh_here"],
        {"vmm": ["activate_here"], "event": ["look_once"]}, "Oops", "NULL",
        also={**BY_LABEL["H11a"].broken, "make_cache": unlocked, "KVM_BUG_ON": nobody_looks},
    ),
    Story(
        "H11c", ["active_cache"],
        {"vmm": ["deactivate_here"], "event": ["look_once"], "host": ["replace_the_page"]},
        "UseAfterFree", "0x901",
    ),
    # Today's refresh_lock would keep the event out until the cache is on the list.
    Story(
        "H11d", ["inactive_again"], {"vmm": ["activate_here"], "event": [*ALREADY_GONE]},
        "UseAfterFree", "0x901",
        also={**LOCK_ALONE, "hva_to_pfn_retry": h19.hva_to_pfn_retry,
              "__kvm_gpc_activate": activate_6_0},
    ),
    Story(
        "H19", ["touched_cache"],
        {"refresher": ["refresh_here"], "vmm": ["deactivate_here", "activate_here"]},
        "Warn", "an inactive cache is valid", also={"__kvm_gpc_activate": activate_6_2},
    ),
    Story(
        "H19", ["touched_cache"],
        {"refresher": ["refresh_here"], "vmm": ["deactivate_here", "activate_here", "look_once"]},
        "Oops", "where nothing is mapped",
        also={"__kvm_gpc_activate": activate_6_2, "KVM_BUG_ON": nobody_looks},
    ),
    Story(  # a candidate
        "O6", ["cache_of_a_host_address"],
        {"refresher": ["refresh_and_use"], "host": ["drop_outside"]}, "UseAfterFree", "0x904",
    ),
]  # fmt: skip


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_so_it_ends(story):
    """And where it was mended it does not, with as many preemptions as that takes."""
    bug = BY_LABEL[story.label]
    failure = check(story.scenario(bug.era, {**bug.broken, **story.also})).failure
    assert type(failure.bug).__name__ == story.ends, failure.bug
    assert story.says in str(failure.bug)
    if bug.commit:
        mended = check(story.scenario(bug.era, bug.mended), max_preemptions=preemptions(failure))
        assert mended.failure is None, mended
