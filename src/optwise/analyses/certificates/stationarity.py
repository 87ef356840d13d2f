"""Residuals of the first-order conditions: what is certified where nothing bounds the distance to the optimum."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from optwise.analyses.certificates.dual_points import at_prox, least_squares, of_argument, of_set
from optwise.analyses.certificates.evaluation import Evaluation
from optwise.analyses.certificates.predicted_decrease import newton_promise
from optwise.core.operator import LinearOperator
from optwise.core.oracles import Oracle
from optwise.numerics.finiteness import all_finite

DECREMENT = "Newton decrement"
STEPS = tuple(10.0**k for k in range(13))
"""Multiples of the step 1/L by which a proximal or projected step is tried, since one L may not fit all coordinates."""


@dataclass(frozen=True, eq=False)
class Stationarity:
    """How far a point is from meeting the first-order conditions.

    Args:
        name: Of the measure.
        value: The measure, without units.
        bent: The direction of the most negative curvature [p], where there is one.
        free: Coordinates that are not held at a bound, bool [p]; ``None`` where nobody looked.
        maps: Whether only proximal or projected steps were looked at, and negative curvature was not.
    """

    name: str
    value: float
    bent: Tensor | None = None
    free: Tensor | None = None
    maps: bool = False


def stationarity(at: Evaluation, dual: Tensor | None) -> Stationarity:
    r"""The relative residual of the first-order conditions at ``w``, with its name.

    - *Newton decrement*: the root of what the best of several steps gains by a quadratic model of f with its exact
      Hessian, over :math:`|F(w)|`. Without penalty and set that is Newton's step,
      :math:`\tfrac12 g^\top |H|^{-1} g`; within bounds it is Newton's step of the coordinates that may move, and what
      the others gain by going to their bound; with a penalty or another set, proximal or projected steps of many
      lengths, and Newton's step on the support of a separable penalty. Of a sum of squares it is about the cosine of
      the angle between the residuals and what the parameters can make of them. No unit of F or of a coordinate of w
      changes it.
    - *KKT residual* behind an operator: the larger of :math:`\|\nabla f(w) + A^\top v + c\|` over the lengths of its
      summands, and of the distance between :math:`A w` and the point where v is a subgradient, over :math:`\|A w\|`.

    Args:
        at: The point.
        dual: Of g's argument [m], where a solver offers one.

    References:
        Nocedal and Wright (2006), Numerical Optimization, section 10.2, for Newton's decrement; Beck (2017),
        First-Order Methods in Optimization, section 10.3, for the gradient map.
    """
    problem = at.problem
    if problem.operator is not None:
        return Stationarity("KKT residual", _kkt_residual(at, problem.operator, dual), maps=not at.convex)
    if at.smooth_only or _boxed(at):
        return _within_bounds(at)
    return Stationarity(DECREMENT, _over_size(at, _by_maps(at)), maps=not at.convex)


def _over_size(at: Evaluation, decrease: float) -> float:
    return at.problem.decrement_measure(decrease, at.value)


def _enough(at: Evaluation) -> float:
    """The decrease at which the measure is ``tol``."""
    return at.problem.tol**2 * abs(at.value)


def _boxed(at: Evaluation) -> bool:
    constraint = at.problem.constraint
    return at.problem.penalty is None and constraint is not None and Oracle.BOUNDS in constraint.oracles


def _within_bounds(at: Evaluation) -> Stationarity:
    """Newton's step of the free coordinates, and what the others gain on the way to their bound."""
    g, enough = at.gradient, _enough(at)
    free, gain = torch.ones_like(g, dtype=torch.bool), 0.0
    if at.problem.constraint is not None:
        low, high = at.problem.constraint.bounds()
        room = torch.where(g > 0, at.w - low, high - at.w).clamp(min=0)  # [p], how far downhill a bound is
        # a coordinate is held where all of its room gains less than what counts, whatever its curvature
        held = torch.isfinite(room) & (room * g.abs() <= enough / (2 * len(g)))
        held &= g != 0
        gain = float((room * g.abs())[held].sum())
        free = ~held
    found = newton_promise(at, free, g, enough=enough)
    return Stationarity(DECREMENT, _over_size(at, found.decrease + gain), found.bent, free)


