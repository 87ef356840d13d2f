"""Least squares and ridge by one factorisation, refined as long as that helps: Cholesky, QR, singular values."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.loss import LinearModel
from optwise.core.oracles import Oracle
from optwise.core.solver import Iterate, Solver
from optwise.methods.solvers.hessians import LOOKED_AT
from optwise.numerics.decompositions import svd
from optwise.numerics.factorisation_costs import peak_bytes_cholesky, peak_bytes_qr, peak_bytes_svd
from optwise.numerics.factorisations import cholesky_solve_normal, qr_least_squares
from optwise.numerics.memory import total_bytes

Solve = Callable[[Tensor], Tensor]
DENSE = frozenset({Oracle.QUADRATIC, Oracle.LINEAR_MODEL, Oracle.MATRIX, Oracle.WHOLE})
REFINEMENTS = 20


class _Direct(Solver):
    r"""One factorisation of the design answers the normal equations; its errors are refined away by the gradient.

    .. math:: w \leftarrow w - H^{-1} \nabla f(w), \qquad
        H = s X^\top X + \lambda_2 I, \qquad f(w) - f^\star = \tfrac12 \nabla f(w)^\top H^{-1} \nabla f(w)
    """

    needs = DENSE

    @abstractmethod
    def _inverse(self, X: Tensor, ridge: float) -> Solve | None:
        """A function that applies the inverse of ``X^T X + ridge I``; ``None`` where the factorisation broke down."""

    @abstractmethod
    def _bytes(self, n: int, p: int, itemsize: int) -> int:
        """Largest memory it takes, the design included."""

    def refusal(self, problem: Composite) -> str:
        model = _model(problem)
        n, p = model.X.shape
        itemsize = model.y.element_size()
        needed = self._bytes(n, p, itemsize)
        if needed > LOOKED_AT and needed > total_bytes():
            return (
                f"needs {needed / 1e9:.1f} GB to factorise a design of {n} x {p}, and this machine has "
                f"{total_bytes() / 1e9:.1f} GB of memory; a method by products, such as lsqr, does without"
            )
        return self._unsuited(n, p, model.l2)

    def _unsuited(self, n: int, p: int, l2: float) -> str:
        if p > n and l2 == 0:
            return f"needs columns that do not depend on each other, and {p} columns of {n} rows do; svd needs nothing"
        return ""

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        model = _model(problem)
        X = model.X.matrix
        assert X is not None  # declared among the needs
        weight = model.scale * model.loss.smoothness  # of X^T X in the Hessian
        apply = self._inverse(X, model.l2 / weight)
        problem.count("factorizations")
        if apply is None:
            return
        value, gradient = problem.f_and_gradient(w)
        step = -apply(gradient) / weight
        gap = -0.5 * float(gradient @ step)
        for _ in range(REFINEMENTS):
            moved = w + step
            value, gradient = problem.f_and_gradient(moved)
            step = -apply(gradient) / weight
            left = -0.5 * float(gradient @ step)
            if not (math.isfinite(value) and left < gap):
                return
            w, gap = moved, left
            yield Iterate(w, value, 1.0, problem.gap_measure(gap, value))


@dataclass(frozen=True, kw_only=True)
class Cholesky(_Direct):
    r"""The normal equations by Cholesky: the fastest of the three, at the square of the condition number of X.

    .. math:: s X^\top X + \lambda_2 I = R^\top R

    n p^2 + p^3 / 3 operations; with a ridge and more columns than rows the same of :math:`X X^\top`. Of the 16 digits
    of float64, log10 of kappa(X)^2 are lost in the first answer; refinement brings back those of the value as long as
    some are left. Where rounding leaves the matrix not positive definite it gives up.

    References:
        Golub and Van Loan (2013), Matrix Computations, sections 5.3.2 and 3.5.3.
    """

    def _inverse(self, X: Tensor, ridge: float) -> Solve | None:
        n, p = X.shape
        if p > n:
            inner = cholesky_solve_normal(X.T, X.new_zeros(p), l2=ridge)
            if inner.breakdown:
                return None
            factor = inner.factor
            return lambda g: (g - X.T @ _solved(factor, X @ g)) / ridge
        found = cholesky_solve_normal(X, X.new_zeros(n), l2=ridge)
        return None if found.breakdown else lambda g: _solved(found.factor, g)

    def _bytes(self, n: int, p: int, itemsize: int) -> int:
        return peak_bytes_cholesky(max(n, p), min(n, p), itemsize)


@dataclass(frozen=True, kw_only=True)
class QR(_Direct):
    r"""Least squares by Householder QR, which does not square the condition number.

    .. math:: X = Q R, \qquad H^{-1} g = (s R^\top R)^{-1} g

    2 n p^2 - 2 p^3 / 3 operations, twice those of Cholesky where n is much larger than p; log10 of kappa(X) digits are
    lost in the answer, which the semi-normal equations refine.

    References:
        Björck (1987), Stability analysis of the method of seminormal equations for linear least squares problems.
    """

    def _inverse(self, X: Tensor, ridge: float) -> Solve | None:
        found = qr_least_squares(X, X.new_zeros(len(X)), l2=ridge)
        return lambda g: _solved(found.factor, g)

    def _bytes(self, n: int, p: int, itemsize: int) -> int:
        return peak_bytes_qr(n, p, itemsize)


@dataclass(frozen=True, kw_only=True)
class SVD(_Direct):
    r"""Least squares by singular values: the dearest of the three, and right for any shape and rank.

    .. math:: X = U \operatorname{diag}(\sigma) V^\top, \qquad
        H^{-1} g = V \operatorname{diag}\!\left(\frac{1}{s \sigma_i^2 + \lambda_2}\right) V^\top g

    over the singular values above rounding; from the start zero the answer is the one of least norm.

    References:
        Golub and Van Loan (2013), Matrix Computations, section 5.5.
    """

    def _inverse(self, X: Tensor, ridge: float) -> Solve | None:
        _, s, rotated = svd(X)
        kept = s > torch.finfo(X.dtype).eps * max(X.shape) * s[0]
        weights = torch.where(kept, 1 / torch.where(kept, s.square() + ridge, 1.0), 0.0)
        if ridge == 0:
            return lambda g: rotated.T @ (weights * (rotated @ g))
        # what lies outside the rows of X is shrunk by the ridge alone
        return lambda g: rotated.T @ ((weights - 1 / ridge) * (rotated @ g)) + g / ridge

    def _bytes(self, n: int, p: int, itemsize: int) -> int:
        return peak_bytes_svd(n, p, itemsize)

    def _unsuited(self, n: int, p: int, l2: float) -> str:
        return ""


def _model(problem: Composite) -> LinearModel:
    model = problem.smooth.model
    assert model is not None  # declared among the needs
    return model


def _solved(factor: Tensor, g: Tensor) -> Tensor:
    """``(R^T R)^-1 g`` of an upper triangular R."""
    return torch.cholesky_solve(g[:, None], factor, upper=True)[:, 0]
