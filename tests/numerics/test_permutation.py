"""Laws of the test of two methods over whole studies and of its interval, against enumeration, scipy and tables."""

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test, rankdata, ttest_ind

from optwise.numerics.statistics import compare_studies

INF = float("inf")
LATE = 1.025  # a miss counts this much beyond the limit
TIMES = st.sampled_from([1.0, 2.0, 4.0, 8.0, 16.0])  # many ties
STUDIES = st.lists(st.lists(TIMES, min_size=1, max_size=3), min_size=2, max_size=5)  # C(10, 5) = 252 splits
LIMITS = st.sampled_from([INF, 16.0, 8.0, 5.0, 0.5])


def with_misses(times):
    return st.lists(st.lists(times | st.just(INF), min_size=1, max_size=3), min_size=2, max_size=5)


def single(values):
    """Studies of one seed each."""
    return [[v] for v in values]


def numbers(a, b, *, theta=0.0, limit=INF):
    """One number per study by its definition: b slowed down by e^theta, both cut where both are known."""
    cut = min(1.0, np.exp(theta)) * limit
    times = [np.array(s) for s in a] + [np.array(s) * np.exp(theta) for s in b]
    pool = np.concatenate(times)
    late = (pool > cut * (1 + 1e-9)) | np.isinf(pool)
    pool[late] = LATE * cut
    scores = np.log(pool) if np.isfinite(cut) or not late.any() else rankdata(pool.round(9))
    return np.array([part.mean() for part in np.split(scores, np.cumsum([len(t) for t in times])[:-1])])


def distances(scores, n):
    """How far the sum of every choice of n lies from its mean, that of the first n first."""
    splits = np.array(list(combinations(range(len(scores)), n)))
    return np.abs(scores[splits].sum(axis=1) - n * scores.mean())


def listed_p(scores, n):
    """The test by its definition: list every split."""
    distance = distances(scores, n)
    return float((distance >= distance[0] - 1e-9).mean())


def kept(a, b, *, limit, level, reach=9.0):
    """Ends of what the listed test keeps on a fine grid of shifts; None where the grid ends first."""
    grid = np.arange(-reach, reach, 0.02) + 0.0037
    inside = [t for t in grid if listed_p(numbers(a, b, theta=t, limit=limit), len(a)) > 1 - level + 1e-9]
    if not inside:
        return "nothing is kept", "nothing is kept"
    return (None if inside[0] == grid[0] else inside[0]), (None if inside[-1] == grid[-1] else inside[-1])


def logs(*ends):
    return [end if end is None else pytest.approx(np.log(end), abs=0.021) for end in ends]


def sizes(found):
    return [found.ratio, found.low, found.high]


def close(*numbers):
    return [x if x is None else pytest.approx(x, rel=1e-6) for x in numbers]


# --- the p-value ---------------------------------------------------------------------------------------------------


@given(with_misses(TIMES), with_misses(TIMES), LIMITS)
@settings(max_examples=40, deadline=None)
def test_the_p_value_is_the_share_of_listed_splits_also_with_ties_and_misses(a, b, limit):
    assert compare_studies(a, b, limit=limit).p == pytest.approx(listed_p(numbers(a, b, limit=limit), len(a)))


@pytest.mark.parametrize(("n_a", "n_b"), [(6, 6), (7, 7), (8, 5), (3, 12), (2, 17)])
def test_scipy_permutes_mean_log_times_to_the_same_p_value(n_a, n_b):
    rng = np.random.default_rng(n_a)
    a, b = rng.lognormal(size=(n_a, 3)), rng.lognormal(size=(n_b, 2)) * 1.7
    pooled = np.concatenate([np.log(a).mean(axis=1), np.log(b).mean(axis=1)])
    oracle = permutation_test(
        (pooled[:n_a], pooled[n_a:]),
        lambda x, _, axis: np.abs(x.sum(axis=axis) - n_a * pooled.mean()),
        vectorized=True,
        n_resamples=np.inf,
        alternative="greater",
    )
    found = compare_studies(a, b)
    assert found.p == pytest.approx(oracle.pvalue, rel=1e-12)
    assert (found.n_a, found.n_b, found.exact) == (n_a, n_b, True)
    assert found.share == pytest.approx(np.less.outer(pooled[:n_a], pooled[n_a:]).mean())


