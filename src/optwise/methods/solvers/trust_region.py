"""Newton's method in a ball: the radius is learnt from how well the quadratic model foretells the decrease."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.oracles import Oracle
from optwise.core.solver import SMOOTH, Iterate, Solver
from optwise.methods.solvers.hessians import hessian_at
from optwise.methods.solvers.incumbent import Incumbent
from optwise.methods.solvers.rays import POSITIVE, Point, point_at, rounding
from optwise.numerics.krylov import TrustRegionStep, steihaug

PATIENCE = 20
"""Accepted steps without progress before it stalls."""
ACCEPTED = 1e-4
"""Least share of the predicted decrease with which a step is taken."""
POOR, GOOD = 0.25, 0.75
"""Shares below and above which the radius changes."""
MOST_PRODUCTS = 10_000
"""Products in one step."""


@final
@dataclass(frozen=True, kw_only=True)
class TrustRegion(Solver):
    r"""Newton's method in a trust region, its steps from conjugate gradients cut off at the boundary.

    .. math:: s = \operatorname*{argmin}_{\|s\| \le \Delta} g^T s + \tfrac12 s^T H s, \qquad
              \rho = \frac{f(w) - f(w + s) + \delta}{-g^T s - \tfrac12 s^T H s + \delta}

    The step is taken where :math:`\rho > 10^{-4}`; the radius becomes a quarter of the step where :math:`\rho < 1/4`,
    and doubles where :math:`\rho > 3/4` on the boundary. :math:`\delta` is the rounding error of f, so that near the
    answer, where differences of f are noise, the model is believed. Negative curvature leads to the boundary and thus
    away from saddles, but not from a start whose gradient is exactly 0. One iteration costs a gradient and a
    Hessian-vector product for each inner iteration. Convergence is superlinear where H is positive definite at the
    answer.

    Args:
        radius: First radius; ``None`` takes the length of the best step along the gradient.

    Example:
        >>> from optwise.core.smooth import Smooth
        >>> class Valley(Smooth):
        ...     dimension = 2
        ...
        ...     def value(self, w):
        ...         return 100 * (w[1] - w[0] ** 2) ** 2 + (1 - w[0]) ** 2
        >>> start = torch.tensor([-1.2, 1.0], dtype=torch.float64)
        >>> *_, last = TrustRegion().solve(Composite(Valley()), start)
        >>> last.w
        tensor([1., 1.], dtype=torch.float64)

    References:
        Steihaug (1983), The conjugate gradient method and trust regions in large scale optimization; Conn, Gould and
        Toint (2000), Trust-Region Methods, algorithm 6.1.1 and section 17.4.2 (rounding).
    """

    radius: float | None = None

    needs: ClassVar[frozenset[Oracle]] = SMOOTH | {Oracle.HVP}
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {"radius": POSITIVE}

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        point = point_at(problem, w)
        if not point.finite or point.norm == 0.0:
            return
        best, noise, first = Incumbent(problem, point, patience=PATIENCE), rounding(w.dtype), point.norm
        hessian = hessian_at(problem, point)
        radius = self.radius or _cauchy_length(hessian.product(point.gradient), point)
        while point.norm > 0.0 and not best.stalled:
            tol = max(min(0.1, math.sqrt(point.norm / first)), math.sqrt(torch.finfo(w.dtype).eps))
            found = steihaug(hessian.product, point.gradient, radius, tol=tol, most=min(2 * len(w) + 10, MOST_PRODUCTS))
            trial_w = point.w + found.step
            if bool((trial_w == point.w).all()):
                return
            trial = point_at(problem, trial_w)
            share = _share(point, trial, found, noise)
            length = float(torch.linalg.vector_norm(found.step))
            if not share >= POOR:  # also where it is NaN
                radius = 0.25 * length
            elif share > GOOD and found.boundary:
                radius *= 2.0
            if share > ACCEPTED:
                point = trial
                hessian = hessian_at(problem, point)
                best.offer(point)
            yield best.iterate(radius)


def _share(point: Point, trial: Point, found: TrustRegionStep, noise: float) -> float:
    """Of the predicted decrease, how much has come, up to rounding; minus infinity where the step is worth nothing."""
    delta = noise * max(abs(point.value), abs(trial.value))
    # a long way for a decrease that is rounding: the curvature along it is rounding as well
    aimless = found.boundary and found.decrease <= delta
    if aimless or not trial.finite or not found.decrease + delta > 0.0:
        return -math.inf
    return (point.value - trial.value + delta) / (found.decrease + delta)


def _cauchy_length(image: Tensor, point: Point) -> float:
    """Length of the step along -g at which the model is lowest; at least 1 where it has no lowest."""
    bend = float(image @ point.gradient) / (point.norm * point.norm)
    length = point.norm / bend if bend > 0.0 else max(1.0, float(torch.linalg.vector_norm(point.w)))
    return length if 0.0 < length < math.inf else 1.0
