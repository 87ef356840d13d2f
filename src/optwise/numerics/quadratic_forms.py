r"""The distribution of a sum of squares of normals: exact probabilities and quantiles, far tails included.

For :math:`Q = c + \sum_i \lambda_i (x_i + \delta_i)^2` with independent standard normal :math:`x_i` and
:math:`b_i = \lambda_i \delta_i^2`, the Laplace transform is known,

.. math:: \log \mathbb E e^{-p (Q - c)} =
    -\tfrac12 \sum_i \log(1 + 2 \lambda_i p) - \sum_i \frac{b_i p}{1 + 2 \lambda_i p},

and is inverted by Gauss's rule along a path through its saddle point on which the integrand falls as fast as it can.
There nothing oscillates and nothing cancels, which is what limits Imhof's integral along the imaginary axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

Floats = NDArray[np.float64]
Complexes = NDArray[np.complexfloating[Any, Any]]

PLACES, WEIGHTS = (part / 2 for part in np.polynomial.legendre.leggauss(16))
PLACES = PLACES + 0.5
"""Of Gauss's rule on a piece from 0 to 1."""

TURN = 2.5
"""By how much the exponent may change along a piece."""

FALLEN = 40.0
"""Logarithm of the integrand, below its largest, at which the path ends."""

MOST = 2000
"""Pieces of a path."""

MOST_LEANING = math.pi / 3
"""Angle between the path and the imaginary axis: it always climbs, so that it never comes back to the real one."""

FEW, SMALL, TERMS = 64, 0.125, 18
"""Scales up to which no series is taken; what 2 p s is at most in one, and its terms: 1/8^19 is nothing beside 1."""

LEAST_LOG = -745.0
"""Logarithm of the least number above 0."""

NEAR = 0.5
"""The path keeps this many standard deviations of the integrand from the pole at 0."""


@dataclass(frozen=True, eq=False)
class SumOfSquares:
    r"""The law of :math:`c + \sum_i \lambda_i (x_i + \delta_i)^2`.

    Args:
        scales: :math:`\lambda_i` [n], at least 0.
        masses: :math:`b_i = \lambda_i \delta_i^2` [n], at least 0; where ``scales`` is 0 it is a constant.
        constant: :math:`c`.

    Example:
        >>> law = SumOfSquares(np.array([1.0]), np.array([0.0]))
        >>> round(law.quantile(0.95), 6), round(law.below(3.841459), 6)
        (3.841459, 0.95)

    References:
        Imhof (1961), Computing the distribution of quadratic forms in normal variables.
        Rice (1980), Distribution of quadratic forms in normal random variables - evaluation by numerical integration.
    """

    scales: Floats
    masses: Floats
    constant: float = 0.0

    @classmethod
    def of_normal(cls, mean: Floats, covariance: Floats, curvature: Floats) -> SumOfSquares:
        r"""The law of :math:`\tfrac12 \sum_i h_i e_i^2` for normal e.

        Args:
            mean: Of e [d].
            covariance: Of e [d, d], or its diagonal [d] where coordinates are independent.
            curvature: h [d], at least 0.
        """
        if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):  # what overflowed is larger than anything
            return cls(np.array([math.inf]), np.zeros(1))
        root = np.sqrt(curvature)
        if covariance.ndim == 1:
            return cls(0.5 * curvature * np.maximum(covariance, 0.0), 0.5 * curvature * mean**2)
        values, vectors = np.linalg.eigh(root[:, None] * covariance * root)
        masses = 0.5 * (vectors.T @ (root * mean)) ** 2
        # what is below rounding of the largest is none
        values = np.where(values > 1e-15 * max(float(values.max(initial=0.0)), 0.0), values, 0.0)
        return cls(0.5 * values, masses)

    @property
    def mean(self) -> float:
        """Its expectation."""
        return self.constant + float(self.scales.sum() + self.masses.sum())

    @property
    def deviation(self) -> float:
        """Its standard deviation."""
        unit = max(float(self.scales.max(initial=0.0)), float(self.masses.max(initial=0.0)))
        if unit in (0, math.inf):
            return unit
        scales, masses = self.scales / unit, self.masses / unit
        return unit * math.sqrt(float(2 * (scales**2).sum() + 4 * (scales * masses).sum()))

    @property
    def least(self) -> float:
        """The value below which it never lies."""
        fixed = self.scales == 0
        return self.constant + float(self.masses[fixed].sum())

    def below(self, value: float) -> float:
        """The probability of at most ``value``."""
        return self._tails(value)[0]

    def above(self, value: float) -> float:
        """The probability of more than ``value``, with all its digits where it is small."""
        return self._tails(value)[1]

    def quantile(self, probability: float) -> float:
        """The value that is not exceeded with ``probability``, in (0, 1)."""
        if not 0 < probability < 1:
            raise ValueError(f"A quantile belongs to a probability between 0 and 1, not {probability:g}.")
        if not math.isfinite(self.mean):
            return math.inf
        least, spread = self.least, self.mean - self.least
        if spread <= 1e-15 * abs(least) or self.deviation == 0:
            return self.mean

        def excess(log: float) -> float:
            below, above = self._tails(least + math.exp(log))
            if probability < 0.5:
                return math.log(max(below, 1e-300) / probability)
            return -math.log(max(above, 1e-300) / (1 - probability))

        low = high = math.log(spread)
        width = max(self.deviation / spread, 1e-12)
        while excess(low) > 0:
            low, width = low - width, 2 * width
        width = max(self.deviation / spread, 1e-12)
        while excess(high) < 0:
            high, width = high + width, 2 * width
        return least + math.exp(float(brentq(excess, low, high, xtol=1e-15, rtol=1e-14))) if high > low else self.mean

    def _tails(self, value: float) -> tuple[float, float]:
        if not math.isfinite(self.mean):
            return (1.0, 0.0) if value == math.inf else (0.0, 1.0)
        x = value - self.least
        random = self.scales > 0
        scales, masses = self.scales[random], self.masses[random]
        if not scales.size:
            return (1.0, 0.0) if x >= 0 else (0.0, 1.0)
        if x <= 0:
            return 0.0, 1.0
        if x == math.inf:
            return 1.0, 0.0
        unit = float(scales.max())
        return _Inversion(scales / unit, masses / unit).tails(x / unit)


