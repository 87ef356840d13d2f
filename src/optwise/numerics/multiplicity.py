"""Many pairs at once: p-values after Holm, and the number of studies that lets them reach a level at all."""

from math import comb

import numpy as np
from numpy.typing import ArrayLike

from optwise.numerics.arrays import FloatArray, check_level
from optwise.numerics.permutation import reaches_level


def holm(p_values: ArrayLike) -> FloatArray:
    r"""P-values adjusted by Holm's step-down rule, in the order in which they came.

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min\{1, (m - j + 1)\, p_{(j)}\}

    with :math:`p_{(1)} \le \dots \le p_{(m)}`. Claiming those at most :math:`\alpha` keeps the chance of any false
    claim at :math:`\alpha`, however the tests depend on each other.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        array([0.03, 0.06, 0.06])

    References:
        Holm (1979), A Simple Sequentially Rejective Multiple Test Procedure.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1:
        raise ValueError(f"p_values has shape {p.shape}; holm needs one p-value per pair.")
    outside = ~((p >= 0.0) & (p <= 1.0))
    if outside.any():
        raise ValueError(f"p_values holds {float(p[outside][0])}; a p-value lies between 0 and 1.")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def fewest_studies(methods: int, level: float) -> int:
    r"""Fewest studies per method with which Holm over all pairs of methods can reach the level.

    The smallest p-value of the permutation test is :math:`2 / \binom{2n}{n}`; Holm multiplies it by the number of
    pairs, so the least n has

    .. math:: \binom{m}{2} \frac{2}{\binom{2n}{n}} \le 1 - \text{level}.

    Example:
        >>> [fewest_studies(methods, 0.95) for methods in (2, 5, 8)]
        [4, 6, 7]
    """
    check_level(level)
    if methods < 2:
        raise ValueError(f"methods is {methods}; a comparison needs at least 2.")
    return fewest_for((1 - level) / comb(methods, 2))


def fewest_for(share: float) -> int:
    r"""Fewest studies of each method whose smallest p-value, :math:`2 / \binom{2n}{n}`, is at most ``share``.

    Example:
        >>> fewest_for(0.05), fewest_for(0.05 / 10)
        (4, 6)
    """
    studies = 2
    while not reaches_level(2 / comb(2 * studies, studies), 1 - share):
        studies += 1
    return studies
