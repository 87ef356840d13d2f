"""No answer claims what is not so: 55 problems whose best value somebody else knows, solved by `auto`."""

import sys
from pathlib import Path

import pytest

from optwise.verbs.solutions import certified

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from answer_problems import problems
from answers import answer

KNOWN = problems()
FEW = ("least squares 200x30, kappa(X) 1000", "lasso 100x300", "basis pursuit 40x120", "MGH 8: bard", "portfolio")


def test_the_list_is_long_enough_to_mean_something():
    assert len(KNOWN) >= 40
    assert sum(known.name.startswith("MGH") for known in KNOWN) >= 15
    assert len({known.name for known in KNOWN}) == len(KNOWN)


@pytest.mark.parametrize("known", [k for k in KNOWN if k.name.startswith(FEW)], ids=lambda known: known.name)
def test_an_answer_claims_nothing_that_is_not_so(known):
    found = answer(known)
    assert certified(found.run)
    assert not found.false_optimum
    assert not found.false_stationary(1e-6)


@pytest.mark.slow
def test_no_answer_of_all_claims_what_is_not_so_and_nine_in_ten_are_certified():
    found = [answer(known) for known in KNOWN]
    assert [row.known.name for row in found if row.false_optimum] == []
    assert [row.known.name for row in found if row.false_stationary(1e-6)] == []
    assert sum(certified(row.run) for row in found) >= 0.9 * len(found)
