"""Two methods compared over whole studies: the permutation test on midranks and the interval from inverting it."""

from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from math import comb

import numpy as np
from numpy.typing import ArrayLike

from optwise.numerics.arrays import BoolArray, FloatArray, IntArray, check_level, finite_vector

EXACT_POOL = 66  # C(66, 33) is the last central binomial coefficient that fits into 63 bits
DRAWN_SPLITS = 19_999
_DRAWING_SEED = 20_231_107


@dataclass(frozen=True)
class StudyComparison:
    r"""What two sets of studies say about each other; lower values are better.

    Attributes:
        p: Two-sided p-value, not adjusted for other pairs.
        ratio: Hodges-Lehmann size, a over b; below 1 says a is faster. With ``log=False`` a difference, a minus b.
        low: Lower end of the interval of the size, None where the data leave it open.
        high: Upper end, None where the data leave it open.
        p_a_better: Share of the pairs of studies in which a has the lower value, ties counted half.
        n_a: Number of studies of a.
        n_b: Number of studies of b.
        exact: True where every split was counted, False where splits were drawn.
    """

    p: float
    ratio: float
    low: float | None
    high: float | None
    p_a_better: float
    n_a: int
    n_b: int
    exact: bool


def compare_studies(
    a: ArrayLike,
    b: ArrayLike,
    *,
    level: float = 0.95,
    censored_a: ArrayLike | None = None,
    censored_b: ArrayLike | None = None,
    log: bool = True,
) -> StudyComparison:
    r"""Test whether two methods differ, and by how much, from one number per study.

    The test is Wilcoxon's rank sum with its exact permutation distribution. With :math:`R` the sum of the midranks of
    a in the pooled data, ties included,

    .. math:: p = \frac{\#\{S : |R_S - \mathrm{E} R| \ge |R - \mathrm{E} R|\}}{\binom{n_a + n_b}{n_a}},
              \qquad \mathrm{E} R = \tfrac12 n_a (n_a + n_b + 1),

    over all choices :math:`S` of :math:`n_a` of the pooled studies. Ranks are doubled, so all sums are integers and
    nothing is rounded. The splits are counted by their rank sum, which gives the same number as listing them. Above 66
    pooled studies 19,999 random splits stand for all of them, :math:`p = (1 + \#) / 20{,}000`; their seed is fixed, so
    the result is the same in every call.

    The size is :math:`\exp \operatorname{median}_{ij} (\log a_i - \log b_j)`. Its interval holds every factor
    :math:`e^\theta` for which the same test does not reject that a and :math:`e^\theta b` are alike; its ends are
    pairwise ratios. The ends belong to it: where an end is exactly 1, the test may still reject equality.

    A censored study is only known to be *at least* as slow as its value. Then a pairwise difference is bounded on one
    side only, and moves where it cannot mislead: for the lower end a censored b makes the difference
    :math:`-\infty`, for the upper end a censored a makes it :math:`+\infty` (a pair with both censored does both). An
    end that becomes infinite is None. ``p``, ``ratio`` and ``p_a_better`` take the values as they are: a miss at the
    budget ties with another. Under heavy censoring the interval is therefore the more careful of the two, and may
    hold 1 although ``p`` is small.

    Args:
        a: One value per study of the first method, lower is better, finite; positive unless ``log=False``.
        b: The same for the second method.
        level: Confidence level of the interval. Few studies cannot reach it: then both ends are None.
        censored_a: Truth per study of a: the value is a lower bound (a seed missed the target within the budget).
        censored_b: The same for b.
        log: True for ratios. False for differences, where values may be zero or negative.

    Example:
        Every study of a beats every study of b, and 2 of the 924 splits are as extreme.

        >>> found = compare_studies([10, 11, 12, 13, 14, 15], [20, 22, 24, 26, 28, 30])
        >>> round(found.p * 924), round(found.ratio, 3), round(found.low, 3), round(found.high, 3)
        (2, 0.5, 0.4, 0.625)

    References:
        Hodges and Lehmann (1963), Estimates of Location Based on Rank Tests; Lehmann (1975), Nonparametrics, chapter 2.
    """
    check_level(level)
    first, second = finite_vector(a, "a"), finite_vector(b, "b")
    late_a, late_b = _censored(censored_a, first, "a"), _censored(censored_b, second, "b")
    if log and min(first.min(), second.min()) <= 0.0:
        raise ValueError(
            f"The lowest value is {min(first.min(), second.min())}, and ratios need positive values. "
            f"Pass log=False to compare differences."
        )
    pooled = _doubled_midranks(np.concatenate([first, second]))
    deviation = int(pooled[: first.size].sum()) - first.size * (pooled.size + 1)
    x, y = (np.log(first), np.log(second)) if log else (first, second)
    low = _low_end(x, np.where(late_b, np.inf, y), level=level)
    high = -_low_end(y, np.where(late_a, np.inf, x), level=level)  # b against a is the mirror image
    back = np.exp if log else np.positive
    return StudyComparison(
        p=_share_as_extreme(pooled, first.size, deviation),
        ratio=float(back(np.median(np.subtract.outer(x, y)))),
        low=float(back(low)) if np.isfinite(low) else None,
        high=float(back(high)) if np.isfinite(high) else None,
        p_a_better=0.5 - deviation / (2 * first.size * second.size),
        n_a=first.size,
        n_b=second.size,
        exact=pooled.size <= EXACT_POOL,
    )


