"""Verdicts about pairs: the words in their order, what they need, and who is spoken of first."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optwise.analyses.observations import Observations
from optwise.analyses.ranking import verdicts
from optwise.analyses.verdict import BETTER, EQUIVALENT, FASTER, NOBODY, NOT_COMPARABLE, NOT_SEPARATED, Asked
from optwise.numerics.sequential import nominal_level, overall_p
from optwise.numerics.statistics import compare_studies, fewest_for, holm

INF = math.inf
FAST, SLOW = (10.0, 11.0, 12.0, 13.0, 14.0, 15.0), (20.0, 22.0, 24.0, 26.0, 28.0, 30.0)
MIXED = (9.0, 13.0, 17.0, 21.0, 25.0, 29.0)
IDLE = Observations((), feasible=False)


def studies(*values, lows=None, **marks):
    """One seed per study."""
    return Observations(
        tuple((float(v),) for v in values), None if lows is None else tuple((float(v),) for v in lows), **marks
    )


def judge(observations, *, level=0.95, margin=0.02, timed=True, **more):
    return verdicts(observations, Asked(level=level, margin=margin, timed=timed, **more))


def one(a, b, **asked):
    (verdict,) = judge({"a": a, "b": b}, **asked)
    return verdict


def drawn(rng, scale, *, n=6, limit=INF, grid=None):
    """Studies of two seeds, measured on a grid or known."""
    times = scale * np.exp(0.4 * rng.normal(size=(n, 1)) + 0.45 * rng.normal(size=(n, 2)))
    if grid is None:
        return Observations(tuple(map(tuple, times.tolist())), limit=limit)
    at, ends = np.searchsorted(grid, times), np.append(grid, INF)
    lows = np.where(np.isfinite(ends[at]), np.append(0.0, grid)[at] + grid[0] / 50, INF)
    return Observations(tuple(map(tuple, ends[at].tolist())), tuple(map(tuple, lows.tolist())), limit=limit, grid=grid)


# --- words ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("timed", "word"), [(True, FASTER), (False, BETTER)])
def test_a_clean_sweep_is_faster_in_time_and_better_in_value(timed, word):
    v = one(studies(*FAST), studies(*SLOW), timed=timed)
    assert (v.a, v.b, v.words) == ("a", "b", word)
    assert v.ratio == pytest.approx(0.5)
    assert v.low < v.ratio < v.high < 1
    assert v.p == v.p_adjusted == pytest.approx(2 / math.comb(12, 6))
    assert (v.share, v.n, v.studies_needed, v.bound, v.separated_at) == (1.0, 6, None, None, None)


def test_the_better_one_is_always_a_and_its_numbers_turn_with_it():
    pairs = ((FAST, SLOW), (SLOW, FAST))
    straight, turned = (one(studies(*x), studies(*y)) for x, y in pairs)
    assert (turned.a, turned.b) == ("b", "a")
    for number in ("ratio", "low", "high", "share", "p"):
        assert getattr(turned, number) == pytest.approx(getattr(straight, number))
    differences = [one(studies(*x), studies(*y), log=False) for x, y in pairs]
    assert [v.difference for v in differences] == [pytest.approx(-12.5)] * 2
    assert differences[0].ratio is None
    assert [differences[1].low, differences[1].high] == pytest.approx([differences[0].low, differences[0].high])
    late = one(studies(*SLOW, limit=25.0), studies(*FAST, limit=25.0))
    assert (late.a, late.misses_a, late.misses_b) == ("b", 0, 3)


def test_what_the_test_does_not_tell_apart_is_not_separated():
    v = one(studies(*FAST), studies(*MIXED))
    assert v.words == NOT_SEPARATED
    assert v.p_adjusted > 0.05
    assert v.low < 1 < v.high
    assert v.studies_needed is None


def test_equivalent_comes_before_faster():
    near, below = ([factor * (100 + i / 10) for i in range(6)] for factor in (1.001, 0.994))
    v = one(studies(*below), studies(*near))
    assert v.p_adjusted < 0.05
    assert v.words == EQUIVALENT
    assert one(studies(*below), studies(*near), margin=0.001).words == FASTER


def test_a_difference_has_no_margin_of_equivalence():
    same = studies(*[0.5] * 6)
    assert one(same, same).words == EQUIVALENT
    assert one(same, same, log=False).words == NOT_SEPARATED


def test_the_same_times_in_another_order_are_equivalent():
    """The sums of their logs differ in the last bit alone."""
    orders = [(2.0, 3.0, 7.0, 11.0), (2.0, 7.0, 11.0, 3.0), (11.0, 7.0, 3.0, 2.0), (3.0, 11.0, 2.0, 7.0)]
    for x, y in combinations(orders, 2):
        a, b = Observations((x,) * 5), Observations((y,) * 5)
        assert one(a, b).words == EQUIVALENT
        assert one(a, b, margin=0.0).words != FASTER
    tenths = Observations(((0.1, 0.2, 0.3),) * 5), Observations(((0.3, 0.2, 0.1),) * 5)
    assert one(*tenths, log=False, timed=False).words == NOT_SEPARATED


def test_a_method_without_a_feasible_trial_is_not_comparable_and_the_reason_names_it():
    for idle in (IDLE, studies(*FAST, feasible=False)):
        v = one(studies(*FAST), idle)
        assert (v.words, v.because) == (NOT_COMPARABLE, "b found no feasible trial")
        assert (v.ratio, v.p, v.p_adjusted) == (None, None, None)
    assert one(IDLE, IDLE).because == "a and b found no feasible trial"


def test_pairs_timed_apart_are_not_comparable_and_cost_the_others_nothing():
    named = {"a": studies(*FAST[:4]), "b": studies(*SLOW[:4]), "c": studies(*SLOW[:4]), "d": IDLE}
    apart = {("a", "c"): "they were timed apart", ("b", "c"): "they were timed apart"}
    found = {(v.a, v.b): v for v in judge(named, apart=apart)}
    assert {pair for pair, v in found.items() if v.words == NOT_COMPARABLE} == set(found) - {("a", "b")}
    assert found["a", "c"].because == "they were timed apart"
    assert found["a", "d"].because == "d found no feasible trial"
    assert found["a", "b"].words == FASTER
    assert found["a", "b"].p_adjusted == found["a", "b"].p


@pytest.mark.parametrize(("n", "needed"), [(1, 4), (2, 4), (3, 4), (4, None)])
def test_too_few_studies_can_only_say_not_separated_and_how_many_could(n, needed):
    v = one(studies(*FAST[:n]), studies(*(100 * x for x in SLOW[:n])))
    assert v.words == (NOT_SEPARATED if needed else FASTER)
    assert v.studies_needed == needed
    assert one(studies(*FAST[:n]), studies(*FAST[:n])).words != FASTER


def test_too_few_studies_do_not_even_say_equivalent_and_one_is_no_certain_number():
    assert one(studies(5.0, 5.0), studies(5.0, 5.0)).words == NOT_SEPARATED
    v = one(studies(40.0), studies(80.0))
    assert (v.words, v.p, v.studies_needed, v.smallest) == (NOT_SEPARATED, 1.0, 4, None)


# --- many pairs ----------------------------------------------------------------------------------------------------


def test_holm_corrects_over_the_pairs_of_a_problem():
    names = {"a": studies(*FAST), "b": studies(*SLOW), "c": studies(*(4 * x for x in FAST))}
    found = judge(names)
    smallest = 2 / math.comb(12, 6)
    assert [(v.a, v.b, v.words) for v in found] == [("a", "b", FASTER), ("a", "c", FASTER), ("b", "c", FASTER)]
    assert sorted(v.p_adjusted for v in found) == pytest.approx([3 * smallest] * 3)
    strict = judge(names, level=1 - 2.5 * smallest)
    assert [v.words for v in strict] == [NOT_SEPARATED] * 3, "one pair alone would have been told apart"
    assert {v.studies_needed for v in strict} == {7}
    assert one(names["a"], names["b"], level=1 - 2.5 * smallest).words == FASTER


@pytest.mark.parametrize("methods", [2, 3, 4, 5])
def test_the_intervals_of_all_pairs_share_the_level_equally(methods):
    """Each at a confidence of 1 - alpha / pairs, so that all hold together; only a claim may move an end, to 1."""
    rng = np.random.default_rng(methods)
    named = {f"m{i}": drawn(rng, 1.6**i, n=7, limit=6.0) for i in range(methods)}
    pairs = list(combinations(named, 2))
    found = {frozenset((v.a, v.b)): v for v in judge(named)}
    assert [set(pair) for pair in found] == [set(pair) for pair in pairs]
    p = [compare_studies(named[a].studies, named[b].studies, limit=6.0).p for a, b in pairs]
    assert [v.p_adjusted for v in found.values()] == pytest.approx(holm(p))
    for v in found.values():
        a, b = named[v.a], named[v.b]
        own = compare_studies(a.studies, b.studies, limit=6.0, level=1 - 0.05 / len(pairs))
        assert v.low == pytest.approx(own.low)
        assert v.high == pytest.approx(own.high) or (v.claims and v.high == 1.0 < own.high)


@pytest.mark.slow
@pytest.mark.parametrize("methods", [2, 3, 5])
def test_among_methods_that_do_not_differ_a_claim_is_rare_and_the_intervals_hold_together(methods):
    rng, draws = np.random.default_rng(methods), {2: 300, 3: 200, 5: 100}[methods]
    claims = left = 0
    for _ in range(draws):
        found = judge({f"m{i}": drawn(rng, 1.0, limit=1.2) for i in range(methods)})
        claims += any(v.claims for v in found)
        left += any(not (v.low or 0.0) <= 1.0 <= (v.high or INF) for v in found)
    most = 0.05 + 3 * (0.05 * 0.95 / draws) ** 0.5
    assert claims / draws <= most
    assert left <= claims, "an interval without 1 stands beside a claim alone"


SEED = st.sampled_from([1.0, 2.0, 4.0, 8.0, 16.0, INF])
GRIDS = st.sampled_from([None, (1.0, 2.0), (1.0,)])


@st.composite
def observed(draw, n):
    """Four or five studies of one or two seeds; hits are known to a half, a quarter or hardly at all."""
    rows = draw(st.lists(st.tuples(SEED, SEED), min_size=n, max_size=n))
    known = draw(st.sampled_from([None, 0.99, 0.5, 0.05]))
    lows = None if known is None else tuple(tuple(known * v for v in row) for row in rows)
    return Observations(tuple(rows), lows, limit=draw(st.sampled_from([16.0, 8.0])), grid=draw(GRIDS))


@st.composite
def questions(draw):
    n = draw(st.integers(4, 5))
    named = {name: draw(observed(n)) for name in "abc"[: draw(st.integers(2, 3))]}
    limit = min(o.limit for o in named.values())
    named = {name: Observations(o.studies, o.lows, limit=limit, grid=o.grid) for name, o in named.items()}
    looks = draw(st.sampled_from([(), (3, n), (n, n + 2)]))
    return named, {"level": draw(st.sampled_from([0.6, 0.8])), "margin": draw(st.sampled_from([0.02, 1.5]))} | (
        {"looks": looks} if looks else {}
    )


def agrees(named, asked):
    for v in judge(named, **asked):
        low, high = v.low or 0.0, INF if v.high is None else v.high
        assert low <= high * (1 + 1e-9)
        if v.words == NOT_SEPARATED:
            assert low <= 1 + 1e-9
            assert high >= 1 - 1e-9
        if v.claims:
            assert high <= 1.0
            assert v.ratio is None or v.ratio <= 1.0
            assert v.p_adjusted <= 1 - asked["level"] + 1e-12
        if v.words == EQUIVALENT:
            assert 1 / (1 + asked["margin"]) <= low <= high <= 1 + asked["margin"]


@given(questions())
@settings(max_examples=8, deadline=None)
def test_interval_and_word_agree_whatever_was_observed(question):
    agrees(*question)


@pytest.mark.slow
@given(questions())
@settings(max_examples=300, deadline=None)
def test_interval_and_word_agree_in_hundreds_of_comparisons(question):
    agrees(*question)


# --- misses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [(100.0, 100.0), (100.0, 50.0), (50.0, 1e6), (INF, INF)])
@pytest.mark.parametrize("recorded", [INF, 2e6])
def test_where_nobody_arrives_nobody_is_ahead_whatever_the_limits_are(limits, recorded):
    """A method whose steps cost twice as much stops at another amount; what it missed is no less missed."""
    late = [(1 + i) * recorded if limit < INF else INF for i, limit in enumerate(limits)]
    v = one(*(studies(*[value] * 6, limit=limit) for value, limit in zip(late, limits, strict=True)))
    assert (v.words, v.because, v.p_adjusted, v.share) == (NOT_SEPARATED, NOBODY, 1.0, 0.5)
    assert (v.ratio, v.low, v.high, v.difference, v.bound) == (None, None, None, None, None)
    assert (v.misses_a, v.misses_b) == (6, 6)


def test_a_method_that_never_arrives_is_beaten_by_at_least_a_factor():
    hits, misses = studies(*FAST, limit=100.0), studies(*[INF] * 6, limit=100.0)
    for v in (one(hits, misses), one(misses, hits)):
        assert (v.words, v.bound, v.low, v.ratio) == (FASTER, "at least", None, None)
        assert 0.1 < v.high <= 0.15 * (1 + 1e-6)


def test_without_a_limit_no_factor_is_claimed_of_a_method_that_never_arrives():
    """Values have no limit: a run that diverged is worse than any number, by nobody knows how much."""
    without = one(studies(*FAST), studies(*[INF] * 6), timed=False)
    assert (without.words, without.low, without.high, without.ratio) == (BETTER, None, 1.0, None)


# --- one method to compare against ---------------------------------------------------------------------------------


def test_only_the_pairs_of_the_method_asked_about_are_tested_and_share_the_correction():
    rng = np.random.default_rng(0)
    named = {f"m{i}": drawn(rng, 1.5**i, n=7) for i in range(5)}
    every = {frozenset((v.a, v.b)): v for v in judge(named)}
    asked = {frozenset((v.a, v.b)): v for v in judge(named, against="m2")}
    assert list(asked) == [frozenset(("m2", other)) for other in ("m0", "m1", "m3", "m4")]
    p = [compare_studies(named[a].studies, named[b].studies).p for a, b in combinations(named, 2) if "m2" in (a, b)]
    assert [v.p_adjusted for v in asked.values()] == pytest.approx(holm(p))
    for pair, v in asked.items():
        assert v.p == every[pair].p
        assert v.p_adjusted <= every[pair].p_adjusted
        assert v.smallest < every[pair].smallest
        assert every[pair].low <= v.low * (1 + 1e-9), "fewer pairs, narrower intervals"


def test_fewer_pairs_need_fewer_studies():
    named = {f"m{i}": studies(*(x * 2**i for x in FAST[:5])) for i in range(5)}
    assert {v.studies_needed for v in judge(named)} == {fewest_for(0.05 / 10)} == {6}
    assert {v.studies_needed for v in judge(named, against="m0")} == {None}


# --- several looks -------------------------------------------------------------------------------------------------


def test_the_smallest_p_value_of_all_looks_is_worth_what_the_design_says():
    rng, looks = np.random.default_rng(1), (5, 7, 9, 12)
    named = {f"m{i}": drawn(rng, 1.4**i, n=9) for i in range(3)}  # the fourth look is still to come
    found = judge(named, looks=looks)
    smallest, at = [], []
    for a, b in combinations(named, 2):
        p = {n: compare_studies(named[a].studies[:n], named[b].studies[:n]).p for n in (5, 7, 9)}
        at.append(min(p, key=p.get))
        smallest.append(p[at[-1]])
    assert [v.p for v in found] == pytest.approx(smallest)
    assert [v.p_adjusted for v in found] == pytest.approx(holm([overall_p(p, looks) for p in smallest]))
    assert [v.separated_at for v in found] == [n if v.claims else None for n, v in zip(at, found, strict=True)]
    assert any(v.claims for v in found)


def test_one_planned_look_is_no_correction():
    a, b = studies(*FAST), studies(*SLOW)
    looked, plain = one(a, b, looks=(6,)), one(a, b)
    assert (looked.p_adjusted, looked.low, looked.high) == (plain.p_adjusted, plain.low, plain.high)
    assert (looked.separated_at, plain.separated_at) == (6, None)


def test_a_claim_of_an_earlier_look_speaks_for_the_one_that_was_ahead_then():
    """After 6 studies a is ahead, at p = 2 / 924; in the 6 that follow for the sake of other pairs it falls behind."""
    a = studies(*FAST, *(3 * x for x in SLOW))
    b = studies(*SLOW, *FAST)
    v = one(a, b, looks=(6, 12))
    assert (v.p, v.separated_at) == (pytest.approx(2 / 924), 6)
    assert not (v.claims and v.a == "b"), "no look has found b ahead"
    assert (v.low or 0.0) <= v.high


@pytest.mark.parametrize("seed", range(10))
def test_a_claim_of_an_earlier_look_is_told_with_its_own_numbers(seed):
    """Far apart in the first studies, the other way round in the later ones, so that the first look is the clearest."""
    rng, looks = np.random.default_rng(seed), (6, 12)
    a = drawn(rng, 1.0, n=12)
    b = Observations(drawn(rng, 5.0).studies + drawn(rng, 0.3).studies)
    v = one(a, b, looks=looks)
    then = compare_studies(a.studies[:6], b.studies[:6], level=1 - nominal_level(0.05, looks))
    assert (v.words, v.separated_at, v.n, v.p) == (FASTER, 6, 6, pytest.approx(then.p))
    assert (v.ratio, v.low, v.high) == pytest.approx((then.ratio, then.low, then.high))
    assert v.high < 1


def test_interval_and_word_agree_after_a_look_that_was_not_planned():
    """Six studies between looks at 4 and 8 count as a third look for the p-value, and must for the interval."""
    a, b = studies(0.3, 0.18, 0.32, 4.14, 0.84, 0.69), studies(2.55, 1.5, 1.36, 1.43, 5.52, 7.54)
    v = one(a, b, looks=(4, 8))
    assert v.p_adjusted == pytest.approx(overall_p(24 / 924, (4, 6, 8)))
    assert (v.words, v.high >= 1) == (NOT_SEPARATED, True)


def test_more_looks_need_more_studies():
    few = {"a": studies(*FAST[:4]), "b": studies(*(9 * x for x in FAST[:4]))}
    (v,) = judge(few, looks=(4, 8, 12))
    assert (v.words, v.studies_needed) == (NOT_SEPARATED, fewest_for(nominal_level(0.05, (4, 8, 12)))) == (v.words, 5)
    (v,) = judge(few)
    assert v.words == FASTER
