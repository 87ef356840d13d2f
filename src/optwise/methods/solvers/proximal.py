"""Gradient steps followed by a proximal map or a projection: plain, and with momentum that restarts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.oracles import Oracle
from optwise.core.solver import CONVEX, SMOOTH, Iterate, Solver
from optwise.methods.solvers.lower_bounds import LowerBound
from optwise.methods.solvers.tangents import Place, Tangent, Tangents, tangents_of

PATIENCE = 1000
"""Iterations without progress before either method stalls; momentum swings for a while before it restarts."""
TRIALS = 100
"""Lengths tried for one step."""
SAFETY = 1.05
"""Factor on a measured curvature, where it becomes the next L."""
LEAP = 100.0
"""L grows by at most this factor at a time, whatever was measured."""
FACTORS = {"growth": (1.0, 10.0), "shrink": (0.01, 0.99)}


class _Step(NamedTuple):
    """Where a proximal step led.

    Args:
        to: The place.
        value: F there.
        L: A curvature that the step was short enough for.
        length: Norm of the gradient map.
        measured: Whether the curvature along the step was measured, rather than hidden by rounding.
    """

    to: Place
    value: float
    L: float
    length: float
    measured: bool


@final
@dataclass(frozen=True, kw_only=True)
class ProximalGradient(Solver):
    r"""Proximal gradient (forward-backward splitting, ISTA for the lasso), with steps that adapt.

    .. math:: w_{k+1} = \operatorname{prox}_{g/L}\bigl(w_k - \tfrac1L \nabla f(w_k)\bigr)

    or the projection onto the set. Before each step 1/L grows by a factor, and it shrinks until f lies below its
    quadratic model at the new point, so that it follows the curvature where the iterates are. One gradient, one
    proximal map and a little more than one value an iteration: two to three products for a linear model. F never rises;
    for convex f it falls as :math:`L \|w_0 - w^*\|^2 / (2k)`, linearly under strong convexity. f and g need not be
    convex.

    Args:
        growth: Factor on 1/L before each step; 1 only lets it shrink.
        shrink: Factor on 1/L after a step that was too long, at most.

    Example:
        >>> from optwise.core.penalty import Penalty
        >>> from optwise.core.smooth import Smooth
        >>> class Bowl(Smooth):
        ...     dimension, convex = 2, True
        ...
        ...     def value(self, w):
        ...         return (w - torch.tensor([3.0, 0.5])).square().sum()
        >>> class TwiceL1(Penalty):
        ...     def value(self, w):
        ...         return 2 * w.abs().sum(-1)
        ...
        ...     def prox(self, v, step):
        ...         return v.sign() * (v.abs() - 2 * step).clamp(min=0)
        >>> *_, last = ProximalGradient().solve(Composite(Bowl(), TwiceL1()), torch.zeros(2))
        >>> last.w
        tensor([2., 0.])

    References:
        Lions and Mercier (1979), Splitting algorithms for the sum of two nonlinear operators; Beck and Teboulle (2009),
        A fast iterative shrinkage-thresholding algorithm for linear inverse problems, section 3.
    """

    growth: float = 1.2
    shrink: float = 0.25

    needs = SMOOTH
    accepts = frozenset({Oracle.PROX, Oracle.PROJECTION})
    limits: ClassVar[Mapping[str, tuple[float, float]]] = FACTORS

    def refusal(self, problem: Composite) -> str:
        return _refusal(problem)

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        tangents, bound, idle, L = tangents_of(problem), LowerBound(problem), 0, 0.0
        at = tangents.place(_inside(problem, w))
        value = at.f + problem.g(at.w)
        while idle < PATIENCE and math.isfinite(value):
            tangent = tangents.tangent(at)
            if not tangent.finite:
                return
            L = L or tangents.first_curvature(tangent)
            step = None
            for _ in range(TRIALS):
                step, L = _stepped(problem, tangents, tangent, L, shrink=self.shrink)
                if step is not None:
                    break
            if step is None:
                return
            bound.offer(at.w, tangent.at.f, tangent.gradient, slopes=tangent.slopes)
            idle = 0 if step.value < value - _rounding(w) * abs(value) else idle + 1
            at, value, L = step.to, step.value, step.L / self.growth if step.measured else step.L
            yield Iterate(at.w, value, 1.0 / step.L, bound.measure(value, 0.5 * step.length**2 / step.L), bound.dual)
            if step.length == 0.0:
                return


@final
@dataclass(frozen=True, kw_only=True)
class FISTA(Solver):
    r"""Accelerated proximal gradient with steps that adapt, restarted where its momentum points uphill.

    .. math:: w_{k+1} = \operatorname{prox}_{g/L_k}\bigl(y_k - \tfrac{1}{L_k} \nabla f(y_k)\bigr), \quad
        t_{k+1} = \frac{1 + \sqrt{1 + 4 t_k^2 L_{k+1} / L_k}}{2}, \quad
        y_{k+1} = w_{k+1} + \frac{t_k - 1}{t_{k+1}} (w_{k+1} - w_k)

    Before each step 1/L grows by a factor, and it shrinks, and y with it, until f lies below its quadratic model at the
    new point. Momentum starts anew, at t = 1, where :math:`\langle y_k - w_{k+1}, w_{k+1} - w_k \rangle > 0`. One
    gradient, one proximal map and one more value an iteration, and a second gradient where a step was too long: a
    linear model pays two products for that, since predictions at y follow from those at w. For convex f it falls as
    :math:`2 L \|w_0 - w^*\|^2 / (k + 1)^2` with the largest L so far; under strong convexity linearly, which restarts
    reach without knowing the modulus. The best point so far is handed out; its gap is bounded from the tangent at y.

    Args:
        growth: Factor on 1/L before each step; 1 only lets it shrink.
        shrink: Factor on 1/L after a step that was too long, at most.
        restart: Whether momentum starts anew where it points uphill.

    Example:
        >>> from optwise.core.penalty import Penalty
        >>> from optwise.core.smooth import Smooth
        >>> class Bowl(Smooth):
        ...     dimension, convex = 2, True
        ...
        ...     def value(self, w):
        ...         return (w - torch.tensor([3.0, 0.5])).square().sum()
        >>> class TwiceL1(Penalty):
        ...     def value(self, w):
        ...         return 2 * w.abs().sum(-1)
        ...
        ...     def prox(self, v, step):
        ...         return v.sign() * (v.abs() - 2 * step).clamp(min=0)
        >>> *_, last = FISTA().solve(Composite(Bowl(), TwiceL1()), torch.zeros(2))
        >>> last.w
        tensor([2., 0.])

    References:
        Beck and Teboulle (2009), A fast iterative shrinkage-thresholding algorithm for linear inverse problems;
        O'Donoghue and Candès (2015), Adaptive restart for accelerated gradient schemes; Scheinberg, Goldfarb and Bai
        (2014), Fast first-order methods for composite convex optimization with backtracking, for steps that grow.
    """

    growth: float = 1.1
    shrink: float = 0.67
    restart: bool = True

    needs = SMOOTH | CONVEX
    accepts = frozenset({Oracle.PROX, Oracle.PROJECTION})
    limits: ClassVar[Mapping[str, tuple[float, float]]] = FACTORS

    def refusal(self, problem: Composite) -> str:
        return _refusal(problem)

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        tangents, bound, idle, t, before_L, L = tangents_of(problem), LowerBound(problem), 0, 1.0, 0.0, 0.0
        at = before = tangents.place(_inside(problem, w))
        best = Iterate(at.w, at.f + problem.g(at.w))
        while idle < PATIENCE and math.isfinite(best.value):
            step = None
            for _ in range(TRIALS):
                following = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * t * t * (L / before_L if before_L else 1.0)))
                y = tangents.tangent(at if t == 1.0 else tangents.beyond(before, at, (t - 1.0) / following))
                if not y.finite:
                    if t == 1.0:
                        return
                    t = 1.0  # y lies where f has no value: go on from w, which does not
                    continue
                L = L or tangents.first_curvature(y)
                step, L = _stepped(problem, tangents, y, L, shrink=self.shrink)
                if step is not None:
                    break
            if step is None:
                return
            bound.offer(y.at.w, y.at.f, y.gradient, slopes=y.slopes)
            idle = 0 if step.value < best.value - _rounding(w) * abs(best.value) else idle + 1
            if step.value <= best.value:
                best = Iterate(step.to.w, step.value)
            measure = bound.measure(best.value, 0.5 * step.length**2 / step.L)
            yield best._replace(step=1.0 / step.L, measure=measure, dual=bound.dual)
            if step.length == 0.0:
                return
            uphill = self.restart and float((y.at.w - step.to.w) @ (step.to.w - at.w)) > 0.0
            t, before, at = 1.0 if uphill else following, at, step.to
            before_L, L = step.L, step.L / self.growth if step.measured else step.L


def _refusal(problem: Composite) -> str:
    if problem.penalty is not None and problem.operator is not None:
        return "needs the proximal map of the penalty behind its operator, which nobody knows"
    if problem.penalty is not None and problem.constraint is not None:
        return "needs one proximal map for the penalty and the set together, which nobody knows"
    return ""


def _inside(problem: Composite, w: Tensor) -> Tensor:
    """The start, moved to where g is finite, or into the set."""
    if problem.penalty is None or math.isfinite(problem.g(w)):
        return problem.project(w)
    return problem.prox(w, torch.finfo(w.dtype).tiny)  # a step of next to nothing: the nearest point of its domain


def _stepped(
    problem: Composite, tangents: Tangents, y: Tangent, L: float, *, shrink: float
) -> tuple[_Step | None, float]:
    """A proximal step with L, or ``None`` and a larger L where f lies above its model."""
    to = tangents.place(problem.prox(torch.add(y.at.w, y.gradient, alpha=-1.0 / L), 1.0 / L))
    length = L * float(torch.linalg.vector_norm(to.w - y.at.w))
    if length == 0.0:
        return _Step(to, to.f + problem.g(to.w), L, 0.0, measured=False), L
    curvature = tangents.curvature(y, to)
    if math.isnan(curvature) or curvature <= L:
        value = to.f + problem.g(to.w)
        if math.isfinite(value):
            return _Step(to, value, L, length, measured=not math.isnan(curvature)), L
    asked = SAFETY * curvature if math.isfinite(curvature) else 0.0
    return None, max(min(asked, LEAP * L), L / shrink)


def _rounding(like: Tensor) -> float:
    return 4.0 * torch.finfo(like.dtype).eps
