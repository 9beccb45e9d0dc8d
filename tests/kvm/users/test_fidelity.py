"""The table of what is modelled can be rendered, and names nothing twice."""

from pfncache_lab.kvm.users.fidelity import USERS
from pfncache_lab.mm.fidelity import fidelity_table


def test_each_mechanism_is_named_once():
    assert len({mechanism.name for mechanism in USERS}) == len(USERS)
    assert fidelity_table(USERS).count("\n") == len(USERS) + 1
