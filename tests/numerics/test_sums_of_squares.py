"""Tails of sums of squares: against exact distributions, and skewness in closed form."""

import math

import numpy as np
import pytest
from scipy import stats

from optwise.numerics.sums_of_squares import estimated_spread, known_spread, skew_bounds


def excess(a, b):
    """Mean, deviation and skewness of 1/2 sum h w^2, with a = h Var w and b = h (E w)^2, from textbook cumulants."""
    mean, variance, third = 0.5 * (a + b).sum(), 0.5 * (a * (a + 2 * b)).sum(), (a * a * (a + 3 * b)).sum()
    return mean, math.sqrt(variance), third / variance**1.5


def bounds(mean, deviation):
    return skew_bounds(np.ones(1), np.ones(1), np.array([mean]), np.array([deviation]))


def test_the_skewness_of_an_excess_lies_between_its_bounds_whatever_its_directions():
    rng = np.random.default_rng(0)
    for _ in range(2000):
        d = rng.integers(1, 7)
        a, b = rng.exponential(size=d) ** 4, rng.exponential(size=d) ** 4 * rng.integers(0, 2)
        mean, deviation, skew = excess(a, b)
        low, high = bounds(mean, deviation)
        # rounding of a dozen operations
        assert low * (1 - 1e-12) <= skew <= high * (1 + 1e-12)


def test_both_bounds_are_reached():
    mean, deviation, skew = excess(np.array([3.0]), np.zeros(1))  # one direction around the optimum
    assert bounds(mean, deviation)[1] == pytest.approx(skew, rel=1e-12)
    mean, deviation, skew = excess(np.array([1e-9]), np.ones(1))  # hardly any noise around a fixed point
    assert bounds(mean, deviation)[0] == pytest.approx(skew, rel=1e-6)


def test_the_skewness_of_a_weighted_sum_is_that_of_its_cumulants():
    weights, counts, means = np.array([1.0, 0.2]), np.array([4.0, 7.0]), np.array([1.0, 5.0])
    deviations = np.sqrt(2) * means  # squares of normals, whose third cumulant is 8 / 8 of a^3, a = 2 mean
    third, variance = counts @ (weights * 2 * means) ** 3, counts @ (weights * deviations) ** 2
    assert skew_bounds(weights, counts, means, deviations)[1] == pytest.approx(third / variance**1.5, rel=1e-12)
    with_constant = skew_bounds(np.ones(2), np.ones(2), np.array([1.0, 9.0]), np.array([2**0.5, 0.0]))
    assert with_constant == pytest.approx(bounds(1.0, 2**0.5)), "what does not vary is not skewed"


@pytest.mark.parametrize("freedom", [1, 4, 32, 1000])
def test_a_chi_squared_variable_has_its_own_tails(freedom):
    skew = math.sqrt(8 / freedom)
    for q in (1e-5, 1e-3, 0.2, 0.8, 1 - 1e-3):
        place = stats.chi2.ppf(q, freedom)
        z = (place - freedom) / math.sqrt(2 * freedom)
        one_sided = stats.chi2.sf(place, freedom) if z > 0 else stats.chi2.cdf(place, freedom)
        # the place is rounded, and near 0 the density of one degree of freedom is steep
        assert known_spread(z, skew, skew) == pytest.approx(min(1.0, 2 * one_sided), rel=1e-6)


def test_without_skewness_the_tails_are_normal_and_join_smoothly():
    for z in (-6.0, -2.0, 0.0, 3.0):
        assert known_spread(z, 0.0, 0.0) == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-12)

    for skew in (1e-5, 6.3e-3, 6.4e-3):  # on both sides of where the cube root takes over
        edgeworth = stats.norm.sf(4.0) + skew / 6 * (4.0**2 - 1) * stats.norm.pdf(4.0)
        # the next terms of the expansion: skew^2 z^6 / 72, below 0.3 % here
        assert known_spread(4.0, skew, skew) == pytest.approx(2 * edgeworth, rel=3e-3)


def test_each_tail_takes_the_bound_that_makes_it_heavier():
    assert known_spread(4.0, 0.1, 0.5) == known_spread(4.0, 0.5, 0.5) > known_spread(4.0, 0.1, 0.1)
    assert known_spread(-4.0, 0.1, 0.5) == known_spread(-4.0, 0.1, 0.1) > known_spread(-4.0, 0.5, 0.5)
    assert known_spread(-3.0, 1.0, 1.0) == 0.0, "no sum of squares lies below its least value"


def test_an_estimated_spread_gives_student_s_t_where_means_are_close():
    ratios = 1.0 + 1e-4 * np.array([0.3, -1.0, 2.0, 0.7, 1.1])
    t, p = estimated_spread(ratios)
    expected = stats.ttest_1samp(ratios, 1.0)
    # the deviance differs from the square in its third order, here 1e-4
    assert t == pytest.approx(expected.statistic, rel=1e-3)
    assert p == pytest.approx(expected.pvalue, rel=1e-3)


def test_an_estimated_spread_is_the_deviance_of_a_gamma():
    """The log density of scipy's gamma of the sample's shape, at the sample's mean and at 1."""
    ratios = np.array([0.2, 0.5, 0.1, 1.3, 0.4])
    shape = ratios.mean() ** 2 / ratios.var(ddof=1)

    def likelihood(mean):
        return stats.gamma.logpdf(ratios, shape, scale=mean / shape).sum()

    t, p = estimated_spread(ratios)
    assert t == pytest.approx(-math.sqrt(2 * (likelihood(ratios.mean()) - likelihood(1.0))), rel=1e-12)
    assert p == pytest.approx(2 * stats.t.sf(-t, 4), rel=1e-12)


def test_what_rounding_explains_is_no_difference_and_without_a_spread_any_other_is_certain():
    assert estimated_spread(np.full(4, 1.01), slack=0.02) == (0.0, 1.0)
    assert estimated_spread(np.full(4, 1.03), slack=0.02) == (math.inf, 0.0)
    assert estimated_spread(np.zeros(4)) == (-math.inf, 0.0)
