"""The intervals beside the numbers of the check rules: binomial tails, and tabulated order statistics."""

import math

import numpy as np
import pytest
from scipy.stats import binom, ttest_1samp

from optwise.analyses.intervals import clustered_share_interval, mean_interval, median_interval, share_interval


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


@pytest.mark.parametrize("spread", [0.0, 0.4, 0.8])
@pytest.mark.parametrize("p", [0.25, 0.5, 0.75])
def test_runs_that_share_a_setting_count_for_fewer_so_that_the_interval_covers(p, spread):
    """Eight studies of four runs whose shares vary by a beta law; counted as 32 runs it covers 0.78 to 0.97."""
    rng, covered, above, n = np.random.default_rng(0), 0, 0, 300
    for _ in range(n):
        shares = rng.beta(p * (1 - spread) / spread, (1 - p) * (1 - spread) / spread, 8) if spread else np.full(8, p)
        interval = clustered_share_interval(rng.binomial(4, shares).tolist(), [4] * 8)
        covered += interval.low <= p <= interval.high
        above += interval.low > p
    assert covered / n >= 0.90
    if p == 0.5:  # the share that misses and overfitting are held against
        assert above / n <= 0.025 + 3 * (0.025 * 0.975 / n) ** 0.5


def test_of_one_study_or_of_studies_that_agree_nothing_is_less_certain_than_it_is():
    assert clustered_share_interval([3], [7]) == share_interval(3, 7)
    together = clustered_share_interval([4] * 8, [4] * 8)
    assert share_interval(8, 8).low < together.low < share_interval(32, 32).low
    assert together.high == 1.0


def test_the_interval_of_a_mean_is_student_s():
    values = [1.0, 2.5, 2.0, 4.0]
    expected = ttest_1samp(values, 0.0).confidence_interval(0.95)
    interval = mean_interval(values)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert mean_interval([1.0]).low is None
