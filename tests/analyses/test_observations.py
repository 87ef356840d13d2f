"""What a comparison infers from: hits and misses of whole studies, their ranks, and the one order of methods."""

import math
from itertools import pairwise
from statistics import geometric_mean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from optwise.analyses.observations import Observations, in_order, mean_ranks
from optwise.analyses.ranking import leader, order, verdicts
from optwise.analyses.verdict import BETTER, EQUIVALENT, FASTER, NOBODY, NOT_SEPARATED, Asked, Verdict
from optwise.numerics.statistics import compare_studies

INF = math.inf
FAST, SLOW = (10.0, 11.0, 12.0, 13.0, 14.0, 15.0), (20.0, 22.0, 24.0, 26.0, 28.0, 30.0)
MIXED = (9.0, 13.0, 17.0, 21.0, 25.0, 29.0)
SEEDS = st.sampled_from([1.0, 2.0, 4.0, 8.0, 16.0, INF])
STUDIES = st.lists(st.lists(SEEDS, min_size=1, max_size=3).map(tuple), min_size=1, max_size=4).map(tuple)


def one(*values, lows=None, **marks):
    """Studies of one seed each."""
    return Observations(tuple((v,) for v in values), None if lows is None else tuple((v,) for v in lows), **marks)


def judge(named, **asked):
    return verdicts(named, Asked(**{"level": 0.95, "margin": 0.02, "timed": True, **asked}))


def compared(a, b, **asked):
    (verdict,) = judge({"a": a, "b": b}, **asked)
    return verdict


def test_a_hit_lies_within_the_limit_and_everything_else_is_a_miss():
    o = Observations(((5.0, 10.0), (10.0 * (1 + 1e-12), 10.1), (INF, INF)), limit=10.0)
    assert (o.seeds, o.misses) == (6, 3)
    assert [o.hit(v) for v in (5.0, 10.0, 10.1, INF)] == [True, True, False, False]
    assert Observations(((5.0, 1e300, INF),)).misses == 1


@given(STUDIES, st.sampled_from([INF, 20.0, 8.0, 0.5]))
@settings(deadline=None)
def test_every_seed_hits_or_misses(studies, limit):
    o = Observations(studies, limit=limit)
    assert o.misses + sum(o.hit(v) for s in studies for v in s) == o.seeds == sum(map(len, studies))


def test_only_what_found_a_feasible_trial_can_be_compared():
    assert Observations(((1.0,),)).usable
    assert not Observations(((1.0,),), feasible=False).usable
    assert not Observations(()).usable


@given(STUDIES, st.integers(1, 5))
@settings(deadline=None)
def test_the_first_few_studies_are_what_was_known_then(studies, count):
    o = Observations(studies, tuple(tuple(v / 2 for v in s) for s in studies), limit=9.0, grid=(4.0, 8.0))
    first = o.first(count)
    assert first.studies == studies[:count]
    assert first.lows == tuple(tuple(v / 2 for v in s) for s in studies[:count])
    assert (first.limit, first.grid, first.certain, first.feasible) == (9.0, (4.0, 8.0), False, True)
    assert o.first(len(studies)) == o
    assert Observations(studies).first(count).lows is None


def test_the_number_of_a_study_is_its_mean_with_misses_at_the_limit():
    o = Observations(((2.0, 8.0), (INF, 4.0), (900.0, INF)), limit=16.0)
    assert o.per_study(log=True) == pytest.approx([geometric_mean(s) for s in ((2, 8), (16, 4), (16, 16))])
    assert o.per_study(log=False) == pytest.approx([5.0, 10.0, 16.0])


def test_the_resolution_is_the_mean_width_of_the_hits_in_logs():
    o = Observations(((20.0, INF), (40.0, 90.0)), ((10.0, INF), (10.0, 80.0)), limit=50.0)
    assert o.resolution == pytest.approx((math.log(2) + math.log(4)) / 2)
    assert Observations(((20.0,),)).resolution == 0.0
    assert Observations(((INF,),), ((INF,),)).resolution == 0.0


# --- ranks ---------------------------------------------------------------------------------------------------------