def test_with_a_miss_and_no_limit_the_permeability_data_of_hollander_and_wolfe_come_out_as_published():
    """Table 4.1 there, and the help page of R's wilcox.test: one-sided p = 0.1272. The largest value is a miss here."""
    term = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, INF, 1.64, 0.73, 1.46]
    early = [1.15, 0.88, 0.90, 0.74, 1.21]
    found = compare_studies(single(term), single(early), log=False)
    assert round(found.p / 2, 4) == 0.1272
    assert found.ratio == pytest.approx(0.3)  # the shift under which the ranks balance; the published one is 0.305


def test_the_mouse_data_of_efron_and_tibshirani_come_out_as_published():
    """Table 2.1 and section 15.2 there: the means differ by 30.63; 132 of 1000 drawn splits are as far on one side."""
    treated, control = [94, 197, 16, 38, 99, 141, 23], [52, 104, 146, 10, 51, 30, 40, 27, 46]
    found = compare_studies(single(treated), single(control), log=False)
    assert round(found.ratio, 2) == 30.63
    assert found.p / 2 == pytest.approx(0.132, abs=3 * (0.132 * 0.868 / 1000) ** 0.5)


def test_many_studies_are_compared_by_the_same_random_splits_every_time():
    rng = np.random.default_rng(2)
    a, b = rng.lognormal(size=(30, 2)), rng.lognormal(sigma=0.8, size=(40, 2)) * 1.3
    found = compare_studies(a, b)
    assert not found.exact
    assert found == compare_studies(a, b)
    oracle = ttest_ind(np.log(a).mean(axis=1), np.log(b).mean(axis=1)).pvalue
    assert found.p == pytest.approx(oracle, abs=4 * (oracle / 20_000) ** 0.5 + 1e-3)
    for end, inwards in ((found.low, 1.001), (found.high, 0.999)):  # the same test, a little inside and outside
        assert compare_studies(a, b * end * inwards).p > 0.05
        assert compare_studies(a, b * end / inwards).p <= 0.05
    assert compare_studies(a, b + 1e3).p == 1 / 20_000  # never 0


# --- what does not matter ------------------------------------------------------------------------------------------


@given(STUDIES, STUDIES, LIMITS, st.floats(0.1, 10))
@settings(max_examples=20, deadline=None)
def test_swapping_the_methods_mirrors_the_answer_and_units_do_not_matter(a, b, limit, unit):
    one = compare_studies(a, b, limit=limit, level=0.8)
    other = compare_studies(
        [[unit * t for t in s] for s in b], [[unit * t for t in s] for s in a], limit=unit * limit, level=0.8
    )
    assert one.p == other.p
    assert one.lead == pytest.approx(-other.lead, abs=1e-8)
    assert one.share == pytest.approx(1 - other.share)
    assert sizes(one) == close(*(None if x is None else 1 / x for x in (other.ratio, other.high, other.low)))


@pytest.mark.parametrize("unit", [1e-12, 1e-6, 1.0, 1e9])
def test_differences_do_not_depend_on_the_unit_of_their_values(unit):
    """A duality gap of 1e-12 is as good a value as an accuracy."""
    values = [[[-3, -1], [0, 2], [1, -2], [0, 1]], [[2, 0], [3, 4], [6, 1], [1, 1]]]
    other = compare_studies(*values, log=False, level=0.8)
    one = compare_studies(*(unit * np.array(values)), log=False, level=0.8)
    assert (one.p, one.share) == (other.p, other.share)
    assert sizes(one) == close(*(unit * x for x in sizes(other)))


