"""Semismooth Newton with a dense Hessian, for a separable penalty or bounds around any convex smooth term."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.oracles import Oracle
from optwise.core.penalty import Penalty
from optwise.core.solver import CONVEX, SMOOTH, Iterate, Solver
from optwise.methods.solvers.active_systems import GramSystem
from optwise.methods.solvers.hessians import hessian_at, too_large
from optwise.methods.solvers.lower_bounds import LowerBound
from optwise.methods.solvers.rays import Point, point_at, rounding
from optwise.methods.solvers.semismooth import SmallProblem
from optwise.numerics.finiteness import all_finite

INEXACT = 1e-2
"""Share of the largest violation that a quadratic model's answer may leave; of a quadratic itself, rounding only."""
MODEL_STEPS = 300
"""Newton steps for one quadratic model, at most."""
SUFFICIENT = 1e-4
"""Share of the promised decrease that a step must achieve."""
HALVINGS = 40
"""Of a step that does not make the objective fall, at most."""
DAMPING, RAISED, LOWERED = 1e-8, 100.0, 10.0
"""Curvature that all coordinates are given where no step helps, relative to the mean, and the factors it changes by."""
SHORT = 1e-3
"""Share of a step below which the next one is damped more."""
LONGEST = 1e4
"""Times the length of the point that a damped step may have: saturated losses have no curvature to speak of."""
REFUSALS = 8
"""Times in a row that damping is raised."""
PATIENCE = 3
"""Iterations in a row with no lower value, measure or violation after which rounding has the last word."""


@final
@dataclass(frozen=True, kw_only=True)
class SemismoothNewton(Solver):
    r"""Proximal Newton steps with the whole Hessian, each found by semismooth Newton on its active coordinates.

    .. math:: w^+ = \operatorname*{argmin}_x \; \langle \nabla f(w), x - w \rangle
        + \tfrac12 \langle x - w, \nabla^2 f(w) (x - w) \rangle + g(x)

    for a separable penalty g, or with bounds instead of it, followed by a backtracking search. Which coordinates rest
    at zero or at a bound is found with the minimum itself
    (:class:`~optwise.methods.solvers.semismooth.SmallProblem`), and neither the scales of the columns nor their
    dependence slow it down: for a quadratic with bounds one iteration is nearly exact, otherwise Newton's quadratic
    rate takes over. With bounds, coordinates are scaled by the roots of the curvatures. Each iteration costs a Hessian
    [p, p] and some factorisations of it.

    References:
        Bertsekas (1982), Projected Newton methods for optimization problems with simple constraints; Lee, Sun and
        Saunders (2014), Proximal Newton-type methods for minimizing composite functions; Hintermüller, Ito and Kunisch
        (2002), The primal-dual active set strategy as a semismooth Newton method.

    Example:
        >>> import optwise as ow
        >>> problem = ow.problems.nnls([[1.0, 0.0], [1.0, 1e-6]], [1.0, 0.0])
        >>> run = ow.solve(problem, "semismooth-newton")
        >>> run.w, run.status.ok
        (tensor([0.5000, 0.0000], dtype=torch.float64), True)
    """

    needs: ClassVar[frozenset[Oracle]] = SMOOTH | CONVEX | {Oracle.HVP}
    accepts: ClassVar[frozenset[Oracle]] = frozenset({Oracle.PROX, Oracle.PROJECTION})

    def refusal(self, problem: Composite) -> str:
        penalty, constraint = problem.penalty, problem.constraint
        if penalty is None and constraint is None:
            return "has neither a penalty nor bounds to look after; newton does without"
        if penalty is not None and (problem.operator is not None or constraint is not None):
            return "needs a penalty that stands alone, without an operator or a set"
        if penalty is not None and Oracle.SUBDIFFERENTIAL not in penalty.oracles:
            return f"needs a subdifferential by coordinate, which {type(penalty).__name__} does not say"
        if constraint is not None and Oracle.BOUNDS not in constraint.oracles:
            return f"needs bounds by coordinate, which {type(constraint).__name__} does not have"
        return too_large(problem, problem.dimension, "a Hessian", "fista or projected-gradient")

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        part, shift = _separable(problem)
        if not math.isfinite(float(part.value(w))):
            w = part.prox(w, torch.finfo(w.dtype).tiny)  # a step of next to nothing: the nearest point of its domain
        point, bound, idle = point_at(problem, w), LowerBound(problem), 0
        model = problem.smooth.model
        constant = model is not None and model.loss.quadratic
        H: Tensor | None = None
        value, least, damping, refused = point.value + problem.g(w), math.inf, 0.0, 0
        while point.finite and idle < PATIENCE:
            if H is None:
                H = hessian_at(problem, point).matrix()
                if not all_finite(H):
                    return
            largest = float(part.violation(point.w, point.gradient).max())
            reach = LONGEST * max(1.0, float(torch.linalg.vector_norm(point.w)))
            least_damping = max(DAMPING * float(H.diagonal().mean()), largest / reach)
            curvatures = H.diagonal().clamp(min=torch.finfo(H.dtype).tiny)
            damped = H + damping * torch.eye(len(H), dtype=H.dtype, device=H.device) if damping else H
            target = _model_minimiser(problem, damped, point, part, shift, share=0.0 if constant else INEXACT)
            new, step = _searched(problem, part, point, target, value=value, violation=largest)
            if new is None:
                damping, refused = max(RAISED * damping, least_damping), refused + 1
                if refused > REFUSALS:
                    return
                continue
            point, refused = new, 0
            if step == 1.0:
                damping = damping / LOWERED if damping > least_damping else 0.0
            elif step < SHORT:
                damping = max(LOWERED * damping, least_damping)
            H = H if constant else None
            before, value = value, point.value + problem.g(point.w)
            violations = part.violation(point.w, point.gradient)
            bound.offer(point.w, point.value, point.gradient, slopes=_slopes(problem, point))
            measure = bound.measure(value, 0.5 * float((violations.square() / curvatures).sum()))
            fell = value < before - rounding(w.dtype) * abs(before)
            better = fell or measure < 0.9 * least or float(violations.max()) < 0.9 * largest
            idle = 0 if better else idle + 1
            least = min(least, measure)
            yield Iterate(point.w, value, step, measure, bound.dual)


