"""Affine sets, the solutions of linear equations, factorised once and projected onto many times."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from optwise.numerics.projections.instances import first, lifted, rounding


@final
@dataclass(frozen=True, eq=False)
class AffineProjection:
    r"""The nearest solution of linear equations.

    .. math:: \operatorname*{argmin}_{A x = b} \tfrac12 |x - v|^2 = v - A^+ (A v - b)

    The pseudoinverse :math:`A^+` comes from one orthogonal factorisation of A with rows of length 1; where they turn
    out dependent, from singular values. A row that depends on others, up to the rounding of A's dtype, adds nothing, as
    long as b agrees.

    Args:
        matrix: A [m, p].
        target: b [m].

    Raises:
        ValueError: No x solves the equations, the shapes do not match, or an entry is not finite.

    Example:
        >>> line = AffineProjection(torch.tensor([[1.0, 1.0], [2.0, 2.0]]), torch.tensor([2.0, 4.0]))
        >>> line.rank, line.project(torch.tensor([3.0, 0.0]))
        (1, tensor([ 2.5000, -0.5000]))

    References:
        Golub and Van Loan (2013), Matrix Computations, sections 5.2 and 5.5.
    """

    matrix: Tensor
    target: Tensor
    _rows: Tensor = field(init=False, repr=False)  # A with rows of length 1 [m, p]
    _offsets: Tensor = field(init=False, repr=False)  # b over the lengths of the rows [m]
    _directions: Tensor = field(init=False, repr=False)  # orthonormal basis of the row space [p, rank]
    _solver: Tensor = field(init=False, repr=False)  # from residuals to coordinates in that basis [rank, m]
    _blur: float = field(init=False, repr=False)  # relative error of that space, by the rounding of A

    def __post_init__(self) -> None:
        if self.matrix.dim() != 2 or self.target.shape != self.matrix.shape[:1]:
            raise ValueError(
                f"The matrix has shape {list(self.matrix.shape)} and the target {list(self.target.shape)}; "
                f"they must be [m, p] and [m]."
            )
        a, b = lifted(self.matrix), lifted(self.target).to(self.matrix.device)
        for name, entries in (("matrix", a), ("target", b)):
            wrong = ~torch.isfinite(entries)
            if bool(wrong.any()):
                raise ValueError(f"The {name} holds {first(entries, wrong)}; give finite numbers.")
        lengths = torch.linalg.vector_norm(a, dim=1)
        scale = torch.where(lengths > 0, lengths, 1.0)
        rows, offsets = a / scale.unsqueeze(1), b / scale
        error = max(torch.finfo(part.dtype).eps for part in (self.matrix, self.target)) * max(a.shape)
        directions, solver, condition = _row_space(rows, error)
        rank, blur = directions.shape[1], 10 * error * condition
        least = solver @ offsets  # the solution of least length, in coordinates
        gaps = (rows @ (directions @ least) - offsets).abs()
        worst = int(gaps.argmax()) if gaps.numel() else 0
        allowed = 10 * error * (float(torch.linalg.vector_norm(offsets)) + float(torch.linalg.vector_norm(least)))
        if gaps.numel() and float(gaps[worst]) > allowed:
            raise ValueError(
                f"The set is empty: the {a.shape[0]} equations have rank {rank}, and the row {worst} misses its target "
                f"{float(b[worst]):g} by {float(gaps[worst] * scale[worst]):g} where the others come closest to "
                f"theirs; drop or mend a row that depends on others."
            )
        for name, value in (
            ("_rows", rows),
            ("_offsets", offsets),
            ("_directions", directions),
            ("_solver", solver),
            ("_blur", blur),
        ):
            object.__setattr__(self, name, value)

    @property
    def rank(self) -> int:
        """How many equations are independent."""
        return self._directions.shape[1]

    def project(self, v: Tensor) -> Tensor:
        """Nearest solution.

        Args:
            v: Points [..., p].
        """
        point = lifted(v)
        for _ in range(2):  # the second pass takes back what rounding left of the first
            residual = point @ self._rows.mT - self._offsets  # [..., m]
            point = point - residual @ self._solver.mT @ self._directions.mT
        return point.to(v.dtype)

    def support(self, u: Tensor) -> Tensor:
        r"""Support function: finite only for combinations of the rows.

        .. math:: \sup_{A x = b} \langle u, x \rangle = \langle y, b \rangle \text{ where } u = A^T y, \quad
            \infty \text{ elsewhere}

        Args:
            u: Directions [..., p]; a combination of rows means up to the rounding of u and of A.

        Returns:
            One number for each direction [...].
        """
        direction = lifted(u)
        coordinates = direction @ self._directions  # [..., rank]
        left = torch.linalg.vector_norm(direction - coordinates @ self._directions.mT, dim=-1)
        slack = (rounding(u) + self._blur) * torch.linalg.vector_norm(direction, dim=-1)
        value = coordinates @ (self._solver @ self._offsets)
        return torch.where(left <= slack, value, torch.inf).to(u.dtype)


def _row_space(rows: Tensor, error: float) -> tuple[Tensor, Tensor, float]:
    """A basis [p, rank], the map from residuals to coordinates in it [rank, m], and the condition of that map.

    Singular values below ``error`` times the largest count as zero.
    """
    m, p = rows.shape
    basis, upper = torch.linalg.qr(rows.mT)  # A^T = Q R, [p, k] and [k, m]
    if 0 < m <= p:
        sigma = torch.linalg.svdvals(upper)  # five times as fast as those of A with their vectors
        if bool(sigma[-1] > error * sigma[0]):
            identity = torch.eye(m, dtype=rows.dtype, device=rows.device)
            inverse = torch.linalg.solve_triangular(upper, identity, upper=True)
            return basis, inverse.mT, float(sigma[0] / sigma[-1])
    left, sigma, right = torch.linalg.svd(upper.mT, full_matrices=False)
    rank = int((sigma > error * sigma.amax()).sum()) if sigma.numel() else 0
    left, sigma, right = left[:, :rank], sigma[:rank], right[:rank]
    return basis @ right.mT, (left / sigma).mT, float(sigma[0] / sigma[-1]) if rank else 0.0
