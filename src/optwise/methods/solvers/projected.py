"""Projected gradients with spectral steps, for a smooth function on a set that is cheap to project onto."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.oracles import Oracle
from optwise.core.solver import SMOOTH, Iterate, Solver
from optwise.methods.solvers.rays import Point, Ray, point_at, ray_from

SUFFICIENT = 1e-4
"""Share of the promised decrease that a step must bring."""
LEAST_SHARE, MOST_SHARE = 0.1, 0.9
"""What a failed step is multiplied with, at least and at most."""
HIDDEN = 100.0
"""Times the rounding error of a value that a step must promise for values to be looked at."""
TRIALS = 60
"""Points of one line search."""
RANGE = 1e10
"""Factor by which a spectral step may leave the first one."""
PATIENCE = 60
"""Iterations in a row that bring neither a lower value nor a smaller residual after which nothing more is to come."""


@final
@dataclass(frozen=True, kw_only=True)
class ProjectedGradient(Solver):
    r"""Spectral projected gradients.

    .. math:: d = P_C(w - \alpha \nabla f(w)) - w, \qquad w \leftarrow w + t d, \qquad
        \alpha \leftarrow \frac{\langle s, s \rangle}{\langle s, y \rangle}

    with s and y the changes of w and of the gradient. t is 1 unless the value exceeds the *largest of the last*
    ``memory`` values by too much; so values may rise, which spectral steps need to be fast, and the best point is what
    is handed out. For a convex set f may be any smooth function. An iteration costs a projection, a gradient, and for
    a linear model one more product; on strongly convex problems the rate is linear.

    Args:
        memory: Values that the next one is held against; 1 makes every value fall.

    Example:
        >>> from optwise.problems.terms.functions import SquaredDistance
        >>> from optwise.problems.terms.sets import Simplex
        >>> f = SquaredDistance(torch.tensor([1.0, 0.5, -1.0], dtype=torch.float64))
        >>> *_, last = ProjectedGradient().solve(Composite(f, None, None, Simplex()), torch.zeros_like(f.y))
        >>> last.w
        tensor([0.7500, 0.2500, 0.0000], dtype=torch.float64)

    References:
        Birgin, Martínez and Raydan (2000), Nonmonotone spectral projected gradient methods on convex sets, algorithm
        SPG2; Grippo, Lampariello and Lucidi (1986), A nonmonotone line search technique for Newton's method.
    """

    memory: int = 10

    needs: ClassVar[frozenset[Oracle]] = SMOOTH | {Oracle.PROJECTION, Oracle.CONVEX_SET}
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {"memory": (1, 10_000)}

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        point, eps = point_at(problem, problem.project(w)), torch.finfo(w.dtype).eps
        if not point.finite:
            return
        values = deque([point.value], maxlen=self.memory)
        first = alpha = _first_step(problem, point)
        best, measure, curved, idle = point, math.inf, 0.0, 0
        while idle < PATIENCE:
            d = problem.project(point.w - alpha * point.gradient) - point.w
            slope, noise = float(point.gradient @ d), 4 * eps * max(abs(v) for v in values)
            if not slope <= noise or not bool((d != 0).any()):
                return
            ray = ray_from(problem, point, d)
            # a decrease that rounding hides cannot be held against values: the residual judges such steps
            t = 1.0 if -slope <= HIDDEN * noise else _searched(ray, point.value, slope, max(values) + noise)
            following = ray.point(t) if t > 0.0 else point
            if t == 0.0 or not following.finite:
                return
            s, y = following.w - point.w, following.gradient - point.gradient
            square, bend, change = torch.stack([s @ s, s @ y, y @ y]).tolist()
            alpha = min(max(square / bend, first / RANGE), first * RANGE) if bend > 0.0 else first * RANGE
            curved = max(curved, change / bend) if bend > 0.0 else curved
            point = following
            values.append(point.value)
            found = _measure(problem, point, alpha, curved)
            fell = point.value < best.value - noise
            idle = 0 if fell or found < measure else idle + 1
            if fell or (point.value <= best.value + noise and found < measure):
                best, measure = point, found
            yield Iterate(best.w, best.value, alpha, measure)


def _first_step(problem: Composite, point: Point) -> float:
    """The step after which no entry of the projected point has moved by more than 1."""
    reach = float((problem.project(point.w - point.gradient) - point.w).abs().max())
    return 1.0 / reach if 0.0 < reach < math.inf else 1.0


def _searched(ray: Ray, value: float, slope: float, ceiling: float) -> float:
    """The longest step tried, 1 first, that falls enough below the ceiling; 0 where there is none."""
    t = 1.0
    for _ in range(TRIALS):
        found = ray.value(t)
        if found <= ceiling + SUFFICIENT * t * slope:
            return t
        # the minimiser of the parabola through value, slope and what was found; NaN where that is not finite
        guess = -0.5 * slope * t * t / (found - value - t * slope)
        t = min(max(guess, LEAST_SHARE * t), MOST_SHARE * t) if math.isfinite(guess) else LEAST_SHARE * t
    return 0.0


def _measure(problem: Composite, point: Point, alpha: float, curved: float) -> float:
    """The Frank-Wolfe gap where the set has a support function along the gradient, else the gradient map."""
    constraint, smooth = problem.constraint, problem.smooth
    assert constraint is not None
    if smooth.convex and Oracle.SUPPORT in constraint.oracles:
        gap = float(point.gradient @ point.w + constraint.support(-point.gradient))
        if math.isfinite(gap):
            return problem.gap_measure(max(gap, 0.0), point.value)
    # the map shrinks with its step: one within reach of the largest curvature counts, once a long one looks good
    promise = math.inf
    for t in (alpha, 1.0 / curved if curved > 0.0 else alpha):
        moved = float((point.w - problem.project(point.w - t * point.gradient)).norm())
        promise = problem.decrement_measure(0.5 * moved * moved / t, point.value)
        if promise > problem.tol:
            break
    return promise
