"""Sets with flat borders: the solutions of linear equations, and one side of a hyperplane."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

import torch
from torch import Tensor

from optwise.core.constraint import ConstraintSet
from optwise.core.errors import BadProblem
from optwise.numerics.projections.affine import AffineProjection
from optwise.numerics.projections.halfspaces import project_halfspace, support_halfspace
from optwise.problems.terms.sets.emptiness import all_or_nothing, refusing_empty_sets


@dataclass(frozen=True, eq=False)
class Affine(ConstraintSet):
    r"""The solutions of linear equations. The matrix is factorised once, when the set is made.

    .. math:: C = \{ x : A x = b \}

    Args:
        A: The matrix [m, p].
        b: The right-hand side [m].

    Raises:
        BadProblem: Equations without a solution, shapes that do not fit, numbers that are not finite.

    Example:
        >>> Affine(torch.tensor([[1.0, 1.0]]), torch.tensor([2.0])).project(torch.tensor([3.0, 0.0]))
        tensor([ 2.5000, -0.5000])
    """

    A: Tensor
    b: Tensor
    _projection: AffineProjection = field(init=False, repr=False)

    def __post_init__(self) -> None:
        with refusing_empty_sets():
            object.__setattr__(self, "_projection", AffineProjection(self.A, self.b))

    def to(self, *, dtype: torch.dtype, device: str = "cpu") -> Self:
        if torch.device(device) != self.A.device:
            return replace(self, A=self.A.to(device=device, dtype=dtype), b=self.b.to(device=device, dtype=dtype))
        return super().to(dtype=dtype, device=device)  # with the factors as they are: they are float64 in any case

    def project(self, v: Tensor) -> Tensor:
        return self._projection.project(v)

    def support(self, u: Tensor) -> Tensor:
        return self._projection.support(u)

    def dual_scale(self, u: Tensor) -> float:
        return all_or_nothing(self.support, u)


@dataclass(frozen=True, eq=False)
class Halfspace(ConstraintSet):
    r"""One side of a hyperplane.

    .. math:: C = \{ x : \langle a, x \rangle \le b \}

    Args:
        a: Normal [p].
        b: Offset.

    Raises:
        BadProblem: A normal of 0 with a negative offset, numbers that are not finite.

    Example:
        >>> Halfspace(torch.tensor([1.0, 1.0]), 2.0).project(torch.tensor([2.0, 2.0]))
        tensor([1., 1.])
    """

    a: Tensor
    b: float

    def __post_init__(self) -> None:
        if self.a.ndim != 1:
            raise BadProblem(f"A halfspace has a normal of shape {tuple(self.a.shape)}; give one number a coordinate.")
        with refusing_empty_sets():
            self.project(torch.zeros_like(self.a))

    def project(self, v: Tensor) -> Tensor:
        return project_halfspace(v, self.a, b=self.b)

    def support(self, u: Tensor) -> Tensor:
        return support_halfspace(u, self.a, b=self.b)

    def dual_scale(self, u: Tensor) -> float:
        return all_or_nothing(self.support, u)