def _separable(problem: Composite) -> tuple[Penalty, Tensor | None]:
    """The penalty, or the bounds as one and where they have their kinks; without bounds that is zero."""
    if problem.penalty is not None:
        return problem.penalty, None
    assert problem.constraint is not None
    low, high = problem.constraint.bounds()
    shift = torch.where(torch.isfinite(low), low, torch.where(torch.isfinite(high), high, 0.0))
    return _Bounds(low, high), shift


def _model_minimiser(
    problem: Composite, H: Tensor, point: Point, part: Penalty, shift: Tensor | None, *, share: float
) -> Tensor:
    """The minimum of the quadratic model around ``point``, but for a share of the violation there."""
    if shift is None:
        scale, start, inner = torch.ones_like(point.w), point.w, part
    else:
        assert isinstance(part, _Bounds)
        diagonal = H.diagonal()
        scale = diagonal.clamp(min=torch.finfo(H.dtype).tiny ** 0.25).rsqrt()
        start, inner = (point.w - shift) / scale, part.moved(shift, scale)
    system = GramSystem(scale[:, None] * H * scale)
    gradient = scale * point.gradient
    violation = float(inner.violation(start, gradient).max())
    goal = max(share * violation, torch.finfo(H.dtype).eps * float(gradient.abs().max()))
    found = SmallProblem(system, inner).minimise(start, gradient, tol=goal, most=MODEL_STEPS)
    problem.count("factorizations", system.factorizations)
    return found if shift is None else problem.project(shift + scale * found)


def _searched(
    problem: Composite, part: Penalty, point: Point, target: Tensor, *, value: float, violation: float
) -> tuple[Point | None, float]:
    """The first point on the way to ``target``, halved again and again, where F has fallen sufficiently.

    Where rounding hides how F changes, it counts as well if the violation is halved.
    """
    d, g = target - point.w, problem.g(point.w)
    promised = float(point.gradient @ d) + problem.g(target) - g
    noise, t = rounding(d.dtype) * (abs(value) + abs(g)), 1.0
    for _ in range(HALVINGS):
        w = target if t == 1.0 else problem.project(torch.add(point.w, d, alpha=t))
        new = point_at(problem, w)
        change = new.value + problem.g(w) - value
        if new.finite and change < 0.0 and change <= SUFFICIENT * t * promised:
            return new, t
        if new.finite and change <= noise and float(part.violation(w, new.gradient).max()) <= 0.5 * violation:
            return new, t
        t *= 0.5
    return None, 0.0


def _slopes(problem: Composite, point: Point) -> Tensor | None:
    """Derivatives of f in the predictions of a linear model [n]."""
    model = problem.smooth.model
    if model is None or point.predictions is None:
        return None
    return model.scale * model.loss.derivative(point.predictions, model.y)


@dataclass(frozen=True, eq=False)
class _Bounds(Penalty):
    """Bounds as a penalty: 0 within them, infinite outside.

    Args:
        low: [p].
        high: [p].
    """

    low: Tensor
    high: Tensor

    def value(self, w: Tensor) -> Tensor:
        inside = ((w >= self.low) & (w <= self.high)).all(-1)
        return torch.where(inside, 0.0, math.inf).to(w.dtype)

    def prox(self, v: Tensor, step: float) -> Tensor:
        return v.clamp(self.low, self.high)

    def violation(self, w: Tensor, g: Tensor) -> Tensor:
        up = torch.where(w >= self.high, 0.0, (-g).clamp(min=0.0))  # it wants to grow, and may
        down = torch.where(w <= self.low, 0.0, g.clamp(min=0.0))
        return up + down

    def prox_derivative(self, v: Tensor, step: float) -> Tensor:
        return ((v > self.low) & (v < self.high)).to(v.dtype)

    def restricted(self, index: Tensor) -> Penalty:
        return _Bounds(self.low.index_select(0, index), self.high.index_select(0, index))

    def moved(self, shift: Tensor, scale: Tensor) -> _Bounds:
        """The same bounds for ``(w - shift) / scale``."""
        return _Bounds((self.low - shift) / scale, (self.high - shift) / scale)