def reaches_level(p: float, level: float) -> bool:
    """Whether a p-value allows a claim at a confidence level; ``1 - 0.9`` falls short of 0.1 and must not decide it.

    Example:
        >>> 0.1 <= 1 - 0.9, reaches_level(0.1, 0.9)
        (False, True)
    """
    return p <= 1.0 - level + 1e-12


def _censored(marks: ArrayLike | None, values: FloatArray, name: str) -> BoolArray:
    if marks is None:
        return np.zeros(values.shape, dtype=np.bool_)
    censored = np.asarray(marks, dtype=np.bool_)
    if censored.shape != values.shape:
        raise ValueError(f"censored_{name} has shape {censored.shape}; {name} has {values.size} studies.")
    return censored


def _doubled_midranks(values: FloatArray) -> IntArray:
    less = (values[None, :] < values[:, None]).sum(axis=1)  # [N]
    equal = (values[None, :] == values[:, None]).sum(axis=1)  # [N], itself included
    return np.asarray(2 * less + equal + 1, dtype=np.int64)


def _share_as_extreme(doubled: IntArray, size: int, deviation: int) -> float:
    """Share of the splits whose doubled rank sum lies as far from its mean as ``deviation``."""
    size = min(size, doubled.size - size)  # the other side deviates by as much
    mean, ordered = size * (doubled.size + 1), tuple(sorted(doubled.tolist()))
    if doubled.size <= EXACT_POOL:
        counts = _splits_by_sum(ordered, size)
        extreme = np.abs(np.arange(counts.size) - mean) >= abs(deviation)
        return int(counts[extreme].sum()) / comb(doubled.size, size)
    extreme = np.abs(_drawn_sums(ordered, size) - mean) >= abs(deviation)
    return (1 + int(extreme.sum())) / (1 + DRAWN_SPLITS)


@lru_cache(maxsize=256)
def _splits_by_sum(ordered: tuple[int, ...], size: int) -> IntArray:
    """How many choices of ``size`` ranks have the sum s, for every s up to the largest."""
    largest = sum(ordered[len(ordered) - size :])
    counts: IntArray = np.zeros((size + 1, largest + 1), dtype=np.int64)  # [ranks taken, sum]
    counts[0, 0] = 1
    for rank in ordered:
        counts[1:, rank:] += counts[:-1, : largest + 1 - rank].copy()
    return np.asarray(counts[size], dtype=np.int64)


@lru_cache(maxsize=64)
def _drawn_sums(ordered: tuple[int, ...], size: int) -> IntArray:
    """Rank sums of random splits: the same splits of the sorted ranks in every call."""
    draw = np.random.Generator(np.random.PCG64(_DRAWING_SEED))
    ranks = np.asarray(ordered, dtype=np.int64)
    sums = np.empty(DRAWN_SPLITS, dtype=np.int64)
    rows = max(1, 2_000_000 // ranks.size)
    for begin in range(0, DRAWN_SPLITS, rows):
        part = sums[begin : begin + rows]
        taken = np.argpartition(draw.random((part.size, ranks.size)), size - 1, axis=1)[:, :size]
        part[:] = ranks[taken].sum(axis=1)
    return sums


def _low_end(a: FloatArray, b: FloatArray, *, level: float) -> float:
    """Lowest shift of b at which the test does not yet find a too high; -inf where there is none.

    Between two neighbouring pairwise differences the order of a and b + shift does not change, so the differences and
    the gaps between them are all there is to try. A bisection finds the first one kept, ties or not: as b moves up, no
    split's rank sum moves by more than that of a falls, so the share as extreme as a can only grow.
    """
    differences = np.subtract.outer(a, b)  # [n_a, n_b], -inf where b is +inf
    shifts, place = np.unique(differences, return_inverse=True)
    place = place.reshape(differences.shape)
    within_a, within_b = _doubled_midranks(a), _doubled_midranks(b)
    pool = a.size + b.size

    def kept(position: int) -> bool:  # 2 i is the i-th difference itself, 2 i + 1 the gap above it
        order = np.sign(2 * place - position)  # [n_a, n_b], +1 where a lies above b + shift
        ranks_a = within_a + (1 + order).sum(axis=1)
        ranks_b = within_b + (1 - order).sum(axis=0)
        deviation = int(ranks_a.sum()) - a.size * (pool + 1)
        if deviation <= 0:
            return True
        return not reaches_level(_share_as_extreme(np.concatenate([ranks_a, ranks_b]), a.size, deviation), level)

    lowest = 1 if np.isneginf(shifts[0]) else -1
    positions = range(lowest, 2 * shifts.size)
    position = positions[bisect_left(positions, True, key=kept)]
    return -np.inf if position == lowest else float(shifts[position // 2])
