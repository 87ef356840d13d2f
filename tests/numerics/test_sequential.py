"""What a p-value is worth after several looks: against Pocock's tables, scipy's normal integrals and simulation."""

from itertools import pairwise
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm

from optwise.numerics.sequential import nominal_level, overall_p
from optwise.numerics.splits import share_as_extreme

LOOKS = st.lists(st.integers(1, 64), min_size=1, max_size=4, unique=True).map(sorted)
P = st.floats(1e-8, 1.0)


@pytest.mark.parametrize(
    ("alpha", "published"),
    [
        (0.05, {1: 0.05, 2: 0.0294, 3: 0.0221, 4: 0.0182, 5: 0.0158, 10: 0.0106}),
        (0.01, {1: 0.01, 2: 0.0056, 3: 0.0041, 4: 0.0033, 5: 0.0028}),
    ],
)
def test_the_level_of_a_look_is_the_one_that_pocock_published(alpha, published):
    for count, level in published.items():
        assert round(nominal_level(alpha, range(1, count + 1)), 4) == level
    assert nominal_level(alpha, (8, 16, 24, 32)) == pytest.approx(nominal_level(alpha, (1, 2, 3, 4)))  # shares count


@pytest.mark.parametrize("looks", [(8, 16, 24, 32), (6, 8), (5, 20, 21), (1, 2, 3, 4, 5)])
@pytest.mark.parametrize("p", [0.5, 0.05, 0.01, 0.0005])
def test_the_chance_over_all_looks_is_the_integral_of_a_normal_density(looks, p):
    """The looks are jointly normal with correlation sqrt(n_i / n_j); scipy integrates over the box."""
    n, c = np.array(looks, dtype=float), norm.isf(p / 2)
    correlation = np.sqrt(np.minimum.outer(n, n) / np.maximum.outer(n, n))
    box = multivariate_normal(cov=correlation, seed=0, maxpts=200_000, abseps=1e-7)
    inside = box.cdf(np.full(n.size, c), lower_limit=np.full(n.size, -c))
    assert overall_p(p, looks) == pytest.approx(1 - inside, abs=2e-5)


def test_a_simulated_walk_crosses_as_often_as_it_says():
    looks = (8, 12, 24, 32)
    steps = np.diff((0, *looks))
    walks = (np.random.default_rng(0).normal(size=(100_000, 4)) * np.sqrt(steps)).cumsum(axis=1)
    smallest = 2 * norm.sf(np.abs(walks / np.sqrt(looks)).max(axis=1))
    for p in (0.2, 0.05, 0.0182, 0.005):
        chance = overall_p(p, looks)
        assert (smallest <= p).mean() == pytest.approx(chance, abs=3 * (chance / 100_000) ** 0.5)


@given(P, P, LOOKS)
@settings(max_examples=25, deadline=None)
def test_more_evidence_is_worth_more_and_looking_costs_at_most_the_number_of_looks(one, other, looks):
    low, high = sorted((one, other))
    assert overall_p(low, looks) <= overall_p(high, looks)
    assert overall_p(low, looks) >= low * (1 - 1e-4)
    assert overall_p(low, looks) <= min(1.0, len(looks) * low * (1 + 1e-4))  # Boole


@given(P, LOOKS, st.integers(1, 64))
@settings(max_examples=25, deadline=None)
def test_another_look_never_makes_a_p_value_smaller(p, looks, more):
    assert overall_p(p, sorted({*looks, more})) >= overall_p(p, looks) * (1 - 1e-4)


@given(P, st.integers(1, 1000))
@settings(deadline=None)
def test_one_look_leaves_the_p_value_as_it_is(p, n):
    assert overall_p(p, (n,)) == p
    assert nominal_level(0.04, (n,)) == 0.04


@pytest.mark.parametrize("looks", [(1000, 1001), (300, 301, 302), (5000, 5001)])
@pytest.mark.parametrize("p", [0.01, 1e-4, 1e-8])
def test_looks_that_lie_close_cost_little_but_never_give_anything(looks, p):
    assert p * (1 - 1e-4) <= overall_p(p, looks) <= 1.5 * p


@given(st.floats(0.0005, 0.9), LOOKS)
@settings(max_examples=8, deadline=None)
def test_the_level_of_a_look_is_where_all_looks_together_reach_alpha(alpha, looks):
    level = nominal_level(alpha, looks)
    assert overall_p(level, looks) == pytest.approx(alpha, rel=1e-6)
    assert alpha / len(looks) * (1 - 1e-4) <= level <= alpha


def test_nothing_seen_is_worth_nothing_and_a_certain_difference_everything():
    assert (overall_p(1.0, (4, 8)), overall_p(0.0, (4, 8))) == (1.0, 0.0)


@pytest.mark.parametrize("looks", [(), (0, 4), (8, 8), (8, 4)])
def test_looks_that_are_no_increasing_counts_are_refused(looks):
    for call in (overall_p, nominal_level):
        with pytest.raises(ValueError, match="increasing numbers of studies"):
            call(0.05, looks)


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused(p):
    with pytest.raises(ValueError, match="between 0 and 1"):
        overall_p(p, (4, 8))
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        nominal_level(p, (4, 8))


@pytest.mark.slow
@pytest.mark.parametrize("looks", [(8, 16, 24, 32), (5, 7, 9, 11)])
@pytest.mark.parametrize("methods", [2, 3])
def test_several_looks_at_methods_that_do_not_differ_claim_falsely_in_one_of_twenty(looks, methods):
    """The design of `--until separated`: the smallest p-value of all looks and pairs at the first step of Holm."""
    rng, draws, claims = np.random.default_rng(methods), 1000, 0
    share = nominal_level(0.05 / comb(methods, 2), looks)
    for _ in range(draws):
        studies = rng.gumbel(size=(methods, looks[-1]))  # skew, as log times are
        pairs = [(i, j) for i in range(methods) for j in range(i)]
        smallest = [
            min(share_as_extreme(np.concatenate([studies[i, :n], studies[j, :n]]), n) for n in looks) for i, j in pairs
        ]
        claims += min(smallest) <= share
    assert claims / draws <= 0.05 + 3 * (0.05 * 0.95 / draws) ** 0.5


def test_a_design_that_ignores_its_looks_would_claim_too_often():
    """What the correction is for: four looks at 0.05 each claim falsely in one of eight."""
    assert overall_p(0.05, (8, 16, 24, 32)) == pytest.approx(0.126, abs=1e-3)  # Armitage, McPherson and Rowe, table 2
    worth = [overall_p(0.05, range(1, count + 1)) for count in range(1, 6)]
    assert [round(w, 3) for w in worth] == [0.05, 0.083, 0.107, 0.126, 0.142]
    assert all(b > a for a, b in pairwise(worth))
