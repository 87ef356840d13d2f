"""Dual points of a linear model without a ridge, moved into a domain that scaling alone does not reach."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from optwise.analyses.certificates.bounds import Bound
from optwise.analyses.certificates.dual_points import Ray, at_prox, least_squares
from optwise.analyses.certificates.duality import along, bound, losses_along, shares, splits
from optwise.analyses.certificates.evaluation import Evaluation
from optwise.analyses.certificates.exact_bounds import FAINT, moved
from optwise.analyses.certificates.fenchel_young import NONE, Slack, of_rounding
from optwise.core.loss import LinearModel
from optwise.core.oracles import Oracle
from optwise.numerics.least_squares_krylov import lsmr

FREE = 64
"""Directions without a penalty, at most: an intercept, a few effects that are not penalised."""
PROBES = (1.0, -1.0, 1e8, -1e8)
"""Where a proximal map that leaves a coordinate alone is told from one that moves it little."""
ITERATIONS = 100
"""Of least squares for a change that gives signs."""
ROUNDS = 4
"""In which coordinates join those that are given their signs."""
DAMP = 1e-8
"""Of that least squares, as a part of the length of a column."""


def repaired_bounds(at: Evaluation, dual: Tensor | None) -> Iterator[Bound]:
    r"""Gaps of a linear model with :math:`\lambda_2 = 0` whose gradient lies outside the domain of the dual.

    A direction d that no penalty reaches wants :math:`\langle X d, \theta \rangle = 0`: theta is made orthogonal to
    these few vectors. A coordinate that is bounded on one side only wants a sign of :math:`(X^\top \theta)_j`: theta is
    given the smallest change that mends the wrong ones, or is shifted along a direction with all signs right. Behind an
    operator :math:`A^\top v = -X^\top \theta` is solved for v.

    Args:
        at: The point.
        dual: Of the predictions [n], where a solver offers one.
    """
    model = at.model
    if model is None or model.l2 > 0 or not model.has_conjugate or at.smooth_only:
        return
    yield from _repaired(at, model, model.scale * model.loss.derivative(at.predictions, model.y), dual)
    if dual is not None and dual.shape == model.y.shape:
        yield from _repaired(at, model, dual, dual)


def _repaired(at: Evaluation, model: LinearModel, theta: Tensor, dual: Tensor | None) -> Iterator[Bound]:
    balanced, left, paid = _off(at, model, theta)
    argument = dual if dual is not None and dual.shape == at.image.shape else None
    for ray, more in _shares(at, left - model.X.adjoint(balanced), argument):
        yield bound(along(at, ray, losses_along(at, model, balanced)) + paid + more)
    for slack in _with_signs(at, model, balanced):
        yield bound(slack + paid)


def _shares(at: Evaluation, pull: Tensor, argument: Tensor | None) -> Iterator[tuple[Ray, Slack]]:
    """Ways to share ``pull`` between penalty and set, with what an operator's least squares leaves of it."""
    operator = at.problem.operator
    if operator is None:
        yield from ((ray, NONE) for ray in shares(at, pull))
        if at.joint and at.has_prox:
            yield from ((ray, NONE) for ray in splits(at_prox(at, at.w + at.step * pull, at.step), pull))
        return
    near = torch.zeros_like(at.image) if argument is None else argument
    v = near + least_squares(operator, pull - operator.adjoint(near))
    lengths = operator.column_lengths
    sizes = pull.abs() if lengths is None else lengths * v.norm()
    yield Ray(v, None), of_rounding(pull - operator.adjoint(v), at.w, sizes)


def _off(at: Evaluation, model: LinearModel, theta: Tensor) -> tuple[Tensor, Tensor, Slack]:
    """The dual point off the free directions, what is left of ``X^T theta`` along them [p], and what that costs."""
    free = _free_directions(at)  # [k, p]
    if not 0 < len(free) <= FREE:
        return theta, torch.zeros_like(at.w), NONE
    columns = model.X.forward(free).mT  # [n, k]
    weights = model.loss.curvature(at.predictions, model.y).clamp(min=FAINT * model.loss.smoothness)
    balanced = moved(theta, rest=columns.mT @ theta, columns=columns, weights=weights)
    if balanced is None:
        return theta, torch.zeros_like(at.w), NONE
    left = free @ model.X.adjoint(balanced)  # [k]; the directions are orthonormal
    return balanced, free.mT @ left, of_rounding(left, free @ at.w, columns.norm(dim=0) * balanced.norm())