def _by_maps(at: Evaluation) -> float:
    """The largest decrease that a proximal or projected step promises; infinite where there is no map."""
    if not at.has_prox:
        return math.inf
    if at.joint:
        return 0.5 * at.step * _joint_map(at) ** 2
    problem, enough, best = at.problem, _enough(at), 0.0
    last: Tensor | None = None
    for factor in STEPS:
        t = factor * at.step
        z = at.w - t * at.gradient
        there = z if problem.penalty is None else problem.penalty.prox(z, t)
        there = there if problem.constraint is None else problem.constraint.project(there)
        if not all_finite(there):
            break
        if last is not None and torch.equal(there, last):
            break
        last = there
        best = max(best, _promised(at, there))
        if best > enough:
            return best
    return max(best, _on_support(at, enough))


def _promised(at: Evaluation, there: Tensor) -> float:
    """What moving towards a point promises, all of the way or as far as is best."""
    d = there - at.w
    if not bool(d.any()):
        return 0.0
    penalty = at.problem.penalty
    rise = 0.0 if penalty is None else float(penalty.value(there)) - at.g
    slope, bend = float(at.gradient @ d) + rise, float(d @ at.bend(d))
    found = -(slope + 0.5 * bend)
    convex = (penalty is None or penalty.convex) and (at.problem.constraint is None or at.problem.constraint.convex)
    if convex and slope < 0 and bend > -slope:  # the penalty lies below its chord
        found = max(found, 0.5 * slope * slope / bend)
    return found if math.isfinite(found) else math.inf


def _on_support(at: Evaluation, enough: float) -> float:
    """Newton's promise over the coordinates where a separable penalty is smooth: those that are not 0."""
    penalty = at.problem.penalty
    if penalty is None or Oracle.SUBDIFFERENTIAL not in penalty.oracles or at.problem.constraint is not None:
        return 0.0
    free = at.w != 0
    with torch.enable_grad():
        point = at.w.detach().requires_grad_()
        try:
            value = penalty.value(point)
            (slope,) = torch.autograd.grad(value, point, create_graph=True, materialize_grads=True)
            bend = torch.zeros_like(at.w)
            if slope.requires_grad:
                (bend,) = torch.autograd.grad(slope.sum(), point, materialize_grads=True)
        except RuntimeError:  # a value that autograd cannot follow says nothing more
            return 0.0
    return newton_promise(at, free, at.gradient + slope.detach(), bend.detach(), enough=enough).decrease


def _joint_map(at: Evaluation) -> float:
    """Length of the gradient map of a penalty together with a set."""
    t, penalty, constraint = at.step, at.problem.penalty, at.problem.constraint
    assert penalty is not None
    assert constraint is not None
    point = at_prox(at, at.w - t * at.gradient, t)
    assert point.v is not None
    assert point.c is not None
    # v is a subgradient at w, and c a normal, just where these maps come back to w
    back = (penalty.prox(at.w + t * point.v, t), constraint.project(at.w + t * point.c))
    return max(float((at.gradient + point.pull).norm()), *(float((x - at.w).norm()) / t for x in back))


def _kkt_residual(at: Evaluation, operator: LinearOperator, dual: Tensor | None) -> float:
    penalty, constraint = at.problem.penalty, at.problem.constraint
    if penalty is None or not at.has_prox:
        return math.inf
    offered = dual is not None and dual.shape == at.image.shape
    v = dual if dual is not None and offered else least_squares(operator, -at.gradient)
    point, place = of_argument(at, penalty, v)
    rest, size = at.gradient + point.pull, float(at.gradient.norm() + point.pull.norm())
    if constraint is not None:
        normal = of_set(constraint, at.w - at.step * rest, at.step).pull
        rest, size = rest + normal, size + float(normal.norm())
    length = float(at.image.norm())
    apart = float((at.image - place).norm()) / (length if length > 0 else 1.0)
    return max(float(rest.norm()) / size if size > 0 else 0.0, apart)