@given(st.lists(SEEDS, min_size=1, max_size=8), st.lists(SEEDS, min_size=1, max_size=8))
@settings(deadline=None)
def test_mean_ranks_of_two_methods_are_the_statistic_of_mann_and_whitney(a, b):
    found = mean_ranks({"a": Observations(tuple((v,) for v in a)), "b": Observations(tuple((v,) for v in b))})
    u = mannwhitneyu(np.minimum(a, 1e9), np.minimum(b, 1e9), method="asymptotic").statistic
    assert np.sum(found["a"]) - len(a) * (len(a) + 1) / 2 == pytest.approx(u)
    assert np.sum(found["a"]) + np.sum(found["b"]) == pytest.approx((len(a) + len(b)) * (len(a) + len(b) + 1) / 2)


def test_misses_tie_at_the_end_whatever_they_were_recorded_as():
    recorded = Observations(((1.0, 99.0), (12.0, INF)), limit=10.0), Observations(((11.0, 3.0),), limit=10.0)
    plain = Observations(((1.0, INF), (INF, INF)), limit=10.0), Observations(((INF, 3.0),), limit=10.0)
    assert mean_ranks(dict(zip("ab", recorded, strict=True))) == mean_ranks(dict(zip("ab", plain, strict=True)))
    assert mean_ranks(dict(zip("ab", plain, strict=True))) == {"a": [2.75, 4.5], "b": [3.25]}


def test_what_has_no_trial_has_no_rank():
    idle = Observations(((1.0,),), feasible=False)
    assert mean_ranks({"a": idle, "b": Observations(((7.0,),))}) == {"b": [1.0]}
    assert mean_ranks({"a": idle}) == {}


# --- order ---------------------------------------------------------------------------------------------------------


def test_methods_stand_by_claims_won_then_claims_lost_then_mean_rank():
    named = {"slow": one(9.0), "idle": Observations((), feasible=False), "quick": one(1.0), "middle": one(5.0)}
    assert in_order(named, {}, {}) == ["quick", "middle", "slow", "idle"]
    assert in_order(named, {"slow": 1}, {}) == ["slow", "quick", "middle", "idle"]
    assert in_order(named, {"slow": 1, "middle": 2}, {"middle": 1}) == ["middle", "slow", "quick", "idle"]
    assert in_order(named, {}, {"quick": 1}) == ["middle", "slow", "quick", "idle"]


def test_methods_that_tie_stay_as_they_came():
    missing = {name: one(INF, 50.0, limit=10.0) for name in "cab"}
    assert in_order(missing, {}, {}) == ["c", "a", "b"]
    assert in_order(dict.fromkeys("zyx", Observations((), feasible=False)), {}, {}) == ["z", "y", "x"]


@given(
    st.dictionaries(st.sampled_from("abcdef"), STUDIES, min_size=1),
    st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 3)),
    st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 3)),
)
@settings(deadline=None)
def test_every_method_stands_once_and_no_rule_is_broken_between_neighbours(studies, won, lost):
    observations = {name: Observations(s) for name, s in studies.items()}
    stands = in_order(observations, won, lost)
    assert sorted(stands) == sorted(observations)
    ranks = {name: float(np.mean(r)) for name, r in mean_ranks(observations).items()}
    for first, second in pairwise(stands):
        assert (-won.get(first, 0), lost.get(first, 0), ranks[first]) <= (
            -won.get(second, 0),
            lost.get(second, 0),
            ranks[second],
        )


def test_order_and_leader_follow_from_claims_and_from_ranks_where_nothing_is_claimed():
    fast, slow = one(*FAST), one(*SLOW)

    def stand(**named):
        found = judge(named)
        return order(named, found), leader(named, found)

    assert stand(a=slow, b=fast, c=slow) == (["b", "a", "c"], "b")
    assert stand(a=one(*MIXED), b=fast) == (["b", "a"], None), "nothing claimed: ordered, and nobody leads"
    idle = Observations((), feasible=False)
    assert stand(a=idle, b=slow) == (["b", "a"], None)
    assert stand(a=one(*FAST, feasible=False), b=slow, c=one(*(3 * x for x in SLOW))) == (["b", "c", "a"], "b")
    assert stand(a=idle, b=idle) == (["a", "b"], None)
    assert stand(a=slow) == (["a"], None)
    assert stand() == ([], None)


