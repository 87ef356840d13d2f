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
from optwise.problems.numbers import real_tensor
from optwise.problems.terms.arguments import keep_number, keep_vector, values_alone
from optwise.problems.terms.sets.emptiness import all_or_nothing, refusing_empty_sets


@values_alone
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
        matrix = real_tensor(self.A, "The matrix A of an affine set")
        if matrix.ndim != 2:
            raise BadProblem(
                f"The matrix A of an affine set has shape {tuple(matrix.shape)}; give a row for each equation, in the "
                "order Affine(A, b)."
            )
        object.__setattr__(self, "A", matrix)
        object.__setattr__(self, "b", keep_vector(self, "b", "The right-hand side b of an affine set").to(matrix))
        with refusing_empty_sets():
            object.__setattr__(self, "_projection", AffineProjection(self.A, self.b))

    def to(self, *, dtype: torch.dtype, device: str = "cpu") -> Self:
        if torch.device(device) != self.A.device:
            return replace(self, A=self.A.to(device=device, dtype=dtype), b=self.b.to(device=device, dtype=dtype))
        return super().to(dtype=dtype, device=device)  # with the factors as they are: they are float64 in any case

    @property
    def dimension(self) -> int:
        return self.A.shape[1]

    def project(self, v: Tensor) -> Tensor:
        return self._projection.project(v)

    def support(self, u: Tensor) -> Tensor:
        return self._projection.support(u)

    def dual_scale(self, u: Tensor) -> float:
        return all_or_nothing(self.support, u)


@values_alone
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
        keep_vector(self, "a", "The normal of a halfspace")
        keep_number(self, "b", "The offset of a halfspace")
        with refusing_empty_sets():
            self.project(torch.zeros_like(self.a))

    @property
    def dimension(self) -> int:
        return self.a.numel()

    def project(self, v: Tensor) -> Tensor:
        return project_halfspace(v, self.a, b=self.b)

    def support(self, u: Tensor) -> Tensor:
        return support_halfspace(u, self.a, b=self.b)

    def dual_scale(self, u: Tensor) -> float:
        return all_or_nothing(self.support, u)
