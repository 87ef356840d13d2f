"""Times to a target among which some never arrived: their restricted mean and their quantiles."""

from math import ceil

import numpy as np
from numpy.typing import ArrayLike

from optwise.numerics.arrays import vector_with_misses


def restricted_mean(times: ArrayLike, budget: float) -> float:
    r"""Mean time to the target within the budget, :math:`\frac1n \sum_i \min(t_i, \text{budget})`.

    A miss (+inf), or a time past the budget, counts the full budget. It is the area under the share of runs still on
    their way, and it exists however many missed.

    Example:
        >>> restricted_mean([100.0, 300.0, float("inf")], 1000.0)
        466.6666666666667

    References:
        Royston and Parmar (2013), Restricted mean survival time.
    """
    if not 0.0 < budget < np.inf:
        raise ValueError(f"budget is {budget}; it must be a positive number.")
    return float(np.minimum(vector_with_misses(times, "times"), budget).mean())


def median_or_none(values: ArrayLike) -> float | None:
    """The middle value, the mean of the two middle ones of an even number; None where one of these never arrived.

    Args:
        values: Times or values; +inf is a miss, NaN is refused.

    Example:
        >>> inf = float("inf")
        >>> median_or_none([5.0, 3.0, inf]), median_or_none([5.0, 3.0]), median_or_none([5.0, 3.0, inf, inf])
        (5.0, 4.0, None)
    """
    median = float(np.median(vector_with_misses(values, "values")))
    return median if np.isfinite(median) else None


def quantile_or_none(values: ArrayLike, q: float) -> float | None:
    r"""The least value that a share q of the entries does not exceed; None where that share never arrived.

    The rule of Kaplan and Meier: :math:`\min\{v : \#\{v_i \le v\} \ge q n\}`. The answer is always one of the
    values, where :func:`median_or_none` takes the mean of the two middle ones.

    Args:
        values: Times or values; +inf is a miss, NaN is refused.
        q: Share from 0 to 1, above 0.

    Example:
        >>> inf = float("inf")
        >>> quantile_or_none([5.0, 3.0, inf, inf], 0.5), quantile_or_none([5.0, inf, inf], 0.5)
        (5.0, None)

    References:
        Kaplan and Meier (1958), Nonparametric Estimation from Incomplete Observations.
    """
    if not 0.0 < q <= 1.0:
        raise ValueError(f"q is {q}; it must lie above 0 and at most at 1.")
    ordered = np.sort(vector_with_misses(values, "values"))
    quantile = float(ordered[max(ceil(q * ordered.size - 1e-9), 1) - 1])
    return quantile if np.isfinite(quantile) else None
