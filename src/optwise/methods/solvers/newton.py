"""Newton's method: with a factorised Hessian, or with conjugate gradients that stop early."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.loss import LinearModel
from optwise.core.oracles import Oracle
from optwise.core.solver import SMOOTH, Iterate, Solver
from optwise.methods.solvers.hessians import Hessian, design, gram, hessian_at, too_large
from optwise.methods.solvers.incumbent import Incumbent
from optwise.methods.solvers.rays import Point, first_reach, point_at, ray_from, rounding, searched
from optwise.numerics.decompositions import eigh
from optwise.numerics.equilibration import symmetric_scales
from optwise.numerics.finiteness import all_finite
from optwise.numerics.krylov import conjugate_gradient

PATIENCE = 10
"""Iterations without progress before a method stalls; at rounding level Newton steps wander."""
LONGEST = 100.0
"""A Newton step is right or too long; only one along negative curvature may be far too short."""
FORCING_DECAY, LEAST_FORCING, MOST_FORCING = 0.9, 0.1, 0.5
"""The residual that conjugate gradients may leave, relative to the gradient: 0.9 times the square of what the gradient
fell by, but not below 0.9 times the square of the last one where that is above a tenth, and at most half."""
MOST_PRODUCTS = 10_000
"""Products in one truncated solve."""
ESCAPES = 40
"""Lengths tried along a direction of negative curvature where the gradient is nothing."""


@final
@dataclass(frozen=True, kw_only=True)
class Newton(Solver):
    r"""Newton's method with a dense Hessian H and a line search.

    .. math:: w \leftarrow w - t \, |H|^{-1} g, \qquad |H| = Q \operatorname{diag}(\max(|\lambda_i|, \epsilon)) Q^T

    Where H is positive definite, :math:`|H|` is H itself and a Cholesky factor solves; else the eigenvalues are made
    positive, so that the step leaves saddles, also one that it starts on. A strong Wolfe search gives t, 1 in the end.
    The cost of an iteration is p Hessian-vector products and :math:`p^3 / 3` operations; for a linear model the Hessian
    :math:`s X^T D X + \lambda_2 I` is one product, and with fewer examples n than parameters and a ridge it is a system
    of order n. Convergence is quadratic where H is not singular at the answer.

    Example:
        >>> from optwise.core.smooth import Smooth
        >>> class Saddle(Smooth):
        ...     dimension = 2
        ...
        ...     def value(self, w):
        ...         return w[0] ** 2 - w[1] ** 2 + w[1] ** 4
        >>> *_, last = Newton().solve(Composite(Saddle()), torch.zeros(2, dtype=torch.float64))
        >>> round(last.value, 6)
        -0.25

    References:
        Nocedal and Wright (2006), Numerical Optimization, section 3.4; Dauphin et al. (2014), Identifying and attacking
        the saddle point problem in high-dimensional non-convex optimization, for absolute eigenvalues.
    """

    needs: ClassVar[frozenset[Oracle]] = SMOOTH | {Oracle.HVP}

    def refusal(self, problem: Composite) -> str:
        model, p = problem.smooth.model, problem.dimension
        order = model.examples if model is not None and _has_small_system(model) else p
        return too_large(problem, order, "a Hessian", "choose newton-cg or lbfgs")

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        point = point_at(problem, w)
        best, noise = Incumbent(problem, point, patience=PATIENCE), rounding(w.dtype)
        model = problem.smooth.model
        small = _SmallSystem(problem, model, w) if model is not None and _has_small_system(model) else None
        while point.finite and not best.stalled:
            d, falling = (small.direction(point), None) if small is not None else _newton_step(problem, point)
            slope = float(point.gradient @ d)
            if falling is not None and not -slope > noise * abs(point.value):
                new, step = _escaped(problem, point, falling), 1.0
            else:
                new, step = _searched(problem, point, d)
            if new is None:
                return
            point = new
            best.offer(point)
            yield best.iterate(step)


@final
@dataclass(frozen=True, kw_only=True)
class NewtonCG(Solver):
    r"""Newton's method whose systems are solved by conjugate gradients, only as exactly as the step deserves.

    .. math:: \|H d + g\| \le \eta \|g\|, \qquad \eta_k = 0.9 \, (\|g_k\| / \|g_{k-1}\|)^2 \le \tfrac12

    A direction of negative curvature ends the inner iteration; it is added to the step with its curvature made
    positive. A strong Wolfe search follows. One iteration costs a gradient and a Hessian-vector product for each inner
    iteration, which for a linear model is two products with the design. Convergence is superlinear where H is positive
    definite at the answer.

    Example:
        >>> from optwise.core.smooth import Smooth
        >>> class Quartic(Smooth):
        ...     dimension = 2
        ...
        ...     def value(self, w):
        ...         return (w[0] - 1) ** 2 + (w[1] - 2) ** 4 + w[1] ** 2
        >>> *_, last = NewtonCG().solve(Composite(Quartic()), torch.zeros(2, dtype=torch.float64))
        >>> last.w
        tensor([1.0000, 1.1649], dtype=torch.float64)

    References:
        Dembo and Steihaug (1983), Truncated-Newton algorithms for large-scale unconstrained optimization; Eisenstat and
        Walker (1996), Choosing the forcing terms in an inexact Newton method, choice 2.
    """

    needs: ClassVar[frozenset[Oracle]] = SMOOTH | {Oracle.HVP}

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        point = point_at(problem, w)
        best = Incumbent(problem, point, patience=PATIENCE)
        forcing, plain = MOST_FORCING, False
        while point.finite and point.norm > 0.0 and not best.stalled:
            if plain:
                d = point.gradient * (-first_reach(point) / point.norm)
            else:
                d = _truncated(hessian_at(problem, point), point, forcing)
            new, step = _searched(problem, point, d)
            if new is None:
                if plain:
                    return
                plain = True  # rounding may have spoilt the direction
                continue
            forcing = _forcing(new.norm / point.norm, forcing, w.dtype)
            point, plain = new, False
            best.offer(point)
            yield best.iterate(step)


def _searched(problem: Composite, point: Point, d: Tensor) -> tuple[Point | None, float]:
    """Where a search along a Newton step ends, and the share of it; ``None`` where it brings nothing."""
    ray = ray_from(problem, point, d)
    told = -ray.slope > rounding(d.dtype) * abs(point.value)  # else values and slopes are rounding, and so is the step
    return searched(ray, point, step=1.0, longest=LONGEST if told else 1.0)


def _newton_step(problem: Composite, point: Point) -> tuple[Tensor, Tensor | None]:
    """The step ``-|H|^{-1} g`` and, where H has a negative eigenvalue, the direction of the lowest.

    Coordinates are measured by their own curvatures, so that no unit of one of them matters: of a Cholesky factor the
    pivots are, of eigenvalues the whole matrix.
    """
    H, g = hessian_at(problem, point).matrix(), point.gradient
    problem.count("factorizations")
    factor, failed = torch.linalg.cholesky_ex(H)
    curvatures = H.diagonal()
    least, most = map(float, (factor.diagonal() / curvatures.sqrt()).aminmax())
    eps, smallest = torch.finfo(H.dtype).eps, torch.finfo(H.dtype).tiny
    tiny = eps**0.75  # a relative curvature below this is rounding, and so is the gradient along it
    told = float(curvatures.min()) > smallest / eps and not int(failed)
    if told and least * least > tiny * most * most:
        return -torch.cholesky_solve(g[:, None], factor)[:, 0], None
    if not all_finite(H):
        return g * (-first_reach(point) / max(point.norm, torch.finfo(g.dtype).tiny)), None
    scale = symmetric_scales(H)  # [p]
    if not bool(scale.any()):
        return -g, None
    # a coordinate without any curvature goes as far as the others do
    scale = scale.where(scale > 0, scale[scale > 0].mean())
    H, g = H / scale / scale[:, None], g / scale
    problem.count("factorizations")
    eigenvalues, Q = eigh(H)
    sizes = eigenvalues.abs()
    largest = float(sizes.max())
    if not largest > 0.0:
        return -point.gradient, None
    d = Q @ ((g @ Q) / -sizes.clamp(min=tiny * largest)) / scale
    if problem.smooth.model is not None:
        flat = Q[:, sizes < tiny * largest] / scale[:, None]
        d = _seen(problem.smooth.model, d, flat, least=tiny * largest)
    bent = Q[:, 0] / scale if float(eigenvalues[0]) < -math.sqrt(eps) * largest else None
    return d, bent


def _seen(model: LinearModel, d: Tensor, flat: Tensor, *, least: float) -> Tensor:
    """A step without what no prediction sees of it: that stays where it is, in the units of w.

    A direction may also be flat because losses do not curve there, as Huber's far from the data: that one is gone.

    Args:
        model: Whose losses they are.
        d: The step [p].
        flat: Directions without curvature [p, k].
        least: A curvature that is rounding.
    """
    curved = model.scale * model.loss.smoothness * model.X.forward(flat.mT).square().sum(1) + model.l2
    blind = flat[:, curved < least]
    if not blind.shape[1]:
        return d
    basis, _ = torch.linalg.qr(blind)
    seen: Tensor = d - basis @ (basis.mT @ d)
    return seen


def _escaped(problem: Composite, point: Point, v: Tensor) -> Point | None:
    """A lower point along a direction of negative curvature from a point without a slope; ``None`` where none is."""
    length = max(1.0, float(torch.linalg.vector_norm(point.w))) / float(torch.linalg.vector_norm(v))
    for _ in range(ESCAPES):
        for t in (length, -length):
            w = torch.add(point.w, v, alpha=t)
            if problem.f(w) < point.value:
                new = point_at(problem, w)
                if new.finite:
                    return new
        length *= 0.25
    return None


def _has_small_system(model: LinearModel) -> bool:
    return model.l2 > 0.0 and model.examples < model.X.shape[1]


@final
class _SmallSystem:
    r"""Newton steps of a linear model by a system of order n.

    .. math:: (\lambda_2 I + X^T E^2 X)^{-1} g = (g - X^T E (\lambda_2 I + E X X^T E)^{-1} E X g) / \lambda_2

    with the roots :math:`E = (s D)^{1/2}` of the curvatures of the losses.
    """

    def __init__(self, problem: Composite, model: LinearModel, like: Tensor) -> None:
        self._problem, self._model = problem, model
        self._outer = gram(design(problem, model, like).mT)  # X X^T [n, n]

    def direction(self, point: Point) -> Tensor:
        model, problem = self._model, self._problem
        assert point.predictions is not None
        root = (model.scale * model.loss.curvature(point.predictions, model.y)).sqrt()  # [n]
        system = root[:, None] * self._outer * root
        system.diagonal().add_(model.l2)
        problem.count("factorizations")
        factor = torch.linalg.cholesky_ex(system)[0]
        problem.count("products", 2)
        inner = torch.cholesky_solve((root * model.X.forward(point.gradient))[:, None], factor)[:, 0]
        return (model.X.adjoint(root * inner) - point.gradient) / model.l2


def _truncated(hessian: Hessian, point: Point, forcing: float) -> Tensor:
    d, largest = torch.zeros_like(point.gradient), 0.0
    most, tiny = min(2 * len(d) + 10, MOST_PRODUCTS), torch.finfo(d.dtype).eps ** 0.75
    for iterate in conjugate_gradient(hessian.product, -point.gradient):
        if iterate.ended == "negative curvature":
            return iterate.x + _downwards(iterate.direction, iterate.residual_norm, iterate.curvature, iterate.x, point)
        largest = max(largest, iterate.curvature)
        if iterate.curvature < tiny * largest:
            break  # the curvature is rounding, and so is the gradient along it
        d = iterate.x
        if iterate.residual_norm <= forcing * point.norm or iterate.iterations >= most:
            break
    return d if bool(d.any()) else point.gradient * (-first_reach(point) / point.norm)


def _downwards(direction: Tensor, residual: float, curvature: float, d: Tensor, point: Point) -> Tensor:
    """The step along a direction whose curvature is made positive, at most as long as what there is already."""
    length = float(torch.linalg.vector_norm(direction))
    longest = max(float(torch.linalg.vector_norm(d)), first_reach(point))
    if length == 0.0:
        return torch.zeros_like(direction)
    bend = abs(curvature) * length
    reach = residual * residual / bend if bend > 0.0 else math.inf  # |r|^2 is the slope along the direction
    return direction * (min(reach, longest) / length)


def _forcing(ratio: float, before: float, dtype: torch.dtype) -> float:
    """Eisenstat and Walker's second choice: it may not fall much faster than the square of the one before."""
    found, kept = FORCING_DECAY * ratio * ratio, FORCING_DECAY * before * before
    if kept > LEAST_FORCING:
        found = max(found, kept)
    return min(max(found, math.sqrt(torch.finfo(dtype).eps)), MOST_FORCING)
