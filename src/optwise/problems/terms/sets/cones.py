"""Closed convex cones: the second-order cone and the positive semidefinite matrices."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from optwise.core.constraint import ConstraintSet
from optwise.numerics.projections.cones import (
    project_positive_semidefinite,
    project_second_order_cone,
    support_positive_semidefinite,
    support_second_order_cone,
)
from optwise.problems.terms.arguments import keep_count, values_alone
from optwise.problems.terms.sets.emptiness import all_or_nothing


@values_alone
@dataclass(frozen=True)
class SecondOrderCone(ConstraintSet):
    r"""The cone over the Euclidean ball; the last coordinate is its axis.

    .. math:: C = \{ (x, t) : \|x\|_2 \le t \}

    Example:
        >>> import torch
        >>> SecondOrderCone().project(torch.tensor([3.0, 4.0, 0.0]))
        tensor([1.5000, 2.0000, 2.5000])
    """

    def project(self, v: Tensor) -> Tensor:
        return project_second_order_cone(v)

    def support(self, u: Tensor) -> Tensor:
        return support_second_order_cone(u)

    def dual_scale(self, u: Tensor) -> float:
        return all_or_nothing(self.support, u)


@values_alone
@dataclass(frozen=True)
class PSDCone(ConstraintSet):
    r"""Positive semidefinite matrices, held row by row.

    .. math:: C = \{ x : X = X^\top, \; X \succeq 0 \}

    Args:
        side: Rows of the matrix; vectors have ``side ** 2`` entries.

    Raises:
        BadProblem: No row.

    Example:
        >>> import torch
        >>> PSDCone(2).project(torch.tensor([1.0, 0.0, 0.0, -1.0]))
        tensor([1., 0., 0., 0.])
    """

    side: int

    def __post_init__(self) -> None:
        keep_count(self, "side", "The side of a cone of matrices")

    @property
    def dimension(self) -> int:
        return self.side**2

    def project(self, v: Tensor) -> Tensor:
        return project_positive_semidefinite(self._matrix(v)).reshape(v.shape)

    def support(self, u: Tensor) -> Tensor:
        return support_positive_semidefinite(self._matrix(u))

    def dual_scale(self, u: Tensor) -> float:
        return all_or_nothing(self.support, u)

    def _matrix(self, w: Tensor) -> Tensor:
        return w.reshape(*w.shape[:-1], self.side, self.side)
