"""The last steps and gradient changes of limited-memory quasi-Newton methods, and the matrices they make."""

from __future__ import annotations

import math
from functools import cache
from operator import mul
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optwise.methods.solvers.rays import Point

Small = NDArray[np.float64]
"""Arrays of a few numbers per pair, in float64 on the host whatever the vectors are."""


@final
class TwoLoopInverse:
    r"""The inverse L-BFGS matrix H of at most ``size`` pairs, by the two-loop recursion on inner products.

    .. math:: H g = q + \sum_i (\alpha_i - \beta_i) s_i, \qquad q = \gamma \Bigl(g - \sum_j \alpha_j y_j\Bigr)

        \alpha_i = \frac{s_i^T}{s_i^T y_i} \Bigl(g - \sum_{j > i} \alpha_j y_j\Bigr), \qquad
        \beta_i = \frac{y_i^T}{s_i^T y_i} \Bigl(q + \sum_{j < i} (\alpha_j - \beta_j) s_j\Bigr)

    for the steps :math:`s = w_{k+1} - w_k`, the changes :math:`y = g_{k+1} - g_k`, and :math:`\gamma = s^T y / y^T y`
    of the newest pair. All inner products of pairs are kept, so that a product with H reads the pairs twice, in one
    product each time, and runs both loops on ``size`` Python numbers: for so few those are the fastest.

    Args:
        size: Pairs kept.
        like: A vector [p] of the dtype and device of the points.

    References:
        Nocedal (1980), Updating quasi-Newton matrices with limited storage; Chen, Wang and Zhou (2014), Large-scale
        L-BFGS using MapReduce.
    """

    def __init__(self, size: int, like: Tensor) -> None:
        self._pairs = _Slots(size, like)
        # s_i y_j by i and, transposed, by j; y_i y_j. Entries of pairs that are gone stay: they meet zeros only.
        self._fits, self._fits_by_change, self._changes = (_zeros(size + 1) for _ in range(3))
        self._gamma = 1.0

    def __len__(self) -> int:
        return len(self._pairs.order)

    def forget(self) -> None:
        """Drop all pairs."""
        self._pairs.clear()

    def learn(self, old: Point, new: Point) -> bool:
        """Take the pair between two points where f curves upwards between them; say whether it does."""
        slot, s, y = self._pairs.write(old, new)
        of_steps, of_changes = self._pairs.products(y).view(2, -1).tolist()
        fit, square = of_steps[slot], of_changes[slot]
        if not curves_upwards(fit, float(s @ s), square, s.dtype):
            return False
        self._pairs.keep()
        self._fits_by_change[slot], self._changes[slot] = of_steps, of_changes
        for i, (with_step, with_change) in enumerate(zip(of_steps, of_changes, strict=True)):
            self._fits[i][slot] = with_step
            self._changes[i][slot] = with_change
        self._gamma = fit / square
        return True

    def direction(self, g: Tensor) -> Tensor:
        """``-H g``; ``-g`` while there is no pair."""
        order = self._pairs.order
        if not order:
            return -g
        fits, gamma = self._fits, self._gamma
        of_steps, of_changes = self._pairs.products(g).view(2, -1).tolist()
        alpha, delta = [0.0] * len(fits), [0.0] * len(fits)  # delta is alpha - beta
        for i in reversed(order):
            row = fits[i]
            alpha[i] = (of_steps[i] - sum(map(mul, row, alpha))) / row[i]
        for i in order:
            row = self._fits_by_change[i]
            rest = gamma * (of_changes[i] - sum(map(mul, self._changes[i], alpha)))
            delta[i] = alpha[i] - (rest + sum(map(mul, row, delta))) / row[i]
        return self._pairs.combined(g, -gamma, [-d for d in delta] + [gamma * a for a in alpha])


