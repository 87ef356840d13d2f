"""A small smooth problem within bounds in units of its own: each coordinate measured by its curvature at the start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.constraint import ConstraintSet
from optwise.core.oracles import Oracle
from optwise.core.smooth import Smooth
from optwise.core.solver import Iterate
from optwise.methods.solvers.hessians import hessian_at
from optwise.methods.solvers.rays import point_at
from optwise.numerics.equilibration import symmetric_scales
from optwise.numerics.finiteness import all_finite

MOST = 64
"""Coordinates up to which the Hessian at the start is formed."""
UNEVEN = 100.0
"""Ratio of the largest to the least size of a coordinate from which units are changed."""


@dataclass(frozen=True, eq=False)
class Units:
    """A problem in other units, and the way back.

    Args:
        problem: Of z = scale * w; its questions are booked where those of the first one are.
        scale: Sizes of the coordinates [p].
        bounds: Of w, lower and upper [p].
    """

    problem: Composite
    scale: Tensor
    bounds: tuple[Tensor, Tensor]

    def there(self, w: Tensor) -> Tensor:
        """The point z of ``w``."""
        return w * self.scale

    def back(self, iterates: Iterator[Iterate]) -> Iterator[Iterate]:
        """Iterates of z as those of w: what lies on a bound of z lies on that of w."""
        low, high = self.bounds
        for found in iterates:
            w = (found.w / self.scale).clamp(low, high)
            w = torch.where(found.w == low * self.scale, low, torch.where(found.w == high * self.scale, high, w))
            yield found._replace(w=w)


def own_units(problem: Composite, w: Tensor) -> Units | None:
    """The problem in units in which no coordinate curves more than another; ``None`` where they need no change.

    Args:
        problem: A smooth one within bounds.
        w: The start [p].
    """
    constraint = problem.constraint
    if problem.smooth.model is not None or w.numel() > MOST or constraint is None:
        return None
    if problem.penalty is not None or Oracle.BOUNDS not in constraint.oracles:
        return None
    low, high = (bound.to(w) for bound in constraint.bounds())
    point = point_at(problem, w.clamp(low, high))
    hessian = hessian_at(problem, point).matrix() if point.finite else torch.full((1, 1), torch.nan)
    if not all_finite(hessian):
        return None
    scale = symmetric_scales(hessian)
    curved = scale[scale > 0]
    if not len(curved) or not float(curved.max()) > UNEVEN * float(curved.min()):
        return None
    scale = scale.where(scale > 0, curved.log().mean().exp())
    smooth, bounds = _Rescaled(problem.smooth, scale), _Bounds(low * scale, high * scale)
    return Units(replace(problem, smooth=smooth, constraint=bounds, start=None, known=None), scale, (low, high))


@dataclass(frozen=True, eq=False)
class _Rescaled(Smooth):
    """f of z / scale."""

    term: Smooth
    scale: Tensor

    @property
    def dimension(self) -> int:
        return self.term.dimension

    def value(self, w: Tensor) -> Tensor:
        return self.term.value(w / self.scale)

    def value_and_gradient(self, w: Tensor) -> tuple[Tensor, Tensor]:
        value, gradient = self.term.value_and_gradient(w / self.scale)
        return value, gradient / self.scale

    def hvp(self, w: Tensor, v: Tensor) -> Tensor:
        return self.term.hvp(w / self.scale, v / self.scale) / self.scale

    @property
    def convex(self) -> bool:
        return self.term.convex

    @property
    def lower_bound(self) -> float:
        return self.term.lower_bound


@dataclass(frozen=True, eq=False)
class _Bounds(ConstraintSet):
    low: Tensor
    high: Tensor

    def project(self, v: Tensor) -> Tensor:
        return v.clamp(self.low, self.high)

    def bounds(self) -> tuple[Tensor, Tensor]:
        return self.low, self.high
