"""The tables of what is modelled can be rendered, and name nothing twice."""

from pfncache_lab.kvm.fidelity import CACHE, KVM
from pfncache_lab.kvm.users.fidelity import USERS
from pfncache_lab.mm.fidelity import MEMORY, fidelity_table

ALL = (*MEMORY, *KVM, *CACHE, *USERS)


def test_each_mechanism_is_named_once():
    assert len({mechanism.name for mechanism in ALL}) == len(ALL)
    assert fidelity_table(ALL).count("\n") == len(ALL) + 1


def test_no_detail_breaks_the_table():
    assert not [m for m in ALL if "|" in m.detail or "\n" in m.detail]
