"""The augmented Lagrangian for f(w) + g(A w), its subproblems by semismooth Newton steps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.errors import BadProblem
from optwise.core.oracles import Oracle
from optwise.core.solver import SMOOTH, Iterate, Solver
from optwise.methods.solvers.counted_operator import CountedOperator
from optwise.methods.solvers.dual_gaps import curvature_ratio, outside_domain, penalty_gap
from optwise.methods.solvers.newton_systems import NewtonSystems, in_float64
from optwise.methods.solvers.rays import Point, point_at, ray_from
from optwise.numerics.line_search import strong_wolfe

BALANCE = 0.1
"""A subproblem is solved until its own residual adds no more than this share of what the multiplier adds to the gap."""
FLATNESS = 0.1
"""Share of the slope that is left where a search ends."""
FORCING = 1e-6
"""Relative residual of a Newton system that is solved iteratively."""
FEW = 3
"""Newton steps of a subproblem that was easy: the next one is made harder."""
FALL = 0.1
"""Share to which a subproblem should bring what the multiplier adds to the gap; otherwise sigma grows."""
PATIENCE = 4
"""Subproblems in a row without a smaller gap after which rounding has the last word."""
LONGEST = 1e4
"""Times the length of the point that the first trial of a search may move it: what has no curvature leads anywhere."""


class _State(NamedTuple):
    """A point of a subproblem with what is known there."""

    point: Point
    z: Tensor  # A w [m]
    v: Tensor  # A w + u / sigma, where the proximal map is taken [m]
    u: Tensor  # the next multiplier, a subgradient of g at prox(v) [m]
    value: float  # of the augmented Lagrangian
    residual: Tensor  # its gradient [p]


@final
@dataclass(frozen=True, kw_only=True)
class SemismoothAugmentedLagrangian(Solver):
    r"""The augmented Lagrangian for a penalty behind an operator, each subproblem by semismooth Newton steps.

    For the constraint :math:`z = A w` with multiplier u, minimising over z leaves a smooth function of w,

    .. math:: \varphi(w) = f(w) + \min_z \Big( g(z) + \tfrac\sigma2 \big\|A w + \tfrac{u}{\sigma} - z\big\|^2 \Big),
        \qquad \nabla \varphi = \nabla f(w) + A^T u^+, \quad
        u^+ = \operatorname{prox}_{\sigma g^*}(u + \sigma A w)

    whose generalised Hessian is :math:`\nabla^2 f + \sigma A^T (I - D) A` with D the derivative of the proximal map:
    rows that the map leaves free do not count, which makes the systems small. Newton steps with a line search minimise
    it until its residual adds little to the duality gap; then :math:`u \leftarrow u^+`, and sigma grows by ``growth``
    where the subproblem was easy or the gap fell little. Newton's method ends after finitely many steps where f is
    quadratic and g piecewise linear, and the outer iteration converges superlinearly as sigma grows. Every multiplier
    lies in the domain of :math:`g^*`.

    Args:
        sigma: First penalty parameter, relative to the curvature of f over that of :math:`\|A w\|^2 / 2`.
        growth: Factor on sigma.

    Example:
        >>> from optwise.problems.terms.functions import SquaredDistance
        >>> from optwise.problems.terms.operators import MatrixOperator
        >>> from optwise.problems.terms.penalties import HingeSum
        >>> f = SquaredDistance(torch.zeros(1, dtype=torch.float64))
        >>> margins = MatrixOperator(torch.tensor([[1.0], [2.0]], dtype=torch.float64))
        >>> machine = Composite(f, HingeSum(0.4), margins)  # w^2 / 2 + 0.4 max(0, 1 - w) + 0.4 max(0, 1 - 2 w)
        >>> *_, last = SemismoothAugmentedLagrangian().solve(machine, torch.zeros_like(f.y))
        >>> last.w, last.dual
        (tensor([0.5000], dtype=torch.float64), tensor([-0.4000, -0.0500], dtype=torch.float64))

    References:
        Li, Sun and Toh (2018), A highly efficient semismooth Newton augmented Lagrangian method for solving Lasso
        problems; Rockafellar (1976), Augmented Lagrangians and applications of the proximal point algorithm in convex
        programming.
    """

    sigma: float = 1.0
    growth: float = 2.0

    needs: ClassVar[frozenset[Oracle]] = SMOOTH | {Oracle.PROX, Oracle.CONVEX, Oracle.CONVEX_PENALTY}
    accepts: ClassVar[frozenset[Oracle]] = frozenset({Oracle.OPERATOR})
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {"sigma": (1e-12, 1e12), "growth": (1.01, 1e6)}

    def refusal(self, problem: Composite) -> str:
        exact, origin = in_float64(problem)
        if exact.penalty is None:
            return "has no penalty"
        try:
            exact.penalty.prox_derivative(origin if exact.operator is None else exact.operator.forward(origin), 1.0)
        except BadProblem:
            return f"has a {type(exact.penalty).__name__}, which does not say how its proximal map changes"
        return outside_domain(problem)

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        lagrangian, eps = _Lagrangian(problem, w), torch.finfo(w.dtype).eps
        point = point_at(problem, w)
        if not point.finite:
            return
        lagrangian.sigma = self.sigma * curvature_ratio(problem, w, point.gradient)
        state, least, last, idle = lagrangian.at(point, lagrangian.A.forward(w)), math.inf, math.inf, 0
        while idle < PATIENCE:
            steps, moved, outer, inner, smallest = 0, True, 0.0, math.inf, math.inf
            while moved and inner > max(BALANCE * outer, eps * abs(state.value)):
                before = state.value
                slope, state, share = lagrangian.newton_step(state)
                value, outer, inner = lagrangian.gaps(state, slope)
                if not math.isfinite(value):
                    return
                # else rounding moves it to and fro
                better = state.value < before - 4 * eps * abs(before) or inner < 0.5 * smallest
                steps, moved, smallest = steps + 1, share > 0.0 and better, min(smallest, inner)
                measure = problem.gap_measure(outer + inner, value)
                yield Iterate(state.point.w, value, lagrangian.sigma, measure, state.u)
            lagrangian.u = state.u
            if steps <= FEW or outer > FALL * last:
                lagrangian.sigma *= self.growth
            fell = outer + inner < least - 4 * eps * abs(value)  # by more than rounding, while sigma grows
            least, idle = (outer + inner, 0) if fell else (least, idle + 1)
            last, state = outer, lagrangian.at(state.point, state.z)


@final
class _Lagrangian:
    """The augmented Lagrangian as a function of w, for the multiplier u and the penalty parameter sigma."""

    def __init__(self, problem: Composite, w: Tensor) -> None:
        assert problem.penalty is not None
        self._problem, self._penalty, self.A = problem, problem.penalty, CountedOperator(problem)
        self._systems, self._noise = NewtonSystems(problem, w, problem.operator), 4 * torch.finfo(w.dtype).eps
        self.u, self.sigma = torch.zeros_like(self.A.forward(w)), 1.0

    def at(self, point: Point, z: Tensor) -> _State:
        """What is known at a point with the image ``z`` [m]."""
        value, v, following = self._envelope(z)
        return _State(point, z, v, following, point.value + value, point.gradient + self.A.adjoint(following))

    def newton_step(self, state: _State) -> tuple[float, _State, float]:
        """A semismooth Newton step with a search along it: the slope at its start, where it ends, its length."""
        d = self.sigma * (1.0 - self._penalty.prox_derivative(state.v, 1.0 / self.sigma))
        move = -self._systems.factorise(state.point.w, d)(state.residual, FORCING)
        length, slope = float(move.norm()), float(state.residual @ move)
        if not (length < math.inf and slope < 0.0):  # the system is singular but for rounding
            move, length = -state.residual, float(state.residual.norm())
            slope = -length * length
        turn, ray = self.A.forward(move), ray_from(self._problem, state.point, move)

        def along(t: float) -> tuple[float, float]:
            (value, incline), (bent, _, following) = ray(t), self._envelope(torch.add(state.z, turn, alpha=t))
            return value + bent, incline + float(following @ turn)

        if not (math.isfinite(state.value) and math.isfinite(slope)):
            return math.nan, state, 0.0
        reach = LONGEST * max(1.0, float(state.point.w.norm()))
        step = min(1.0, reach / length) if length > 0.0 else 1.0
        search = strong_wolfe(along, value=state.value, slope=slope, step=step, curvature=FLATNESS, noise=self._noise)
        if search.step == 0.0:
            return slope, state, 0.0
        return slope, self.at(ray.point(search.step), torch.add(state.z, turn, alpha=search.step)), search.step

    def gaps(self, state: _State, slope: float) -> tuple[float, float, float]:
        """F, and the two parts of its gap: what u leaves of g and its conjugate, what the residual leaves of f's."""
        g, modulus = float(self._penalty.value(state.z)), self._problem.smooth.strong_convexity
        outer, _ = penalty_gap(self._penalty, g, state.z, state.u)
        if math.isnan(outer):  # without a conjugate: |A w - x|^2 sigma for the x where u is a subgradient
            outer = float((state.u - self.u).square().sum()) / self.sigma
        inner = float(state.residual @ state.residual) / (2.0 * modulus) if modulus > 0.0 else 0.5 * abs(slope)
        return state.point.value + g, outer, inner

    def _envelope(self, z: Tensor) -> tuple[float, Tensor, Tensor]:
        """The least of g(x) + sigma/2 |z + u/sigma - x|^2, where its map is taken, and the next multiplier."""
        self._problem.count("proxes")
        v = z + self.u / self.sigma
        x = self._penalty.prox(v, 1.0 / self.sigma)
        following = self.sigma * (v - x)
        return float(self._penalty.value(x)) + float(following @ following) / (2.0 * self.sigma), v, following
