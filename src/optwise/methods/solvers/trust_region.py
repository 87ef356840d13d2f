"""Newton's method in a ball: the radius is learnt from how well the quadratic model foretells the decrease."""

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
from optwise.methods.solvers.hessians import hessian_at
from optwise.methods.solvers.incumbent import Incumbent
from optwise.methods.solvers.rays import POSITIVE, Point, point_at, rounding
from optwise.numerics.equilibration import symmetric_scales
from optwise.numerics.finiteness import all_finite
from optwise.numerics.krylov import TrustRegionStep, steihaug

PATIENCE = 20
"""Accepted steps without progress before it stalls."""
ACCEPTED = 1e-4
"""Least share of the predicted decrease with which a step is taken."""
POOR, GOOD = 0.25, 0.75
"""Shares below and above which the radius changes."""
FORMED = 64
"""Coordinates up to which the Hessian is formed, so that each can be measured by its own curvature."""
LONGEST = 1e100
"""Radius beyond which none grows."""
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
        best, noise = Incumbent(problem, point, patience=PATIENCE), rounding(w.dtype)
        model = _model(problem, point, None)
        first = float(torch.linalg.vector_norm(model.gradient))
        radius = self.radius or _cauchy_length(model, point)
        while point.norm > 0.0 and 0.0 < radius < math.inf and not best.stalled:
            norm = float(torch.linalg.vector_norm(model.gradient))
            # products with a matrix that lies there cost nothing: such steps are exact
            loose = 0.0 if model.scale is not None else min(0.1, math.sqrt(norm / first))
            tol = max(loose, math.sqrt(torch.finfo(w.dtype).eps))
            most = min(2 * len(w) + 10, MOST_PRODUCTS)
            found = steihaug(model.product, model.gradient, radius, tol=tol, most=most)
            trial_w = point.w + model.step(found.step)
            if bool((trial_w == point.w).all()):
                return
            trial = point_at(problem, trial_w)
            share = _share(point, trial, found, noise)
            length = float(torch.linalg.vector_norm(found.step))
            if not share >= POOR:  # also where it is NaN
                radius = 0.25 * length
            elif share > GOOD and found.boundary:
                radius = min(2.0 * radius, LONGEST)
            if share > ACCEPTED:
                point = trial
                model = _model(problem, point, model)
                best.offer(point)
            yield best.iterate(radius)


class _Model(NamedTuple):
    """The quadratic model around a point, in coordinates measured by their own curvatures where H was formed.

    Args:
        product: H times a vector.
        gradient: g [p].
        scale: Sizes of the coordinates [p], the largest so far; ``None`` where each counts as it is.
    """

    product: Callable[[Tensor], Tensor]
    gradient: Tensor
    scale: Tensor | None

    def step(self, s: Tensor) -> Tensor:
        """A step of w from one of the model."""
        return s if self.scale is None else s / self.scale


def _model(problem: Composite, point: Point, before: _Model | None) -> _Model:
    hessian = hessian_at(problem, point)
    if len(point.w) > FORMED or problem.smooth.model is not None:
        return _Model(hessian.product, point.gradient, None)
    H = hessian.matrix()
    scale = symmetric_scales(H) if all_finite(H) else torch.zeros_like(point.w)
    # a coordinate without any curvature goes as far as the others do
    scale = scale.where(scale > 0, scale[scale > 0].mean()) if bool((scale > 0).any()) else torch.ones_like(scale)
    if before is not None and before.scale is not None:
        scale = torch.maximum(scale, before.scale)
    scaled = H / scale / scale[:, None]
    return _Model(lambda v: scaled @ v, point.gradient / scale, scale)


def _share(point: Point, trial: Point, found: TrustRegionStep, noise: float) -> float:
    """Of the predicted decrease, how much has come, up to rounding; minus infinity where the step is worth nothing."""
    delta = noise * max(abs(point.value), abs(trial.value))
    # a long way for a decrease that is rounding: the curvature along it is rounding as well
    aimless = found.boundary and found.decrease <= delta
    if aimless or not trial.finite or not found.decrease + delta > 0.0:
        return -math.inf
    return (point.value - trial.value + delta) / (found.decrease + delta)


def _cauchy_length(model: _Model, point: Point) -> float:
    """Length of the step along -g at which the model is lowest; at least 1 where it has no lowest."""
    norm = float(torch.linalg.vector_norm(model.gradient))
    bend = float(model.product(model.gradient) @ model.gradient) / (norm * norm)
    w = point.w if model.scale is None else point.w * model.scale
    length = norm / bend if bend > 0.0 else max(1.0, float(torch.linalg.vector_norm(w)))
    return length if 0.0 < length < math.inf else 1.0
