"""Intervals that stand beside the numbers of the check rules: shares and medians, without assuming a distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence

from optwise.core.finding import Interval

LEVEL = 0.95
"""Of every interval of a check; a check warns, it claims nothing."""


def share_interval(successes: int, n: int, *, level: float = LEVEL) -> Interval:
    r"""Clopper and Pearson's interval of a probability: the values that ``successes`` of ``n`` does not refute.

    .. math:: \big[B^{-1}_{\alpha/2}(s, n - s + 1),\ B^{-1}_{1-\alpha/2}(s + 1, n - s)\big],\qquad \alpha = 1 - level,

    with :math:`B^{-1}` the quantiles of the beta distribution. Never too narrow for independent runs.

    Example:
        >>> interval = share_interval(0, 10)
        >>> interval.low, round(interval.high, 3)
        (0.0, 0.308)

    References:
        Clopper and Pearson (1934), The use of confidence or fiducial limits.
    """
    from scipy.special import betaincinv

    if not 0 <= successes <= n or n < 1:
        raise ValueError(f"{successes} of {n} is no share; give a count between 0 and n, and n of at least 1.")
    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, 1 - tail))
    return Interval(low, high)


def median_interval(values: Sequence[float], *, level: float = LEVEL) -> Interval:
    r"""Order statistics between which the median lies: with fewer than six values both ends stay open at 95 %.

    The ends are the j-th lowest and j-th highest value, for the largest j with
    :math:`2\,P(\mathrm{Bin}(n, \tfrac12) < j) \le 1 - level`. An infinite end is open too.

    Example:
        >>> median_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        Interval(low=1.0, high=6.0)

    References:
        David and Nagaraja (2003), Order Statistics, section 7.1.
    """
    ordered, n = sorted(values), len(values)
    below, j = 0.0, 0  # P(Bin < j)
    while j < n and below + math.comb(n, j) / 2**n <= (1 - level) / 2:
        below += math.comb(n, j) / 2**n
        j += 1
    if j == 0:
        return Interval(None, None)
    low, high = ordered[j - 1], ordered[n - j]
    return Interval(low if math.isfinite(low) else None, high if math.isfinite(high) else None)
