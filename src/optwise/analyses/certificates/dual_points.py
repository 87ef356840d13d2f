"""Dual points of the penalty and the set: from their proximal maps, or scaled into the domains of their conjugates."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from optwise.analyses.certificates.bounds import ROUNDING
from optwise.analyses.certificates.evaluation import Evaluation
from optwise.analyses.certificates.fenchel_young import DualPoint
from optwise.core.constraint import ConstraintSet
from optwise.core.operator import LinearOperator
from optwise.core.oracles import Oracle
from optwise.core.penalty import Penalty
from optwise.numerics.finiteness import all_finite
from optwise.numerics.least_squares_krylov import lsmr

SWEEPS = 200
"""Of Dykstra's algorithm, at most."""
ITERATIONS = 200
"""Of least squares for a dual point of an operator that nobody offered."""
REFINEMENTS = 3
"""Solutions with the bands of an operator, each with what the one before has left."""
FACTORS = (1.0, *(1 - 2.0**-k for k in range(50, 0, -2)), *(2.0**-k for k in range(1, 20, 2)))
"""By what a scaled dual point is drawn in further until its conjugates are finite: first by rounding, then more."""


def at_prox(at: Evaluation, z: Tensor, step: float) -> DualPoint:
    r"""The dual point that the joint proximal map of g and C at z leaves.

    .. math:: x = \operatorname{prox}_{t (g + \iota_C)}(z), \qquad v + c = (z - x) / t, \quad v \in \partial g(x),
        \quad c \in N_C(x)

    Conjugates need no formula there: :math:`g^*(v) = \langle v, x \rangle - g(x)`, and the support of c is
    :math:`\langle c, x \rangle`. Where there is a formula it is asked all the same, since a short step from a long w
    leaves nothing but rounding of v; where there is none, that rounding is paid for. With both a penalty and a set the
    map is Dykstra's limit; stopped early, v and c belong to two points that differ, and remain dual points.

    Args:
        at: Where; of a problem without an operator.
        z: The point to map [p].
        step: t.

    References:
        Bauschke and Combettes (2008), A Dykstra-like algorithm for two monotone operators.
    """
    penalty, constraint = at.problem.penalty, at.problem.constraint
    if penalty is None and constraint is None:
        return DualPoint(None, None, 0.0, 0.0, torch.zeros_like(z))
    if constraint is None:
        assert penalty is not None
        return of_penalty(penalty, z, step)
    if penalty is None:
        return of_set(constraint, z, step)
    x, from_penalty, from_set = z, torch.zeros_like(z), torch.zeros_like(z)
    for _ in range(SWEEPS):
        y = penalty.prox(x + from_penalty, step)
        from_penalty = x + from_penalty - y
        x = constraint.project(y + from_set)
        from_set = y + from_set - x
        if float((x - y).norm()) <= torch.finfo(z.dtype).eps * float(x.norm()):
            break
    lost = ROUNDING * float(z.abs() @ x.abs()) / step
    v, conjugate = _within_domain(penalty, from_penalty / step, y, lost)
    c = from_set / step
    return DualPoint(v, c, conjugate, _support(constraint, c, x, lost), v + c)


def of_penalty(penalty: Penalty, z: Tensor, step: float) -> DualPoint:
    """The subgradient ``(z - x) / t`` of a penalty at ``x``, the proximal point of z."""
    x = penalty.prox(z, step)
    v, conjugate = _within_domain(penalty, (z - x) / step, x, ROUNDING * float(z.abs() @ x.abs()) / step)
    return DualPoint(v, None, conjugate, 0.0, v)


def of_set(constraint: ConstraintSet, z: Tensor, step: float) -> DualPoint:
    """The normal ``(z - x) / t`` of a set at ``x``, the projection of z."""
    x = constraint.project(z)
    c = (z - x) / step
    return DualPoint(None, c, 0.0, _support(constraint, c, x, ROUNDING * float(z.abs() @ x.abs()) / step), c)


def _within_domain(penalty: Penalty, v: Tensor, x: Tensor, lost: float) -> tuple[Tensor, float]:
    """A subgradient at x that rounding may have moved, drawn into the domain of the conjugate; with the conjugate.

    Args:
        penalty: g.
        v: The subgradient.
        x: Where.
        lost: What its rounding makes of ``<v, x>``, where no formula tells, or no multiple of v is in the domain.
    """
    conjugate = float(penalty.conjugate(v)) if Oracle.CONJUGATE in penalty.oracles else math.nan
    if math.isfinite(conjugate) or not all_finite(v):
        return v, conjugate
    most = penalty.dual_scale(v) if Oracle.CONJUGATE in penalty.oracles else 0.0
    if most > 0:
        for t in (most * factor for factor in FACTORS):
            conjugate = float(penalty.conjugate(t * v))
            if math.isfinite(conjugate):
                return t * v, conjugate
    return v, float(v @ x) - float(penalty.value(x)) + lost


