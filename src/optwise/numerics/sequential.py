"""Looking more than once at studies that come in: what a p-value is worth after so many looks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from math import sqrt

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

_FEWEST_POINTS, _MOST_POINTS, _POINTS_PER_DEVIATION = 401, 8001, 4
"""Of the grid on which the walk's density is carried from look to look, by Simpson's rule."""


def overall_p(p: float, looks: Sequence[int]) -> float:
    r"""The chance that the smallest p-value over all looks is at most ``p`` where nothing differs.

    With :math:`Z_k = B(n_k) / \sqrt{n_k}` the test statistic after :math:`n_k` studies, B Brownian motion, and
    :math:`c = \Phi^{-1}(1 - p / 2)`,

    .. math:: P\big(\max_k |Z_k| \ge c\big).

    It is itself a p-value: of the design that looks at just these numbers of studies, with one boundary for all looks
    (Pocock's). One look leaves p as it is.

    Args:
        p: Smallest two-sided p-value seen so far.
        looks: Numbers of studies at which the design looks, increasing, those to come included.

    Example:
        >>> round(overall_p(0.0182, (8, 16, 24, 32)), 3), overall_p(0.03, (8,))
        (0.05, 0.03)

    References:
        Pocock (1977), Group sequential methods in the design and analysis of clinical trials; Armitage, McPherson and
        Rowe (1969), Repeated significance tests on accumulating data.
    """
    _check(looks)
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"p is {p}; a p-value lies between 0 and 1.")
    if len(looks) == 1 or p in (0.0, 1.0):
        return float(p)
    found = _crossing(float(norm.isf(p / 2)), tuple(looks))
    return min(max(found, p), len(looks) * p, 1.0)  # what holds whatever the looks; integration rounds


def nominal_level(alpha: float, looks: Sequence[int]) -> float:
    """The p-value that a look must reach so that all looks together claim falsely with chance ``alpha``.

    Args:
        alpha: Of all looks together.
        looks: As in :func:`overall_p`.

    Example:
        >>> [round(nominal_level(0.05, range(1, k + 1)), 4) for k in (1, 2, 3, 4, 5)]
        [0.05, 0.0294, 0.0221, 0.0182, 0.0158]
    """
    _check(looks)
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is {alpha}; it must lie strictly between 0 and 1.")
    if len(looks) == 1:
        return float(alpha)
    log = brentq(lambda x: overall_p(float(np.exp(x)), looks) - alpha, np.log(alpha / (2 * len(looks))), np.log(alpha))
    return float(np.exp(log))


@lru_cache(maxsize=4096)
def _crossing(c: float, looks: tuple[int, ...]) -> float:
    points = _points(c, looks)
    weights = np.full(points, 2.0)
    weights[1::2], weights[[0, -1]] = 4.0, 1.0
    unit = np.linspace(-1.0, 1.0, points)
    edge = c * sqrt(looks[0])
    at, inside = edge * unit, norm.pdf(edge * unit, scale=sqrt(looks[0]))
    for before, now in pairwise(looks):
        held = inside * weights * (2 * edge / (points - 1) / 3)
        edge = c * sqrt(now)
        moved = edge * unit
        inside = norm.pdf(moved[:, None] - at[None, :], scale=sqrt(now - before)) @ held
        at = moved
    stays = float(inside @ weights) * (2 * edge / (points - 1) / 3)
    return min(max(1.0 - stays, 0.0), 1.0)


def _points(c: float, looks: tuple[int, ...]) -> int:
    """An odd number of points that resolves the shortest way between two looks."""
    shortest = min(sqrt(b - a) for a, b in pairwise(looks))
    wanted = int(2 * c * sqrt(looks[-1]) / shortest * _POINTS_PER_DEVIATION)
    return min(max(wanted, _FEWEST_POINTS), _MOST_POINTS) | 1


def _check(looks: Sequence[int]) -> None:
    if not looks or looks[0] < 1 or any(b <= a for a, b in pairwise(looks)):
        raise ValueError(f"looks are {list(looks)}; give increasing numbers of studies, as in (8, 16, 24, 32).")
