"""Best values of convex problems in 60 digits: active sets for quadratics, Newton's method for other losses.

Nothing here is shared with optwise. Data in float32 or float64 are taken as the numbers they are, so that the answer
is that of the very problem which was solved.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from mpmath import MPContext

mp = MPContext()  # of its own, so that nobody else's digits change
mp.dps = 60

_EXACT = mp.mpf(10) ** -40
"""Relative gradient that ends a search."""

_SAME = mp.mpf(10) ** -50
"""Relative difference of two values that rounding explains."""


@dataclass(frozen=True)
class Loss:
    """Of one number, the residual or the margin, in mpmath numbers.

    Args:
        value: Of the loss.
        slope: First derivative.
        bend: Second derivative.
        cap: Curvature of a parabola that touches the loss here and lies above it everywhere.
    """

    value: Callable
    slope: Callable
    bend: Callable
    cap: Callable


def squared():
    return Loss(lambda r: r * r / 2, lambda r: r, lambda _: mp.mpf(1), lambda _: mp.mpf(1))


def huber(delta):
    d = mp.mpf(delta)
    return Loss(
        lambda r: r * r / 2 if abs(r) <= d else d * (abs(r) - d / 2),
        lambda r: max(-d, min(d, r)),
        lambda r: mp.mpf(abs(r) <= d),
        lambda r: mp.mpf(1) if abs(r) <= d else d / abs(r),
    )


def logistic():
    def sigmoid(m):
        return 1 / (1 + mp.exp(m))

    return Loss(
        lambda m: mp.log1p(mp.exp(-m)),
        lambda m: -sigmoid(m),
        lambda m: sigmoid(m) * (1 - sigmoid(m)),
        lambda _: mp.mpf(1) / 4,
    )


def squared_hinge():
    return Loss(
        lambda m: max(mp.mpf(0), 1 - m) ** 2 / 2,
        lambda m: -max(mp.mpf(0), 1 - m),
        lambda m: mp.mpf(m < 1),
        lambda _: mp.mpf(1),
    )


@dataclass(frozen=True)
class Exact:
    """F(w) = scale sum_i loss(<x_i, w> - y_i) + l1 |w|_1 + l2/2 |w|^2 within bounds, as exact numbers.

    Args:
        X: Design [n, p]; of a classifier with the label in each row.
        y: Targets [n], or zeros.
        loss: Of the residual or margin.
        scale: Before the sum.
        l1: Weight of the l1 norm.
        l2: Weight of half the squared norm.
        low: Lower bounds [p] or None.
        high: Upper bounds [p] or None.
    """

    X: np.ndarray
    y: np.ndarray
    loss: Loss
    scale: float
    l1: float = 0.0
    l2: float = 0.0
    low: np.ndarray | None = None
    high: np.ndarray | None = None

    def value(self, w):
        """F at a point, exactly; infinite outside the bounds."""
        w = _row(w)
        if self.low is not None and any(a < mp.mpf(float(b)) for a, b in zip(w, self.low, strict=True)):
            return mp.inf
        if self.high is not None and any(a > mp.mpf(float(b)) for a, b in zip(w, self.high, strict=True)):
            return mp.inf
        losses = mp.fsum(self.loss.value(z) for z in self._images(w))
        return self.scale * losses + self.l1 * mp.fsum(map(abs, w)) + mp.mpf(self.l2) / 2 * mp.fdot(w, w)

    def rounding(self, w, eps):
        """Rounding error of F in a dtype: eps times each term, and each slope times the terms of its argument."""
        w = _row(w)
        total = mp.mpf(0)
        for row, target, z in zip(self.X, self.y, self._images(w), strict=True):
            terms = abs(mp.mpf(float(target))) + mp.fsum(abs(mp.mpf(float(a)) * b) for a, b in zip(row, w, strict=True))
            total += self.loss.value(z) + abs(self.loss.slope(z)) * terms
        simple = self.l1 * mp.fsum(map(abs, w)) + mp.mpf(self.l2) / 2 * mp.fdot(w, w)
        return eps * (self.scale * total + simple)

    def best(self):
        """The lowest value there is."""
        quadratic = self.loss.bend(mp.mpf("1e99")) == 1
        w = self._active_set() if quadratic else self._newton()
        return self.value(w)

    def _images(self, w):
        return [mp.fdot(row, w) - mp.mpf(float(target)) for row, target in zip(_matrix(self.X), self.y, strict=True)]

    def _newton(self):
        """Newton's method; where a step of it fails, one to the minimum of the parabolas that lie above the losses."""
        assert self.l1 == 0
        assert self.low is None
        columns = list(zip(*_matrix(self.X), strict=True))
        sizes = [mp.sqrt(mp.fdot(column, column)) for column in columns]
        w = [mp.mpf(0)] * len(columns)
        for _ in range(1000):
            z = self._images(w)
            slopes = [self.loss.slope(a) for a in z]
            g = [self.scale * mp.fdot(slopes, c) + self.l2 * a for c, a in zip(columns, w, strict=True)]
            if max(abs(a) / s for a, s in zip(g, sizes, strict=True)) <= _EXACT * self.scale * max(map(abs, slopes)):
                return w
            value = self.value(w)
            for bend in (self.loss.bend, self.loss.cap):
                tried = self._stepped(w, g, columns, [bend(a) for a in z])
                if tried is not None and self.value(tried) <= value + abs(value) * _SAME:
                    w = tried
                    break
            else:
                raise ArithmeticError("No step lowers F; give the oracle more digits.")
        raise ArithmeticError("Newton's method found no end; give the oracle more steps.")

    def _stepped(self, w, g, columns, bends):
        """The minimum of the quadratic model; None where it has none."""
        p = len(columns)
        H = mp.matrix(p)
        for i in range(p):
            weighed = [a * b for a, b in zip(bends, columns[i], strict=True)]
            for j in range(i + 1):
                H[i, j] = H[j, i] = self.scale * mp.fdot(weighed, columns[j]) + (self.l2 if i == j else 0)
        try:
            step = mp.lu_solve(H, -mp.matrix(g))
        except ZeroDivisionError:
            return None
        return [a + b for a, b in zip(w, step, strict=True)]

    def _active_set(self):
        """The method of Lawson and Hanson for a quadratic within bounds; an l1 norm splits w into two halves >= 0."""
        X, p = _matrix(self.X), self.X.shape[1]
        y = _row(self.y)
        columns = list(zip(*X, strict=True))
        Q = [
            [self.scale * mp.fdot(a, b) + (self.l2 if i == j else 0) for j, b in enumerate(columns)]
            for i, a in enumerate(columns)
        ]
        c = [self.scale * mp.fdot(a, y) for a in columns]
        if self.l1:
            assert self.low is None
            Q = [[*row, *(-a for a in row)] for row in Q] + [[*(-a for a in row), *row] for row in Q]
            c = [a - self.l1 for a in c] + [-a - self.l1 for a in c]
            z = _within(Q, c, [mp.mpf(0)] * (2 * p), [mp.inf] * (2 * p))
            return [a - b for a, b in zip(z[:p], z[p:], strict=True)]
        low = [-mp.inf] * p if self.low is None else _row(self.low)
        high = [mp.inf] * p if self.high is None else _row(self.high)
        return _within(Q, c, low, high)