def _free_directions(at: Evaluation) -> Tensor:
    """Orthonormal directions [k, p] along which penalty and set never change: coordinates, or the constant vector."""
    ones = torch.ones_like(at.w)
    if at.problem.operator is not None:
        gone = float(at.problem.operator.forward(ones).abs().max()) == 0 and at.problem.constraint is None
        return (ones / ones.norm())[None] if gone else ones[:0, None]
    if not at.has_prox:
        return ones[:0, None]
    order = torch.arange(at.w.numel())
    uneven = (-1.0) ** order * (1 + (order % 7) / 7)  # so that penalties of differences and groups move every entry
    moves = _moved_by(at, uneven.to(at.w))
    if not moves.all():
        return torch.eye(at.w.numel(), dtype=at.w.dtype)[~moves][: FREE + 1]
    return ones[:0, None] if _moved_by(at, ones).any() else (ones / ones.norm())[None]


def _moved_by(at: Evaluation, pattern: Tensor) -> Tensor:
    """Entries that the proximal map of the penalty, or the projection, moves in some multiple of ``pattern`` [p]."""
    moves = torch.zeros_like(pattern, dtype=torch.bool)
    for probe in PROBES:
        point = probe * pattern
        if at.problem.penalty is not None:
            moves |= at.problem.penalty.prox(point, 1.0) != point
        if at.problem.constraint is not None:
            moves |= at.problem.constraint.project(point) != point
    return moves


def _with_signs(at: Evaluation, model: LinearModel, theta: Tensor) -> Iterator[Slack]:
    constraint = at.problem.constraint
    if at.problem.penalty is not None or constraint is None or Oracle.BOUNDS not in constraint.oracles:
        return
    low, high = constraint.bounds()
    signs = torch.isinf(high).to(at.w.dtype) - torch.isinf(low).to(at.w.dtype)  # [p]
    one_sided = signs != 0
    if not one_sided.any():
        return
    lengths = model.X.column_lengths
    units = torch.full_like(at.w, _norm(at, model)) if lengths is None else lengths.where(lengths > 0, 1.0)
    for moved_in in (_mended(at, model, theta, (signs, units)), _shifted(model, theta, (signs, units))):
        if moved_in is None:
            continue
        pull = model.X.adjoint(moved_in)
        wrong = (-signs * pull).clamp(min=0)
        paid = of_rounding(wrong, at.w, pull.abs() if lengths is None else lengths * moved_in.norm())
        if math.isfinite(paid.gap):
            found = along(at, Ray(None, -(pull + signs * wrong)), losses_along(at, model, moved_in))
            yield found + paid


def _norm(at: Evaluation, model: LinearModel) -> float:
    """About the largest singular value of the design, as the step knows it."""
    return 1 / math.sqrt(at.step * model.scale * model.loss.smoothness)


def _mended(at: Evaluation, model: LinearModel, theta: Tensor, coordinates: tuple[Tensor, Tensor]) -> Tensor | None:
    """``theta`` with the smallest change that takes its products to 0 where a projected gradient step is off its end.

    There they are 0 at the optimum. Elsewhere they have room near it; where they turn out not to, they join.
    """
    constraint, (signs, units) = at.problem.constraint, coordinates
    assert constraint is not None
    low, high = constraint.bounds()
    # of a box each coordinate has a step of its own
    stepped = constraint.project(at.w - at.gradient / (model.scale * model.loss.smoothness * units * units))
    active = (signs != 0) & (stepped != torch.where(signs > 0, low, high))
    for _ in range(ROUNDS):
        pull = model.X.adjoint(theta)
        active |= signs * pull < 0
        # columns may depend on each other up to rounding, and noise along what they leave is not to be blown up
        theta = theta - _least_squares(model, pull * active, units / active, damp=DAMP)
        wrong = (-signs * model.X.adjoint(theta)).clamp(min=0)
        if float(wrong[~active].sum()) == 0:
            return theta
    return None


def _least_squares(model: LinearModel, target: Tensor, units: Tensor, *, damp: float = 0.0) -> Tensor:
    r"""The smallest u [n] with :math:`X^\top u` as in ``target`` [p], in units [p]; not where these are infinite."""
    found, target = torch.zeros_like(model.y), target / units
    if not target.any():
        return found
    steps = lsmr(lambda u: model.X.adjoint(u) / units, lambda v: model.X.forward(v / units), target, damp=damp)
    for step in steps:
        if not math.isfinite(step.residual_norm):
            break
        found = step.x
        if step.iterations >= ITERATIONS or step.residual_norm <= 1e-15 * float(target.norm()) or step.ended:
            break
    return found


def _shifted(model: LinearModel, theta: Tensor, coordinates: tuple[Tensor, Tensor]) -> Tensor | None:
    """``theta`` and as much of one direction as its products need to have the signs where those are not 0."""
    signs, units = coordinates
    one_sided = signs != 0
    for direction in (torch.ones_like(model.y), _least_squares(model, signs * units, units)):
        inner = (signs * model.X.adjoint(direction))[one_sided]
        if float(inner.min()) > 0:
            lacking = (-signs * model.X.adjoint(theta))[one_sided].clamp(min=0)
            return theta + float((lacking / inner).max()) * direction
    return None
