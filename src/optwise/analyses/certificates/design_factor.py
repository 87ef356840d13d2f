"""Factorisations of a design, made once for all certificates of a problem."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from optwise.core.operator import LinearOperator

ENTRIES = 2e7
"""Entries of the largest matrix that is formed."""
FLOPS = 2e10
"""Operations that a certificate may take at most. Source: optwise, own choice, about a second of one core."""
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
        """The part of ``r`` [m] in the range of A."""
        return None if self._basis is None else self._basis @ (self._basis.mT @ r)

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
        return None if int(failed) or not bool(torch.isfinite(factor).all()) else factor

    @cached_property
    def _basis(self) -> Tensor | None:
        """An orthonormal basis of the range [m, r]; singular values within rounding of 0, as in matrix_rank, are 0.

        Columns are measured by their lengths first: one in another unit is not taken for rounding.
        """
        if self.matrix is None:
            return None
        lengths = self.matrix.norm(dim=0)
        A = self.matrix / lengths.where(lengths > 0, 1.0)
        if A.shape[0] >= A.shape[1]:
            Q, R = torch.linalg.qr(A)
            U, values, _ = torch.linalg.svd(R)
            U = Q @ U
        else:
            _, R = torch.linalg.qr(A.mT)
            U, values, _ = torch.linalg.svd(R.mT)
        level = max(A.shape) * torch.finfo(A.dtype).eps * float(values.max())
        basis: Tensor = U[:, values > level]
        return basis
