"""A linked image calls the functions that were put in, and leaves everything else as it was."""

from types import ModuleType

import pytest

from pfncache_lab.sim import ModelError
from pfncache_lab.sim.link import link


def module(name: str, text: str, **names: object) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(names)
    exec(compile(text, f"<{name}>", "exec"), vars(made))
    return made


@pytest.fixture
def low():
    return module("low", "LIMIT = 3\ndef base(): return 'base'\ndef twice(): return base() * 2\n")


@pytest.fixture
def high(low):
    text = "def top(left='<', *, right='>'):\n    'Say it.'\n    return left + twice() + right"
    return module("high", text, twice=low.twice)


def test_a_replacement_is_called_from_every_module(low, high):
    image = link([low, high], {"base": lambda_named_base()})
    assert image.top() == "<minemine>"
    assert image.twice() == "minemine"
    assert image.top("(", right=")") == "(minemine)" and image.top.__doc__ == "Say it."


def lambda_named_base():
    def base():
        return "mine"

    return base


def test_what_was_there_before_stays_as_it_was(low, high):
    link([low, high], {"base": lambda_named_base()})
    assert high.top() == "<basebase>"
    assert link([low, high]).top() == "<basebase>"


def test_a_replacement_calls_linked_functions_and_its_own_helpers(low, high):
    text = "def twice(): return helper() + 'x'\ndef helper(): return base()"
    mine = module("notebook", text, base=low.base)
    image = link([low, high], {"twice": mine.twice, "base": lambda_named_base()})
    assert image.top() == "<minex>"


def test_a_reader_may_call_a_function_as_one_of_the_kernel_that_is_not_replaced(low, high):
    mine = module("notebook", "def base(): return 'y'\ndef twice(): return base()", LIMIT=1)
    assert link([low, high], {"twice": mine.twice}).base() == "base"
    assert link([low, high], {"twice": mine.twice}).top() == "<y>"


def test_replacing_what_is_not_there_is_refused(low):
    with pytest.raises(ModelError, match="Nothing is called 'bass'"):
        link([low], {"bass": lambda_named_base()})
    with pytest.raises(ModelError, match="has to be a function"):
        link([low], {"base": len})


def test_two_functions_of_one_name_are_refused(low):
    with pytest.raises(ModelError, match="base is defined in other, and somewhere else"):
        link([low, module("other", "def base(): pass")])


def test_an_image_names_what_it_does_not_have(low):
    with pytest.raises(AttributeError, match="no function 'nothing'"):
        link([low]).nothing  # noqa: B018


def test_a_module_is_linked_instead_of_another(low, high):
    other = module("other", "def twice(): return inner()\ndef inner(): return 'inner'")
    image = link([high, other], instead_of=[low])
    assert image.top() == "<inner>"
    assert link([high, other], {"inner": lambda_named_base()}, instead_of=[low]).top() == "<mine>"


def test_a_function_that_is_missing_in_the_other_module_is_named(low, high):
    with pytest.raises(ModelError, match=r"Nothing was linked in the place of twice\(\)"):
        link([high, module("other", "def base(): pass")], instead_of=[low])


def test_a_replacement_may_call_what_it_replaces(low, high):
    mine = module("mine", "def twice(): return merged() + '!'", merged=low.twice)
    image = link([low, high], {"twice": mine.twice, "base": lambda_named_base()})
    assert image.top() == "<minemine!>"
