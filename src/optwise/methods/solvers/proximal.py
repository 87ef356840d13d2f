"""Gradient steps followed by a proximal map or a projection: plain, and with momentum that restarts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.oracles import Oracle
from optwise.core.solver import CONVEX, SMOOTH, Iterate, Solver
from optwise.methods.solvers.dual_gaps import penalty_gap

PATIENCE = 1000
"""Iterations without progress before either method stalls; momentum swings for a while before it restarts."""
GROWTH, DECAY = 2.0, 0.9
"""Factors of L: after a step that was too long, and before each step where L is not known."""
TRIALS = 100
"""Lengths tried for one step."""
LOOKS = 10
"""Iterations of FISTA between two estimates of the gap, each of which costs a gradient."""


class _Point(NamedTuple):
    """A point w [p], f there and its gradient [p]."""

    w: Tensor
    f: float
    gradient: Tensor


class _Step(NamedTuple):
    """Where a proximal step led, f and g there, and an L that it was short enough for."""

    w: Tensor
    f: float
    g: float
    L: float


@final
@dataclass(frozen=True, kw_only=True)
class ProximalGradient(Solver):
    r"""Proximal gradient (forward-backward splitting, ISTA for the lasso), with steps that adapt.

    .. math:: w_{k+1} = \operatorname{prox}_{g/L}\bigl(w_k - \tfrac1L \nabla f(w_k)\bigr)

    or the projection onto the set. L grows until f lies below its quadratic model and shrinks a little before each
    step, so that it follows the curvature where the iterates are. One gradient, one proximal map and about one more
    value an iteration. F never rises; for convex f it falls as :math:`L \|w_0 - w^*\|^2 / (2k)`, linearly under strong
    convexity. f and g need not be convex.

    References:
        Lions and Mercier (1979), Splitting algorithms for the sum of two nonlinear operators; Beck and Teboulle (2009),
        A fast iterative shrinkage-thresholding algorithm for linear inverse problems, section 3.
    """

    needs = SMOOTH
    accepts = frozenset({Oracle.PROX, Oracle.PROJECTION})

    def refusal(self, problem: Composite) -> str:
        return _refusal(problem)

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        point = _first(problem, w)
        if point is None:
            return
        value, L, idle = point.f + problem.g(point.w), _first_curvature(problem, point), 0
        while idle < PATIENCE:
            found = _stepped(problem, point, L * DECAY)
            if found is None:
                return
            move, L = float((found.w - point.w).norm()), found.L
            measure = min(_gap(problem, point, value), problem.gradient_measure(L * move))
            if not move > 0:
                yield Iterate(point.w, value, 1 / L, 0.0)
                return
            idle = 0 if found.f + found.g < value - _rounding(w) * abs(value) else idle + 1
            f, gradient = problem.f_and_gradient(found.w)
            if not math.isfinite(f):
                return
            point, value = _Point(found.w, f, gradient), f + found.g
            yield Iterate(point.w, value, 1 / L, measure)


@final
@dataclass(frozen=True, kw_only=True)
class FISTA(Solver):
    r"""Accelerated proximal gradient, restarted where its momentum points uphill.

    .. math:: w_{k+1} = \operatorname{prox}_{g/L}\bigl(y_k - \tfrac1L \nabla f(y_k)\bigr), \quad
        t_{k+1} = \frac{1 + \sqrt{1 + 4 t_k^2}}{2}, \quad
        y_{k+1} = w_{k+1} + \frac{t_k - 1}{t_{k+1}} (w_{k+1} - w_k)

    Momentum starts anew, at t = 1, where :math:`\langle y_k - w_{k+1}, w_{k+1} - w_k \rangle > 0`. A known Lipschitz
    constant is the first L, and L grows where f lies above its model. One gradient, one proximal map and one more value
    an iteration, a second gradient every tenth. For convex f it falls as :math:`2 L \|w_0 - w^*\|^2 / (k + 1)^2`; under
    strong convexity linearly, which restarts reach without knowing the modulus. The best point so far is handed out.

    References:
        Beck and Teboulle (2009), A fast iterative shrinkage-thresholding algorithm for linear inverse problems;
        O'Donoghue and Candès (2015), Adaptive restart for accelerated gradient schemes.
    """

    needs = SMOOTH | CONVEX
    accepts = frozenset({Oracle.PROX, Oracle.PROJECTION})

    def refusal(self, problem: Composite) -> str:
        return _refusal(problem)

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        y = _first(problem, w)
        if y is None:
            return
        w, t, idle, k, measure = y.w, 1.0, 0, 0, math.inf
        L, known = _first_curvature(problem, y), problem.smooth.lipschitz is not None
        best = Iterate(w, y.f + problem.g(w))
        while idle < PATIENCE:
            found = _stepped(problem, y, L if known else L * DECAY)
            if found is None:
                return
            k, L, value = k + 1, found.L, found.f + found.g
            move, back = found.w - w, y.w - found.w
            idle += 1
            if value < best.value - _rounding(w) * abs(best.value):
                best, idle = Iterate(found.w, value), 0
            elif value <= best.value:
                best = Iterate(found.w, value)
            length = problem.gradient_measure(L * float(back.norm()))
            if k % LOOKS == 0 or length <= problem.tol:
                at = _Point(best.w, *problem.f_and_gradient(best.w))
                measure = min(_gap(problem, at, best.value), _map_length(problem, at, L))
            yield Iterate(best.w, best.value, 1 / L, measure)
            if not bool(back.any()):
                return
            uphill = float(back @ move) > 0
            following = 1.0 if uphill else (1 + math.sqrt(1 + 4 * t * t)) / 2
            momentum = 0.0 if uphill else (t - 1) / following
            ahead = torch.add(found.w, move, alpha=momentum)
            y, w, t = _Point(ahead, *problem.f_and_gradient(ahead)), found.w, following
            if not _finite(y):
                y, t = _Point(w, *problem.f_and_gradient(w)), 1.0
                if not _finite(y):
                    return


def _refusal(problem: Composite) -> str:
    if problem.penalty is not None and problem.operator is not None:
        return "needs the proximal map of the penalty behind its operator, which nobody knows"
    if problem.penalty is not None and problem.constraint is not None:
        return "needs one proximal map for the penalty and the set together, which nobody knows"
    return ""


def _first(problem: Composite, w: Tensor) -> _Point | None:
    """The start, moved into the set; ``None`` where f cannot be used there."""
    w = problem.project(w)
    point = _Point(w, *problem.f_and_gradient(w))
    return point if _finite(point) else None


def _finite(point: _Point) -> bool:
    return math.isfinite(point.f) and bool(torch.isfinite(point.gradient).all())


def _stepped(problem: Composite, point: _Point, L: float) -> _Step | None:
    """A proximal step short enough for f to lie below its model; ``None`` where none is."""
    for _ in range(TRIALS):
        w = problem.prox(torch.add(point.w, point.gradient, alpha=-1 / L), 1 / L)
        move = w - point.w
        square = float(move @ move)
        f = problem.f(w)
        model = point.f + float(point.gradient @ move) + 0.5 * L * square
        # where values differ by rounding alone they cannot tell a good L
        if math.isfinite(f) and f <= model + _rounding(w) * (abs(point.f) + abs(f)):
            g = problem.g(w)
            return _Step(w, f, g, L) if math.isfinite(g) else None
        L *= GROWTH
    return None


def _first_curvature(problem: Composite, point: _Point) -> float:
    """A first L: the known constant, else how much the gradient changes along itself."""
    known = problem.smooth.lipschitz
    if known is not None and known > 0:
        return known
    length = float(point.gradient.norm())
    if length == 0:
        return 1.0
    reach = 1e-4 * max(1.0, float(point.w.norm()))
    for _ in range(TRIALS):
        f, gradient = problem.f_and_gradient(torch.add(point.w, point.gradient, alpha=-reach / length))
        found = float((gradient - point.gradient).norm()) / reach
        if math.isfinite(f) and math.isfinite(found):
            return found if found > 0 else length / max(1.0, float(point.w.norm()))
        reach *= 0.1
    return length / reach


def _map_length(problem: Composite, at: _Point, L: float) -> float:
    """The gradient map at a point, in the scale of certificates."""
    moved = problem.prox(torch.add(at.w, at.gradient, alpha=-1 / L), 1 / L)
    return problem.gradient_measure(L * float((moved - at.w).norm()))


def _gap(problem: Composite, at: _Point, value: float) -> float:
    """The duality gap with the gradient as dual point, as far as it has a closed form; infinite where it has none.

    What scaling the gradient into the domain of the conjugate leaves of f is exact for squared losses.
    """
    penalty, constraint = problem.penalty, problem.constraint
    if penalty is not None:
        slack, share = penalty_gap(penalty, value - at.f, at.w, -at.gradient)
        found = slack + (1 - share) ** 2 * abs(at.f)
    elif constraint is not None and Oracle.SUPPORT in constraint.oracles:
        found = float(constraint.support(-at.gradient)) + float(at.gradient @ at.w)
    else:
        return math.inf
    return problem.gap_measure(max(found, 0.0), value) if math.isfinite(found) else math.inf


def _rounding(like: Tensor) -> float:
    return 4 * torch.finfo(like.dtype).eps
