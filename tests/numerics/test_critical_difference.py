"""Average ranks against Demsar's published table and example."""

import math

import pytest

from optwise.numerics.critical_difference import average_ranks

DEMSAR = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 9: 3.102, 10: 3.164}
"""Table 5a: critical values of the two-tailed Nemenyi test at 0.05, by the number of classifiers."""


@pytest.mark.parametrize(("methods", "critical"), DEMSAR.items())
def test_the_critical_difference_is_the_published_one(methods, critical):
    found = average_ranks([list(range(methods))] * 14, level=0.95)
    assert found.difference == pytest.approx(critical * math.sqrt(methods * (methods + 1) / (6 * 14)), abs=1e-3)


def test_misses_tie_and_share_their_ranks():
    found = average_ranks([[1.0, math.inf, math.inf], [2.0, 1.0, math.inf]], level=0.95)
    assert found.ranks == (1.5, 1.75, 2.75)


def test_a_bar_joins_those_that_do_not_differ_and_no_bar_lies_within_another():
    # five methods, always in the same order, on 30 problems: the difference is 1.11, so neighbours differ by less
    found = average_ranks([[1.0, 2.0, 3.0, 4.0, 5.0]] * 30, level=0.95)
    assert found.difference == pytest.approx(1.114, abs=1e-3)
    assert found.groups() == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert average_ranks([[1.0, 2.0, 3.0]], level=0.95).groups() == [(0, 1, 2)]
    assert average_ranks([[2.0, 1.0]] * 4, level=0.95).groups() == []


def test_one_method_has_nothing_to_differ_from():
    assert average_ranks([[1.0]], level=0.95).difference == 0.0