@final
class CompactHessian:
    r"""The L-BFGS matrix itself, of at most ``size`` pairs, as a scaled identity less a matrix of low rank.

    .. math:: B = \theta I - W M W^T, \quad W = \begin{pmatrix} Y & \theta S \end{pmatrix}, \quad
              M = \begin{pmatrix} -D & L^T \\ L & \theta S^T S \end{pmatrix}^{-1}

    L is the part of :math:`S^T Y` in which y is older than s, D its diagonal and :math:`\theta = y^T y / s^T y` of the
    newest pair.

    Args:
        size: Pairs kept.
        like: A vector [p] of the dtype and device of the points.

    References:
        Byrd, Nocedal and Schnabel (1994), Representations of quasi-Newton matrices and their use in limited memory
        methods, theorem 2.3; Byrd, Lu, Nocedal and Zhu (1995), A limited memory algorithm for bound constrained
        optimization, section 3.
    """

    def __init__(self, size: int, like: Tensor) -> None:
        self._pairs = _Slots(size, like)
        # S^T S, S^T Y and Y^T Y in the order of slots
        self._steps, self._fits, self._changes = (np.zeros((size + 1, size + 1)) for _ in range(3))
        self.forget()

    def __len__(self) -> int:
        return len(self._pairs.order)

    def forget(self) -> None:
        """Drop all pairs."""
        self._pairs.clear()
        self.theta = 1.0
        self.middle: Small = np.zeros((0, 0))
        """M [2 k, 2 k] of k pairs, oldest first."""
        self.gram: Small = np.zeros((0, 0))
        """``W^T W`` [2 k, 2 k]."""
        self.columns = self._pairs.rows()
        """``W^T`` [2 k, p]."""

    def learn(self, old: Point, new: Point) -> bool:
        """Take the pair between two points where f curves upwards between them; say whether it does."""
        slot, s, y = self._pairs.write(old, new)
        of_s, of_y = (self._pairs.products(v).view(2, -1).double().cpu().numpy() for v in (s, y))  # [2, slots] each
        fit, square = float(of_y[0, slot]), float(of_y[1, slot])
        if not curves_upwards(fit, float(of_s[0, slot]), square, s.dtype):
            return False
        self._pairs.keep()
        self._steps[slot] = self._steps[:, slot] = of_s[0]
        self._changes[slot] = self._changes[:, slot] = of_y[1]
        self._fits[slot], self._fits[:, slot] = of_s[1], of_y[0]
        by_age = np.ix_(self._pairs.order, self._pairs.order)
        theta, fits = square / fit, self._fits[by_age]
        with np.errstate(all="ignore"):
            middle = _middle(theta * self._steps[by_age], fits)
        if middle is None or not np.isfinite(middle).all():  # rounding has cost it its definiteness: start again
            self.forget()
            return False
        self.theta, self.middle = theta, middle
        self.gram = _blocks(self._changes[by_age], theta * fits.T, theta * theta * self._steps[by_age])
        self.columns = self._pairs.rows()
        self.columns[len(fits) :] *= theta
        return True


def curves_upwards(fit: float, step: float, change: float, dtype: torch.dtype) -> bool:
    """Whether s^T y = ``fit`` is above rounding, |s|^2 and |y|^2 being ``step`` and ``change``."""
    eps, tiny = _units(dtype)
    return fit > eps * math.sqrt(step) * math.sqrt(change) and fit > tiny < change < math.inf


@cache
def _units(dtype: torch.dtype) -> tuple[float, float]:
    """The distance from 1 to the next number, and the smallest normal one."""
    limits = torch.finfo(dtype)
    return limits.eps, limits.tiny


def _zeros(n: int) -> list[list[float]]:
    return [[0.0] * n for _ in range(n)]


def _middle(steps: Small, fits: Small) -> Small | None:
    """M from theta S^T S and S^T Y; ``None`` where theta S^T S + L D^-1 L^T has no Cholesky factor."""
    diagonal = np.diagonal(fits)
    lower = np.tril(fits, -1)
    scaled = lower / diagonal  # L D^-1
    try:
        factor = np.linalg.cholesky(steps + scaled @ lower.T)
        half = np.linalg.inv(factor)
    except np.linalg.LinAlgError:
        return None
    corner = half.T @ half
    side = scaled.T @ corner  # D^-1 L^T (...)^-1
    return _blocks(side @ scaled - np.diag(1.0 / diagonal), side, corner)


def _blocks(first: Small, upper: Small, last: Small) -> Small:
    """The symmetric matrix of these blocks."""
    k = len(first)
    found = np.empty((2 * k, 2 * k))
    found[:k, :k], found[:k, k:], found[k:, :k], found[k:, k:] = first, upper, upper.T, last
    return found


@final
class _Slots:
    """The vectors of the pairs; there is one slot more than pairs, where a new pair waits for its verdict."""

    def __init__(self, size: int, like: Tensor) -> None:
        block = torch.zeros(2, size + 1, *like.shape, dtype=like.dtype, device=like.device)  # steps, changes
        self._steps, self._changes = block[0].unbind(), block[1].unbind()
        self._block, self._flat = block, block.view(2 * (size + 1), -1)
        self._transposed = self._flat.T
        self._size = size
        self.clear()

    def clear(self) -> None:
        self.order: list[int] = []  # slots from old to new
        self._spare = 0

    def write(self, old: Point, new: Point) -> tuple[int, Tensor, Tensor]:
        slot = self._spare
        s, y = self._steps[slot], self._changes[slot]
        torch.sub(new.w, old.w, out=s)
        torch.sub(new.gradient, old.gradient, out=y)
        return slot, s, y

    def keep(self) -> int:
        """Put the written pair last; answer with the slot that is free now, of the oldest pair where all are taken."""
        self.order.append(self._spare)
        self._spare = self.order.pop(0) if len(self.order) > self._size else self._spare + 1
        return self._spare

    def products(self, v: Tensor) -> Tensor:
        """Inner products of every step, then every change, with ``v`` [2 slots]."""
        return torch.mv(self._flat, v)

    def combined(self, g: Tensor, of_g: float, weights: list[float]) -> Tensor:
        """``of_g g`` plus the steps and changes times ``weights`` [2 slots]."""
        # by way of numpy: torch looks at the type of every number of a list
        return torch.addmv(g, self._transposed, torch.from_numpy(np.array(weights)).to(g), beta=of_g)

    def rows(self) -> Tensor:
        """Changes, then steps, each from old to new [2 k, p]."""
        return self._flat[[len(self._steps) + slot for slot in self.order] + self.order]