@given(st.randoms(use_true_random=False), with_misses(TIMES), STUDIES, LIMITS)
@settings(max_examples=20, deadline=None)
def test_the_order_of_studies_and_of_seeds_does_not_matter(random, a, b, limit):
    def mixed(studies):
        return [random.sample(s, len(s)) for s in random.sample(studies, len(studies))]

    one = compare_studies(a, b, limit=limit, level=0.8)
    other = compare_studies(mixed(a), mixed(b), limit=limit, level=0.8)
    assert (one.p, one.share) == (other.p, pytest.approx(other.share))
    assert sizes(one) == close(*sizes(other))


@pytest.mark.parametrize("unit", [1, 2, 3, 7, 0.3, 11])
def test_studies_that_tie_tie_in_every_unit(unit):
    """The geometric mean of 1 and 4 is 2, and that of 3 and 12 is 6, whatever the last bits of their logs say."""
    t = 0.1 * unit
    found = compare_studies([[t, 4 * t], [3 * t, 12 * t]], [[2 * t, 2 * t], [6 * t, 6 * t]])
    assert (found.lead, found.ratio, found.p, found.share) == (0.0, 1.0, 1.0, 0.5)


@pytest.mark.parametrize("base", [(2.0, 3.0, 7.0, 11.0), (0.1, 0.7, 1.1, 1.3)])
def test_the_same_times_in_another_order_are_no_difference(base):
    """Sums of the same logs in two orders differ in their last bit, and a difference of one bit claims nothing."""
    orders = sorted(permutations(base), key=lambda order: sum(np.log(order)))
    found = compare_studies([orders[0]] * 5, [orders[-1]] * 5)
    assert (found.p, found.lead, found.ratio, found.share) == (1.0, 0.0, 1.0, 0.5)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([[10, 11], [12, INF], [13, 14], [15, 9], [INF, 12]], [[20, INF], [INF, INF], [26, INF], [30, 31], [25, 29]]),
        ([[10], [11], [12], [13], [14]], [[INF]] * 5),
        ([[10], [11], [12], [13], [INF]], [[11], [INF], [INF], [INF], [INF]]),
    ],
)
@pytest.mark.parametrize("limit", [40.0, 400.0, 40_000.0])
@pytest.mark.parametrize("instead", [1.01, 1e3, 1e9])
def test_a_miss_may_be_any_number_beyond_the_limit(a, b, limit, instead):
    def late(studies):
        return [[instead * limit if t == INF else t for t in s] for s in studies]

    one, other = compare_studies(a, b, limit=limit), compare_studies(late(a), late(b), limit=limit)
    assert (one.p, one.lead, one.share) == (other.p, other.lead, other.share)
    assert sizes(one) == close(*sizes(other))


# --- misses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [INF, 1000.0, 0.5])
@pytest.mark.parametrize(("n_a", "n_b"), [(6, 6), (4, 9), (30, 30)])
def test_two_methods_that_always_miss_tie_whatever_the_number_of_seeds(limit, n_a, n_b):
    found = compare_studies([[INF, INF, INF]] * n_a, [[INF]] * n_b, limit=limit)
    assert (found.p, found.lead, found.share) == (1.0, 0.0, 0.5)
    assert sizes(found) == [None, None, None]


@pytest.mark.parametrize("limit", [151.0, 1000.0, 100_000.0])
@pytest.mark.parametrize("n", [5, 6])
def test_a_method_that_always_misses_leaves_the_gain_open_but_bounds_it(limit, n):
    """Shifted by e^theta, b is late beyond e^theta times the limit; while more hits of a lie below, b stays behind."""
    times = [100.0, 110.0, 120.0, 130.0, 140.0, 150.0][:n]
    found = compare_studies(single(times), [[INF]] * n, limit=limit)
    assert found.ratio is None
    assert list(kept(single(times), [[INF]] * n, limit=limit, level=0.95, reach=9.5)) == logs(None, found.high)
    assert found.low is None
    assert 100 / limit * 0.97 < found.high <= 150 / limit * 1.001
    mirrored = compare_studies([[INF]] * n, single(times), limit=limit)
    assert (mirrored.low, mirrored.high) == (pytest.approx(1 / found.high), None)


