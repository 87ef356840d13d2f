"""Intervals that stand beside the numbers of the check rules: shares and medians, without assuming a distribution."""

from __future__ import annotations

import math
import statistics
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
    if not 0 <= successes <= n or n < 1:
        raise ValueError(f"{successes} of {n} is no share; give a count between 0 and n, and n of at least 1.")
    return _clopper_pearson(successes, n, level)


def clustered_share_interval(counts: Sequence[int], sizes: Sequence[int], *, level: float = LEVEL) -> Interval:
    r"""The interval of a share of runs where the runs of one study share their setting, so that they count for fewer.

    Clopper and Pearson's interval of :math:`\hat p n^*` among :math:`n^*`, the number of independent runs that would
    leave the share as uncertain as the studies do:

    .. math:: n^* = \min\!\Big(n, \frac{\hat p (1 - \hat p)}{\hat v}\Big) \Big(\frac{t_{n-1}}{t_{G-1}}\Big)^2,
        \qquad \hat v = \frac{G}{G-1} \sum_g \Big(\frac{n_g}{n}\Big)^2 (\hat p_g - \hat p)^2

    with G studies and quantiles :math:`1 - \alpha/2` of Student's t. Where all runs agree :math:`n^*` starts from n;
    of a single study the runs stand for themselves.

    Args:
        counts: Successes of each study.
        sizes: Runs of each study.
        level: Of the interval.

    Example:
        >>> together = clustered_share_interval([4, 4, 4, 4, 0, 0, 0, 0], [4] * 8)
        >>> round(together.low, 2), round(together.high, 2)
        (0.1, 0.9)

    References:
        Korn and Graubard (1998), Confidence intervals for proportions with small expected number of positive counts.
    """
    from scipy.stats import t as student

    n, groups, total = sum(sizes), len(sizes), sum(counts)
    if groups < 2:
        return share_interval(total, n, level=level)
    p = total / n
    spread = sum((m / n) ** 2 * (c / m - p) ** 2 for c, m in zip(counts, sizes, strict=True)) * groups / (groups - 1)
    alone = min(n, p * (1 - p) / spread) if spread > 0 else n
    tail = 1 - (1 - level) / 2
    shrunk = alone * float(student.ppf(tail, n - 1) / student.ppf(tail, groups - 1)) ** 2
    return _clopper_pearson(p * shrunk, shrunk, level)


def mean_interval(values: Sequence[float], *, level: float = LEVEL) -> Interval:
    r"""Student's interval of a mean, from independent numbers: one a study. A single number leaves both ends open.

    Example:
        >>> interval = mean_interval([1.0, 2.0, 3.0])
        >>> round(interval.low, 2), round(interval.high, 2)
        (-0.48, 4.48)
    """
    from scipy.stats import t as student

    n = len(values)
    if n < 2 or not all(map(math.isfinite, values)):
        return Interval(None, None)
    half = float(student.ppf(1 - (1 - level) / 2, n - 1)) * statistics.stdev(values) / math.sqrt(n)
    mean = statistics.fmean(values)
    return Interval(mean - half, mean + half)


def _clopper_pearson(successes: float, n: float, level: float) -> Interval:
    """Also of numbers that are not whole."""
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    low = 0.0 if successes <= 0 else float(betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes >= n else float(betaincinv(successes + 1, n - successes, 1 - tail))
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