def _support(constraint: ConstraintSet, c: Tensor, x: Tensor, lost: float) -> float:
    """The support of a normal at x: by its formula, or where rounding has moved the normal out of its domain paid for.

    A normal of a box has the signs that it must have, or is 0.
    """
    if Oracle.SUPPORT in constraint.oracles:
        found = float(constraint.support(c))
        if math.isfinite(found):
            return found
    return float(c @ x) + (0.0 if Oracle.BOUNDS in constraint.oracles else lost)


def of_argument(at: Evaluation, penalty: Penalty, v: Tensor) -> tuple[DualPoint, Tensor]:
    """The subgradient near ``v`` [m] that a proximal step from ``A w + t v`` finds, and its place [m]."""
    longest, length = float(v.abs().max()), float(at.image.abs().max())
    t = (length or 1.0) / (longest or 1.0)  # so that neither summand is lost in the other
    place = penalty.prox(at.image + t * v, t)
    v = v + (at.image - place) / t
    conjugate = float(v @ place) - float(penalty.value(place))
    return DualPoint(v, None, conjugate, 0.0, at.adjoint(v)), place


def least_squares(operator: LinearOperator, target: Tensor) -> Tensor:
    r"""The v of least norm that minimises :math:`\|A^\top v - b\|`: by bands, or as far as a few iterations find it.

    Args:
        operator: A [m, p].
        target: b [p].
    """
    v, length = target.new_zeros(operator.shape[0]), float(target.norm())
    if not 0 < length < math.inf:
        return v
    if operator.gram_bands is not None:
        try:
            for _ in range(REFINEMENTS):
                v = v + _by_bands(operator.gram_bands, operator.forward(target - operator.adjoint(v)))
        except np.linalg.LinAlgError:  # the rows depend on each other
            v = torch.zeros_like(v)
        else:
            return v
    for found in lsmr(operator.adjoint, operator.forward, target):
        if not all_finite(found.x):
            break
        v = found.x
        if found.iterations >= ITERATIONS or found.residual_norm <= 1e-15 * length or found.ended:
            break
    return v


def _by_bands(bands: tuple[Tensor, Tensor], right: Tensor) -> Tensor:
    """Solve with a positive definite tridiagonal matrix: its diagonal [m], its off-diagonal [m - 1]."""
    from scipy.linalg import solveh_banded

    diagonal, beside = (band.to(right).numpy() for band in bands)
    return torch.from_numpy(solveh_banded(np.stack([diagonal, np.append(beside, 0.0)]), right.numpy(), lower=True))


class Ray(NamedTuple):
    """Dual points whose multiples are tried.

    Args:
        v: Of g's argument [m]; ``None`` for 0.
        c: Of the set [p]; ``None`` where the set is left out.
        support: ``sup_{x in C} <c, x>`` where c is known to be a normal, since rounded normals can miss its domain.
    """

    v: Tensor | None
    c: Tensor | None
    support: float | None = None

    def at(self, t: float, where: Evaluation) -> DualPoint:
        """The dual point ``(t v, t c)``, its conjugates infinite where there is no formula or it lies outside."""
        penalty, constraint = where.problem.penalty, where.problem.constraint
        v, c = (None if part is None else t * part for part in (self.v, self.c))
        conjugate, support, pull = 0.0, 0.0, torch.zeros_like(where.w)
        if penalty is not None:
            known = Oracle.CONJUGATE in penalty.oracles
            conjugate = (
                float(penalty.conjugate(torch.zeros_like(where.image) if v is None else v)) if known else math.inf
            )
            pull = pull if v is None else where.adjoint(v)
        if constraint is not None and c is not None:
            pull = pull + c
            if self.support is not None:
                support = t * self.support
            else:
                support = float(constraint.support(c)) if Oracle.SUPPORT in constraint.oracles else math.inf
        return DualPoint(v, c, conjugate, support, pull)

    def points(self, where: Evaluation) -> Iterator[tuple[float, DualPoint]]:
        """Factors t in (0, 1], largest first, with their dual points, those with finite conjugates only."""
        penalty, constraint = where.problem.penalty, where.problem.constraint
        if not all(part is None or all_finite(part) for part in (self.v, self.c)):
            return
        most = 1.0
        if penalty is not None and self.v is not None and Oracle.CONJUGATE in penalty.oracles:
            most = min(most, penalty.dual_scale(self.v))
        if constraint is not None and self.c is not None and self.support is None:
            most = min(most, constraint.dual_scale(self.c))
        if not most > 0:
            return
        for t in (most * factor for factor in FACTORS):
            point = self.at(t, where)
            if math.isfinite(point.conjugate) and math.isfinite(point.support):
                yield t, point