class _Inversion:
    """The largest scale is 1."""

    def __init__(self, scales: Floats, masses: Floats) -> None:
        order = np.argsort(-scales, kind="stable")
        self.scales, self.masses = scales[order], masses[order]
        self._sums: tuple[Floats, Floats] | None = None

    def beyond(self, x: float) -> bool:
        """Whether more than ``x`` is less likely than any number above 0, by Chernoff's bound."""
        left = 1 - self.scales / 2
        return float(-0.5 * np.log(left).sum() + (self.masses / left).sum() / 4 - x / 4) < LEAST_LOG

    def tails(self, x: float) -> tuple[float, float]:
        """Probabilities of at most and of more than ``x``."""
        if self.beyond(x):
            return 1.0, 0.0
        p = self._saddle(x)
        width = self._width(p)
        if abs(p) < NEAR * width:
            p = NEAR * width
        corners = self._path(x, p)
        steps = np.diff(corners)
        at = (corners[:-1, None] + steps[:, None] * PLACES).reshape(-1)
        exponent = self._log(at) + at * x
        top = float(self._log(corners[:1])[0].real) + p * x
        terms = (np.exp(exponent - top) / at).reshape(-1, PLACES.size) @ WEIGHTS
        found = float((terms * steps).imag.sum()) / math.pi
        tail = min(abs(found) * math.exp(min(top, 700.0)), 1.0)
        return (tail, 1.0 - tail) if p > 0 else (1.0 - tail, tail)

    def _path(self, x: float, start: float) -> Complexes:
        """Corners of a line from ``start`` on the real axis upward, along which the integrand falls off."""
        p, nearest = complex(start), -0.5
        width = self._width(start)
        top = float(self._log(np.array([p]))[0].real) + start * x
        corners, direction = [p], 1j
        while len(corners) < MOST:
            # pole and branch points are real: not farther than the nearest of them, nor than the exponent turns
            apart = abs(p.imag) if p.real < nearest else min(abs(p), abs(p - nearest))
            slope = x - complex(self._slope(p))
            length = min(max(apart, 1e-300), TURN / max(abs(slope), 1e-300), max(width, abs(p - start)))
            p += length * direction
            corners.append(p)
            value = self._log(np.array([p]))[0] + p * x
            if value.real < top - FALLEN:
                break
            slope = x - complex(self._slope(p))
            angle = np.clip(np.angle(-slope.conjugate() / 1j), -MOST_LEANING, MOST_LEANING)
            direction = 1j * np.exp(1j * angle)
        return np.array(corners)

    def _slope(self, p: complex) -> complex:
        away = 1 + 2 * self.scales * p
        return complex((self.scales / away).sum() + (self.masses / away / away).sum())

    def _log(self, p: Complexes) -> Complexes:
        count = self.scales.size
        if count > FEW:  # those of which the powers of 2 p s soon are nothing are summed up as a series
            count = int(np.searchsorted(-self.scales, -SMALL / (2 * float(np.abs(p).max()) + 1e-300)))
        away = 1 + 2 * np.multiply.outer(p, self.scales[:count])
        found: Complexes = -0.5 * np.log(away).sum(-1) - p * (self.masses[:count] / away).sum(-1)
        return found if count == self.scales.size else found + self._series(p, count)

    def _series(self, p: Complexes, first: int) -> Complexes:
        """The part of the small scales, those from place ``first`` on."""
        if self._sums is None:
            powers = self.scales ** np.arange(TERMS + 1)[:, None]  # [k, n]
            both = (np.cumsum(part[:, ::-1], axis=1)[:, ::-1] for part in (powers, powers * self.masses))
            self._sums = next(both), next(both)
        own, masses = (sums[:, first] for sums in self._sums)
        k = np.arange(1, TERMS + 1)
        power = (-2 * p[..., None]) ** k
        found: Complexes = 0.5 * (power / k) @ own[1:] - p * (masses[0] + power @ masses[1:])
        return found

    def _mean(self, p: float) -> float:
        away = 1 + 2 * self.scales * p
        return float((self.scales / away).sum() + (self.masses / away / away).sum())

    def _width(self, p: float) -> float:
        """One over the standard deviation of the law tilted by ``p``."""
        away = 1 + 2 * self.scales * p
        shares, masses = self.scales / away, self.masses / away / away
        largest = float(max(shares.max(), masses.max()))
        shares, masses = shares / largest, masses / largest
        return 1.0 / (largest * math.sqrt(float(2 * (shares**2).sum() + 4 * (shares * masses).sum())))

    def _saddle(self, x: float) -> float:
        """Where the tilted mean is ``x``."""
        if x <= self._mean(0.0):
            high = 1.0
            while self._mean(high) > x:
                high *= 4
            return float(brentq(lambda p: self._mean(p) - x, 0.0, high, rtol=1e-12, xtol=1e-300))
        # p = -(1 - r) / 2: r is what is left to the nearest singularity
        least = 0.5
        while self._mean(-(1 - least) / 2) < x:
            least /= 4
        r = brentq(lambda r: self._mean(-(1 - r) / 2) - x, least, 1.0, rtol=1e-12, xtol=1e-300)
        return -(1 - float(r)) / 2
