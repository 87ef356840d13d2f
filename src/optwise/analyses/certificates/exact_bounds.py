"""Bounds that solve a linear system: dual points that balance the gradient exactly where nothing else pays for it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from optwise.analyses.certificates.bounds import Bound
from optwise.analyses.certificates.design_factor import DesignFactor
from optwise.analyses.certificates.dual_points import Ray, at_prox, least_squares, of_penalty
from optwise.analyses.certificates.duality import along, bound, losses_along, with_normals
from optwise.analyses.certificates.evaluation import Evaluation
from optwise.analyses.certificates.fenchel_young import NO_BOUND, NONE, DualPoint, Slack, of_losses, of_rounding
from optwise.core.loss import LinearModel
from optwise.core.oracles import Oracle
from optwise.numerics.finiteness import all_finite

PROJECTION = "projection of the residual"
REFINEMENTS = 3
"""Steps of iterative refinement, each of which takes most of the digits that are still wrong."""
FAINT = 1e-8
"""Part of the largest curvature that every prediction is given, so that saturated ones do not make a system singular.
Source: optwise, own choice."""


def exact_bounds(at: Evaluation, dual: Tensor | None, factor: DesignFactor | None) -> Iterator[Bound]:
    r"""Gaps of a linear model whose design can be factorised, and of g(A w) alone where A can.

    A quadratic f with Hessian H pays for what a dual point leaves of the gradient,
    :math:`r = \nabla f(w) + A^\top v + c`, with :math:`\tfrac12 r^\top H^{-1} r`. For
    least squares without penalty and set that is :math:`\tfrac{s}{2} \|P (Xw - y)\|^2`, P the projection onto the range
    of X, which needs no inverse. Other losses move their dual point until nothing is left,

    .. math:: \theta' = \theta - D X (X^\top D X)^{-1} r, \qquad \theta = s \ell'(X w), \quad D = s \ell''(X w)

    which is the dual point that a Newton step predicts.

    Args:
        at: The point.
        dual: Of the argument of g [m], where a solver offers one.
        factor: Of the design, or of A where f is 0; ``None`` where there is neither.
    """
    if factor is None:
        return
    argument = dual if dual is not None and dual.shape == at.image.shape else None
    model = at.model
    if model is None:
        yield from (bound(slack) for slack in _without_smooth(at, argument, factor))
        return
    if at.smooth_only and model.loss.quadratic and model.l2 == 0:
        yield Bound(_projected(at, model, factor), 0.0, PROJECTION)
        return
    for point in _near_points(at, argument, factor):
        rest = at.gradient + point.pull
        if model.loss.quadratic:
            yield bound(point.slack(at) + Slack(factor.inverse_form(rest)))
        elif model.l2 == 0 and model.has_conjugate and math.isfinite(point.slack(at).gap):
            yield bound(_balanced(at, model, point, factor))


def _near_points(at: Evaluation, argument: Tensor | None, factor: DesignFactor) -> Iterator[DualPoint]:
    operator = at.problem.operator
    if operator is not None:
        yield from with_normals(at, least_squares(operator, -at.gradient) if argument is None else argument)
        return
    if at.smooth_only:  # no map, and so no step, for which a Lipschitz constant would have to be found
        yield DualPoint(None, None, 0.0, 0.0, torch.zeros_like(at.w))
    elif at.has_prox:
        yield at_prox(at, at.w - at.step * at.gradient, at.step)
        yield from _of_box(at, factor)
    if argument is not None:
        yield from with_normals(at, argument)


def _of_box(at: Evaluation, factor: DesignFactor) -> Iterator[DualPoint]:
    """The normal of a box that a projected gradient step leaves whose length each coordinate has in its own unit."""
    constraint, X = at.problem.constraint, factor.matrix
    if constraint is None or Oracle.BOUNDS not in constraint.oracles or at.joint or X is None:
        return
    units = X.square().sum(0)  # of curvature
    steps = torch.where(units > 0, at.step * units.max() / units, at.step)
    z = at.w - steps * at.gradient
    x = constraint.project(z)
    c = (z - x) / steps
    yield DualPoint(None, c, 0.0, float(c @ x), c)


def factor_of(at: Evaluation) -> DesignFactor | None:
    """The factorisation that the bounds of a problem are made with."""
    model, operator = at.model, at.problem.operator
    if model is not None:
        curvature = model.loss.smoothness if model.loss.quadratic else 1.0
        return DesignFactor(model.X, model.scale * curvature, model.l2)
    return None if operator is None else DesignFactor(operator)


def moved(theta: Tensor, *, rest: Tensor, columns: Tensor, weights: Tensor) -> Tensor | None:
    r"""A dual point of predictions with a given change of its products with some columns.

    .. math:: \theta - D X (X^\top D X)^{-1} r

    Args:
        theta: The dual point [n].
        rest: r [k], what is to go from ``columns.T @ theta``.
        columns: X [n, k].
        weights: The diagonal of D [n], positive.

    Returns:
        The moved point [n]; ``None`` where the columns depend on each other too much.
    """
    sizes = (weights.sqrt()[:, None] * columns).norm(dim=0)
    sizes = sizes.where(sizes > 0, 1.0)  # so that no unit of a column matters
    columns, rest = columns / sizes, rest / sizes
    weighted = weights[:, None] * columns  # [n, k]
    gram = columns.mT @ weighted
    # dependent columns make it singular; refinement takes out again what this adds
    gram.diagonal().add_(1e-13 * gram.diagonal().mean())
    inverse, failed = torch.linalg.cholesky_ex(gram)
    if int(failed):
        return None
    target = columns.mT @ theta - rest
    for _ in range(REFINEMENTS):
        theta = theta - weighted @ torch.cholesky_solve(rest[:, None], inverse)[:, 0]
        rest = columns.mT @ theta - target
    return theta if all_finite(theta) else None


def _projected(at: Evaluation, model: LinearModel, factor: DesignFactor) -> float:
    gap = factor.inverse_form(at.gradient)
    if math.isfinite(gap):
        return gap
    square = factor.most_along_range(model.loss.derivative(at.predictions, model.y))
    return model.scale / (2 * model.loss.smoothness) * square


def _balanced(at: Evaluation, model: LinearModel, point: DualPoint, factor: DesignFactor) -> Slack:
    """The gap at the dual point of the predictions that is moved until it balances ``point`` exactly."""
    X = factor.matrix
    if X is None or X.shape[1] > X.shape[0]:
        return NO_BOUND
    z = at.predictions
    theta = model.scale * model.loss.derivative(z, model.y)
    weights = model.loss.curvature(z, model.y).clamp(min=FAINT * model.loss.smoothness)  # [n]
    balanced = moved(theta, rest=at.gradient + point.pull, columns=X, weights=weights)
    if balanced is None:
        return NO_BOUND
    left = X.mT @ balanced + point.pull  # what rounding leaves of the balance
    exact = of_losses(model, z, balanced) + point.slack(at)
    if not math.isfinite(exact.gap):
        ray = Ray(point.v, point.c, point.support)
        exact = along(at, ray, losses_along(at, model, balanced))
    return exact + of_rounding(left, at.w, X.norm(dim=0) * balanced.norm())


def _without_smooth(at: Evaluation, argument: Tensor | None, factor: DesignFactor) -> Iterator[Slack]:
    """Gaps of ``g(A w)`` alone: dual points orthogonal to the range of A, scaled into the domain."""
    penalty = at.problem.penalty
    if at.gradient.any() or penalty is None or at.problem.constraint is not None or at.problem.operator is None:
        return
    longest = max(float(at.image.abs().max()), 1e-300)
    found = [] if argument is None else [argument]
    if at.has_prox:
        mapped = of_penalty(penalty, at.image, longest).v
        found += [] if mapped is None else [mapped]
    for v in found:
        part = factor.along_range(v)
        if part is None or factor.matrix is None:
            return
        orthogonal = v - part
        paid = of_rounding(at.adjoint(orthogonal), at.w, factor.matrix.norm(dim=0) * v.norm())
        yield along(at, Ray(orthogonal, None), lambda _: NONE) + paid