@pytest.mark.parametrize("log", [True, False])
def test_without_a_limit_a_method_that_always_misses_has_no_bound(log):
    """Where no limit is known any factor is rejected: a number for the end would come from nowhere."""
    found = compare_studies(single([100, 110, 120, 130, 140, 150]), [[INF]] * 6, log=log)
    assert found.p == pytest.approx(2 / 924)
    assert sizes(found) == [None, None, None]


def test_a_miss_is_worse_than_a_hit_at_the_limit():
    at, beyond = [[99.0], [100.0], [100.0], [100.0]], [[INF]] * 4
    found = compare_studies(at, beyond, limit=100.0)
    assert (found.p, found.share) == (pytest.approx(2 / 70), 1.0)
    assert found.lead < 0
    tied = compare_studies([[100.0]] * 4, [[100.0 * (1 + 1e-12)]] * 4, limit=100.0)  # beyond by rounding alone
    assert tied.p == pytest.approx(1.0)


@given(STUDIES, STUDIES, st.integers(0, 4))
@settings(max_examples=20, deadline=None)
def test_a_run_that_misses_instead_never_helps_its_method(a, b, which):
    """One seed of a made a miss moves the lead towards b and never a study ahead of one of b."""
    worse = [list(s) for s in a]
    worse[which % len(a)][0] = INF
    before, after = compare_studies(a, b, limit=16.0, level=0.8), compare_studies(worse, b, limit=16.0, level=0.8)
    assert after.lead > before.lead
    assert after.share <= before.share + 1e-12


# --- the interval --------------------------------------------------------------------------------------------------


@given(STUDIES, STUDIES)
@settings(max_examples=40, deadline=None)
def test_the_interval_of_known_times_holds_just_the_factors_that_the_test_keeps(a, b):
    r"""By algebra: a split is as extreme between the two roots of D_S(theta)^2 - D(theta)^2, a parabola in theta."""
    n, m, level = len(a), len(b), 0.8
    scores = numbers(a, b)
    splits = np.array(list(combinations(range(n + m), n)))
    taken = (splits >= n).sum(axis=1)  # studies of b in the split
    d = scores[splits].sum(axis=1) - n * scores.mean()
    c = n * m / (n + m)
    with np.errstate(divide="ignore", invalid="ignore"):
        roots = np.stack([-(d - d[0]) / taken, (d + d[0]) / (2 * c - taken)])
    always = (taken == 0) | np.isclose(taken, 2 * c)
    lows, highs = np.where(always, -INF, roots.min(axis=0)), np.where(always, INF, roots.max(axis=0))
    enough = int((1 - level) * len(splits) + 1e-9)
    low, high = np.sort(lows)[enough], np.sort(highs)[::-1][enough]
    found = compare_studies(a, b, level=level)
    assert np.log(found.ratio) == pytest.approx(d[0] / c, abs=1e-8)
    assert (-INF if found.low is None else np.log(found.low)) == pytest.approx(low, abs=1e-6)
    assert (INF if found.high is None else np.log(found.high)) == pytest.approx(high, abs=1e-6)


@given(STUDIES, STUDIES, st.sampled_from([20.0, 16.0, 8.0, 5.0]))
@settings(max_examples=12, deadline=None)
def test_the_interval_of_cut_times_is_found_again_on_a_fine_grid(a, b, limit):
    """Of b slowed down by e^theta no more is known than up to e^theta times the limit; both are cut there."""
    found = compare_studies(a, b, limit=limit, level=0.8)
    low, high = kept(a, b, limit=limit, level=0.8)
    assert [low, high] == logs(found.low, found.high)


