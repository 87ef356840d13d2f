"""The alternating direction method of multipliers, for a penalty behind an operator and a set beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.oracles import Oracle
from optwise.core.solver import SMOOTH, Iterate, Solver
from optwise.methods.solvers.counted_operator import CountedOperator
from optwise.methods.solvers.dual_gaps import curvature_ratio, outside_domain, penalty_gap, total_gap
from optwise.methods.solvers.newton_systems import NewtonSystems, Solve, quadratic
from optwise.methods.solvers.rays import Point, point_at, ray_from
from optwise.numerics.line_search import armijo

FORCING = 0.1
"""Share of the splitting residuals below which the residual of a subproblem is no worry."""
MOST_STEPS = 20
"""Newton steps in one subproblem."""
EXACT = 1e-10
"""Relative residual of iterative solves."""
HIDDEN = 100.0
"""Times the rounding error of a value that a step must promise for values to be looked at."""
CONTRACTION = 0.5
"""A Hessian factorised elsewhere serves as long as a step with it takes this share off the residual."""
FIRST_LOOK = 5
"""Iterations before rho may be balanced anew; the wait grows by half each time."""
UNEVEN = 3.0
"""Ratio of the relative residuals that calls for another rho."""
PATIENCE = 10
"""Iterations in a row whose residuals are rounding after which nothing more is to come."""


class _Residuals(NamedTuple):
    """How far an iteration is from a fixed point."""

    primal: float  # |A w - z|
    dual: float  # rho |A^T (z - z_old)|
    image: float  # the larger of |A w| and |z|
    pull: float  # rho |A^T u|, of each copy on its own

    @property
    def unevenness(self) -> float:
        """The relative primal residual over the relative dual one; 1 where neither says anything."""
        if self.primal * self.pull == 0.0:
            return 1.0
        return self.primal * self.pull / (self.dual * self.image) if self.dual * self.image > 0.0 else math.inf


@final
class _Copy:
    """A part behind its own copy z of A w."""

    def __init__(
        self,
        forward: Callable[[Tensor], Tensor],
        adjoint: Callable[[Tensor], Tensor],
        prox: Callable[[Tensor, float], Tensor],
        w: Tensor,
    ) -> None:
        self.forward, self.adjoint, self.prox = forward, adjoint, prox
        self.image = self.z = forward(w)  # [m]
        self.u = torch.zeros_like(self.z)  # the dual point over rho [m]

    def update(self, w: Tensor, rho: float, relaxation: float) -> tuple[Tensor, Tensor]:
        """The second and third line of the method at a new w: A^T (z - z_old) and A^T u [p]."""
        before, self.image = self.z, self.forward(w)
        ahead = relaxation * self.image + (1.0 - relaxation) * before + self.u
        self.z = self.prox(ahead, 1.0 / rho)
        self.u = ahead - self.z
        return self.adjoint(self.z - before), self.adjoint(self.u)


@final
@dataclass(frozen=True, kw_only=True)
class ADMM(Solver):
    r"""The alternating direction method of multipliers.

    .. math::
        w &\leftarrow \operatorname*{argmin}_w f(w) + \tfrac\rho2 \|A w - z + u\|^2, \qquad
        h = \alpha A w + (1 - \alpha) z, \\
        z &\leftarrow \operatorname{prox}_{g / \rho}(h + u), \qquad u \leftarrow u + h - z

    A set is one more part with a copy of w of its own, and its projection as the map. For a quadratic f the first line
    is a linear system that is factorised once for each rho, banded where that can be; for others it takes Newton steps
    whose factorised Hessian is kept as long as it helps. rho is balanced so that the two residuals,

    .. math:: \|A w - z\| \text{ relative to } \max(\|A w\|, \|z\|), \qquad
        \rho \|A^T (z - z_{\text{old}})\| \text{ relative to } \rho \|A^T u\|,

    fall together. :math:`\rho u` is a subgradient of g at z and is handed out as the dual point. The answer is the copy
    in the set, without a set the copy z where A is the identity, else w. Fast to two or three digits, then linear.

    Args:
        rho: First penalty parameter, relative to the curvature of f over that of :math:`|A w|^2 / 2`.
        relaxation: alpha, below 2.

    Example:
        >>> from optwise.problems.terms.functions import SquaredDistance
        >>> from optwise.problems.terms.operators import FirstDifference
        >>> from optwise.problems.terms.penalties import L1
        >>> f = SquaredDistance(torch.tensor([0.0, 0.0, 6.0, 6.0], dtype=torch.float64))
        >>> *_, last = ADMM().solve(Composite(f, L1(2.0), FirstDifference(4)), torch.zeros_like(f.y))
        >>> last.w.round(decimals=12)
        tensor([1., 1., 5., 5.], dtype=torch.float64)

    References:
        Boyd, Parikh, Chu, Peleato and Eckstein (2011), Distributed optimization and statistical learning via the
        alternating direction method of multipliers; Wohlberg (2017), ADMM penalty parameter selection by residual
        balancing.
    """

    rho: float = 1.0
    relaxation: float = 1.6

    needs: ClassVar[frozenset[Oracle]] = SMOOTH | {Oracle.CONVEX, Oracle.CONVEX_PENALTY, Oracle.CONVEX_SET}
    accepts: ClassVar[frozenset[Oracle]] = frozenset({Oracle.PROX, Oracle.PROJECTION, Oracle.OPERATOR})
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {"rho": (1e-12, 1e12), "relaxation": (0.1, 1.95)}

    def refusal(self, problem: Composite) -> str:
        if problem.penalty is None and problem.constraint is None:
            return "has a smooth part alone"
        if problem.penalty is not None and Oracle.PROX not in problem.penalty.oracles:
            return f"has a {type(problem.penalty).__name__} without a proximal map"
        # a copy that the proximal map has made lies in the domain of g; w, and a copy in the set, need not
        return "" if problem.operator is None and problem.constraint is None else outside_domain(problem)

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        point, eps = point_at(problem, w), torch.finfo(w.dtype).eps
        copies, smooth = _copies(problem, w), _Smooth(problem, w)
        rho = self.rho * curvature_ratio(problem, w, point.gradient)
        forcing, due, wait, idle, k = math.inf, FIRST_LOOK, FIRST_LOOK, 0, 0
        while idle < PATIENCE and point.finite:
            k += 1
            point = smooth.minimised(point, copies, rho, forcing)
            changes = [copy.update(point.w, rho, self.relaxation) for copy in copies]
            moves, pulls = (torch.stack(parts) for parts in zip(*changes, strict=True))  # [copies, p]
            residuals = _residuals(copies, moves, pulls, rho)
            found = _answer(problem, point, copies, rho, pulls.sum(0))
            if not math.isfinite(found.value):
                return
            yield found
            forcing = FORCING * max(residuals.dual, residuals.primal * residuals.pull / max(residuals.image, 1e-300))
            still = residuals.primal <= 8 * eps * residuals.image and residuals.dual <= 8 * eps * residuals.pull
            idle = idle + 1 if still else 0
            if k >= due and not 1.0 / UNEVEN <= residuals.unevenness <= UNEVEN:
                factor = min(max(math.sqrt(residuals.unevenness), 0.1), 10.0)
                rho, wait, due = rho * factor, int(1.5 * wait) + 1, k + wait
                for copy in copies:
                    copy.u = copy.u / factor


@final
class _Smooth:
    """The subproblem of w, f(w) + rho/2 |A w - c|^2 for the target c = z - u of each copy."""

    def __init__(self, problem: Composite, w: Tensor) -> None:
        self._problem, self._exact = problem, quadratic(problem)
        self._systems = NewtonSystems(problem, w, problem.operator if problem.penalty is not None else None)
        # with two copies the one of the set adds a multiple of the identity to the system of the penalty's
        self._beside = 1.0 if problem.penalty is not None and problem.constraint is not None else 0.0
        self._solve: Solve | None = None
        self._rho = math.nan

    def minimised(self, point: Point, copies: list[_Copy], rho: float, forcing: float) -> Point:
        """The minimiser, exactly for a quadratic, else until the residual falls to ``forcing``."""
        if rho != self._rho:
            self._rho, self._solve = rho, None
        errors = [copy.image - copy.z + copy.u for copy in copies]  # A w - c
        residual, before = self._residual(point, copies, errors), math.inf
        for _ in range(MOST_STEPS):
            length = float(residual.norm())
            if not 0.0 < length < math.inf:
                break
            if self._solve is None or (length > CONTRACTION * before and not self._exact):
                self._solve = self._systems.factorise(point.w, rho, self._beside * rho)
            move = -self._solve(residual, EXACT)
            if self._exact:
                return point_at(self._problem, point.w + move)
            turns = [copy.forward(move) for copy in copies]
            point, step, judged = self._searched(point, move, errors, turns)
            errors = [torch.add(error, turn, alpha=step) for error, turn in zip(errors, turns, strict=True)]
            residual, before = self._residual(point, copies, errors), length
            left = float(residual.norm())
            if step == 0.0 or left <= forcing or (left >= length and not judged):
                break
        return point

    def _residual(self, point: Point, copies: list[_Copy], errors: list[Tensor]) -> Tensor:
        pulls = (copy.adjoint(error) for copy, error in zip(copies, errors, strict=True))
        return point.gradient + self._rho * torch.stack(list(pulls)).sum(0)

    def _searched(
        self, point: Point, move: Tensor, errors: list[Tensor], turns: list[Tensor]
    ) -> tuple[Point, float, bool]:
        """Where a search along ``move`` ends, its step, and whether values judged it."""
        ray, half = ray_from(self._problem, point, move), 0.5 * self._rho
        error, turn = torch.cat(errors), torch.cat(turns)
        square, cross, bend = float(error @ error), float(error @ turn), float(turn @ turn)
        value, slope = point.value + half * square, ray.slope + 2.0 * half * cross
        noise = 4 * torch.finfo(move.dtype).eps
        if -slope <= HIDDEN * noise * abs(value):  # values cannot judge so small a step, and Newton's is right there
            return ray.point(1.0), 1.0, False
        search = armijo(
            lambda t: ray.value(t) + half * (square + t * (2.0 * cross + t * bend)),
            value=value,
            slope=slope,
            step=1.0,
            noise=noise,
        )
        return (ray.point(search.step), search.step, True) if search.step > 0.0 else (point, 0.0, True)


def _copies(problem: Composite, w: Tensor) -> list[_Copy]:
    copies, A, penalty = [], CountedOperator(problem), problem.penalty
    if penalty is not None:

        def prox(v: Tensor, step: float) -> Tensor:
            problem.count("proxes")
            return penalty.prox(v, step)

        copies.append(_Copy(A.forward, A.adjoint, prox, w))
    if problem.constraint is not None:
        copies.append(_Copy(_unchanged, _unchanged, lambda v, _step: problem.project(v), w))
    return copies


def _unchanged(v: Tensor) -> Tensor:
    return v


def _residuals(copies: list[_Copy], moves: Tensor, pulls: Tensor, rho: float) -> _Residuals:
    images, z = torch.cat([copy.image for copy in copies]), torch.cat([copy.z for copy in copies])
    lengths = torch.stack([v.norm() for v in (images - z, moves.sum(0), images, z, pulls)])
    apart, moved, image, own, pull = lengths.tolist()
    return _Residuals(apart, rho * moved, max(image, own), rho * pull)


def _answer(problem: Composite, point: Point, copies: list[_Copy], rho: float, pulled: Tensor) -> Iterate:
    """The feasible copy, with its value and what u says of its gap; the set's copy of u is a normal there."""
    penalty, own = problem.penalty, problem.constraint is None and problem.operator is not None
    w = point.w if own else copies[-1].z
    f, g = point.value if own else problem.f(w), problem.g(w)
    slack = max(f - point.value - float(point.gradient @ (w - point.w)), 0.0)  # what the gradient at point leaves
    u = None
    if penalty is not None:
        u = rho * copies[0].u
        slack += penalty_gap(penalty, g, copies[0].image if own else CountedOperator(problem).forward(w), u)[0]
    rest = float((point.gradient + rho * pulled).norm())
    return Iterate(w, f + g, rho, total_gap(problem, f + g, slack=slack, rest=rest, reach=float(w.norm())), u)
