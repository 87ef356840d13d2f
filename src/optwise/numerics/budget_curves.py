"""What a search of k trials would have found, in closed form from the N trials that were run."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from optwise.numerics.arrays import FloatArray, IntArray, vector_with_misses


@dataclass(frozen=True)
class BudgetCurve:
    """Distribution of the best of k trials, one entry for every k from 1 to N.

    Attributes:
        k: Number of trials.
        mean: Expected best value; +inf as long as all k trials may be infeasible.
        q25: Lower quartile of the best value, itself one of the values.
        median: Median of the best value, itself one of the values.
        q75: Upper quartile of the best value, itself one of the values.
    """

    k: IntArray
    mean: FloatArray
    q25: FloatArray
    median: FloatArray
    q75: FloatArray


def best_of_k(values: ArrayLike, *, replace: bool = False) -> BudgetCurve:
    r"""Budget curve: the lowest of k random ones of the N values, for every k from 1 to N.

    With :math:`v_1 \le \dots \le v_N`, the best of k is :math:`v_i` with probability

    .. math:: \binom{N-i}{k-1} \Big/ \binom{N}{k} \quad\text{without replacement},\qquad
              \Big(\tfrac{N-i+1}{N}\Big)^k - \Big(\tfrac{N-i}{N}\Big)^k \quad\text{with replacement.}

    No Monte Carlo and no large binomial: the weights follow from each other by ratios below 1, so thousands of trials
    are as accurate as ten.

    Args:
        values: One value per trial, lower is better; +inf is an infeasible trial, NaN is refused.
        replace: Draw the k trials with replacement, as the bootstrap does.

    Example:
        >>> curve = best_of_k([3.0, 1.0, 2.0])
        >>> curve.mean.round(3), curve.median
        (array([2.   , 1.333, 1.   ]), array([2., 1., 1.]))

    References:
        Dodge et al. (2019), Show Your Work; Tang et al. (2020), Showing Your Work Doesn't Always Work.
    """
    ordered = np.sort(vector_with_misses(values, "values"))
    trials = ordered.size
    places = np.arange(trials + 1)
    mean, quartiles = np.empty(trials), np.empty((3, trials))
    later = np.ones(trials + 1)  # [N + 1], chance that the best of k is none of the first i values; k = 0 here
    for k in range(1, trials + 1):
        if replace:
            later = ((trials - places) / trials) ** k
            weights, reach = later[:-1] - later[1:], trials
        else:
            weights, reach = later[1:] * (k / (trials - k + 1)), trials - k + 1
            later = later * _shrink(trials, k - 1)
        # the reach ends at the worst value that can still be the best of k
        mean[k - 1] = weights[:reach] @ ordered[:reach] if np.isfinite(ordered[reach - 1]) else np.inf
        for row, q in enumerate((0.25, 0.5, 0.75)):
            quartiles[row, k - 1] = ordered[np.argmax(later[1:] <= 1 - q + 1e-12)]  # 1e-12: 3/4 must not miss 0.75
    return BudgetCurve(np.arange(1, trials + 1), mean, *quartiles)


def probability_best_of_k(a: ArrayLike, b: ArrayLike, k: int) -> float:
    r"""The chance that the best of k trials of a is lower than the best of k trials of b, ties counted half.

    Exact, over all choices of k of the :math:`N_a` and, independently, k of the :math:`N_b` values:

    .. math:: \sum_i P(\min A_k = a_i)\,\big[P(\min B_k > a_i) + \tfrac12 P(\min B_k = a_i)\big].

    Args:
        a: One value per trial of the first method, lower is better; +inf is an infeasible trial.
        b: The same for the second method.
        k: Trials given to each, at most the smaller of both numbers.

    Example:
        >>> probability_best_of_k([1.0, 4.0], [2.0, 3.0], k=1), probability_best_of_k([1.0, 4.0], [2.0, 3.0], k=2)
        (0.5, 1.0)
    """
    first, second = np.sort(vector_with_misses(a, "a")), np.sort(vector_with_misses(b, "b"))
    if not 1 <= k <= min(first.size, second.size):
        raise ValueError(f"k is {k}; it must lie between 1 and {min(first.size, second.size)}, the trials of both.")
    later_a, later_b = _all_later(first.size, k), _all_later(second.size, k)
    weights = later_a[:-1] - later_a[1:]
    at_least = later_b[np.searchsorted(second, first, side="left")]  # P(min B_k >= a_i)
    above = later_b[np.searchsorted(second, first, side="right")]  # P(min B_k > a_i)
    return float(weights @ (at_least + above) / 2)


def _shrink(trials: int, taken: int) -> FloatArray:
    """Factor from C(N - i, k) / C(N, k) to the same with k + 1, for i = 0..N, where k are taken."""
    left = np.maximum(trials - taken - np.arange(trials + 1), 0)  # [N + 1]
    return np.asarray(left / (trials - taken), dtype=np.float64)


def _all_later(trials: int, k: int) -> FloatArray:
    """Chance that none of k of N values is among the first i, C(N - i, k) / C(N, k), for i = 0..N."""
    later = np.ones(trials + 1)
    for taken in range(k):
        later *= _shrink(trials, taken)
    return later