def test_the_leader_has_the_most_claims_then_the_fewest_losses():
    """Claims of three pairs that run in a circle leave the order to the ranks."""
    named = {"a": one(3.0), "b": one(2.0), "c": one(1.0)}
    circle = [Verdict("a", "b", FASTER), Verdict("b", "c", FASTER), Verdict("c", "a", FASTER)]
    assert (order(named, circle), leader(named, circle)) == (["c", "b", "a"], "c")
    assert leader(named, circle[:2]) == "a"
    assert leader(named, [Verdict("a", "b", EQUIVALENT), Verdict("a", "c", NOT_SEPARATED)]) is None


@given(
    st.dictionaries(st.sampled_from("abcde"), STUDIES, min_size=2),
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from([FASTER, BETTER, NOT_SEPARATED]))),
)
@settings(deadline=None)
def test_nobody_leads_just_where_nothing_is_claimed(studies, claims):
    named = {name: Observations(s) for name, s in studies.items()}
    names = list(named)
    found = [Verdict(names[i], names[j], words) for i, j, words in claims if i != j and max(i, j) < len(names)]
    first = leader(named, found)
    assert (first is None) == (not any(v.claims for v in found))
    assert first in (None, order(named, found)[0])


def test_interval_and_word_agree_where_one_number_is_certain():
    """39 studies against one number: two late ones hide it (p = 3 / 40), and lows that pull them in may not show it."""
    drawn_times = one(*[10.0] * 37, 1000.0, 1000.0, lows=[9.9] * 37 + [10.0] * 2, grid=(1.0,), limit=2000.0)
    certain = one(5.0, lows=[4.9], grid=(1.0,), limit=2000.0, certain=True)
    v = compared(drawn_times, certain)
    assert v.words == NOT_SEPARATED
    assert v.low is None or v.low <= 1


# --- certain numbers -----------------------------------------------------------------------------------------------


def test_certain_numbers_are_compared_without_a_test():
    a, b = one(40.0, certain=True), one(80.0, certain=True)
    v = compared(b, a)
    assert (v.a, v.b, v.words, v.p, v.p_adjusted, v.studies_needed) == ("b", "a", FASTER, None, None, None)
    assert (v.ratio, v.low, v.high, v.share) == (0.5, 0.5, 0.5, 1.0)
    assert compared(a, a).words == EQUIVALENT
    assert compared(one(-1.0, certain=True), one(0.0, certain=True), log=False).difference == -1.0


def test_certain_misses_are_bounds_and_not_equal():
    miss, hit = one(INF, limit=100.0, certain=True), one(40.0, limit=100.0, certain=True)
    v = compared(miss, miss)
    assert (v.words, v.because, v.low, v.high) == (NOT_SEPARATED, NOBODY, None, None)
    v = compared(miss, hit)
    assert (v.a, v.words, v.low, v.high, v.bound) == ("b", FASTER, None, pytest.approx(0.4), "at least")
    assert compared(one(INF, certain=True), one(40.0, certain=True)).a == "b"


def test_certain_numbers_cost_pairs_that_are_tested_nothing():
    named = {"a": one(40.0, certain=True), "b": one(80.0, certain=True), "c": one(*FAST), "d": one(*SLOW)}
    found = {frozenset((v.a, v.b)): v for v in judge(named)}
    assert found[frozenset("ab")].p is None
    assert found[frozenset("cd")].p_adjusted == pytest.approx(5 * found[frozenset("cd")].p)


def test_against_a_certain_number_every_study_counts_once():
    constant, few = one(5.0, certain=True), one(*FAST)
    assert compared(few, constant).studies_needed == 39  # 2 / (39 + 1) = 0.05
    many = one(*(10.0 + i for i in range(39)))
    v = compared(many, constant)
    assert (v.a, v.words, v.studies_needed) == ("b", FASTER, None)


def test_certain_times_first_measured_together_are_not_separated_but_by_more_evaluations():
    """One took 1 step and the other 4; both were first measured at step 50."""
    first = one(50.0, lows=[1.0], limit=1000.0, certain=True)
    v = compared(first, first, evaluations=21)
    assert (v.words, v.ratio, v.low, v.high) == (NOT_SEPARATED, 1.0, 1 / 50, 50.0)
    width = math.log(50) / (v.evaluations_needed - 1) * 20  # of an interval, with so many evaluations
    assert width == pytest.approx(math.log(1.02) / 2, rel=1e-3)
    assert compared(first, first).evaluations_needed is None, "unknown how many there were"


