"""Laws of many pairs, bands, budget curves, profiles and arrival times, against enumeration, scipy and tables."""

from fractions import Fraction
from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, bootstrap

from optwise.numerics.statistics import (
    best_of_k,
    bootstrap_band,
    compare_studies,
    fewest_for,
    fewest_studies,
    holm,
    median_or_none,
    performance_profile,
    probability_best_of_k,
    quantile_or_none,
    reaches_level,
    restricted_mean,
    trapezoid_score,
    two_level_bootstrap,
    winner_stability,
)

INF = float("inf")


# --- many pairs ----------------------------------------------------------------------------------------------------


def test_holm_agrees_with_a_table_worked_by_hand():
    """Sorted .005 .011 .02 .04 .13 times 5 4 3 2 1 is .025 .044 .06 .08 .13, already rising."""
    assert holm([0.04, 0.005, 0.13, 0.02, 0.011]) == pytest.approx([0.08, 0.025, 0.13, 0.06, 0.044])
    assert holm([0.01, 0.02, 0.022, 0.9]) == pytest.approx([0.04, 0.06, 0.06, 0.9])  # .044 may not fall below .06
    assert holm([0.5, 0.6]).tolist() == [1.0, 1.0]
    assert holm([]).size == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.floats(0.001, 0.5))
@settings(deadline=None)
def test_holm_rejects_what_its_step_down_rule_rejects(p, alpha):
    rejected = np.zeros(len(p), dtype=bool)
    for step, index in enumerate(np.argsort(p, kind="stable")):
        if p[index] * (len(p) - step) > alpha:
            break
        rejected[index] = True
    assert ((holm(p) <= alpha) == rejected).all()


@pytest.mark.parametrize("p", [[0.1, float("nan")], [-0.1], [1.5], [[0.1]]])
def test_holm_refuses_what_is_not_a_list_of_probabilities(p):
    with pytest.raises(ValueError, match="p_values"):
        holm(p)


def test_the_fewest_studies_are_those_whose_smallest_p_value_survives_holm():
    assert [fewest_studies(methods, 0.95) for methods in range(2, 10)] == [4, 5, 5, 6, 6, 6, 7, 7]
    assert fewest_studies(2, 0.9) == 3  # 2 / 20 is 0.1, and 1 - 0.9 falls just short of it
    for methods in (2, 5, 7, 8):
        for short in (0, 1):
            n = fewest_studies(methods, 0.95) - short
            smallest = compare_studies(np.arange(1, n + 1)[:, None], np.arange(n + 1, 2 * n + 1)[:, None]).p
            best = holm([smallest] * comb(methods, 2)).min()
            assert reaches_level(best, 0.95) == (short == 0)
    with pytest.raises(ValueError, match="at least 2"):
        fewest_studies(1, 0.95)


@given(st.floats(1e-9, 1.0))
@settings(deadline=None)
def test_one_study_fewer_than_needed_never_reaches_the_share(share):
    n = fewest_for(share)
    assert reaches_level(2 / comb(2 * n, n), 1 - share)
    assert n == 2 or not reaches_level(2 / comb(2 * n - 2, n - 1), 1 - share)


# --- bands ---------------------------------------------------------------------------------------------------------


def test_a_band_of_means_is_the_percentile_interval_of_scipy():
    curves = np.random.default_rng(0).lognormal(size=(11, 3))
    band = bootstrap_band(curves, rng=np.random.default_rng(1), level=0.9, average=np.mean)
    oracle = bootstrap(
        (curves,), np.mean, method="percentile", confidence_level=0.9, n_resamples=9999, rng=np.random.default_rng(2)
    ).confidence_interval
    assert band.center == pytest.approx(curves.mean(axis=0))
    assert band.low == pytest.approx(oracle.low, rel=0.05)  # two sets of 10,000 resamples
    assert band.high == pytest.approx(oracle.high, rel=0.05)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_a_band_of_medians_ends_where_the_binomial_distribution_says(level):
    """The median of a resample of 11 is at most the j-th value when at least 6 draws are: a binomial chance."""
    values = np.arange(1.0, 12.0)
    below = binom.sf(5, 11, values / 11)  # chance that a resampled median is at most 1, 2, ..., 11
    band = bootstrap_band(values, rng=np.random.default_rng(0), level=level)
    assert band.center == 6.0
    assert band.low == values[np.argmax(below >= (1 - level) / 2)]
    assert band.high == values[np.argmax(below >= (1 + level) / 2)]