def _within(Q, c, low, high):
    """Minimise z Q z / 2 - c z within bounds, from the bounds on; what has none is free from the start."""
    p = len(c)
    free = {j for j in range(p) if low[j] == -mp.inf}
    z = [mp.mpf(0) if j in free else low[j] for j in range(p)]
    for _ in range(50 * p):
        while free:
            inside = sorted(free)
            held = [c[i] - mp.fsum(Q[i][j] * z[j] for j in range(p) if j not in free) for i in inside]
            H = mp.matrix([[Q[i][j] for j in inside] for i in inside])
            wanted = dict(zip(inside, mp.lu_solve(H, mp.matrix(held)), strict=True))
            reach = {}
            for j in inside:
                bound = low[j] if wanted[j] < low[j] else high[j] if wanted[j] > high[j] else None
                if bound is not None:
                    reach[j] = (bound - z[j]) / (wanted[j] - z[j]), bound
            t = min([mp.mpf(1), *(each[0] for each in reach.values())])
            for j in inside:
                z[j] += t * (wanted[j] - z[j])
            for j, (at, bound) in reach.items():
                if at <= t:
                    z[j] = bound
                    free.discard(j)
            if not reach:
                break
        slopes = [mp.fdot(Q[i], z) - c[i] for i in range(p)]
        sizes = [mp.sqrt(Q[i][i]) for i in range(p)]
        scale = max(abs(a) / s for a, s in zip(c, sizes, strict=True))
        gain = {j: (-slopes[j] if z[j] == low[j] else slopes[j]) / sizes[j] for j in range(p) if j not in free}
        best = max(gain, key=gain.get, default=None)
        if best is None or gain[best] <= _EXACT * scale:
            return z
        free.add(best)
    raise ArithmeticError("The active set found no end; look at the bounds.")


def _row(numbers):
    return [each if isinstance(each, mp.mpf) else mp.mpf(float(each)) for each in numbers]


def _matrix(X):
    return [[mp.mpf(float(each)) for each in row] for row in X]
