"""Proximal Newton on working sets, for losses of linear models with a separable penalty."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.loss import LinearModel
from optwise.core.oracles import Oracle
from optwise.core.penalty import Penalty
from optwise.core.solver import CONVEX, SMOOTH, Iterate, Solver
from optwise.methods.solvers.working_sets import WorkingSet

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
        >>> X, y = torch.eye(3, dtype=torch.float64), torch.tensor([3.0, -0.5, 1.0], dtype=torch.float64)
        >>> run = ow.solve(ow.problems.lasso(X, y, weight=0.25), "proximal-newton")  # y shrunk by 3 * 0.25
        >>> run.w, run.status.ok
        (array([ 2.25,  0.  ,  0.25]), True)

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

    def refusal(self, problem: Composite) -> str:
        return "has its penalty behind an operator" if problem.operator is not None else ""

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        model, penalty = problem.smooth.model, problem.penalty
        assert model is not None
        assert penalty is not None
        if not math.isfinite(float(penalty.value(w))):
            w = penalty.prox(w, torch.finfo(w.dtype).tiny)  # a step of next to nothing: the nearest point of its domain
        columns = WorkingSet(problem, model, penalty, w, gathered=self.gathered, moving=self.moving)
        gradient = columns.gradient()
        if not bool(torch.isfinite(gradient).all()):
            return
        violations, bounds, progress = penalty.violation(w, gradient), _DualBounds(problem, model, penalty), _Progress()
        eps, size, aim = torch.finfo(w.dtype).eps, 0.0, AIM * problem.tol
        while progress.idle < PATIENCE:
            came = columns.gather(w, gradient)
            size = max(size, float(gradient.abs().max()))
            columns.improve(max(aim * size, OUTSIDE * columns.outside(violations)), rounding=eps * size)
            w, gradient = columns.point(), columns.gradient()
            violations = penalty.violation(w, gradient)
            value, measure, dual = bounds.at(w, columns.z, gradient, violations)
            yield Iterate(w, value, columns.step, measure, dual)
            progress.see(value, measure, float(violations.max()), came=came, rounding=4.0 * eps)
            # nothing came of this aim, or the gap is closer to it than it was
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


@final
class _DualBounds:
    r"""The largest lower bound of F found so far, from the derivatives of f in the predictions.

    .. math:: F^\star \ge -\sum_i s \ell^*(t u_i / s) - (g + \tfrac{\lambda_2}{2} |\cdot|^2)^*(-t X^\top u), \qquad
        u = s \ell'(z)

    with t as large as the conjugate of g allows; with :math:`\lambda_2 > 0`, whose conjugate is finite everywhere, also
    with t = 1. All products that this takes are known already.
    """

    def __init__(self, problem: Composite, model: LinearModel, penalty: Penalty) -> None:
        self._problem, self._model, self._penalty = problem, model, penalty
        self._scales = model.has_conjugate and Oracle.CONJUGATE in penalty.oracles
        self._best, self._dual = -math.inf, torch.zeros_like(model.y)

    def at(self, w: Tensor, z: Tensor, gradient: Tensor, violations: Tensor) -> tuple[float, float, Tensor | None]:
        """F at ``w``, the measure of the certificate there, and a dual point where ``u`` is not the best one."""
        model = self._model
        self._problem.count("evaluations")
        value = model.scale * float(model.loss.values(z, model.y).sum()) + float(self._penalty.value(w))
        value += 0.5 * model.l2 * float(w @ w)
        u = model.scale * model.loss.derivative(z, model.y)  # [n]
        pull = -gradient if model.l2 == 0 else torch.add(-gradient, w, alpha=model.l2)  # -X^T u [p]
        plain = False
        for t, conjugate in self._conjugates(pull):
            bound = -model.scale * float(model.loss.conjugate(t * u / model.scale, model.y).sum()) - conjugate
            if bound > self._best:
                self._best, self._dual, plain = bound, t * u, model.l2 == 0 or t == 1.0
        if self._best == -math.inf:
            return value, self._problem.gradient_measure(float(torch.linalg.vector_norm(violations))), None
        measure = self._problem.gap_measure(max(value - self._best, 0.0), value)
        return value, measure, None if plain else self._dual

    def _conjugates(self, pull: Tensor) -> Iterator[tuple[float, float]]:
        """Shares t of the dual point with the conjugate of g and the ridge there, or a bound of it."""
        l2, penalty = self._model.l2, self._penalty
        if l2 > 0 and self._model.has_conjugate:
            x = penalty.prox(pull / l2, 1.0 / l2)
            yield 1.0, float((pull - 0.5 * l2 * x) @ x) - float(penalty.value(x))
        t = penalty.dual_scale(pull) if self._scales else 0.0
        if t > 0.0:  # at 0 nothing is left but the lower bound of the losses
            yield t, float(penalty.conjugate(t * pull))