def test_a_band_keeps_diverged_curves_and_is_repeated_by_its_generator():
    curves = [[1.0, 2.0], [2.0, INF], [3.0, INF]]
    band, again = (bootstrap_band(curves, rng=np.random.default_rng(0), resamples=500) for _ in range(2))
    assert band.center.tolist() == [2.0, INF]
    assert (band.low[1], band.high[1]) == (2.0, INF)
    assert np.array_equal(band.low, again.low)


def test_one_seed_per_study_makes_the_two_levels_one():
    values = np.random.default_rng(0).lognormal(size=9)
    one = bootstrap_band(values, rng=np.random.default_rng(1), average=np.mean)
    two = two_level_bootstrap(list(values[:, None]), rng=np.random.default_rng(2), average=np.mean)
    assert float(two.center) == pytest.approx(float(one.center))
    assert [float(two.low), float(two.high)] == pytest.approx([float(one.low), float(one.high)], rel=0.05)


def test_six_studies_of_four_seeds_cover_less_than_the_band_is_named_after():
    """The docstring says about 88 %, and that is why claims never come from here; 300 draws know it to 6 %."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        studies = rng.normal(size=(6, 1)) + 0.25 * rng.normal(size=(6, 4))
        band = two_level_bootstrap(studies, rng=rng, resamples=400, average=np.mean)
        covered += band.low <= 0.0 <= band.high
    assert 0.82 <= covered / 300 <= 0.94


def test_every_study_draws_its_own_seeds():
    """Six studies that each hold a 0 and a 1 make a resample of twelve fair coins."""
    band = two_level_bootstrap([[0.0, 1.0]] * 6, rng=np.random.default_rng(0), average=np.mean)
    assert [12 * float(band.low), 12 * float(band.high)] == pytest.approx(binom.ppf([0.025, 0.975], 12, 0.5).tolist())


def test_curves_of_studies_are_resampled_whole():
    """Two points of one curve that always differ by 1 differ by 1 in every resample."""
    values = np.random.default_rng(0).normal(size=(4, 3))
    band = two_level_bootstrap(np.stack([values, values + 1], axis=2), rng=np.random.default_rng(0), average=np.mean)
    assert band.low.shape == (2,)
    assert band.low[1] - band.low[0] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda rng: bootstrap_band([1.0, float("nan")], rng=rng), "curves holds nan"),
        (lambda rng: bootstrap_band([], rng=rng), "none of them empty"),
        (lambda rng: bootstrap_band([1.0], rng=rng, resamples=0), "at least 1"),
        (lambda rng: bootstrap_band([1.0], rng=rng, level=1.0), "strictly between"),
        (lambda rng: two_level_bootstrap([[1.0], [1.0, 2.0]], rng=rng), "equally many seeds"),
        (lambda rng: winner_stability({}, rng=rng), "at least one method"),
        (lambda rng: winner_stability({"sgd": [float("nan")]}, rng=rng), "studies of sgd holds nan"),
    ],
)
def test_what_cannot_be_resampled_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call(np.random.default_rng(0))


def test_the_winner_of_a_second_set_of_studies_is_as_likely_as_listing_says():
    a, b = [1.0, 4.0, 5.0], [2.0, 3.0, 6.0]
    medians_a = [np.median(draw) for draw in product(a, repeat=3)]
    medians_b = [np.median(draw) for draw in product(b, repeat=3)]
    share = np.mean([x < y for x, y in product(medians_a, medians_b)])
    found = winner_stability({"a": a, "b": b}, rng=np.random.default_rng(0), resamples=20_000)
    assert found["a"] == pytest.approx(share, abs=3 * 0.5 / 20_000**0.5)
    assert sum(found.values()) == pytest.approx(1.0)


def test_methods_that_all_miss_share_the_win():
    missing = {name: [INF, INF] for name in "abcd"}
    assert winner_stability(missing, rng=np.random.default_rng(0)) == dict.fromkeys("abcd", 0.25)


# --- budget curves -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize(
    "values", [[3.0, 1.0, 2.0, 5.0, 4.0, 9.0], [2.0, 2.0, 1.0, 1.0, 7.0], [1.0, INF, 3.0, INF, 2.0], [INF, INF], [4.0]]
)
def test_the_budget_curve_is_the_best_over_all_listed_choices(values, replace):
    curve = best_of_k(values, replace=replace)
    for k in range(1, len(values) + 1):
        choices = product(values, repeat=k) if replace else combinations(values, k)
        best = np.array([min(choice) for choice in choices])
        assert curve.k[k - 1] == k
        assert curve.mean[k - 1] == pytest.approx(best.mean())
        for quantile, q in ((curve.q25, 0.25), (curve.median, 0.5), (curve.q75, 0.75)):
            assert quantile[k - 1] == np.quantile(best, q, method="inverted_cdf")


def test_a_quartile_reached_exactly_is_not_lost_to_rounding():
    """Each of these shares of the best value is k/N, exactly the quartile, though computed from a long product."""
    ranks = np.arange(1.0, 45.0)
    curve = best_of_k(ranks)
    assert (curve.q25[10], curve.median[21], curve.q75[32]) == (1.0, 1.0, 1.0)


def test_thousands_of_trials_lose_no_digits():
    """The oracle weighs with whole binomials in exact fractions."""
    trials = 1500
    values = np.random.default_rng(0).lognormal(size=trials)
    ordered = np.sort(values)
    curve = best_of_k(values)
    for k in (1, 2, 40, 700, 1500):
        exact = sum(
            Fraction(float(v)) * Fraction(comb(trials - i, k - 1), comb(trials, k)) for i, v in enumerate(ordered, 1)
        )
        assert curve.mean[k - 1] == pytest.approx(float(exact), rel=1e-11)


@given(
    st.lists(st.integers(0, 6) | st.just(INF), min_size=3, max_size=6),
    st.lists(st.integers(0, 6) | st.just(INF), min_size=3, max_size=6),
    st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_the_better_of_two_searches_is_as_likely_as_listing_says(a, b, k):
    pairs = [(min(x), min(y)) for x, y in product(combinations(a, k), combinations(b, k))]
    share = np.mean([(x < y) + 0.5 * (x == y) for x, y in pairs])
    assert probability_best_of_k(a, b, k) == pytest.approx(share)
    assert probability_best_of_k(b, a, k) == pytest.approx(1 - share)


def test_impossible_searches_are_refused():
    with pytest.raises(ValueError, match="between 1 and 2"):
        probability_best_of_k([1.0, 2.0], [1.0, 2.0, 3.0], 3)
    with pytest.raises(ValueError, match=r"Pass \+inf"):
        best_of_k([1.0, float("nan")])
    with pytest.raises(ValueError, match=r"Pass \+inf"):
        best_of_k([1.0, -INF])


# --- several problems ----------------------------------------------------------------------------------------------


def random_times():
    rng = np.random.default_rng(0)
    times = rng.lognormal(size=(4, 7)) * 100
    times[rng.random(times.shape) < 0.2] = INF
    times[:, 3] = INF  # a problem that nobody solved
    return times


def test_the_score_is_the_area_under_the_profile():
    profile = performance_profile(random_times())
    width = np.diff(profile.tau)
    assert (profile.rho[:, :-1] @ width) / 3 == pytest.approx(profile.score)
    times = random_times()
    with np.errstate(invalid="ignore"):
        ratios = times / times.min(axis=0)  # NaN where nobody solved it, and NaN <= tau is false
    dense = np.linspace(1, 4, 20_001)
    shares = (ratios[:, :, None] <= dense).mean(axis=1)
    assert profile.score == pytest.approx(np.trapezoid(shares, dense, axis=1) / 3, abs=1e-4)


def test_the_profile_steps_exactly_where_a_ratio_lies():
    times = random_times()
    profile = performance_profile(times)
    assert (profile.tau[0], profile.tau[-1]) == (1.0, 4.0)
    assert profile.rho[:, 0].sum() == 6 / 7  # six problems have one fastest method each
    assert (np.diff(profile.rho, axis=1) >= 0).all()
    assert (np.diff(profile.rho[:, :-1], axis=1).sum(axis=0) > 0).all()  # no grid point without a step


def test_the_trapezoids_follow_the_published_rule_and_stay_close_to_the_area():
    times = random_times()
    fastest = np.where(np.isfinite(times.min(axis=0)), times.min(axis=0), 1.0)
    tau = [1 + 3 * i / 99 for i in range(100)]
    rho = np.array([[(row / fastest <= t + 1e-12).mean() for t in tau] for row in times])
    oracle = (rho[:, 1:] + rho[:, :-1]).sum(axis=1) / 2 / 99
    assert trapezoid_score(times) == pytest.approx(oracle)
    assert np.abs(trapezoid_score(times) - performance_profile(times).score).max() <= 1 / 99
    assert trapezoid_score(times, points=30_001) == pytest.approx(performance_profile(times).score, abs=1e-4)


def test_scores_do_not_depend_on_the_unit_of_time_and_a_miss_earns_nothing():
    times = random_times()
    assert performance_profile(times * 60).score == pytest.approx(performance_profile(times).score)
    assert performance_profile([[INF, INF], [1.0, 2.0]]).score.tolist() == [0.0, 1.0]
    assert performance_profile([[INF], [INF]]).score.tolist() == [0.0, 0.0]
    assert performance_profile([[1.0], [4.0]]).score.tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("times", "extra", "said"),
    [
        ([[1.0, float("nan")]], {}, "times holds nan"),
        ([[0.0, 1.0]], {}, "times above 0"),
        ([1.0, 2.0], {}, r"\[methods, problems\]"),
        ([[1.0]], {"tau_max": 1.0}, "above 1"),
    ],
)
def test_times_without_ratios_are_refused(times, extra, said):
    for score in (performance_profile, trapezoid_score):
        with pytest.raises(ValueError, match=said):
            score(times, **extra)


# --- times that may never arrive -----------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 9) | st.just(INF), min_size=1, max_size=9), st.sampled_from([0.1, 0.25, 0.5, 0.75, 1]))
@settings(deadline=None)
def test_a_quantile_is_a_value_that_this_share_reached_or_none(values, q):
    arrived = [v for v in values if v < INF and sum(w <= v for w in values) >= q * len(values) - 1e-9]
    assert quantile_or_none(values, q) == (min(arrived) if arrived else None)


def test_a_share_that_is_a_whole_number_of_values_is_not_rounded_up():
    """In floating point 0.07 * 100 is 7.000000000000001, and the quantile is still the seventh value."""
    assert quantile_or_none(np.arange(1, 101), 0.07) == 7.0


@given(st.integers(0, 9), st.integers(0, 9))
@settings(deadline=None)
def test_the_median_is_none_just_when_over_half_miss(hits, misses):
    if hits + misses:
        assert (quantile_or_none([1.0] * hits + [INF] * misses, 0.5) is None) == (misses > hits)


def test_a_miss_counts_the_full_budget():
    assert restricted_mean([100.0, INF, 500.0, 2000.0], 1000.0) == (100 + 1000 + 500 + 1000) / 4
    times, grid = np.array([1.0, 2.5, INF]), np.linspace(0, 4, 40_001)
    under_way = (times[:, None] > grid).mean(axis=0)  # the area under this curve is the restricted mean
    assert restricted_mean(times, 4.0) == pytest.approx(np.trapezoid(under_way, grid), abs=1e-3)


def test_a_nan_is_no_time_and_a_budget_is_positive():
    with pytest.raises(ValueError, match="times holds nan"):
        restricted_mean([float("nan")], 1.0)
    with pytest.raises(ValueError, match="budget is 0"):
        restricted_mean([1.0], 0)
    with pytest.raises(ValueError, match="q is 0"):
        quantile_or_none([1.0], 0.0)


@pytest.mark.parametrize("n", range(1, 9))
@pytest.mark.parametrize("misses", range(4))
def test_the_median_is_numpys_and_none_where_a_middle_value_never_arrived(n, misses):
    values = np.append(np.random.default_rng(n).uniform(1, 2, size=n), [np.inf] * misses)
    known = np.median(values)
    assert median_or_none(values) == (known if np.isfinite(known) else None)
