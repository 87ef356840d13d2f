"""Splitting into two proximal maps: Douglas-Rachford."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.oracles import Oracle
from optwise.core.solver import SMOOTH, Iterate, Solver
from optwise.methods.solvers.dual_gaps import better, outside_domain, penalty_gap
from optwise.methods.solvers.newton_systems import NewtonSystems, diagonal_hessian, in_float64, quadratic
from optwise.methods.solvers.support_polish import SupportPolish

CERTAIN = 4.0
"""Units in the last place of F: a gap below that is all that rounding leaves."""
SETTLED = 2
"""Iterations in a row with the same free entries after which they are worth a polish."""
REPEAT = 10
"""Iterations after which a polish that proved too little is tried again with the dual point of the day."""
AT_ONCE = 4
"""Projections that take the time of one when they are done together."""
SHORT = 1e-3
"""Share of the size of a point that a proximal step goes to see its slopes."""
EXACT = 1e-10
"""Relative residual of iterative solves."""
FIRST_LOOK = 8
"""Iteration after which the step may be balanced anew, and after each power of two that follows."""
UNEVEN = 2.0
"""Factor on the step that is worth a new factorisation."""
ROUNDED = 1e3
"""Units in the last place by which rounding may move a point."""
PATIENCE = 20
"""Iterations in a row that move the point by no more than rounding, and no less than before, that end the search."""


@final
@dataclass(frozen=True, kw_only=True)
class DouglasRachford(Solver):
    r"""Douglas-Rachford splitting for two parts whose proximal maps are at hand.

    .. math:: x = \operatorname{prox}_{t h}(z), \qquad y = \operatorname{prox}_{t g}(2 x - z), \qquad
        z \leftarrow z + \alpha (y - x)

    Either h is a quadratic f, whose map is a linear system factorised once, and g the penalty or the set, y being the
    answer. Or h is the set together with an f that is at most a multiple of :math:`\|w\|^2` and a linear function, as
    in basis pursuit, and g the penalty, x being the answer. There the entries that the penalty leaves free are taken
    as a guess once they have settled: on them the equations of an affine set are solved exactly and the dual point is
    made to fit, which proves the guess where it is right. An iteration costs both maps; the error falls linearly where
    both parts are quadratic or polyhedral, once the free entries have settled.

    Args:
        step: t, relative to the size of the point over the size of the slopes at the start.
        relaxation: alpha, below 2.

    Example:
        >>> from optwise.problems.terms.functions import Zero
        >>> from optwise.problems.terms.penalties import L1
        >>> from optwise.problems.terms.sets import Affine
        >>> A, b = torch.tensor([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]]).double(), torch.tensor([6.0, 2.0]).double()
        >>> *_, last = DouglasRachford().solve(Composite(Zero(3), L1(1.0), None, Affine(A, b)), torch.zeros(3).double())
        >>> (last.w != 0).tolist(), round(last.value, 12)
        ([False, False, True], 2.0)

    References:
        Lions and Mercier (1979), Splitting algorithms for the sum of two nonlinear operators; Eckstein and Bertsekas
        (1992), On the Douglas-Rachford splitting method and the proximal point algorithm for maximal monotone
        operators.
    """

    step: float = 1.0
    relaxation: float = 1.6

    needs: ClassVar[frozenset[Oracle]] = SMOOTH | {Oracle.CONVEX, Oracle.CONVEX_PENALTY, Oracle.CONVEX_SET}
    accepts: ClassVar[frozenset[Oracle]] = frozenset({Oracle.PROX, Oracle.PROJECTION})
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {"step": (1e-6, 1e6), "relaxation": (0.1, 1.95)}

    def refusal(self, problem: Composite) -> str:
        if problem.penalty is None and problem.constraint is None:
            return "has a smooth part alone"
        if problem.penalty is not None and Oracle.PROX not in problem.penalty.oracles:
            return f"has a {type(problem.penalty).__name__} without a proximal map"
        if not quadratic(problem):
            return "has a smooth part that is no quadratic, and so no proximal map"
        if problem.penalty is None or problem.constraint is None:
            return ""
        if _level(*in_float64(problem)) is None:
            return "has a penalty and a set beside a quadratic that is no multiple of |w|^2"
        return outside_domain(problem)

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        both = problem.penalty is not None and problem.constraint is not None
        idle, last, least, eps = 0, w, math.inf, torch.finfo(w.dtype).eps
        for found, z in (_in_set if both else _beside_quadratic)(problem, w, self):
            if not math.isfinite(found.value):
                return
            yield found
            # the governing point moves less and less, until rounding alone moves it
            change, size = float((z - last).norm()), float(z.norm())
            idle = idle + 1 if least <= change <= ROUNDED * eps * size else 0
            last, least = z, min(least, change)
            if idle >= PATIENCE or found.measure <= CERTAIN * eps:
                return


def _in_set(problem: Composite, w: Tensor, method: DouglasRachford) -> Iterator[tuple[Iterate, Tensor]]:
    """A set and a multiple of |w|^2 against a penalty; the answer lies in the set."""
    penalty, level, polish = problem.penalty, _level(problem, w), SupportPolish(problem, w)
    assert penalty is not None
    assert level is not None  # what `refusal` is for
    b = -problem.f_and_gradient(torch.zeros_like(w))[1]  # f is level/2 |w|^2 - <b, w>
    z = problem.project(w)
    size, guess, best = _size(z), _Guess(w), Iterate(w, math.inf, measure=math.inf)
    t = method.step * size / _size((z - penalty.prox(z, SHORT * size)) / (SHORT * size))
    while True:
        x = problem.project((z + t * b) / (1.0 + t * level))
        turned = 2.0 * x - z
        problem.count("proxes")
        y = penalty.prox(turned, t)
        # minus the sum of u and the gradient is normal to the set at x, and (turned - y) / t a subgradient at y
        u, gradient = (x - z) / t, level * x - b
        best = better(best, _judged(problem, x, u, level=level, step=t))
        support = polish.support(turned, t)
        if support is not None and guess.ripe(support):
            polished = polish.attempt(support, y, (turned - y) / t, u + gradient)
            if polished is not None:
                best = better(best, _judged(problem, *polished, level=level, step=t))
        z = torch.add(z, y - x, alpha=method.relaxation)
        yield best, z


def _beside_quadratic(problem: Composite, w: Tensor, method: DouglasRachford) -> Iterator[tuple[Iterate, Tensor]]:
    """A quadratic against a penalty or a set; the answer is what the map of these two gives."""
    systems = NewtonSystems(problem, w, None)
    _, slope = problem.f_and_gradient(w)
    bend = float(slope @ problem.hvp(w, slope))
    t = method.step * (float(slope @ slope) / bend if bend > 0.0 else 1.0)
    z, before, solve = w, w, systems.factorise(w, 1.0 / t)
    for k in itertools.count(1):
        f, slope = problem.f_and_gradient(z)
        move = -solve(slope, EXACT)
        x, u = z + move, move / t  # u is minus the gradient at x
        f += 0.5 * float(slope @ move) - 0.5 * float(move @ u)  # at x
        y = problem.prox(2.0 * x - z, t)
        found = Iterate(y, problem.value(y), t, dual=u)
        found = found._replace(measure=_gap_beside(problem, found, x=x, f=f))
        z, push = torch.add(z, y - x, alpha=method.relaxation), (2.0 * x - z - y) / t  # a subgradient at y
        if k >= FIRST_LOOK and k & (k - 1) == 0:  # a power of two
            primal, dual = float((x - y).norm() * push.norm()), float((y - before).norm() * y.norm()) / t
            factor = math.sqrt(dual / primal) if primal > 0.0 and dual > 0.0 else 1.0
            if not 1.0 / UNEVEN <= factor <= UNEVEN:
                t *= min(max(factor, 0.1), 10.0)
                z, solve = y - t * push, systems.factorise(w, 1.0 / t)
        before = y
        yield found, z


@final
class _Guess:
    """The free entries of late, and whether a polish is worth its price."""

    def __init__(self, w: Tensor) -> None:
        self._support, self._settled = torch.zeros_like(w, dtype=torch.bool), 0
        self._iterations, self._due, self._spent = 0, 0, 0.0

    def ripe(self, support: Tensor) -> bool:
        """Whether to try the free entries ``support`` [p].

        They must have settled, and all polishes together may cost no more than all iterations.
        """
        self._iterations += 1
        if not torch.equal(support, self._support):
            self._support, self._settled, self._due = support, 0, 0
            return False
        self._settled += 1
        price = int(support.sum()) / AT_ONCE
        cheap = 0.0 < price <= self._iterations - self._spent
        if self._settled < SETTLED or self._iterations < self._due or not cheap:
            return False
        self._due, self._spent = self._iterations + REPEAT, self._spent + price
        return True


def _judged(problem: Composite, x: Tensor, u: Tensor, *, level: float, step: float) -> Iterate:
    """A point of the set with its gap at u [p], which together with the gradient is a normal there."""
    assert problem.penalty is not None
    g = problem.g(x)
    value = problem.f(x) + g
    gap, share = penalty_gap(problem.penalty, g, x, u)
    if level > 0.0:
        rest = (1.0 - share) * float(u.norm())  # what scaling leaves of the normal
        gap += rest * rest / (2.0 * level)
    return Iterate(x, value, step, problem.gap_measure(gap, value), u)


def _gap_beside(problem: Composite, found: Iterate, *, x: Tensor, f: float) -> float:
    """The gap at u, minus the gradient at x: what x leaves of f at the point, and what u leaves of the other part."""
    penalty, constraint, w, u = problem.penalty, problem.constraint, found.w, found.dual
    assert u is not None
    g = problem.g(w)
    bent = max(found.value - g - f + float(u @ (w - x)), 0.0)
    if penalty is not None:
        slack, share = penalty_gap(penalty, g, w, u)
        return problem.gap_measure(bent + slack + (1.0 - share) ** 2 * abs(f), found.value)
    assert constraint is not None
    slack = float(constraint.support(u) - u @ w) if Oracle.SUPPORT in constraint.oracles else math.inf
    if math.isfinite(slack):
        return problem.gap_measure(bent + max(slack, 0.0), found.value)
    return problem.decrement_measure(0.5 * float((w - x).square().sum()) / found.step, found.value)


def _level(problem: Composite, w: Tensor) -> float | None:
    """The s of an f that is s/2 |w|^2 and a linear function; ``None`` of another."""
    hessian = diagonal_hessian(problem, w)
    if hessian is None:
        return None
    level, eps = float(hessian.mean()), torch.finfo(w.dtype).eps
    return level if bool(((hessian - level).abs() <= 16 * eps * abs(level)).all()) else None


def _size(v: Tensor) -> float:
    """The mean size of an entry; 1 where it is nothing."""
    mean = float(v.abs().mean())
    return mean if 0.0 < mean < math.inf else 1.0
