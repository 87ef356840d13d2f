"""The primal-dual hybrid gradient method: products and proximal maps are all it takes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.oracles import Oracle
from optwise.core.solver import SMOOTH, Iterate, Solver
from optwise.methods.solvers.counted_operator import CountedOperator
from optwise.methods.solvers.dual_gaps import better, outside_domain, penalty_gap, total_gap
from optwise.methods.solvers.newton_systems import quadratic
from optwise.numerics.finiteness import all_finite

SHARE = 0.55
"""Of L that 1/tau must leave; a half is the bound."""
CHECK = 10
"""Iterations from one look at the residuals to the next."""
SUFFICIENT = 0.2
"""A restart follows where the residuals have fallen to this share of those at the last one,"""
NECESSARY = 0.8
"""or to this share while they have stopped falling,"""
LONG = 0.36
"""or where this share of all iterations has passed since."""
SMOOTHING = 0.5
"""Power of the ratio of distances over the weight by which the weight changes in a restart,"""
BOLDEST = 2.0
"""and the most that it may change by: a dual point that stands at its bound says little."""
LOWER = 0.98
"""Factor on the estimate of L in each iteration, so that it forgets where f bent more."""
DOUBLINGS = 60
"""Times the estimate of L may be doubled in one iteration."""
PATIENCE = 20
"""Looks in a row without smaller residuals, at the level of rounding, after which nothing more is to come."""


class _Pair(NamedTuple):
    """A primal and a dual point with the linear images of both; averages of pairs are pairs where f is quadratic."""

    w: Tensor  # [p]
    u: Tensor  # [m]
    image: Tensor  # A w [m]
    pull: Tensor  # A^T u [p]
    gradient: Tensor  # of f at w [p]

    def towards(self, other: _Pair, share: float) -> _Pair:
        """The weighted mean of both."""
        return _Pair(*(torch.lerp(own, new, share) for own, new in zip(self, other, strict=True)))


class _Look(NamedTuple):
    """What a pair leaves of the optimality conditions."""

    pair: _Pair
    length: float  # in the metric of the steps
    rounding: float  # the length that rounding alone leaves
    iterate: Iterate


@final
@dataclass(frozen=True, kw_only=True)
class PDHG(Solver):
    r"""The primal-dual hybrid gradient method, with a gradient of f and a projection in the primal step.

    .. math::
        w^+ &= P_C\big(w - \tau (\nabla f(w) + A^T u)\big), \\
        u^+ &= \operatorname{prox}_{\sigma g^*}\big(u + \sigma A (2 w^+ - w)\big), \qquad
        \tfrac1\tau - \sigma \|A\|^2 > \tfrac L2

    With the weight omega the steps are :math:`\tau = 1 / (0.55 L + \omega \|A\|)` and
    :math:`\sigma = \omega / \|A\|`. The residuals of the optimality conditions are looked at every ten iterations. Once
    they have fallen enough, the method starts again from where it is or, for a quadratic f, from the average since the
    last start, whichever has the smaller residuals, and omega moves towards the ratio of the distances that u and w
    went since. That makes the rate linear on linear and quadratic programs. An iteration costs one gradient and two
    products. L is the known constant or else an estimate that follows how much f bends.

    Args:
        weight: First omega, relative to the size of the dual over that of the primal step.

    Example:
        >>> from optwise.problems.terms.functions import SquaredDistance
        >>> from optwise.problems.terms.operators import FirstDifference
        >>> from optwise.problems.terms.penalties import L1
        >>> from optwise.problems.terms.sets import Nonnegative
        >>> f = SquaredDistance(torch.tensor([-3.0, -3.0, 6.0, 6.0], dtype=torch.float64))
        >>> problem = Composite(f, L1(2.0), FirstDifference(4), Nonnegative(4))
        >>> *_, last = PDHG().solve(problem, torch.zeros_like(f.y))
        >>> last.w.round(decimals=12)
        tensor([0., 0., 5., 5.], dtype=torch.float64)

    References:
        Chambolle and Pock (2011), A first-order primal-dual algorithm for convex problems; Condat (2013), A primal-dual
        splitting method for convex optimization involving Lipschitzian, proximable and linear composite terms;
        Applegate et al. (2021), Practical large-scale linear programming using primal-dual hybrid gradient.
    """

    weight: float = 1.0

    needs: ClassVar[frozenset[Oracle]] = SMOOTH | {
        Oracle.PROX,
        Oracle.CONVEX,
        Oracle.CONVEX_PENALTY,
        Oracle.CONVEX_SET,
    }
    accepts: ClassVar[frozenset[Oracle]] = frozenset({Oracle.PROJECTION, Oracle.OPERATOR})
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {"weight": (1e-12, 1e12)}

    def refusal(self, problem: Composite) -> str:
        return outside_domain(problem)

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        course = _Course(problem, problem.project(w), self.weight)
        best, idle = Iterate(w, math.inf, measure=math.inf), 0
        while idle < PATIENCE:
            for _ in range(CHECK - 1):
                if not course.advance():
                    return
                found = course.iterate(best.measure)
                if math.isfinite(found.value):
                    yield found
            if not course.advance():
                return
            look = course.look()
            best = better(best, look.iterate)
            if math.isfinite(best.value):
                yield best
            idle = idle + 1 if look.length <= look.rounding else 0


@final
class _Course:
    """Where the method is, since when, and what it has learned of f."""

    def __init__(self, problem: Composite, w: Tensor, weight: float) -> None:
        penalty, A = problem.penalty, CountedOperator(problem)
        assert penalty is not None
        self._problem, self._penalty, self._A = problem, penalty, A
        self._norm = A.norm(w) or 1.0
        self._f, gradient = problem.f_and_gradient(w)
        image = A.forward(w)
        self._pair = _Pair(w, torch.zeros_like(image), image, torch.zeros_like(w), gradient)
        bound = problem.smooth.lipschitz
        self._known, self._L = bound is not None, _curvature(problem, w, gradient) if bound is None else bound
        self._weight = weight * (float(gradient.norm()) / self._norm or 1.0) / (float(w.norm()) or 1.0)
        self._averaged = quadratic(problem)
        self._mean, self._start, self._since, self._total = self._pair, self._pair, 0, 0
        self._base = self._before = math.inf

    @property
    def steps(self) -> tuple[float, float]:
        """Tau and sigma."""
        return 1.0 / (SHARE * self._L + self._weight * self._norm), self._weight / self._norm

    def advance(self) -> bool:
        """One iteration; false where no step leads to a finite point."""
        problem, pair = self._problem, self._pair
        self._L *= 1.0 if self._known else LOWER
        for _ in range(DOUBLINGS):
            tau, sigma = self.steps
            w = problem.project(pair.w - tau * (pair.gradient + pair.pull))
            f, gradient = problem.f_and_gradient(w)
            move = w - pair.w
            above = f - self._f - float(pair.gradient @ move)
            slack = 8 * torch.finfo(w.dtype).eps * (abs(f) + abs(self._f))
            if self._known or above <= 0.5 * self._L * float(move @ move) + slack:  # false for NaN
                break
            self._L = 2.0 * self._L or 1.0
        if not math.isfinite(f) or not all_finite(gradient):
            return False
        image = self._A.forward(w)
        u = self._prox_conjugate(torch.add(pair.u, 2.0 * image - pair.image, alpha=sigma), sigma)
        self._pair, self._f = _Pair(w, u, image, self._A.adjoint(u), gradient), f
        self._since, self._total = self._since + 1, self._total + 1
        self._mean = self._mean.towards(self._pair, 1.0 / self._since) if self._averaged else self._pair
        return True

    def iterate(self, measure: float) -> Iterate:
        """The current point, with a measure that is known already."""
        value = self._f + float(self._penalty.value(self._pair.image))
        return Iterate(self._pair.w, value, self.steps[0], measure, self._pair.u)

    def look(self) -> _Look:
        """The better of the current pair and the average; the method starts again from it where that is due."""
        found = self._looked_at(self._pair, self._f)
        if self._averaged:
            mean = self._looked_at(self._mean, self._problem.f(self._mean.w))
            found = mean if mean.length < found.length else found
        enough = found.length <= SUFFICIENT * self._base
        turned = self._before < found.length <= NECESSARY * self._base
        if enough or turned or self._since >= LONG * self._total:
            self._restart(found)
        self._before = found.length
        return found

    def _restart(self, found: _Look) -> None:
        w, u = found.pair.w, found.pair.u
        primal, dual = float((w - self._start.w).norm()), float((u - self._start.u).norm())
        if primal > 0.0 and dual > 0.0:
            factor = (dual / (primal * self._weight)) ** SMOOTHING
            self._weight *= min(max(factor, 1.0 / BOLDEST), BOLDEST)
        self._f, gradient = self._problem.f_and_gradient(w)
        # images anew: averages of averages gather rounding
        self._pair = _Pair(w, u, self._A.forward(w), self._A.adjoint(u), gradient)
        self._mean = self._start = self._pair
        self._since, self._base = 0, found.length

    def _looked_at(self, pair: _Pair, f: float) -> _Look:
        problem, (tau, sigma) = self._problem, self.steps
        rest, eps = pair.gradient + pair.pull, torch.finfo(pair.w.dtype).eps
        stepped = problem.project(pair.w - tau * rest)
        left = (pair.w - stepped) / tau  # of the gradient, once a normal to the set has taken its part
        self._problem.count("proxes")
        apart = pair.image - self._penalty.prox(pair.image + pair.u / sigma, 1.0 / sigma)
        length = math.sqrt(tau) * float(left.norm()) + math.sqrt(sigma) * float(apart.norm())
        size = math.sqrt(tau) * float(pair.gradient.norm() + pair.pull.norm() + pair.w.norm() / tau)
        size += math.sqrt(sigma) * float(pair.image.norm() + pair.u.norm() / sigma)
        g = float(self._penalty.value(pair.image))
        slack, _ = penalty_gap(self._penalty, g, pair.image, pair.u)
        slack += max(float((left - rest) @ (stepped - pair.w)), 0.0) if problem.constraint is not None else 0.0
        measure = total_gap(problem, f + g, slack=slack, rest=float(left.norm()), reach=float(pair.w.norm()))
        return _Look(pair, length, 4 * eps * size, Iterate(pair.w, f + g, tau, measure, pair.u))

    def _prox_conjugate(self, v: Tensor, sigma: float) -> Tensor:
        self._problem.count("proxes")
        return v - sigma * self._penalty.prox(v / sigma, 1.0 / sigma)


def _curvature(problem: Composite, w: Tensor, d: Tensor) -> float:
    """The curvature of f at w along its gradient, where that is known and not nothing."""
    length = float(d.norm())
    found = float(problem.hvp(w, d).norm()) / length if length > 0.0 else 0.0
    return found if math.isfinite(found) else 1.0
