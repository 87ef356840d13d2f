r"""Several penalties of one vector as a single one behind an operator that repeats the vector for each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from optwise.core.operator import LinearOperator
from optwise.core.oracles import Oracle
from optwise.core.penalty import Penalty


@dataclass(frozen=True, eq=False)
class Identity(LinearOperator):
    """The map that changes nothing.

    Args:
        size: p.

    Example:
        >>> Identity(2).forward(torch.tensor([1.0, 2.0]))
        tensor([1., 2.])
    """

    size: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.size, self.size

    def forward(self, w: Tensor) -> Tensor:
        return w

    def adjoint(self, v: Tensor) -> Tensor:
        return v

    @property
    def norm_bound(self) -> float:
        return 1.0


@dataclass(frozen=True, eq=False)
class Stacked(LinearOperator):
    r"""Operators of one vector, one below the other.

    .. math:: A w = (A_1 w, \dots, A_k w), \qquad A^\top v = \sum_j A_j^\top v_j

    Args:
        parts: :math:`A_j` [m_j, p].

    Example:
        >>> A = Stacked((Identity(2), Identity(2)))
        >>> A.forward(torch.tensor([1.0, 2.0])), A.adjoint(torch.tensor([1.0, 0.0, 1.0, 3.0]))
        (tensor([1., 2., 1., 2.]), tensor([2., 3.]))
    """

    parts: tuple[LinearOperator, ...]

    def to(self, *, dtype: torch.dtype, device: str = "cpu") -> Stacked:
        return Stacked(tuple(part.to(dtype=dtype, device=device) for part in self.parts))

    @property
    def called(self) -> str:
        return ", ".join(part.called for part in self.parts)

    @property
    def shape(self) -> tuple[int, int]:
        return sum(part.shape[0] for part in self.parts), self.parts[0].shape[1]

    def forward(self, w: Tensor) -> Tensor:
        return torch.cat([part.forward(w) for part in self.parts], dim=-1)

    def adjoint(self, v: Tensor) -> Tensor:
        pieces = v.split([part.shape[0] for part in self.parts], dim=-1)
        return torch.stack([part.adjoint(piece) for part, piece in zip(self.parts, pieces, strict=True)]).sum(0)

    @property
    def norm_bound(self) -> float | None:
        bounds = [part.norm_bound for part in self.parts]
        known = [bound for bound in bounds if bound is not None]
        return math.hypot(*known) if len(known) == len(bounds) else None


@dataclass(frozen=True, eq=False)
class PenaltySum(Penalty):
    r"""Penalties of the pieces of a vector, added up; behind :class:`Stacked` they are penalties of one vector.

    .. math:: g(z_1, \dots, z_k) = \sum_j g_j(z_j), \qquad g^*(u) = \sum_j g_j^*(u_j)

    The proximal map of a sum of two functions of the same vector is seldom known. That of a sum over pieces is the
    proximal map of each.

    Args:
        parts: :math:`g_j`.
        sizes: Length of each piece.

    Example:
        >>> from optwise.problems.terms.penalties.l1 import L1
        >>> from optwise.problems.terms.penalties.norms import L2Norm
        >>> g = PenaltySum((L1(1.0), L2Norm(1.0)), (2, 2))
        >>> g.value(torch.tensor([3.0, 4.0, 3.0, 4.0]))
        tensor(12.)
    """

    parts: tuple[Penalty, ...]
    sizes: tuple[int, ...]

    @property
    def called(self) -> str:
        return " + ".join(part.called for part in self.parts)

    @property
    def dimension(self) -> int:
        return sum(self.sizes)

    @property
    def convex(self) -> bool:  # type: ignore[override]
        return all(part.convex for part in self.parts)

    @property
    def lower_bound(self) -> float:  # type: ignore[override]
        return sum(part.lower_bound for part in self.parts)

    def to(self, *, dtype: torch.dtype, device: str = "cpu") -> PenaltySum:
        return PenaltySum(tuple(part.to(dtype=dtype, device=device) for part in self.parts), self.sizes)

    def value(self, w: Tensor) -> Tensor:
        return torch.stack([part.value(piece) for part, piece in self._pieces(w)]).sum(0)

    def prox(self, v: Tensor, step: float) -> Tensor:
        return torch.cat([part.prox(piece, step) for part, piece in self._pieces(v)], dim=-1)

    def conjugate(self, u: Tensor) -> Tensor:
        return torch.stack([part.conjugate(piece) for part, piece in self._pieces(u)]).sum(0)

    def dual_scale(self, u: Tensor) -> float:
        return min(part.dual_scale(piece) for part, piece in self._pieces(u))

    @property
    def oracles(self) -> frozenset[Oracle]:
        common = frozenset({Oracle.PROX, Oracle.CONJUGATE, Oracle.CONVEX_PENALTY})
        return common.intersection(*(part.oracles for part in self.parts))

    def _pieces(self, w: Tensor) -> Sequence[tuple[Penalty, Tensor]]:
        return list(zip(self.parts, w.split(list(self.sizes), dim=-1), strict=True))