@pytest.mark.parametrize(("low", "word"), [(1.0, NOT_SEPARATED), (900.0, NOT_SEPARATED), (990.0, EQUIVALENT)])
def test_certain_times_in_one_narrow_gap_are_equivalent(low, word):
    narrow = one(1000.0, lows=[low], limit=2000.0, certain=True)
    v = compared(narrow, narrow, evaluations=41)
    assert v.words == word
    assert (v.evaluations_needed is None) == (word == EQUIVALENT)


def test_certain_times_in_gaps_that_do_not_meet_are_told_apart():
    early, late = (one(high, lows=[low], certain=True) for low, high in ((50.0, 100.0), (100.0, 150.0)))
    assert compared(early, late).words == NOT_SEPARATED, "both may have taken 100"
    v = compared(one(150.0, lows=[101.0], certain=True), early)
    assert (v.a, v.words) == ("b", FASTER)
    assert v.ratio == pytest.approx(100 / 150)
    assert (v.low, v.high) == (pytest.approx(50 / 150), pytest.approx(100 / 101))


# --- evaluations ---------------------------------------------------------------------------------------------------

LIMIT = 4.0
FINE, COARSE = (tuple(np.linspace(0.0, LIMIT, count)[1:].round(9).tolist()) for count in (41, 11))


def measured(times, grid):
    """What is known of times [studies, seeds] that are looked at on a grid."""
    at, ends = np.searchsorted(grid, times), np.append(grid, INF)
    lows = np.where(np.isfinite(ends[at]), np.append(0.0, grid)[at] + grid[0] / 50, INF)
    return Observations(
        tuple(map(tuple, ends[at].tolist())), tuple(map(tuple, lows.tolist())), limit=LIMIT, grid=tuple(grid)
    )


def times(rng, scale, n=6):
    return scale * np.exp(0.2 * rng.normal(size=(n, 1)) + 0.2 * rng.normal(size=(n, 2)))


@pytest.mark.parametrize("scale", [0.1, 0.5, 2.0])
def test_the_very_same_times_on_other_grids_are_never_told_apart(scale):
    """On the coarse grid they are all recorded later; a test of what is recorded would call them slower."""
    rng, fooled = np.random.default_rng(0), 0
    for _ in range(4):
        same = times(rng, scale)
        fine, coarse = measured(same, FINE), measured(same, COARSE)
        fooled += compare_studies(fine.studies, coarse.studies, limit=LIMIT).p <= 0.05
        v = compared(fine, coarse)
        assert not v.claims
        assert (v.low or 0.0) <= 1 <= (v.high or INF)
    assert fooled > 0 or scale > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("grids", [(FINE, COARSE), (FINE, FINE), (COARSE, COARSE)])
@pytest.mark.parametrize("scale", [0.1, 0.5, 2.0])
def test_methods_that_do_not_differ_are_rarely_told_apart_on_any_grids(grids, scale):
    rng, draws = np.random.default_rng(0), 150
    claims = sum(compared(*(measured(times(rng, scale), grid) for grid in grids)).claims for _ in range(draws))
    assert claims / draws <= 0.05 + 3 * (0.05 * 0.95 / draws) ** 0.5


def test_on_the_same_grid_the_test_takes_times_as_they_are_recorded():
    rng = np.random.default_rng(0)
    for _ in range(5):
        a, b = (measured(times(rng, scale), COARSE) for scale in (1.0, 1.4))
        assert compared(a, b).p == compare_studies(a.studies, b.studies, limit=LIMIT).p


def test_on_different_grids_the_p_value_is_the_largest_that_the_intervals_allow():
    """Never below that of the recorded times, and a difference far beyond both grids is found all the same."""
    rng = np.random.default_rng(1)
    for scale in (1.1, 1.6, 3.0):
        a, b = measured(times(rng, 0.6), FINE), measured(times(rng, 0.6 * scale), COARSE)
        v = compared(a, b)
        assert v.p >= compare_studies(a.studies, b.studies, limit=LIMIT).p
    assert (v.words, v.a) == (FASTER, "a")


def test_runs_whose_evaluations_differ_among_themselves_are_on_no_common_grid():
    """``grid`` is None for each of the two, and None is not equal to None here."""
    rng = np.random.default_rng(0)
    same = times(rng, 0.1)
    fine, coarse = (
        Observations(o.studies, o.lows, limit=LIMIT) for o in (measured(same, FINE), measured(same, COARSE))
    )
    assert not compared(fine, coarse).claims
