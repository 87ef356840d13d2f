"""Sums of squares of nonlinear residuals: Gauss-Newton with a search, Levenberg-Marquardt in a trust region."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.oracles import Oracle
from optwise.core.smooth import Residuals
from optwise.core.solver import Iterate, Solver
from optwise.numerics.decompositions import shortest_solution, svd
from optwise.numerics.finiteness import all_finite

RESIDUALS = frozenset({Oracle.RESIDUALS, Oracle.WHOLE})
ACCEPTED = 1e-4
"""Least ratio of actual to predicted decrease at which a step is taken."""


class _Point(NamedTuple):
    """A point w [p], its residuals r [m], and their squared length."""

    w: Tensor
    r: Tensor
    square: float


class _Linear(NamedTuple):
    """The Jacobian with columns scaled by D, as singular values: J D^-1 = U diag(s) V^T [m, p]."""

    s: Tensor  # [k]
    rotated: Tensor  # V^T [k, p]
    projected: Tensor  # U^T r [k]


@dataclass(frozen=True, kw_only=True)
class LevenbergMarquardt(Solver):
    r"""Levenberg-Marquardt in a scaled trust region, for :math:`f(w) = \tfrac s2 \|r(w)\|^2`.

    .. math:: p = \operatorname*{argmin}_{\|D p\| \le \Delta} \|J p + r\|, \qquad w \leftarrow w + p

    D holds the largest norm each column of J has had, so that units of the parameters do not matter. The step comes
    from the singular values of :math:`J D^{-1}`, which also answers where columns depend on each other; one iteration
    costs a Jacobian and :math:`O(m p^2)`. It converges quadratically where the residuals vanish at the answer, at a
    linear rate otherwise.

    Args:
        factor: First radius over the length of the scaled start.

    References:
        Moré (1978), The Levenberg-Marquardt algorithm: implementation and theory.
    """

    factor: float = 100.0

    needs = RESIDUALS
    limits = {"factor": (1e-3, 1e6)}  # noqa: RUF012 - a table of the class

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        residuals, eps = _residuals(problem), torch.finfo(w.dtype).eps
        point = _at(problem, residuals, w)
        J = _jacobian(problem, residuals, point)
        if J is None:
            return
        scale = _column_scale(J)
        radius = min(self.factor * (float((scale * w).norm()) or 1.0), sys.float_info.max)
        linear = _linearised(problem, J / scale, point.r)
        while True:
            following = None
            while following is None:
                step, damping = _within(linear, radius)  # of the scaled parameters
                trial = _at(problem, residuals, point.w + step / scale)
                ratio, predicted = _ratio(linear, point, trial, step, damping)
                radius = _next_radius(radius, float(step.norm()), ratio, damping)
                if ratio >= ACCEPTED and trial.square < point.square:
                    following = _jacobian(problem, residuals, trial)
                if following is None:
                    # also a point without a Jacobian: the next one is nearer
                    radius = min(radius, 0.25 * float(step.norm()))
                    if not predicted > eps or not radius > eps * float((scale * point.w).norm()) + 1e-300:
                        return
            point, J = trial, following
            scale = torch.maximum(scale, _lengths(J))
            linear = _linearised(problem, J / scale, point.r)
            kept = linear.projected[linear.s > _least(linear)]
            yield _iterate(residuals, point, radius, promise=float(kept.square().sum()))


@dataclass(frozen=True, kw_only=True)
class GaussNewton(Solver):
    r"""Gauss-Newton with a backtracking search, for :math:`f(w) = \tfrac s2 \|r(w)\|^2`.

    .. math:: p = -J^{+} r, \qquad w \leftarrow w + t p

    The step is the shortest one that solves the linearised problem; t halves until the sum of squares falls by a part
    of what the slope promises. Right where J has full rank on the way; Levenberg-Marquardt where it may lose it.

    References:
        Nocedal and Wright (2006), Numerical Optimization, section 10.3.
    """

    needs = RESIDUALS

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        residuals = _residuals(problem)
        point = _at(problem, residuals, w)
        J = _jacobian(problem, residuals, point)
        if J is None:
            return
        move = -shortest_solution(J, point.r)
        while True:
            slope = 2 * float(point.r @ (J @ move))  # of the squared length
            step, following = 2.0, None
            while following is None:
                step *= 0.5
                if step < 1e-12 or not slope < 0:
                    return
                trial = _at(problem, residuals, point.w + step * move)
                if trial.square <= point.square + ACCEPTED * step * slope:
                    if not trial.square < point.square:
                        return
                    following = _jacobian(problem, residuals, trial)
            point, J = trial, following
            move = -shortest_solution(J, point.r)
            yield _iterate(residuals, point, step, promise=float((J @ move).square().sum()))


def _residuals(problem: Composite) -> Residuals:
    residuals = problem.smooth.residuals
    assert residuals is not None  # declared among the needs
    return residuals


def _at(problem: Composite, residuals: Residuals, w: Tensor) -> _Point:
    problem.count("evaluations")
    with torch.no_grad():
        r = residuals.value(w)
    square = float(r.square().sum())
    return _Point(w, r, square if math.isfinite(square) else math.inf)


def _jacobian(problem: Composite, residuals: Residuals, point: _Point) -> Tensor | None:
    """The Jacobian at a point; ``None`` where it is not finite, so that no step can be taken from there."""
    J = residuals.jacobian(point.w)
    problem.count("gradients", float(min(J.shape)))  # as many passes as automatic differentiation takes
    return J if all_finite(J) else None


def _lengths(J: Tensor) -> Tensor:
    """Of the columns [p], also where their squares would overflow or underflow."""
    largest = J.abs().amax(dim=0)
    unit = torch.where(largest > 0, largest, torch.ones_like(largest))
    found: Tensor = unit * (J / unit).norm(dim=0)
    return found


def _column_scale(J: Tensor) -> Tensor:
    norms = _lengths(J)
    return torch.where(norms > 0, norms, torch.ones_like(norms))


def _linearised(problem: Composite, scaled: Tensor, r: Tensor) -> _Linear:
    left, s, rotated = svd(scaled)
    problem.count("factorizations")
    return _Linear(s, rotated, left.T @ r)


def _ratio(linear: _Linear, point: _Point, trial: _Point, step: Tensor, damping: float) -> tuple[float, float]:
    """Actual over predicted decrease of the squared length, and the predicted one, both relative to that length."""
    if point.square == 0:
        return 0.0, 0.0
    moved = linear.s * (linear.rotated @ step)  # U^T J D^-1 step
    predicted = (float(moved.square().sum()) + 2 * damping * float(step.square().sum())) / point.square
    actual = 1 - trial.square / point.square
    return (actual / predicted if predicted > 0 and math.isfinite(actual) else 0.0), predicted


def _within(linear: _Linear, radius: float) -> tuple[Tensor, float]:
    """The step of the scaled parameters within the radius, and its damping; Newton's method on 1/length."""
    s, projected = linear.s, linear.projected
    kept = s > _least(linear)
    free = torch.where(kept, projected / torch.where(kept, s, torch.ones_like(s)), torch.zeros_like(s))
    if float(free.norm()) <= radius:
        return -(linear.rotated.T @ free), 0.0
    damping = float((s * projected).norm()) / radius * 1e-3 + 1e-300
    step = free
    for _ in range(50):
        weights = s.square() + damping
        step = s * projected / weights
        length = float(step.norm())
        if abs(length - radius) <= 0.1 * radius:
            break
        fall = float((step.square() / weights).sum())  # minus half the derivative of the squared length
        if not fall > 0.0:
            break
        damping = max(damping + length * length / fall * (length - radius) / radius, 1e-3 * damping)
    return -(linear.rotated.T @ step), damping


def _next_radius(radius: float, length: float, ratio: float, damping: float) -> float:
    if ratio <= 0.25:
        return 0.25 * min(radius, length) if length > 0 else 0.25 * radius
    if ratio >= 0.75 or damping == 0.0:
        return max(radius, 2 * length) if ratio >= 0.75 else 2 * length
    return radius


def _least(linear: _Linear) -> float:
    """The singular value up to which one is rounding."""
    return float(linear.s[0]) * max(linear.rotated.shape) * torch.finfo(linear.s.dtype).eps


def _iterate(residuals: Residuals, point: _Point, step: float, *, promise: float) -> Iterate:
    """The point, with the cosine between r and what the linearised problem can take away."""
    value = residuals.scale / 2 * point.square
    cosine = math.sqrt(promise / point.square) if point.square > 0 else 0.0
    return Iterate(point.w, value, step, cosine)
