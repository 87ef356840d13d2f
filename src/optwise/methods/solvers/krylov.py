"""Quadratic objectives by products alone: conjugate gradients, and LSQR and LSMR for least squares."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.loss import LinearModel
from optwise.core.oracles import Oracle
from optwise.core.solver import SMOOTH, Iterate, Solver
from optwise.numerics.krylov import conjugate_gradient
from optwise.numerics.least_squares_krylov import Iterate as Found
from optwise.numerics.least_squares_krylov import lsmr, lsqr

WINDOW = 8
"""Iterations whose decrease stands in for the gap that is left."""
MOST_TIMES = 20
"""Iterations after which rounding must have stopped any of these methods, in units of the dimension."""


@dataclass(frozen=True, kw_only=True)
class ConjugateGradient(Solver):
    r"""Conjugate gradients on :math:`H w = b`, for a convex quadratic :math:`f(w) = \tfrac12 w^\top H w - b^\top w`.

    One product with H an iteration; the error in the norm of H falls by at least
    :math:`2 ((\sqrt{\kappa(H)} - 1) / (\sqrt{\kappa(H)} + 1))^k`. Where the recursion has lost itself to rounding it
    starts again from the point reached, and it ends when that no longer helps.

    References:
        Hestenes and Stiefel (1952), Methods of conjugate gradients for solving linear systems.
    """

    needs = SMOOTH | {Oracle.QUADRATIC, Oracle.CONVEX}

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        value, gradient = problem.f_and_gradient(w)
        budget = MOST_TIMES * (problem.dimension + 10)
        while budget > 0 and float(gradient.norm()) > 0:
            start, best = w, value
            window: deque[float] = deque([value], maxlen=WINDOW)
            product = _Product(problem, start)
            for found in conjugate_gradient(product, -gradient):
                if found.iterations == 0:
                    return
                budget -= 1
                reached = value + float(gradient @ found.x) + 0.5 * float(found.x @ product.image(found.x))
                if not math.isfinite(reached):
                    return
                window.append(reached)
                measure = problem.gap_measure(max(window[0] - reached, 0.0), reached)
                w = start + found.x
                yield Iterate(w, reached, found.curvature, measure if len(window) == WINDOW else math.nan)
                if found.ended or budget <= 0 or found.residual_norm <= _rounding(gradient) * float(gradient.norm()):
                    break
            value, gradient = problem.f_and_gradient(w)
            if not value < best - 4 * torch.finfo(w.dtype).eps * abs(best):
                yield Iterate(w, value, math.nan, 0.0)
                return


class _Product:
    """Products with the Hessian, from which that of the latest iterate is put together without another one."""

    def __init__(self, problem: Composite, w: Tensor) -> None:
        self._problem, self._w = problem, w
        self._x, self._image = torch.zeros_like(w), torch.zeros_like(w)
        self._direction, self._moved = w, w

    def __call__(self, v: Tensor) -> Tensor:
        self._direction, self._moved = v, self._problem.hvp(self._w, v)
        return self._moved

    def image(self, x: Tensor) -> Tensor:
        """H times the iterate ``x``, which lies a step along the latest direction from the one before."""
        step = (x - self._x) @ self._direction / (self._direction @ self._direction)
        self._x, self._image = x, self._image + step * self._moved
        return self._image


class _LeastSquares(Solver):
    """Least squares by a Golub-Kahan recursion, restarted at the point reached where rounding has stopped it."""

    needs = SMOOTH | {Oracle.QUADRATIC, Oracle.LINEAR_MODEL}

    @abstractmethod
    def _recursion(
        self, forward: Callable[[Tensor], Tensor], adjoint: Callable[[Tensor], Tensor], b: Tensor, damp: float
    ) -> Iterator[Found]:
        """The recursion from zero."""

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        model = problem.smooth.model
        assert model is not None  # declared among the needs
        root, damp = (model.scale * model.loss.smoothness) ** 0.5, model.l2**0.5
        budget, best = MOST_TIMES * (min(model.X.shape) + 10), math.inf

        def forward(v: Tensor) -> Tensor:
            problem.count("products")
            product: Tensor = root * model.X.forward(v)
            return torch.cat([product, damp * v]) if damp else product

        def adjoint(u: Tensor) -> Tensor:
            problem.count("products")
            product: Tensor = root * model.X.adjoint(u[: model.examples])
            return product + damp * u[model.examples :] if damp else product

        while budget > 0:
            start, shift = w, _residual(model, w, root, damp)
            constant = problem.value(w) - 0.5 * float(shift @ shift)
            window: deque[float] = deque(maxlen=WINDOW)
            for found in self._recursion(forward, adjoint, shift, 0.0):
                if found.iterations == 0:
                    return
                budget -= 1
                value = constant + 0.5 * found.residual_norm * found.residual_norm
                window.append(value)
                full = len(window) == WINDOW
                measure = problem.gap_measure(max(window[0] - value, 0.0), value) if full else math.nan
                w = start + found.x
                yield Iterate(w, value, math.nan, measure)
                small = _rounding(shift) * found.operator_norm * max(found.residual_norm, 1e-300)
                if found.ended or budget <= 0 or found.normal_residual_norm <= small:
                    break
            value = problem.value(w)
            if not value < best - 4 * torch.finfo(w.dtype).eps * abs(best):
                yield Iterate(w, value, math.nan, 0.0)
                return
            best = value


@dataclass(frozen=True, kw_only=True)
class LSQR(_LeastSquares):
    r"""LSQR for least squares and ridge: conjugate gradients on the normal equations that never forms them.

    .. math:: \min_w \tfrac s2 \|X w - y\|^2 + \tfrac{\lambda_2}{2} \|w\|^2

    One product with X and one with its transpose an iteration; the rate is that of conjugate gradients with
    :math:`\kappa(H) = \kappa(X)^2`, and rounding hurts as :math:`\kappa(X)` does. From the start, it finds the nearest
    of several solutions.

    References:
        Paige and Saunders (1982), LSQR: an algorithm for sparse linear equations and sparse least squares.
    """

    def _recursion(
        self, forward: Callable[[Tensor], Tensor], adjoint: Callable[[Tensor], Tensor], b: Tensor, damp: float
    ) -> Iterator[Found]:
        return lsqr(forward, adjoint, b, damp=damp)


@dataclass(frozen=True, kw_only=True)
class LSMR(_LeastSquares):
    r"""LSMR for least squares and ridge: like LSQR, with a gradient whose norm falls at every iteration.

    One product with X and one with its transpose an iteration; it may be stopped earlier by a rule on the gradient.

    References:
        Fong and Saunders (2011), LSMR: an iterative algorithm for sparse least-squares problems.
    """

    def _recursion(
        self, forward: Callable[[Tensor], Tensor], adjoint: Callable[[Tensor], Tensor], b: Tensor, damp: float
    ) -> Iterator[Found]:
        return lsmr(forward, adjoint, b, damp=damp)


def _residual(model: LinearModel, w: Tensor, root: float, damp: float) -> Tensor:
    """The right-hand side of least squares in the step from w: [n], or [n + p] with a ridge."""
    b = model.loss.derivative(model.X.forward(w), model.y) * (-root / model.loss.smoothness)
    return torch.cat([b, -damp * w]) if damp else b


def _rounding(like: Tensor) -> float:
    return 4 * torch.finfo(like.dtype).eps
