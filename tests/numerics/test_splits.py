"""Counting the ways of parting a pool in two: against listing, whole-number counting and the promise of the test."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optwise.numerics.splits import DRAWN_SPLITS, EXACT_POOL, share_as_extreme


@given(st.lists(st.integers(-9, 9), min_size=2, max_size=12), st.data())
@settings(max_examples=60, deadline=None)
def test_the_share_is_that_of_all_listed_splits(scores, data):
    n = data.draw(st.integers(1, len(scores) - 1))
    sums = [len(scores) * sum(chosen) - n * sum(scores) for chosen in combinations(scores, n)]
    listed = sum(abs(total) >= abs(sums[0]) for total in sums) / comb(len(scores), n)
    assert share_as_extreme(np.array(scores, dtype=float), n) == listed


def test_the_forty_million_splits_of_two_fourteens_are_counted_to_the_last_one():
    """The oracle counts subsets of whole numbers by their size and sum, one number after the other."""
    scores = np.random.default_rng(3).integers(0, 30, size=28)
    ways = {(0, 0): 1}
    for score in scores.tolist():
        more = dict(ways)
        for (size, total), count in ways.items():
            more[size + 1, total + score] = more.get((size + 1, total + score), 0) + count
        ways = more
    sums = {total: count for (size, total), count in ways.items() if size == 14}
    centre, seen = scores.sum() / 2, scores[:14].sum()
    extreme = sum(count for total, count in sums.items() if abs(total - centre) >= abs(seen - centre))
    assert share_as_extreme(scores.astype(float), 14) == extreme / sum(sums.values())


def test_the_test_claims_as_often_as_it_says_when_nothing_differs():
    """Over all 924 equally likely splits the p-value is at most p in a share p of them: exactly its promise."""
    scores = np.random.default_rng(0).normal(size=12)
    splits = [np.isin(np.arange(12), chosen) for chosen in combinations(range(12), 6)]
    p = np.array([share_as_extreme(np.concatenate([scores[mine], scores[~mine]]), 6) for mine in splits])
    for value in np.unique(p):
        assert (p <= value).mean() == pytest.approx(value, abs=1e-12)
    assert (p <= 0.05).mean() == 46 / 924


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("shift", [0.0, 1e2, -1e4])
def test_neither_unit_nor_origin_of_the_scores_changes_the_share(scale, shift):
    scores = np.random.default_rng(4).integers(0, 6, size=11).astype(float)
    assert share_as_extreme(scale * (scores + shift), 5) == share_as_extreme(scores, 5)


@pytest.mark.parametrize("pool", [6, 12, 28, 40])
def test_scores_that_differ_by_rounding_alone_are_all_the_same(pool):
    """Means of the same numbers summed in two orders: the last bit of each is no evidence."""
    value = 6.135564891081739
    scores = np.where(np.arange(pool) < pool // 2, value, np.nextafter(value, 9.0))
    assert share_as_extreme(scores, pool // 2, near=1e-9) == 1.0
    assert share_as_extreme(scores + np.arange(pool), pool // 2, near=1e-9) < 0.2, "what differs by more does differ"


def test_a_pool_too_large_to_count_is_drawn_alike_every_time_and_never_gives_nought():
    scores = np.random.default_rng(0).normal(size=EXACT_POOL + 12)
    once = share_as_extreme(scores, 20)
    assert once == share_as_extreme(scores, 20)
    assert once * (DRAWN_SPLITS + 1) == pytest.approx(round(once * (DRAWN_SPLITS + 1)))
    assert share_as_extreme(np.sort(scores), 20) == 1 / (DRAWN_SPLITS + 1)


def test_drawn_splits_estimate_what_counting_would_say():
    """A pool of 30 is drawn; 28 of it together with two that lie at the mean is nearly the pool that is counted."""
    scores = np.random.default_rng(1).normal(size=EXACT_POOL)
    scores -= scores.mean()
    for lead in (0.2, 0.5, 0.8):
        own = scores + np.where(np.arange(28) < 14, lead / 2, -lead / 2)
        own -= own.mean()
        drawn = share_as_extreme(np.concatenate([own[:14], [0.0], own[14:], [0.0]]), 15)
        assert drawn == pytest.approx(share_as_extreme(own, 14), abs=0.04)
