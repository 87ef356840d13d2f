"""What studies promise: the ratio they find, and how often the interval holds the true one."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import nct
from scipy.stats import t as student

from optwise.numerics.multiplicity import fewest_studies
from optwise.numerics.power import USUAL_SPREAD, smallest_ratio
from optwise.numerics.splits import share_as_extreme
from optwise.numerics.statistics import compare_studies

INF = float("inf")
COVERED_DRAWS = 300


@pytest.mark.parametrize(("studies", "pairs"), [(4, 1), (6, 1), (8, 3), (16, 1), (16, 10), (64, 10)])
@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
def test_the_test_of_student_finds_the_ratio_with_the_power_that_is_named(studies, pairs, power):
    """The exact power is that of the noncentral t distribution; the formula is known to approximate it."""
    ratio = smallest_ratio(studies, pairs=pairs, power=power)
    shift = math.log(ratio) / USUAL_SPREAD * math.sqrt(studies / 2)
    freedom = 2 * studies - 2
    found = nct.sf(student.ppf(1 - 0.05 / pairs / 2, freedom), freedom, shift)
    assert found == pytest.approx(power, abs=0.04)


def test_the_rule_of_thumb_of_lehr_is_found_again():
    """Sixteen times the squared spread over the squared difference: the studies for a power of 0.8 at 0.05."""
    for studies in (32, 64, 128):
        assert math.log(smallest_ratio(studies)) == pytest.approx(4 * USUAL_SPREAD / math.sqrt(studies), rel=0.02)


@pytest.mark.slow
def test_the_permutation_test_finds_the_ratio_four_times_in_five():
    rng, studies, draws = np.random.default_rng(0), 8, 2000
    shift = math.log(smallest_ratio(studies, spread=1.0))
    values = rng.normal(size=(draws, 2 * studies))
    values[:, :studies] += shift
    found = np.mean([share_as_extreme(row, studies) <= 0.05 for row in values])
    assert found == pytest.approx(0.8, abs=3 * (0.16 / draws) ** 0.5 + 0.01)


@given(st.integers(6, 60), st.integers(1, 10), st.floats(0.01, 2), st.floats(0.1, 0.95))
@settings(deadline=None)
def test_more_studies_find_less_and_more_pairs_more_spread_and_more_power_ask_for_more(studies, pairs, spread, power):
    ratio = smallest_ratio(studies, pairs=pairs, spread=spread, power=power)
    assert ratio > smallest_ratio(studies + 1, pairs=pairs, spread=spread, power=power)
    assert ratio < smallest_ratio(studies, pairs=pairs + 1, spread=spread, power=power)
    assert ratio < smallest_ratio(studies, pairs=pairs, spread=1.1 * spread, power=power)
    assert ratio < smallest_ratio(studies, pairs=pairs, spread=spread, power=power + 0.01)
    assert smallest_ratio(studies, pairs=pairs, spread=2 * spread, power=power) == pytest.approx(ratio**2)


@given(st.integers(6, 20), st.floats(0.01, 0.99), st.floats(0.5, 0.95))
@settings(deadline=None)
def test_whatever_is_found_is_a_ratio_of_at_least_one(studies, power, level):
    """A power below the level itself is had for nothing, and still no ratio says that the slower one is faster."""
    assert smallest_ratio(studies, power=power, level=level) >= 1.0


def test_no_ratio_is_found_where_even_a_clean_sweep_cannot_reach_the_level():
    for methods in (2, 3, 5, 8):
        pairs, enough = methods * (methods - 1) // 2, fewest_studies(methods, 0.95)
        assert smallest_ratio(enough - 1, pairs=pairs) == math.inf
        assert math.isfinite(smallest_ratio(enough, pairs=pairs))


def test_without_spread_every_difference_is_found():
    assert smallest_ratio(8, spread=0.0) == 1.0


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"studies": 0}, "give at least 1"),
        ({"studies": 8, "pairs": 0}, "give at least 1"),
        ({"studies": 8, "spread": -1.0}, "give at least 1"),
        ({"studies": 8, "spread": math.inf}, "give at least 1"),
        ({"studies": 8, "spread": math.nan}, "give at least 1"),
        ({"studies": 8, "level": 95}, "strictly between 0 and 1"),
        ({"studies": 8, "power": 1.0}, "strictly between 0 and 1"),
    ],
)
def test_a_question_without_an_answer_is_refused(asked, said):
    with pytest.raises(ValueError, match=said):
        smallest_ratio(**asked)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["known", "cut", "measured and cut"])
@pytest.mark.parametrize("slower", [1.0, 1.5, 2.0, 3.0])
def test_the_interval_covers_the_true_ratio_of_times(slower, kind):
    """Spreads as between the searches of adamw on digits; half of b's runs and more of a's miss where times are cut."""
    rng = np.random.default_rng(int(10 * slower))
    limit = INF if kind == "known" else 1.2
    grid = np.linspace(0.0, 1.2, 25)
    covered = claimed = 0
    for _ in range(COVERED_DRAWS):
        a, b = (
            factor * np.exp(0.4 * rng.normal(size=(6, 1)) + 0.45 * rng.normal(size=(6, 2))) for factor in (slower, 1.0)
        )
        lows = [None, None]
        if kind == "measured and cut":
            at = [np.searchsorted(grid, x) for x in (a, b)]
            a, b = (np.append(grid, INF)[i] for i in at)
            lows = [np.where(i < grid.size, np.maximum(grid[i - 1], 1e-3), INF) for i in at]
        found = compare_studies(a, b, limit=limit, low_a=lows[0], low_b=lows[1])
        covered += (found.low or 0.0) <= slower <= (found.high or INF)
        claimed += found.p <= 0.05
    assert covered / COVERED_DRAWS >= 0.93
    if slower == 1.0:
        assert claimed / COVERED_DRAWS <= 0.05 + 3 * (0.95 * 0.05 / COVERED_DRAWS) ** 0.5
