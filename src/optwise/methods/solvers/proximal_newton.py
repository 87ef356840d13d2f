"""Proximal Newton on working sets, for losses of linear models with a separable penalty."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.oracles import Oracle
from optwise.core.solver import CONVEX, SMOOTH, Iterate, Solver
from optwise.methods.solvers.lower_bounds import LowerBound
from optwise.methods.solvers.working_sets import WorkingSet
from optwise.numerics.finiteness import all_finite

AIM = 1e-2
"""Share of the gap, in units of the gradient, that violations within the working set may leave."""
OUTSIDE = 0.5
"""Share of the largest violation outside the working set to which weights within are worth improving."""
PATIENCE = 2
"""Iterations in a row without progress, all columns looked at, after which rounding has the last word."""


@final
@dataclass(frozen=True, kw_only=True)
class ProximalNewton(Solver):
    r"""Proximal Newton steps on the few columns of a design that matter.

    .. math:: w^+ = \operatorname*{argmin}_x \; \langle \nabla f(w), x - w \rangle
        + \tfrac12 \langle x - w, \nabla^2 f(w) (x - w) \rangle + g(x), \qquad x_j = 0 \text{ outside the working set}

    An iteration gathers the columns that violate optimality most, improves the weights on them, and then computes one
    gradient over all columns, with which it bounds the duality gap. Within the working set, products cost what it is
    wide; the quadratic problems are solved by semismooth Newton steps on the active columns alone, with Cholesky
    factors that are kept while few columns change
    (:class:`~optwise.methods.solvers.working_sets.WorkingSet`,
    :class:`~optwise.methods.solvers.semismooth.SmallProblem`). For a quadratic loss that ends exactly as soon as signs
    and zeros are found; otherwise Newton's quadratic rate takes over. Most solutions take two to five iterations, that
    is as many passes over the design, and :math:`n a^2` operations for a active columns. A column-major design, where
    single columns lie together, is read fastest.

    g must be separable and convex, as the l1 norm; the loss convex with a second derivative, kinks of the first
    included. Squared losses need no line search, and none is made.

    Args:
        gathered: Columns gathered at a time, at least; a twentieth of all where that is more.
        moving: Columns whose weights begin to move at a time, at least; half of those that move where that is more.

    Example:
        >>> import optwise as ow
        >>> problem = ow.problems.lasso([[2.0, 0.0], [0.0, 2.0]], [2.0, 0.5], weight=0.5)
        >>> run = ow.solve(problem, "proximal-newton")
        >>> run.w, run.status.ok  # (2 - 0.5) / 2, and 0 where X^T y / 2 does not exceed 0.5
        (tensor([0.7500, 0.0000], dtype=torch.float64), True)

    References:
        Lee, Sun and Saunders (2014), Proximal Newton-type methods for minimizing composite functions; Massias, Gramfort
        and Salmon (2018), Celer: a fast solver for the lasso with dual extrapolation, for working sets; Li, Sun and Toh
        (2018), A highly efficient semismooth Newton augmented Lagrangian method for solving lasso problems, for how
        little the active systems cost.
    """

    gathered: int = 100
    moving: int = 50

    needs: ClassVar[frozenset[Oracle]] = (
        SMOOTH | CONVEX | {Oracle.LINEAR_MODEL, Oracle.MATRIX, Oracle.PROX, Oracle.SUBDIFFERENTIAL}
    )
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {"gathered": (1, math.inf), "moving": (1, math.inf)}

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        model, penalty = problem.smooth.model, problem.penalty
        assert model is not None
        assert penalty is not None
        if not math.isfinite(float(penalty.value(w))):
            w = penalty.prox(w, torch.finfo(w.dtype).tiny)  # a step of next to nothing: the nearest point of its domain
        columns = WorkingSet(problem, model, penalty, w, gathered=self.gathered, moving=self.moving)
        gradient = columns.gradient()
        if not all_finite(gradient):
            return
        violations, bound, progress = penalty.violation(w, gradient), LowerBound(problem), _Progress()
        eps, size, aim = torch.finfo(w.dtype).eps, 0.0, AIM * problem.tol
        while progress.idle < PATIENCE:
            came = columns.gather(w, gradient)
            size = max(size, float(gradient.abs().max()))
            columns.improve(max(aim * size, OUTSIDE * columns.outside(violations)), rounding=eps * size)
            w, gradient = columns.point(), columns.gradient()
            violations = penalty.violation(w, gradient)
            f, slopes = columns.value(), columns.slopes()
            larger = bound.offer(w, f, gradient, slopes=slopes)
            value = f + problem.g(w)
            measure = bound.measure(value, float(violations @ w.abs()))
            # the caller tries the slopes at w himself
            dual = None if larger and (model.l2 == 0 or bound.dual is slopes) else bound.dual
            yield Iterate(w, value, columns.step, measure, dual)
            progress.see(value, measure, float(violations.max()), came=came, rounding=4.0 * eps)
            # an aim that brought nothing was too high, and so is one that is not far below the gap
            aim = min(AIM * aim if progress.idle else aim, AIM * measure)


@final
class _Progress:
    """Whether an iteration brought anything: columns, a smaller value, violation or gap."""

    def __init__(self) -> None:
        self._value = self._measure = self._violation = math.inf
        self.idle = 0

    def see(self, value: float, measure: float, violation: float, *, came: int, rounding: float) -> None:
        """Take in an iteration."""
        fell = value < self._value - rounding * abs(self._value)
        better = fell or came > 0 or violation < 0.5 * self._violation or measure < 0.5 * self._measure
        self.idle = 0 if better else self.idle + 1
        self._value, self._measure = min(value, self._value), min(measure, self._measure)
        self._violation = min(violation, self._violation)
