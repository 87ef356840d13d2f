"""The intervals beside the numbers of the check rules: binomial tails, and tabulated order statistics."""

import math

import pytest
from scipy.stats import binom

from optwise.analyses.intervals import median_interval, share_interval


@pytest.mark.parametrize(("successes", "n"), [(0, 5), (3, 7), (16, 16)])
def test_a_share_s_interval_leaves_the_binomial_tails_their_level(successes, n):
    interval = share_interval(successes, n)
    if successes:
        assert binom.sf(successes - 1, n, interval.low) == pytest.approx(0.025)
    if successes < n:
        assert binom.cdf(successes, n, interval.high) == pytest.approx(0.025)


def test_a_median_s_interval_takes_the_tabulated_order_statistics_and_stays_open_below_six():
    """For n = 20 tables give the 6th and the 15th value."""
    interval = median_interval([float(k) for k in range(1, 21)])
    assert (interval.low, interval.high) == (6.0, 15.0)
    assert (median_interval([1.0] * 5).low, median_interval([1.0, 2.0, 3.0, 4.0, 5.0, math.inf]).high) == (None, None)
