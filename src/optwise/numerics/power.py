"""How small a difference a number of studies can find: said before a comparison from experience, after it from data."""

from __future__ import annotations

from math import comb, exp, inf, sqrt

from scipy.stats import t as student

from optwise.numerics.arrays import check_level
from optwise.numerics.permutation import reaches_level

USUAL_SPREAD = 0.3
"""Standard deviation of a study's mean log time: 0.22, 0.27 and 0.31 of 64 studies of adamw on digits-mlp (bank.npz) at
targets of 0.1, 0.07 and 0.06."""


def smallest_ratio(
    studies: int, *, pairs: int = 1, spread: float = USUAL_SPREAD, level: float = 0.95, power: float = 0.8
) -> float:
    r"""The smallest true ratio of times that so many studies of each of two methods find with probability ``power``.

    .. math:: \exp\Big( (t_{1 - \alpha / 2m} + t_{\text{power}}) \, s \sqrt{2 / n} \Big)

    with quantiles of Student's t of :math:`2n - 2` degrees of freedom, :math:`\alpha = 1 - \text{level}` shared by
    :math:`m` pairs, and :math:`s` the standard deviation of a study's mean log time. Where even a clean sweep cannot
    reach the level it is infinite.

    Args:
        studies: n, of each method.
        pairs: m, that share the level.
        spread: s.
        level: Of all claims together.
        power: Probability of finding it.

    Example:
        >>> [round(smallest_ratio(n), 2) for n in (4, 8, 16, 32)]
        [2.04, 1.57, 1.36, 1.24]
        >>> smallest_ratio(3)
        inf
    """
    check_level(level)
    check_level(power)
    if studies < 1 or pairs < 1 or not 0.0 <= spread < inf:
        raise ValueError(f"studies {studies}, pairs {pairs}, spread {spread}: give at least 1, 1 and 0.")
    alpha = (1.0 - level) / pairs
    if not reaches_level(2 / comb(2 * studies, studies), 1.0 - alpha):
        return inf
    freedom = 2 * studies - 2
    reach = float(student.ppf(1 - alpha / 2, freedom) + student.ppf(power, freedom))
    return exp(max(reach, 0.0) * spread * sqrt(2 / studies))  # a power below the level is had for nothing
