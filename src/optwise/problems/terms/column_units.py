"""A linear model in units of its own: each coordinate measured by the size of its column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.constraint import ConstraintSet
from optwise.core.oracles import Oracle
from optwise.core.penalty import Penalty
from optwise.core.solver import Iterate
from optwise.numerics.finiteness import all_finite
from optwise.problems.terms.linear_models import LinearModelTerm
from optwise.problems.terms.operators import MatrixOperator
from optwise.problems.terms.penalties import L1, WeightedL1
from optwise.problems.terms.sets import Box

Proof = TypeVar("Proof")
Judge = Callable[[Tensor, Tensor | None], Proof]
"""Of a point [p] and a dual point."""
UNEVEN = 1e3
"""Ratio of the largest to the smallest column from which units are changed. Source: optwise, own choice."""


@dataclass(frozen=True, eq=False)
class ColumnUnits:
    """A problem in other units, powers of 2, so that going there and back rounds nothing.

    Args:
        problem: Of u = scale * w; its questions are booked where those of the first one are.
        scale: Of each coordinate [p].
        examples: Rows of the design, the length of a dual point of the predictions.
    """

    problem: Composite
    scale: Tensor
    examples: int

    def there(self, w: Tensor) -> Tensor:
        """The point u of ``w``."""
        return w * self.scale

    def back(self, u: Tensor) -> Tensor:
        """The point w of ``u``."""
        return u / self.scale

    def dual_back(self, dual: Tensor | None) -> Tensor | None:
        """A dual point of the predictions [n] as it is, one of the penalty [p] in units of w; none where both fit."""
        if dual is None or self.examples == self.scale.numel():
            return None
        return dual if dual.numel() == self.examples else dual * self.scale.to(dual)

    def certify_back(self, certify: Judge[Proof]) -> Judge[Proof]:
        """What judges w and a dual point, asked about u."""
        return lambda u, dual: certify(self.back(u), self.dual_back(dual))

    def ray_back(self, find_ray: Callable[[Tensor, Tensor], Proof]) -> Callable[[Tensor, Tensor], Proof]:
        """What judges w and a direction, asked about u."""
        return lambda u, direction: find_ray(self.back(u), self.back(direction))

    def iterate_back(self, found: Iterate) -> Iterate:
        """The iterate w of an iterate u."""
        return found._replace(w=self.back(found.w), dual=self.dual_back(found.dual))


def column_units(problem: Composite) -> ColumnUnits | None:
    """The problem in units in which no column of its design is much longer than another; ``None`` where that is so.

    Only where neither the ridge, the penalty nor the set couple coordinates, so that each keeps its kind.

    Args:
        problem: As solvers see it.
    """
    model, penalty, constraint = problem.smooth.model, problem.penalty, problem.constraint
    if model is None or model.X.matrix is None or model.l2 > 0 or problem.operator is not None:
        return None
    if penalty is None and constraint is None:
        return None
    sizes = model.X.matrix.abs().amax(0)
    told = sizes[sizes > 0]
    if not len(told) or not all_finite(told) or not float(told.max()) > UNEVEN * float(told.min()):
        return None
    scale = torch.exp2(torch.log2(sizes.where(sizes > 0, told.log2().mean().exp2())).round())
    scaled = (_scaled_penalty(penalty, scale), _scaled_set(constraint, scale))
    if (scaled[0] is None) != (penalty is None) or (scaled[1] is None) != (constraint is None):
        return None
    start = None if problem.start is None else problem.start * scale
    smooth = LinearModelTerm(replace(model, X=MatrixOperator(model.X.matrix / scale)))
    return ColumnUnits(
        replace(problem, smooth=smooth, penalty=scaled[0], constraint=scaled[1], start=start), scale, len(model.y)
    )


def _scaled_penalty(penalty: Penalty | None, scale: Tensor) -> Penalty | None:
    """The penalty of u; ``None`` where it has no form that is known here, or the way back is not exact."""
    if type(penalty) is L1:
        weights = torch.full_like(scale, penalty.weight)
    elif type(penalty) is WeightedL1:
        weights = penalty.weights.to(scale)
    else:
        return None
    return WeightedL1(weights / scale) if torch.equal(weights / scale * scale, weights) else None


def _scaled_set(constraint: ConstraintSet | None, scale: Tensor) -> ConstraintSet | None:
    """The box of u; ``None`` where it is none, or the way back is not exact."""
    if constraint is None or Oracle.BOUNDS not in constraint.oracles:
        return None
    ends = [bound.to(scale).expand_as(scale) for bound in constraint.bounds()]
    return Box(*(end * scale for end in ends)) if all(torch.equal(end * scale / scale, end) for end in ends) else None
