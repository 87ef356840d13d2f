r"""The covariance of one row's gradient as a linear map of second moments and mean, made once for a data set.

On n rows :math:`x_i` with residuals :math:`r_i`, S being the second moments and m the mean of the distance to the
optimum, it is

.. math:: \frac1n \sum_i x_i x_i^\top \, \bigl( x_i^\top S x_i - 2 r_i x_i^\top m + r_i^2 \bigr) - H S H .
"""

from __future__ import annotations

import numpy as np

from optwise.core.quadratic import Quadratic
from optwise.theory.matrices import Floats

IN_CACHE = 2**19
"""Numbers of a map that stay in the cache."""

PASSES = 12
"""Products with each number of a larger map that take as long as fetching it."""

KEPT_NUMBERS = 2**25
"""Numbers of a map of second moments that is kept: a quarter of a gigabyte."""


class RowMap:
    """The covariance of one row's gradient as a linear map of second moments and mean, over coordinates that curve.

    Of symmetric matrices the upper half is kept, q numbers. The map is written out where q is below 2 n; else the
    products of every row are, as far as memory goes.
    """

    def __init__(self, quadratic: Quadratic) -> None:
        assert quadratic.rows is not None
        assert quadratic.residuals is not None
        kept = quadratic.h > 0
        X, r, h = quadratic.rows[:, kept], quadratic.residuals, quadratic.h[kept]
        self.n, self.d = X.shape
        self.upper = np.triu_indices(self.d)
        self.place = np.empty((self.d, self.d), dtype=np.intp)
        self.place[self.upper] = self.place.T[self.upper] = np.arange(len(self.upper[0]))
        (i, j), q = self.upper, len(self.upper[0])
        self.X, self.r, self.h, self.curved = X, r, h, h[i] * h[j]
        self.twice = np.where(i == j, 1.0, 2.0)
        self.products = self.written = None
        if q < 2 * self.n and q * q <= KEPT_NUMBERS:
            self.written, self.of_mean, self.rest = np.zeros((q, q)), np.zeros((self.d, q)), np.zeros(q)
            length = max(1, KEPT_NUMBERS // (4 * q))
            for first in range(0, self.n, length):  # a part of the rows at a time
                few = slice(first, first + length)
                products = X[few][:, i] * X[few][:, j]
                self.written += (products * self.twice).T @ products / self.n
                self.of_mean -= 2.0 * (X[few].T * r[few]) @ products / self.n
                self.rest += r[few] ** 2 @ products / self.n
        elif self.n * q <= KEPT_NUMBERS:
            self.products = X[:, i] * X[:, j]

    @property
    def operations(self) -> float:
        """What one covariance costs."""
        q = float(len(self.curved))
        return 2 * q * q if self.written is not None else (4 if self.products is not None else 8) * q * self.n

    def covariance(self, second: Floats, mean: Floats) -> Floats:
        """Of one row's gradient [E, d, d], at second moments [E, d, d] and means [E, d] of the distance."""
        s, count = second[:, self.upper[0], self.upper[1]], len(second)
        alone = self._by_rows_is_less(count)
        if self.written is not None and not alone:
            return self._whole(s @ self.written + mean @ self.of_mean + self.rest - self.curved * s)
        linear = self.r**2 - 2.0 * (mean @ self.X.T) * self.r
        if self.products is not None and not alone:
            squares = ((s * self.twice) @ self.products.T + linear) / self.n
            return self._whole(squares @ self.products - self.curved * s)
        found = np.empty_like(second)
        for own, S, line in zip(found, second, linear, strict=True):
            squares = (np.einsum("ip,ip->i", self.X @ S, self.X) + line) / self.n
            own[:] = (self.X * squares[:, None]).T @ self.X
        return found - self._whole(self.curved * s)

    def variances(self, mean: Floats) -> Floats:
        """Of one row's gradient [E, d], at points of these means [E, d] that do not vary."""
        pulled = (self.X @ mean.T - self.r[:, None]) ** 2
        return np.asarray(pulled.T @ self.X**2 / self.n - (self.h * mean) ** 2)

    def _by_rows_is_less(self, count: int) -> bool:
        """Whether few entries are worth no pass through a map that lies beyond the cache."""
        q = len(self.curved)
        kept = q * (q if self.written is not None else 2 * self.n)
        return kept > IN_CACHE and 4 * q * self.n * count < kept * max(count, PASSES)

    def _whole(self, upper: Floats) -> Floats:
        return np.asarray(upper[:, self.place])
