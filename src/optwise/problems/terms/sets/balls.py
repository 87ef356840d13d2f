"""Bounded sets around 0 or on a sum: balls of the usual norms, the simplex, the capped simplex."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from optwise.core.constraint import ConstraintSet
from optwise.numerics.projections.balls import (
    project_l1_ball,
    project_l2_ball,
    support_l1_ball,
    support_l2_ball,
    vertex_l1_ball,
    vertex_l2_ball,
)
from optwise.numerics.projections.boxes import project_linf_ball, support_linf_ball, vertex_linf_ball
from optwise.numerics.projections.matrix_balls import (
    project_nuclear_ball,
    support_nuclear_ball,
    vertex_nuclear_ball,
)
from optwise.numerics.projections.simplices import (
    project_capped_simplex,
    project_simplex,
    support_capped_simplex,
    support_simplex,
    vertex_capped_simplex,
    vertex_simplex,
)
from optwise.problems.terms.arguments import keep_count, keep_matrix_shape, keep_number, values_alone
from optwise.problems.terms.sets.emptiness import refusing_empty_sets


@values_alone
@dataclass(frozen=True)
class L1Ball(ConstraintSet):
    r"""The ball of the l1 norm: the lasso as Tibshirani wrote it.

    .. math:: C = \{ x : \sum_i |x_i| \le r \}

    Args:
        radius: r, at least 0.

    Raises:
        BadProblem: A radius that is negative or not finite.

    Example:
        >>> L1Ball(1.0).project(torch.tensor([1.0, -0.5]))
        tensor([ 0.7500, -0.2500])
    """

    radius: float = 1.0

    def __post_init__(self) -> None:
        keep_number(self, "radius", "The radius of an l1 ball", least=0)

    def project(self, v: Tensor) -> Tensor:
        return project_l1_ball(v, self.radius)

    def support(self, u: Tensor) -> Tensor:
        return support_l1_ball(u, self.radius)

    def vertex(self, g: Tensor) -> Tensor:
        return vertex_l1_ball(g, self.radius)


@values_alone
@dataclass(frozen=True)
class L2Ball(ConstraintSet):
    r"""The Euclidean ball around 0.

    .. math:: C = \{ x : \|x\|_2 \le r \}

    Args:
        radius: r, at least 0.

    Raises:
        BadProblem: A radius that is negative or not finite.

    Example:
        >>> L2Ball(1.0).project(torch.tensor([3.0, 4.0]))
        tensor([0.6000, 0.8000])
    """

    radius: float = 1.0

    def __post_init__(self) -> None:
        keep_number(self, "radius", "The radius of a Euclidean ball", least=0)

    def project(self, v: Tensor) -> Tensor:
        return project_l2_ball(v, self.radius)

    def support(self, u: Tensor) -> Tensor:
        return support_l2_ball(u, self.radius)

    def vertex(self, g: Tensor) -> Tensor:
        return vertex_l2_ball(g, self.radius)


@values_alone
@dataclass(frozen=True)
class LInfBall(ConstraintSet):
    r"""The ball of the maximum norm. A method for boxes wants a ``Box`` of the same bounds instead.

    .. math:: C = \{ x : \max_i |x_i| \le r \}

    Args:
        radius: r, at least 0.

    Raises:
        BadProblem: A radius that is negative or not finite.

    Example:
        >>> LInfBall(1.0).vertex(torch.tensor([2.0, -0.5]))
        tensor([-1.,  1.])
    """

    radius: float = 1.0

    def __post_init__(self) -> None:
        keep_number(self, "radius", "The radius of a ball of the maximum norm", least=0)

    def project(self, v: Tensor) -> Tensor:
        return project_linf_ball(v, self.radius)

    def support(self, u: Tensor) -> Tensor:
        return support_linf_ball(u, self.radius)

    def vertex(self, g: Tensor) -> Tensor:
        return vertex_linf_ball(g, self.radius)


@values_alone
@dataclass(frozen=True)
class Simplex(ConstraintSet):
    r"""Entries of at least 0 with a given sum; with a total of 1, probability vectors.

    .. math:: C = \{ x \ge 0 : \sum_i x_i = s \}

    Args:
        total: s, at least 0.

    Raises:
        BadProblem: A total that is negative or not finite.

    Example:
        >>> Simplex().project(torch.tensor([1.0, 0.5, -1.0]))
        tensor([0.7500, 0.2500, 0.0000])
    """

    total: float = 1.0

    def __post_init__(self) -> None:
        keep_number(self, "total", "The total of a simplex", least=0)

    def project(self, v: Tensor) -> Tensor:
        return project_simplex(v, self.total)

    def support(self, u: Tensor) -> Tensor:
        return support_simplex(u, self.total)

    def vertex(self, g: Tensor) -> Tensor:
        return vertex_simplex(g, self.total)


@values_alone
@dataclass(frozen=True)
class CappedSimplex(ConstraintSet):
    r"""Entries between 0 and a cap with a given sum; with a cap of 1 and a total of k, the hull of choices of k.

    .. math:: C = \{ x : 0 \le x \le c, \; \sum_i x_i = s \}

    Args:
        size: p; ``None`` where the problem says it.
        total: s, at least 0 and at most p c.
        cap: c.

    Raises:
        BadProblem: The caps do not add up to the total, or a number is negative.

    Example:
        >>> CappedSimplex(3, total=2.0).vertex(torch.tensor([3.0, 1.0, 0.5]))
        tensor([0., 1., 1.])
    """

    size: int | None = None
    total: float = 1.0
    cap: float = 1.0

    def __post_init__(self) -> None:
        keep_number(self, "total", "The total of a capped simplex", least=0)
        keep_number(self, "cap", "The cap of a capped simplex", least=0)
        if self.size is not None:
            keep_count(self, "size", "The size of a capped simplex")
            with refusing_empty_sets():
                self.project(torch.zeros(self.size, dtype=torch.float64))

    @property
    def dimension(self) -> int | None:
        return self.size

    def sized(self, dimension: int) -> CappedSimplex:
        return replace(self, size=dimension) if self.size is None else self

    def project(self, v: Tensor) -> Tensor:
        return project_capped_simplex(v, self.total, cap=self.cap)

    def support(self, u: Tensor) -> Tensor:
        return support_capped_simplex(u, self.total, cap=self.cap)

    def vertex(self, g: Tensor) -> Tensor:
        return vertex_capped_simplex(g, self.total, cap=self.cap)


@values_alone
@dataclass(frozen=True)
class NuclearBall(ConstraintSet):
    r"""The ball of the nuclear norm of the matrix that x holds row by row; its corners have rank 1.

    .. math:: C = \{ x : \sum_i \sigma_i(X) \le r \}

    Args:
        shape: Of the matrix.
        radius: r, at least 0.

    Raises:
        BadProblem: A shape that is none, a radius that is negative or not finite.

    Example:
        >>> NuclearBall((2, 2)).vertex(torch.tensor([1.0, 0.0, 0.0, -4.0]))
        tensor([0., 0., 0., 1.])

    References:
        Jaggi (2013), Revisiting Frank-Wolfe: Projection-Free Sparse Convex Optimization.
    """

    shape: tuple[int, int]
    radius: float = 1.0

    def __post_init__(self) -> None:
        keep_matrix_shape(self, "shape", "The shape of a nuclear ball")
        keep_number(self, "radius", "The radius of a nuclear ball", least=0)

    @property
    def dimension(self) -> int:
        return self.shape[0] * self.shape[1]

    def project(self, v: Tensor) -> Tensor:
        return project_nuclear_ball(self._matrix(v), self.radius).reshape(v.shape)

    def support(self, u: Tensor) -> Tensor:
        return support_nuclear_ball(self._matrix(u), self.radius)

    def vertex(self, g: Tensor) -> Tensor:
        return vertex_nuclear_ball(self._matrix(g), self.radius).reshape(g.shape)

    def _matrix(self, w: Tensor) -> Tensor:
        return w.reshape(*w.shape[:-1], *self.shape)
