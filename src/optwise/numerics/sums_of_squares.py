r"""Is a mean of excesses what it should be? Two-sided chances for sums of squares, which are skewed.

An excess is :math:`X = \tfrac12 \sum_i h_i w_i^2` with independent normals :math:`w_i`, in one direction or many, with
means or without. If its mean is :math:`\mu` and its variance :math:`\sigma^2`, its third cumulant lies in

.. math:: \tfrac32 \, \sigma^4 / \mu \le \kappa_3 \le \sqrt 8 \, \sigma^3

With :math:`a_i = h_i \operatorname{Var} w_i` and :math:`b_i = h_i (\mathbb E w_i)^2` these are :math:`\mu = \tfrac12
\sum (a + b)`, :math:`\sigma^2 = \tfrac12 \sum a (a + 2b)`, :math:`\kappa_3 = \sum a^2 (a + 3b)`. The lower bound is
Cauchy and Schwarz's with :math:`3 (a + 2b)^2 \le 4 (a + 3b)(a + b)`, the upper one :math:`(1 + 3t)^2 \le (1 + 2t)^3`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CUBE_ROOT = 1e5
"""Shape of a gamma variable beyond which its cube root is called normal: at six deviations the chance is then off by
1e-4, while scipy's lower tail is off by 2 % at a shape of 1e7."""


def skew_bounds(weights: Floats, counts: Floats, means: Floats, deviations: Floats) -> tuple[float, float]:
    """Least and largest skewness of a weighted sum of independent excesses.

    Args:
        weights: Of each group [S].
        counts: Excesses in each group [S].
        means: Expectation of one [S], above 0 where it varies.
        deviations: Standard deviation of one [S], not all 0.

    Example:
        >>> low, high = skew_bounds(np.ones(1), np.ones(1), np.ones(1), np.full(1, 2**0.5))  # one squared normal
        >>> round(low, 6), round(high, 6)
        (2.12132, 2.828427)
    """
    varying = deviations > 0
    w, n, mu, sigma = weights[varying], counts[varying], means[varying], deviations[varying]
    scaled = w * sigma
    scaled = scaled / math.sqrt(float(n @ scaled**2))  # the sum has variance 1
    high = math.sqrt(8) * float(n @ scaled**3)
    return min(1.5 * float(n @ (scaled**3 * (sigma / mu))), high), high


def known_spread(z: float, low: float, high: float) -> float:
    r"""Two-sided chance of a standardised sum as far from 0 as ``z``, for a skewness between ``low`` and ``high``.

    .. math:: P(Z \ge z) \approx P(\Gamma_a \ge a + z \sqrt a), \qquad a = 4 / \gamma^2

    where :math:`\Gamma_a` is a gamma variable of shape a: exact for the square of a normal. The upper tail takes the
    larger skewness, the lower tail the smaller one: both are then at least as heavy as they really are.

    Args:
        z: The sum minus its mean, over its standard deviation.
        low: Bound of its skewness from below, at least 0.
        high: Bound from above.

    Example:
        >>> skew = (8 / 4) ** 0.5  # chi-squared of 4 degrees of freedom: mean 4, variance 8
        >>> round(known_spread((13.2767 - 4) / 8**0.5, skew, skew), 4)  # whose upper 1 % lies above 13.2767
        0.02
    """
    from scipy.special import gammainc, gammaincc, ndtr

    skew = high if z > 0 else low
    if skew < 2 / math.sqrt(CUBE_ROOT):
        return min(1.0, 2 * float(ndtr(-abs(_normal(z, skew)))))
    shape = 4 / skew**2
    place = shape + z * math.sqrt(shape)
    if place <= 0:
        return 0.0
    return min(1.0, 2 * float(gammaincc(shape, place) if z > 0 else gammainc(shape, place)))


