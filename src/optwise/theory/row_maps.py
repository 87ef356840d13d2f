r"""The covariance of one row's gradient as a linear map of second moments and mean, made once for a data set.

On n rows :math:`x_i` with residuals :math:`r_i`, S being the second moments and m the mean of the distance to the
optimum, it is

.. math:: \frac1n \sum_i x_i x_i^\top \, \bigl( x_i^\top S x_i - 2 r_i x_i^\top m + r_i^2 \bigr) - H S H .
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from optwise.core.quadratic import Quadratic
from optwise.theory.matrices import Floats

IN_CACHE = 2**19
"""Numbers of a map that stay in the cache."""

PASSES = 12
"""Products with each number of a larger map that take as long as fetching it."""

KEPT_NUMBERS = 2**25
"""Numbers of a map of second moments that is kept: a quarter of a gigabyte."""

MINUTE = 2.0**39
"""Operations that take about a minute."""


class RowMap:
    """The covariance of one row's gradient as a linear map of second moments and mean, over coordinates that curve.

    Of symmetric matrices the upper half is kept, q numbers. The map is written out where that saves work; else the
    products of every row are kept, as far as memory goes. Either is made when it is first asked for.

    Args:
        quadratic: Of a finite data set.
        uses: How many covariances will be asked for, about; by default as many as a minute holds.
        unit: What rows are divided by, and curvatures by its square: moments are of the distance times it.
    """

    def __init__(self, quadratic: Quadratic, uses: float = np.inf, *, unit: float = 1.0) -> None:
        assert quadratic.rows is not None
        assert quadratic.residuals is not None
        kept = quadratic.h > 0
        self.X, self.r = quadratic.rows[:, kept] / unit, quadratic.residuals
        self.h = quadratic.h[kept] / unit / unit
        self.n, self.d = self.X.shape
        self.upper = np.triu_indices(self.d)
        self.place = np.empty((self.d, self.d), dtype=np.intp)
        self.place[self.upper] = self.place.T[self.upper] = np.arange(len(self.upper[0]))
        (i, j), q = self.upper, max(len(self.upper[0]), 1)
        self.curved, self.twice = self.h[i] * self.h[j], np.where(i == j, 1.0, 2.0)
        by_rows = 8.0 * q * self.n
        saved = min(uses, MINUTE / by_rows) * (4.0 * self.n - 2.0 * q)
        self.is_written = q * q <= KEPT_NUMBERS and 2.0 * self.n * q < saved
        self.has_products = not self.is_written and self.n * q <= KEPT_NUMBERS
        self.making = 2.0 * self.n * q * q if self.is_written else 0.0
        self.operations = 2.0 * q * q if self.is_written else by_rows / 2 if self.has_products else by_rows

    @cached_property
    def products(self) -> Floats:
        """Those of every row [n, q]."""
        return np.asarray(self.X[:, self.upper[0]] * self.X[:, self.upper[1]])

    @cached_property
    def written(self) -> tuple[Floats, Floats, Floats]:
        """The map of second moments [q, q] and of the mean [d, q], and what is there without them [q]."""
        (i, j), q = self.upper, len(self.upper[0])
        whole, of_mean, rest = np.zeros((q, q)), np.zeros((self.d, q)), np.zeros(q)
        length = max(1, KEPT_NUMBERS // max(4 * q, 1))
        for first in range(0, self.n, length):  # a part of the rows at a time
            few = slice(first, first + length)
            products = self.X[few][:, i] * self.X[few][:, j]
            whole += (products * self.twice).T @ products / self.n
            of_mean -= 2.0 * (self.X[few].T * self.r[few]) @ products / self.n
            rest += self.r[few] ** 2 @ products / self.n
        return whole, of_mean, rest

    def covariance(self, second: Floats, mean: Floats) -> Floats:
        """Of one row's gradient [E, d, d], at second moments [E, d, d] and means [E, d] of the distance."""
        return np.asarray(self._upper(second[:, self.upper[0], self.upper[1]], mean)[:, self.place])

    def spread(self, s: Floats) -> Floats:
        """Its part that is linear in the second moments alone, from upper halves to upper halves [E, q]."""
        return self._upper(s, None)

    def _upper(self, s: Floats, mean: Floats | None) -> Floats:
        alone = self._by_rows_is_less(len(s))
        if self.is_written and not alone:
            whole, of_mean, rest = self.written
            found = s @ whole - self.curved * s
            return np.asarray(found if mean is None else found + mean @ of_mean + rest)
        linear = np.zeros((len(s), self.n)) if mean is None else self.r**2 - 2.0 * (mean @ self.X.T) * self.r
        if self.has_products and not alone:
            squares = ((s * self.twice) @ self.products.T + linear) / self.n
            return np.asarray(squares @ self.products - self.curved * s)
        found = np.empty_like(s)
        for own, S, line in zip(found, s[:, self.place], linear, strict=True):
            squares = (np.einsum("ip,ip->i", self.X @ S, self.X) + line) / self.n
            own[:] = ((self.X * squares[:, None]).T @ self.X)[self.upper]
        return np.asarray(found - self.curved * s)

    def variances(self, mean: Floats) -> Floats:
        """Of one row's gradient [E, d], at points of these means [E, d] that do not vary."""
        pulled = (self.X @ mean.T - self.r[:, None]) ** 2
        return np.asarray(pulled.T @ self.X**2 / self.n - (self.h * mean) ** 2)

    def _by_rows_is_less(self, count: int) -> bool:
        """Whether few entries are worth no pass through a map that lies beyond the cache."""
        q = len(self.curved)
        kept = q * (q if self.is_written else 2 * self.n)
        return kept > IN_CACHE and 4 * q * self.n * count < kept * max(count, PASSES)