@pytest.mark.parametrize(
    ("a", "b", "limit"),
    [
        ([[INF], [4], [4], [1]], [[INF], [2], [INF], [2], [1]], 1000.0),
        ([[4], [2], [2], [1]], [[INF]] * 4, 1000.0),
        ([[1], [4], [2], [4], [INF]], [[INF]] * 4, 100.0),
        ([[4], [2], [2], [1]], [[3], [INF], [INF], [2]], 20.0),
        ([[8, 2], [2, 1], [INF, 4], [2, 2]], [[INF, INF], [4, INF], [INF, 8], [INF, INF]], 100.0),
    ],
)
def test_the_interval_is_found_again_where_the_limit_lies_far_beyond_the_times(a, b, limit):
    found = compare_studies(a, b, limit=limit, level=0.9)
    low, high = kept(a, b, limit=limit, level=0.9)
    assert [low, high] == logs(found.low, found.high)


def test_three_studies_cannot_reach_the_level_and_leave_both_ends_open():
    found = compare_studies([[1], [2], [3]], [[10], [20], [30]])
    assert (found.p, found.low, found.high) == (0.1, None, None)
    assert compare_studies([[1], [2], [3]], [[10], [20], [30]], level=0.9).high == pytest.approx(0.3)


@given(STUDIES, STUDIES, st.sampled_from([0.5, 0.9, 0.99]), st.sampled_from([INF, 16.0, 5.0]))
@settings(max_examples=10, deadline=None)
def test_times_between_two_evaluations_widen_the_interval_and_change_nothing_else(a, b, known, limit):
    low_a, low_b = ([[known * t for t in s] for s in studies] for studies in (a, b))
    one = compare_studies(a, b, limit=limit, level=0.8)
    other = compare_studies(a, b, limit=limit, level=0.8, low_a=low_a, low_b=low_b)
    assert (one.p, one.share) == (other.p, other.share)
    if limit == INF:  # every middle lies as far below its value
        assert other.ratio == pytest.approx(one.ratio)
    lows = (one.low, compare_studies(low_a, b, limit=limit, level=0.8).low)
    highs = (one.high, compare_studies(a, low_b, limit=limit, level=0.8).high)
    assert other.low == (None if None in lows else min(lows))
    assert other.high == (None if None in highs else max(highs))
    if limit == INF and one.low is not None and one.high is not None:
        assert [other.low, other.high] == pytest.approx([known * one.low, one.high / known])


# --- input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "extra", "said"),
    [
        ([[1.0], [-INF]], {"log": False}, r"Pass \+inf for a miss"),
        ([[1.0], [float("nan")]], {"log": False}, "study of a holds nan"),
        ([[0.0], [1.0]], {}, "Pass log=False"),
        ([[-1.0, INF]], {}, "ratios need positive values"),
        ([], {}, "a holds no study"),
        ([[1.0], []], {}, "at least one entry"),
        ([[[1.0]]], {}, "one number per entry"),
        ([[1.0], [2.0]], {"level": 95}, "strictly between 0 and 1"),
        ([[1.0], [2.0]], {"low_a": [[0.5], [float("nan")]]}, "study of low_a holds nan"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_sentence(a, extra, said):
    with pytest.raises(ValueError, match=said):
        compare_studies(a, [[1.0], [2.0]], **extra)


@pytest.mark.parametrize("low_a", [[[0.5]], [[0.5], [0.5, 0.5]], [[3.0], [0.5]]])
def test_lows_that_do_not_belong_to_the_times_are_refused(low_a):
    """Another shape, or a time that lies below what it is known to exceed, cannot be measured."""
    with pytest.raises(ValueError, match="low_a"):
        compare_studies([[1.0], [2.0]], [[1.0], [2.0]], low_a=low_a)