def known_range(low: float, high: float, chance: float) -> tuple[float, float]:
    """The values between which a standardised sum lies, except for half of ``chance`` on each side.

    The inverse of :func:`known_spread`.

    Args:
        low: Bound of its skewness from below, at least 0.
        high: Bound from above.
        chance: Two-sided.

    Example:
        >>> skew = (8 / 4) ** 0.5
        >>> [round(4 + z * 8**0.5, 3) for z in known_range(skew, skew, 0.02)]  # 1 % and 99 % of chi-squared
        [0.297, 13.277]
    """
    from scipy.special import gammainccinv, gammaincinv, ndtri

    ends = []
    for skew, side in ((low, -1.0), (high, 1.0)):
        if skew < 2 / math.sqrt(CUBE_ROOT):
            deviate = side * -float(ndtri(chance / 2))
            cube = 1 + deviate * skew / 6 - skew**2 / 36
            ends.append(deviate if skew == 0 else (cube**3 - 1) * 2 / skew)
            continue
        shape = 4 / skew**2
        place = float((gammaincinv if side < 0 else gammainccinv)(shape, chance / 2))
        ends.append((place - shape) / math.sqrt(shape))
    return ends[0], ends[1]


def _normal(z: float, skew: float) -> float:
    """The normal deviate of a gamma variable's cube root (Wilson and Hilferty 1931), at a small skewness."""
    if skew == 0:
        return z
    bend = max(1 + z * skew / 2, 1e-300)
    return (math.expm1(math.log(bend) / 3) + skew**2 / 36) * 6 / skew


def estimated_spread(ratios: Floats, slack: float = 0.0) -> tuple[float, float]:
    r"""Student's t for the hypothesis that positive ``ratios`` have mean 1, on the scale on which gammas are symmetric.

    .. math:: t = \pm \sqrt{2 \, \frac{n \bar r^2}{s^2} \, (\bar r - 1 - \ln \bar r)}

    is the signed root of the deviance of a gamma distribution whose shape is that of the sample. Near 1 it is the
    usual :math:`(\bar r - 1) \sqrt n / s`, which on squares of normals calls far too many low means wrong: there a
    sample with a low mean has a small spread too.

    Args:
        ratios: n of them, at least 2.
        slack: Difference of the mean from 1 that means nothing.

    Returns:
        t, and its two-sided chance with n - 1 degrees of freedom.

    Example:
        >>> t, p = estimated_spread(np.array([0.9, 1.0, 1.1, 1.2]))
        >>> round(t, 2), round(p, 2)
        (0.8, 0.48)

    References:
        McCullagh and Nelder (1989), Generalized Linear Models, section 8.3.
    """
    from scipy.stats import t as student

    n, mean = ratios.size, max(float(ratios.mean()), 1e-300)
    gap = math.copysign(max(abs(mean - 1) - slack, 0.0), mean - 1)
    if gap == 0:
        return 0.0, 1.0
    spread = float(ratios.std(ddof=1))
    if spread == 0:
        return math.copysign(math.inf, gap), 0.0
    at = max(1 + gap, 1e-300)
    t = math.copysign(math.sqrt(max(2 * n * (mean / spread) ** 2 * (gap - math.log(at)), 0.0)), gap)
    return t, float(2 * student.sf(abs(t), n - 1))


def estimated_range(ratios: Floats, chance: float) -> tuple[float, float]:
    """Between which means the one of ``ratios`` lies, except for half of ``chance`` on each side.

    The means that :func:`estimated_spread` does not refute.

    Args:
        ratios: n positive ones, at least 2.
        chance: Two-sided.

    Example:
        >>> low, high = estimated_range(np.array([0.9, 1.0, 1.1, 1.2]), 0.05)
        >>> round(low, 2), round(high, 2)
        (0.87, 1.29)
    """
    from scipy.optimize import brentq
    from scipy.stats import t as student

    n, mean, spread = ratios.size, float(ratios.mean()), float(ratios.std(ddof=1))
    if spread == 0:
        return mean, mean
    deviance = float(student.isf(chance / 2, n - 1)) ** 2 / (2 * n * (mean / spread) ** 2)

    def excess(log: float) -> float:
        return math.expm1(log) - log - deviance

    # x - 1 - ln x = deviance has a root on each side of 1
    below, above = (
        brentq(excess, -deviance - 1, 0),
        brentq(excess, 0, math.log1p(deviance + math.sqrt(2 * deviance)) + 1),
    )
    return mean * math.exp(-above), mean * math.exp(min(-below, 700.0))
