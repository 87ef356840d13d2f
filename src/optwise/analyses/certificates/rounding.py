"""How well a value is known: what rounding the data and the answer to their dtype makes of F."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from optwise.analyses.certificates.evaluation import Evaluation
from optwise.analyses.certificates.predicted_decrease import DENSE, formed_hessian, newton_promise
from optwise.analyses.certificates.stationarity import stationarity
from optwise.core.loss import LinearModel
from optwise.core.operator import LinearOperator
from optwise.core.smooth import Residuals

PROBES = 4
"""Sign patterns by which the curvature along single coordinates is summed where it has no formula."""
UNITS = 4.0
"""Rounding errors that a component of a gradient may be off by: residuals at rounding have up to two each."""


def rounding_error(at: Evaluation) -> float:
    r"""What a rounding unit of the data's dtype makes of F at the point: no smaller difference of values is a fact.

    .. math:: \epsilon \sum_i s |\ell'(z_i)| \Big( |y_i| + \sum_j |X_{ij} w_j| \Big)

    for a linear model, :math:`\epsilon \, s \sum_i |r_i| \sum_j |J_{ij} w_j|` for a sum of squares, and for any other
    f what moving each coordinate of w by a rounding unit does to its second-order model,

    .. math:: \epsilon \sum_j |\partial_j f \, w_j| + \tfrac{\epsilon^2}{2} \sum_j |\partial_{jj} f| \, w_j^2

    to which the sizes of the terms are added, times :math:`\epsilon`, where there is more than one: two that cancel
    leave less than either is known to. Nothing here knows the start.

    Args:
        at: The point.
    """
    unit, model, residuals = at.problem.unit, at.problem.smooth.model, at.problem.smooth.residuals
    if model is not None:
        slopes = _slopes(at).abs()  # [n]
        f = model.scale * float(slopes @ _sizes(at, model, slopes)) + model.l2 * float(at.w @ at.w)
    elif residuals is not None:
        r, J = residuals.value(at.w).abs(), residuals.jacobian(at.w).abs()
        f = residuals.scale * float(r @ (J @ at.w.abs()))
    else:
        f = float((at.gradient * at.w).abs().sum()) + 0.5 * unit * _bend(at)
    terms = abs(at.f) + abs(at.g) if at.problem.penalty is not None else 0.0
    # nothing is known below the smallest number of the dtype either
    return unit * (f + terms) + torch.finfo(at.w.dtype).tiny


def balanced(at: Evaluation, error: float) -> bool:
    r"""Whether the first-order conditions hold as well as rounding lets them, at an F that is nothing but rounding.

    .. math:: |\partial_j f| \le \text{tol} \, \|J_j\| \|r\| + 4 \epsilon \sum_i |J_{ij}| S_i

    for residuals r whose numbers have the sizes :math:`S_i`; so a residual that is small against all others, and large
    against what it was computed from, is not taken for rounding. Of any other smooth f what is left of the gradient
    after :math:`4 \epsilon \sum_k |H_{jk} w_k|` may promise nothing; elsewhere no step may promise more than rounding.

    Args:
        at: The point.
        error: :func:`rounding_error` there.
    """
    model, residuals = at.problem.smooth.model, at.problem.smooth.residuals
    matrix = None if model is None else model.X.matrix
    if at.problem.penalty is None and residuals is not None:
        return _componentwise(at, residuals)
    if at.problem.penalty is None and model is not None and matrix is not None and model.l2 == 0:
        slopes, bends = _slopes(at), model.loss.curvature(at.problem.smooth.predictions(at.w), model.y)
        sizes = bends * (matrix.abs() @ at.w.abs() + model.y.abs())
        return _within_rounding(at, matrix, (model.scale * slopes, model.scale * sizes))
    if at.smooth_only and at.w.numel() <= DENSE:
        everywhere = torch.ones_like(at.w, dtype=torch.bool)
        sizes = formed_hessian(at, torch.arange(at.w.numel())).abs() @ at.w.abs()
        slope = at.gradient.sign() * (at.gradient.abs() - UNITS * at.problem.unit * sizes).clamp(min=0)
        enough = at.problem.tol**2 * abs(at.value)
        return newton_promise(at, everywhere, slope, enough=enough).decrease <= enough
    return stationarity(at, None).value ** 2 * abs(at.value) <= error


def _componentwise(at: Evaluation, residuals: Residuals) -> bool:
    r, J = residuals.value(at.w), residuals.jacobian(at.w)
    return _within_rounding(at, J, (residuals.scale * r, residuals.scale * (J.abs() @ at.w.abs())))


def _within_rounding(at: Evaluation, J: Tensor, parts: tuple[Tensor, Tensor]) -> bool:
    r, sizes = parts
    allowed = at.problem.tol * J.norm(dim=0) * r.norm() + UNITS * at.problem.unit * (J.abs().mT @ sizes)
    return bool(((J.mT @ r).abs() <= allowed).all())


def _slopes(at: Evaluation) -> Tensor:
    """The derivative of each loss of a linear model [n], as well as it is known."""
    assert at.model is not None
    return at.model.loss.derivative(at.predictions, at.model.y)


def _sizes(at: Evaluation, model: LinearModel, slopes: Tensor) -> Tensor:
    """Sizes of the numbers that predictions and labels are made of [n].

    Where F is far above rounding even if all but half of the digits cancelled, what is left of the cancellation serves.
    """
    z = at.problem.smooth.predictions(at.w)
    short = z.abs() + model.y.abs()
    if abs(at.f) > math.sqrt(at.problem.unit) * model.scale * float(slopes @ short):
        return short
    return _absolute_product(model.X, at.w, z) + model.y.abs()


def _absolute_product(X: LinearOperator, w: Tensor, product: Tensor) -> Tensor:
    """``|X| |w|`` [n]; where the entries are not at hand ``|X w|``, which is less."""
    matrix = X.matrix
    return product.abs() if matrix is None else matrix.abs() @ w.abs()


def _bend(at: Evaluation) -> float:
    r"""The sum of :math:`|\partial_{jj} f| w_j^2`: over sign patterns s, the mean of the curvature along ``s w``."""
    signs = torch.Generator().manual_seed(0)
    total = 0.0
    for _ in range(PROBES):
        moved = at.w * (2.0 * torch.randint(0, 2, at.w.shape, generator=signs).to(at.w) - 1.0)
        total += abs(float(moved @ at.bend(moved)))
    return total / PROBES
