"""Systems with the Hessian of f plus a weighted Gram matrix of A, by whichever factorisation is smallest."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.operator import LinearOperator
from optwise.core.oracles import Oracle
from optwise.methods.solvers.bidiagonal import Bidiagonal, factor_tridiagonal, probe
from optwise.numerics.krylov import conjugate_gradient

Solve = Callable[[Tensor, float], Tensor]
"""``solve(b, tol)`` gives S^-1 b [p]; ``tol`` bounds the relative residual where the solve is iterative."""

LARGEST = 4000
"""Size of the largest matrix that is factorised; beyond it conjugate gradients take over."""
MOST_ENTRIES = 20_000_000
"""Entries of the largest matrix that is formed from a map known by its products."""
MOST_PRODUCTS = 1000
"""Of conjugate gradients in one system."""
JITTER = 10.0
"""Units in the last place of the largest entry that are added to the diagonal of a matrix that is not definite."""


class _Rows(NamedTuple):
    """A term K^T diag(weights) K of a system."""

    operator: LinearOperator
    weights: Tensor  # [m], at least 0


class _System(NamedTuple):
    """A system in parts: diag(e) + full + product + the sum of all K^T C K."""

    diagonal: Tensor  # e [p]
    rows: tuple[_Rows, ...] = ()
    full: Tensor | None = None  # [p, p]
    product: Callable[[Tensor], Tensor] | None = None

    @property
    def is_diagonal(self) -> bool:
        return not self.rows and self.full is None and self.product is None


def quadratic(problem: Composite) -> bool:
    """Whether the Hessian of f is the same everywhere."""
    smooth = problem.smooth
    return Oracle.QUADRATIC in smooth.oracles or (smooth.model is None and smooth.lipschitz == 0)


def diagonal_hessian(problem: Composite, w: Tensor) -> Tensor | None:
    """The Hessian of a quadratic f without a design as a vector [p]; ``None`` where it is no diagonal matrix.

    Two products decide: one reads the diagonal off, the other would show any entry beside it.

    Example:
        >>> from optwise.core.smooth import Smooth
        >>> class Bowl(Smooth):
        ...     dimension = 2
        ...     oracles = frozenset({Oracle.QUADRATIC})
        ...
        ...     def value(self, w):
        ...         return 1.5 * w @ w
        >>> diagonal_hessian(Composite(Bowl()), torch.zeros(2))
        tensor([3., 3.])
    """
    if not quadratic(problem) or problem.smooth.model is not None:
        return None
    first, second = probe(w, 1.0), probe(w, 2.0)
    diagonal = problem.hvp(w, first) / first
    close = (problem.hvp(w, second) - diagonal * second).abs() <= 8 * torch.finfo(w.dtype).eps * diagonal.abs()
    return diagonal if bool(close.all()) else None


def in_float64(problem: Composite) -> tuple[Composite, Tensor]:
    """The problem in float64, with counts of its own, and the origin [p]: for questions asked before there is a point.

    Example:
        >>> from optwise.core.smooth import Smooth
        >>> class Bowl(Smooth):
        ...     dimension = 2
        ...
        ...     def value(self, w):
        ...         return w @ w
        >>> in_float64(Composite(Bowl()))[1]
        tensor([0., 0.], dtype=torch.float64)
    """
    penalty, operator, constraint = problem.penalty, problem.operator, problem.constraint
    exact = Composite(
        problem.smooth.to(dtype=torch.float64),
        None if penalty is None else penalty.to(dtype=torch.float64),
        None if operator is None else operator.to(dtype=torch.float64),
        None if constraint is None else constraint.to(dtype=torch.float64),
    )
    return exact, torch.zeros(problem.dimension, dtype=torch.float64)


def too_large(problem: Composite) -> str:
    """Why the Newton systems of a problem cannot be factorised, as the rest of a sentence; empty where they can."""
    p, model, operator = problem.dimension, problem.smooth.model, problem.operator
    maps = [part for part in (None if model is None else model.X, operator) if part is not None]
    smaller = min(p, sum(part.shape[0] for part in maps)) if maps else p
    if smaller > LARGEST:
        return f"leads to systems of size {smaller}, more than the {LARGEST} that are factorised"
    for part in maps:
        if part.matrix is None and (part.shape[0] * p > MOST_ENTRIES or p > LARGEST):
            return f"has a {type(part).__name__} of shape {part.shape} whose entries are not at hand"
    return ""


@final
class NewtonSystems:
    r"""Systems :math:`S x = b` with :math:`S = \nabla^2 f(w) + \varepsilon I + A^T \operatorname{diag}(d) A`.

    Where f is a loss of a linear model, :math:`S = E + K^T C K` with a diagonal E and the rows K of the design and of
    A that have a weight. It is factorised as it stands or, where K has fewer rows than columns, by

    .. math:: S^{-1} = E^{-1} - E^{-1} K^T (C^{-1} + K E^{-1} K^T)^{-1} K E^{-1}.

    Where S is tridiagonal it takes O(p) operations. A matrix beyond ``LARGEST``, or one of which products alone are
    known, is left to conjugate gradients.

    Args:
        problem: What is solved.
        w: A point, for shape and dtype.
        operator: A; ``None`` for the identity.
    """

    def __init__(self, problem: Composite, w: Tensor, operator: LinearOperator | None) -> None:
        self._problem, self._operator, self._like = problem, operator, w
        self._bidiagonal = None if operator is None else Bidiagonal.of(operator, like=w)
        self._matrices: dict[int, Tensor | None] = {}
        self._grams: dict[int, Tensor] = {}
        self._constant = self._hessian(w) if quadratic(problem) else None

    def factorise(self, w: Tensor, d: Tensor | float, shift: float = 0.0) -> Solve:
        """A solver of the system at ``w``.

        Args:
            w: Where the Hessian is taken; without meaning for a quadratic f.
            d: Weights of the rows of A, [m] or one for all, at least 0.
            shift: epsilon, at least 0.
        """
        system, operator = self._constant or self._hessian(w), self._operator
        system = system._replace(diagonal=system.diagonal + (shift + d if operator is None else shift))
        if operator is not None:
            weights = torch.as_tensor(d, dtype=w.dtype, device=w.device).expand(operator.shape[0])
            if system.is_diagonal and self._bidiagonal is not None:
                solve = factor_tridiagonal(self._bidiagonal.gram(system.diagonal, weights))
                if solve is not None:
                    self._problem.count("factorizations")
                    return lambda b, _tol: solve(b)
            system = system._replace(rows=(*system.rows, _Rows(operator, weights)))
        if system.is_diagonal:
            return lambda b, _tol: b / system.diagonal
        return self._factorised(system) or self._iterative(system)

    def _hessian(self, w: Tensor) -> _System:
        problem, model = self._problem, self._problem.smooth.model
        if model is not None:
            problem.count("products")
            curvature = model.scale * model.loss.curvature(model.X.forward(w), model.y)  # [n]
            return _System(torch.full_like(w, model.l2), (_Rows(model.X, curvature),))
        diagonal = diagonal_hessian(problem, w)
        if diagonal is not None:
            return _System(diagonal)
        if quadratic(problem) and w.numel() <= LARGEST:
            unit = torch.eye(w.numel(), dtype=w.dtype, device=w.device)
            full = torch.stack([problem.hvp(w, row) for row in unit])
            return _System(torch.zeros_like(w), full=0.5 * (full + full.mT))
        return _System(torch.zeros_like(w), product=lambda v: problem.hvp(w, v))

    def _factorised(self, system: _System) -> Solve | None:
        """By a factorisation of S or of the smaller matrix; ``None`` where neither can be formed."""
        e, p = system.diagonal, system.diagonal.numel()
        used = [rows.weights > 0 for rows in system.rows]
        count = sum(int(mask.sum()) for mask in used)
        small = count < p and system.full is None and bool((e > 0).all())
        if system.product is not None or (count if small else p) > LARGEST:
            return None
        pairs = [(rows, mask, self._matrix(rows.operator)) for rows, mask in zip(system.rows, used, strict=True)]
        if any(matrix is None for _, _, matrix in pairs):
            return None
        if small and count == 0:
            return lambda b, _tol: b / e
        self._problem.count("factorizations")
        formed = [(rows, mask, matrix) for rows, mask, matrix in pairs if matrix is not None]
        if small:
            scaled = [rows.weights[mask].sqrt()[:, None] * matrix[mask] for rows, mask, matrix in formed]
            return _small(e, torch.cat([e.new_zeros(0, p), *scaled]))
        S = torch.diag(e)
        for rows, mask, matrix in formed:
            S += self._gram(rows, mask, matrix)
        return _large(S if system.full is None else S + system.full)

    def _matrix(self, operator: LinearOperator) -> Tensor | None:
        """The entries of an operator, formed once from its products where there is room for them."""
        key = id(operator)
        if key not in self._matrices:
            matrix, (m, p) = operator.matrix, operator.shape
            if matrix is None and m * p <= MOST_ENTRIES and p <= LARGEST:
                self._problem.count("products", p)
                matrix = operator.forward(torch.eye(p, dtype=self._like.dtype, device=self._like.device)).mT
            self._matrices[key] = matrix
        return self._matrices[key]

    def _gram(self, rows: _Rows, used: Tensor, matrix: Tensor) -> Tensor:
        """K^T C K [p, p]; of rows with one weight it is kept for the next system."""
        level = rows.weights[0]
        if not bool((rows.weights == level).all()):
            scaled = rows.weights[used].sqrt()[:, None] * matrix[used]
            return scaled.mT @ scaled
        key = id(rows.operator)
        if key not in self._grams:
            self._grams[key] = matrix.mT @ matrix
        return level * self._grams[key]

    def _iterative(self, system: _System) -> Solve:
        problem = self._problem

        def apply(v: Tensor) -> Tensor:
            image = system.diagonal * v
            for rows in system.rows:
                problem.count("products", 2)
                image = image + rows.operator.adjoint(rows.weights * rows.operator.forward(v))
            if system.full is not None:
                image = image + system.full @ v
            return image if system.product is None else image + system.product(v)

        def solve(b: Tensor, tol: float) -> Tensor:
            target, x = tol * float(b.norm()), torch.zeros_like(b)
            for iterate in conjugate_gradient(apply, b):
                x = iterate.x
                if iterate.residual_norm <= target or iterate.iterations >= MOST_PRODUCTS:
                    break
            return x

        return solve


def _large(S: Tensor) -> Solve:
    factor = _cholesky(S)
    return lambda b, _tol: torch.cholesky_solve(b[:, None], factor)[:, 0]


def _small(e: Tensor, K: Tensor) -> Solve:
    """(E + K^T K)^-1 by the matrix I + K E^-1 K^T [r, r]."""
    outer = (K / e) @ K.mT
    outer.diagonal().add_(1.0)
    factor = _cholesky(outer)

    def once(b: Tensor) -> Tensor:
        x = b / e
        return x - K.mT @ torch.cholesky_solve((K @ x)[:, None], factor)[:, 0] / e

    def solve(b: Tensor, _tol: float) -> Tensor:
        x = once(b)
        return x + once(b - e * x - K.mT @ (K @ x))  # the difference in `once` cancels where E is small

    return solve


def _cholesky(S: Tensor) -> Tensor:
    """The lower factor of S, a little more than S where it is singular."""
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(S)
    added = JITTER * torch.finfo(S.dtype).eps * float(S.diagonal().abs().max())
    while bool(failed) and 0.0 < added < float("inf"):
        raised = S + added * torch.eye(len(S), dtype=S.dtype, device=S.device)
        (factor, failed), added = torch.linalg.cholesky_ex(raised), 100 * added
    return factor
