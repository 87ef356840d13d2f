"""Factorisations of a design, made once for all certificates of a problem."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from optwise.core.operator import LinearOperator
from optwise.numerics.finiteness import all_finite

ENTRIES = 2e7
"""Entries of the largest matrix that is formed."""
FLOPS = 2e10
"""Operations that a certificate may take at most. Source: optwise, own choice, about a second of one core."""
REFINED = 3
"""How often a combination of columns is cleared of what other columns can do."""
DEPENDENT = 3.0
"""Rounding units per unit of coefficients that a combination of columns of length 1 may leave of 0."""
UNCERTAIN = 4.0
"""Rounding units by which a direction of the range is off where its singular value is the largest."""
UNIT = torch.finfo(torch.float64).eps / 2


@dataclass(frozen=True, eq=False)
class DesignFactor:
    r"""Factors of a matrix A [m, p], and of the Hessian :math:`H = s A^\top A + \lambda I`.

    Args:
        operator: A.
        scale: s.
        l2: :math:`\lambda`.
    """

    operator: LinearOperator
    scale: float = 1.0
    l2: float = 0.0

    @property
    def flops(self) -> float:
        """Operations of a factorisation; infinite where the matrix is too large to be formed."""
        m, p = self.operator.shape
        return 2.0 * m * p * min(m, p) if m * p <= ENTRIES else math.inf

    @cached_property
    def matrix(self) -> Tensor | None:
        """The entries [m, p]; ``None`` where forming or factorising them would take too long."""
        if self.flops > FLOPS:
            return None
        if self.operator.matrix is not None:
            return self.operator.matrix
        m, p = self.operator.shape
        unit = torch.eye(min(m, p), dtype=torch.float64)
        formed: Tensor = self.operator.forward(unit).mT if p <= m else self.operator.adjoint(unit)
        return formed

    @cached_property
    def norm(self) -> float:
        """The Frobenius norm of A; infinite where it is not formed."""
        return math.inf if self.matrix is None else float(self.matrix.norm())

    def inverse_form(self, rest: Tensor) -> float:
        r"""An upper bound of :math:`\tfrac12 r^\top H^{-1} r`; infinite where none is known."""
        if not rest.any():
            return 0.0
        if self._cholesky is None:
            return math.inf
        half = torch.linalg.solve_triangular(self._cholesky, (rest / self._sizes)[:, None], upper=False)
        return 0.5 * float(half.square().sum())

    def along_range(self, r: Tensor) -> Tensor | None:
        """The part of ``r`` [m] in the range of A; ``None`` where the range is not known."""
        if self._range is None or self._range.doubtful:
            return None
        basis = self._range.basis
        return basis @ (basis.mT @ r)

    def most_along_range(self, r: Tensor) -> float:
        r"""An upper bound of the squared length of the part of ``r`` [m] in the range of A; infinite where unknown.

        A direction of the range is known up to :math:`\epsilon \, \sigma_1 / \sigma_i`; of one that is all rounding
        nothing is known, and the whole of ``r`` may lie along it.
        """
        found = self._range
        if found is None:
            return math.inf
        square = float(r @ r)
        if found.doubtful:
            return square
        return float(((found.basis.mT @ r).abs() + found.errors * square**0.5).square().sum())

    @property
    def doubtful(self) -> bool:
        """Whether columns depend on each other up to rounding, and nobody can tell whether they do."""
        return self._range is not None and self._range.doubtful

    @cached_property
    def _sizes(self) -> Tensor:
        """The root of the diagonal of H [p]: measured by it no column has a unit, and 1 stands on the diagonal."""
        assert self.matrix is not None
        sizes = (self.scale * self.matrix.square().sum(0) + self.l2).sqrt()
        return sizes.where(sizes > 0, 1.0)

    @cached_property
    def _cholesky(self) -> Tensor | None:
        r"""The factor of :math:`H - \delta I`, with :math:`\delta` above what rounding moved the eigenvalues of H.

        H is measured by the sizes of its columns, so that rounding is the same for all.

        A smaller matrix has a larger inverse, so that what it gives is never too small; where H is singular up to
        rounding there is no factor.
        """
        m, p = self.operator.shape
        if (p > m and self.l2 == 0) or self.matrix is None:
            return None
        columns = self.matrix / self._sizes
        hessian = self.scale * (columns.mT @ columns)
        hessian.diagonal().add_(self.l2 / self._sizes.square())
        hessian.diagonal().sub_((m + p) * UNIT * float(hessian.trace()))
        factor, failed = torch.linalg.cholesky_ex(hessian)
        return None if int(failed) or not all_finite(factor) else factor

    @cached_property
    def _range(self) -> _Range | None:
        """The range of A; ``None`` where A is too large.

        Columns are measured by their lengths first: one in another unit is not taken for rounding. Where a singular
        value may be rounding, its combination of columns is computed anew in extended precision: 0 up to the rounding
        of its own coefficients, and the columns do depend on each other; else the direction that the combination adds
        to the range is itself rounding, and so is any projection onto it.
        """
        if self.matrix is None:
            return None
        lengths = self.matrix.norm(dim=0)
        A = self.matrix / lengths.where(lengths > 0, 1.0)
        if A.shape[0] >= A.shape[1]:
            Q, R = torch.linalg.qr(A)
            U, values, V = torch.linalg.svd(R)
            U = Q @ U
        else:
            _, R = torch.linalg.qr(A.mT)
            U, values, _ = torch.linalg.svd(R.mT)
            V = None
        level = max(A.shape) * torch.finfo(A.dtype).eps * float(values.max())
        kept = values > level
        doubtful = V is not None and not _dependent(A, (U[:, kept], values[kept], V[kept]), V[~kept])
        errors = UNCERTAIN * torch.finfo(A.dtype).eps * values.max() / values[kept]
        return _Range(U[:, kept], errors, doubtful)


@dataclass(frozen=True, eq=False)
class _Range:
    """What is known of the range of a matrix.

    Args:
        basis: Orthonormal [m, r].
        errors: How far each direction may be off [r].
        doubtful: Whether there may be a further direction.
    """

    basis: Tensor
    errors: Tensor
    doubtful: bool


def _dependent(A: Tensor, known: tuple[Tensor, Tensor, Tensor], combinations: Tensor) -> bool:
    """Whether combinations of the columns of A [k, p] are 0, up to the rounding of their own coefficients."""
    U, values, V = (part.numpy() for part in known)
    wide = A.numpy().astype(np.longdouble)
    for combination in combinations.numpy():
        v = combination
        left = wide @ v.astype(np.longdouble)
        for _ in range(REFINED):  # the part that other columns can take out is not the combination's
            v = v - V.T @ ((U.T @ left.astype(np.float64)) / values)
            left = wide @ v.astype(np.longdouble)
        if float(np.linalg.norm(left.astype(np.float64))) > DEPENDENT * np.finfo(np.float64).eps * np.linalg.norm(v):
            return False
    return True
