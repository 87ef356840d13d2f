"""Nesterov's accelerated gradient method, restarted where its momentum leads uphill."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.solver import Iterate, Solver
from optwise.methods.solvers.incumbent import Incumbent
from optwise.methods.solvers.rays import Point, first_reach, point_at, rounding

PATIENCE = 1000
"""Iterations without progress before it stalls: momentum swings with a period of about the root of the condition."""
GROWTH, DECAY = 2.0, 0.95
"""Factors of L: after a step that was too long, and before each step where L is not known."""
TRIALS = 100
"""Lengths tried for one step."""


@final
@dataclass(frozen=True, kw_only=True)
class AcceleratedGradient(Solver):
    r"""Nesterov's method with adaptive restart.

    .. math:: w_{k+1} = y_k - \tfrac1L \nabla f(y_k), \qquad
              y_{k+1} = w_{k+1} + \frac{\theta_k (1 - \theta_k)}{\theta_k^2 + \theta_{k+1}} (w_{k+1} - w_k), \qquad
              \theta_{k+1}^2 = (1 - \theta_{k+1}) \theta_k^2 + q \theta_{k+1}

    with :math:`q = \mu / L` for a known modulus of strong convexity, else 0. Momentum starts anew, at
    :math:`\theta = 1`, where :math:`\nabla f(y_k)^T (w_{k+1} - w_k) > 0` or the value rises. Where L is not known it is
    found so that :math:`f(w_{k+1}) \le f(y_k) - \|\nabla f(y_k)\|^2 / (2 L)`.

    One gradient and one more value an iteration. For convex f it falls as
    :math:`f - f^* \le 2 L \|w_0 - w^*\|^2 / (k + 1)^2`; with strong convexity linearly, by about
    :math:`1 - \sqrt{\mu / L}`, which restarts reach without knowing :math:`\mu`.

    Example:
        >>> from optwise.core.smooth import Smooth
        >>> class Bowl(Smooth):
        ...     dimension = 3
        ...
        ...     def value(self, w):
        ...         return (torch.arange(1.0, 4.0) * (w - 1) ** 2).sum()
        >>> *_, last = AcceleratedGradient().solve(Composite(Bowl()), torch.zeros(3))
        >>> last.w
        tensor([1., 1., 1.])

    References:
        Nesterov (1983), A method of solving a convex programming problem with convergence rate O(1/k^2); O'Donoghue and
        Candès (2015), Adaptive restart for accelerated gradient schemes.
    """

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        start = point_at(problem, w)
        if not start.finite or start.norm == 0.0:
            return
        known, modulus = problem.smooth.lipschitz, problem.smooth.strong_convexity
        L = known or _curvature(problem, start)
        best, noise = Incumbent(problem, start, patience=PATIENCE), rounding(w.dtype)
        value, y, theta = start.value, start, 1.0
        while best.point.norm > 0.0 and not best.stalled:
            if not known and y.norm * y.norm > 2.0 * L * noise * abs(y.value):  # else values cannot tell a good L
                L *= DECAY
            found = _descended(problem, y, L, math.inf if known else noise * abs(y.value))
            if found is None:
                return
            new_w, new_value, L = found
            if theta < 1.0 and new_value > value + noise * abs(value):
                y, theta = point_at(problem, w), 1.0  # back to where the value rose from
                continue
            move = new_w - w
            uphill = float(y.gradient @ move) > 0.0
            if theta == 1.0 and not bool(move.any()):
                return
            # the gradient is that at y: w and y come together
            best.offer(Point(new_w, new_value, y.gradient, y.norm))
            yield best.iterate(1.0 / L)
            w, value = new_w, new_value
            following = 1.0 if uphill else _next_theta(theta, min(modulus / L, 1.0))
            momentum = 0.0 if uphill else theta * (1.0 - theta) / (theta * theta + following)
            theta = following
            y = point_at(problem, torch.add(w, move, alpha=momentum))
            if not y.finite:
                y, theta = point_at(problem, w), 1.0
                if not y.finite:
                    return


def _descended(problem: Composite, y: Point, L: float, slack: float) -> tuple[Tensor, float, float] | None:
    """The step from ``y``, its value, and an L that it was short enough for; ``None`` where there is none."""
    for _ in range(TRIALS):
        w = torch.add(y.w, y.gradient, alpha=-1.0 / L)
        value = problem.f(w)
        if math.isfinite(value) and value <= y.value - 0.5 * y.norm * y.norm / L + slack:
            return w, value, L
        L *= GROWTH
    return None


def _curvature(problem: Composite, point: Point) -> float:
    """How much the gradient changes along itself: L is at least that."""
    reach = first_reach(point)
    for _ in range(TRIALS):
        other = point_at(problem, torch.add(point.w, point.gradient, alpha=-reach / point.norm))
        if other.finite:
            found = float(torch.linalg.vector_norm(other.gradient - point.gradient)) / reach
            return found if 0.0 < found < math.inf else point.norm / reach
        reach *= 0.1
    return point.norm / reach


def _next_theta(theta: float, q: float) -> float:
    """The positive root of x^2 = (1 - x) theta^2 + q x."""
    b = theta * theta - q
    return 0.5 * (math.sqrt(b * b + 4.0 * theta * theta) - b)
