"""generations.py: the sets of memslots that an update publishes, and who may still read the old."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ..explore import DepthFirst, Run, Scenario, run
from ..kvm.kvm_host import KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS, KvmMemslots
from ..kvm.vm import Vm, create_vm
from ..mm import FIRST_HVA, PAGE_SIZE
from .addresses import boxes, boxes_figure
from .dot import BAD
from .figure import Figure, Note


class Published(NamedTuple):
    """A set of memslots as it was published, and whether the readers of the old had left."""

    generation: int
    new: bool
    waited: bool

    @property
    def trusted(self) -> bool:
        """Whether what is kept under this number will be believed after the update."""
        return not self.generation & KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS

    @property
    def too_early(self) -> bool:
        """Whether a reader of the old slots may keep what it has found under this number."""
        return self.new and self.trusted and not self.waited

    def __str__(self) -> str:
        plain = self.generation & ~KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS
        return f"generation {plain}{'' if self.trusted else ' | 1 << 63'}"

    @property
    def what(self) -> str:
        """Say which slots those are, and who may be left."""
        if not self.new:
            return "the old slots"
        left = "nobody reads" if self.waited else "somebody may still read"
        return f"{'✗ ' * self.too_early}the new slots; {left} the old ones"


class _Machine(Vm):
    """A machine that shows its memslots at each step."""

    def snapshot(self) -> dict[str, Any]:
        """Return what is followed here."""
        return {"memslots": self.kvm.snapshot()["memslots0"]}


def generation_graph(update: Callable[..., Any]) -> Figure:
    """Draw the generations that `update(kvm, slots)` goes through when it moves a slot."""
    done = _run(update)
    sets = list(_published(done))
    text = [f"{one}: {one.what}" for one in sets]
    graph = boxes()
    for number, one in enumerate(sets):
        graph.node(str(number), f"{one}\n{one.what}", **({"color": BAD} if one.too_early else {}))
        if number:
            how = "published, when the old readers had left" if one.waited else "published"
            graph.edge(str(number - 1), str(number), f" {how}")
    if done.bug is not None:
        cause = done.bug.__cause__
        if isinstance(cause, NameError) and cause.name == "____":
            return Note("A blank is left. The generations of your own update will stand here.")
        text.append(f"✗ {done.verdict()}")
    return boxes_figure(graph, "\n".join(text), "The generations of an update")


def _run(update: Callable[..., Any]) -> Run:
    """Let userspace move the only slot, alone on the machine."""

    def userspace(vm: Vm) -> None:
        vm.kvm.slots_lock.lock()
        update(vm.kvm, (vm.slot._replace(userspace_addr=FIRST_HVA + 2 * PAGE_SIZE),))
        vm.kvm.slots_lock.unlock()

    alone = Scenario("an update", lambda: create_vm(vm=_Machine()), {"userspace": userspace})
    return run(alone, DepthFirst(), record=True)


def _published(done: Run) -> Iterator[Published]:
    """Yield each set of memslots in the order in which they were published."""
    assert done.trace is not None
    old: KvmMemslots = done.trace.start["memslots"]
    yield Published(old.generation, False, False)
    last, waited = old, False
    for event in done.trace.events:
        now: KvmMemslots = event.state["memslots"]
        if now != last:
            yield Published(now.generation, now.slots != old.slots, waited)
        elif event.kind == "wait for the readers of":
            waited = last.slots != old.slots
        last = now
