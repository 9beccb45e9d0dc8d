"""Random programs: brute force, traces and states agree on the endings, the bugs and the counts."""

import pytest

from tests.explore.fuzz import fuzz


@pytest.mark.parametrize("first", range(0, 350, 50))
def test_all_searches_agree_on_random_programs(first):
    differences, tried = fuzz(range(first, first + 50))
    assert differences == []
    assert tried["programs"] >= 30 and tried["by states"] >= 25
