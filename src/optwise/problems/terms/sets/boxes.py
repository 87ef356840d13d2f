"""Sets with bounds on every coordinate: the orthant, boxes, a box and one equation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from optwise.core.constraint import ConstraintSet
from optwise.core.errors import BadProblem
from optwise.core.oracles import Oracle
from optwise.numerics.projections.box_hyperplane import (
    project_box_hyperplane,
    support_box_hyperplane,
    vertex_box_hyperplane,
)
from optwise.numerics.projections.boxes import bounds as checked_bounds
from optwise.numerics.projections.boxes import support_box, support_nonnegative
from optwise.problems.terms.arguments import keep_bounds, keep_count, keep_number, keep_vector, values_alone
from optwise.problems.terms.sets.emptiness import all_or_nothing, refusing_empty_sets


@values_alone
@dataclass(frozen=True, eq=False)
class Box(ConstraintSet):
    r"""Bounds on every coordinate, infinite ones included; a bounded box has corners for Frank-Wolfe.

    .. math:: C = \{ x : l \le x \le h \}

    Args:
        low: l [p], or one number for all; ``-inf`` is no bound.
        high: h [p], or one number for all, ``inf`` being none. With two single numbers the problem says p.

    Raises:
        BadProblem: A lower bound above its upper bound, or bounds of unequal length.

    Example:
        >>> box = Box(torch.tensor([0.0, -1.0]), torch.tensor([1.0, torch.inf]))
        >>> box.project(torch.tensor([2.0, 5.0])), Oracle.VERTEX in box.oracles
        (tensor([1., 5.]), False)
    """

    low: Tensor
    high: Tensor

    def __post_init__(self) -> None:
        keep_bounds(self, "The bounds of a box", open_size=True)
        with refusing_empty_sets():
            checked_bounds(self.low, self.high, self.low)

    @property
    def dimension(self) -> int | None:
        return self.low.numel() if self.low.ndim else None

    def sized(self, dimension: int) -> Box:
        return Box(*(end.expand(dimension).clone() for end in self.bounds())) if self.low.ndim == 0 else self

    def project(self, v: Tensor) -> Tensor:
        return v.clamp(self.low, self.high)

    def support(self, u: Tensor) -> Tensor:
        return support_box(u, low=self.low, high=self.high)

    def dual_scale(self, u: Tensor) -> float:
        return 1.0 if self.bounded else all_or_nothing(self.support, u)

    def vertex(self, g: Tensor) -> Tensor:
        return torch.where(g < 0, self.high, self.low)

    def bounds(self) -> tuple[Tensor, Tensor]:
        return self.low, self.high

    @cached_property
    def bounded(self) -> bool:
        """Whether all bounds are finite."""
        return bool((torch.isfinite(self.low) & torch.isfinite(self.high)).all())

    @property
    def oracles(self) -> frozenset[Oracle]:
        return super().oracles if self.bounded else super().oracles - {Oracle.VERTEX}


@values_alone
@dataclass(frozen=True, eq=False)
class Nonnegative(ConstraintSet):
    r"""Vectors without a negative entry.

    .. math:: C = \{ x : x \ge 0 \}

    Args:
        size: p; ``None`` where the problem says it.
        dtype: Of the bounds.
        device: Of the bounds.

    Example:
        >>> Nonnegative(2).project(torch.tensor([2.0, -1.0]))
        tensor([2., 0.])
    """

    size: int | None = None
    dtype: torch.dtype = torch.float64
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.size is not None:
            keep_count(self, "size", "The size of an orthant")

    def to(self, *, dtype: torch.dtype, device: str = "cpu") -> Self:
        return replace(self, dtype=dtype, device=device)

    @property
    def dimension(self) -> int | None:
        return self.size

    def sized(self, dimension: int) -> Nonnegative:
        return replace(self, size=dimension) if self.size is None else self

    def project(self, v: Tensor) -> Tensor:
        return v.clamp(min=0)

    def support(self, u: Tensor) -> Tensor:
        return support_nonnegative(u)

    def dual_scale(self, u: Tensor) -> float:
        return all_or_nothing(self.support, u)

    def bounds(self) -> tuple[Tensor, Tensor]:
        if self.size is None:
            raise BadProblem("An orthant without a size has no bounds yet; give Nonnegative(size).")
        low = torch.zeros(self.size, dtype=self.dtype, device=self.device)
        return low, torch.full_like(low, torch.inf)


@values_alone
@dataclass(frozen=True, eq=False)
class Budget(ConstraintSet):
    r"""A box cut by one equation: what is allotted adds up. With finite bounds it has corners for Frank-Wolfe.

    .. math:: C = \{ x : l \le x \le h, \; \langle a, x \rangle = b \}

    Args:
        a: Price of a unit of each coordinate [p].
        b: What is spent.
        low: l [p], or one number for all.
        high: h [p], or one number for all.

    Raises:
        BadProblem: Nothing within the bounds costs b, or lengths that differ.

    Example:
        >>> portfolio = Budget(torch.ones(3), 1.0, torch.zeros(3), torch.full((3,), 0.5))
        >>> portfolio.project(torch.tensor([2.0, 0.0, 0.0]))
        tensor([0.5000, 0.2500, 0.2500])
    """

    a: Tensor
    b: float
    low: Tensor
    high: Tensor

    def __post_init__(self) -> None:
        keep_vector(self, "a", "The prices of a budget")
        keep_number(self, "b", "What a budget spends")
        keep_bounds(self, "The bounds of a budget", size=self.a.numel())
        object.__setattr__(self, "a", self.a.to(self.low))
        with refusing_empty_sets():
            self.project(torch.zeros_like(self.a))

    @property
    def dimension(self) -> int:
        return self.a.numel()

    def project(self, v: Tensor) -> Tensor:
        return project_box_hyperplane(v, self.a, b=self.b, low=self.low, high=self.high)

    def support(self, u: Tensor) -> Tensor:
        return support_box_hyperplane(u, self.a, b=self.b, low=self.low, high=self.high)

    def dual_scale(self, u: Tensor) -> float:
        return 1.0 if self.bounded else all_or_nothing(self.support, u)

    def vertex(self, g: Tensor) -> Tensor:
        return vertex_box_hyperplane(g, self.a, b=self.b, low=self.low, high=self.high)

    @cached_property
    def bounded(self) -> bool:
        """Whether all bounds are finite."""
        return bool((torch.isfinite(self.low) & torch.isfinite(self.high)).all())

    @property
    def oracles(self) -> frozenset[Oracle]:
        return super().oracles if self.bounded else super().oracles - {Oracle.VERTEX}
