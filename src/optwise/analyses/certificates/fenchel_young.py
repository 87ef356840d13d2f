r"""Fenchel-Young slacks: what a duality gap is the sum of, each at least 0 and small where a dual point fits.

With dual points v of g and c of the set, and :math:`u = -(A^\top v + c)` of f,

.. math:: F(w) - F^\star \le \underbrace{f(w) + f^*(u) - \langle u, w \rangle}_{f}
    + \underbrace{g(Aw) + g^*(v) - \langle v, Aw \rangle}_{g} + \underbrace{\sigma_C(c) - \langle c, w \rangle}_{C}

Summed this way a gap keeps digits that the difference of the primal and the dual value has lost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from optwise.analyses.certificates.evaluation import Evaluation
from optwise.core.loss import LinearModel
from optwise.core.smooth import Smooth


@dataclass(frozen=True)
class Slack:
    """A slack, and the sum of the sizes of the numbers it is a difference of."""

    gap: float
    magnitude: float = 0.0

    def __add__(self, other: Slack) -> Slack:
        return Slack(self.gap + other.gap, self.magnitude + other.magnitude)


NONE = Slack(0.0)
NO_BOUND = Slack(math.inf)
BALANCED = 1e-12
"""Part of the numbers that are to cancel that may be left by rounding. Source: optwise, own choice."""


@dataclass(frozen=True, eq=False)
class DualPoint:
    """Dual points of the penalty and the set, with what their conjugates are there.

    Args:
        v: Of g's argument [m]; ``None`` where there is no penalty, or it is left at 0.
        c: Of the set [p]; ``None`` where there is none, or it is left out.
        conjugate: ``g*(v)``.
        support: ``sup_{x in C} <c, x>``.
        pull: ``A^T v + c`` [p].
    """

    v: Tensor | None
    c: Tensor | None
    conjugate: float
    support: float
    pull: Tensor

    def slack(self, at: Evaluation) -> Slack:
        """The slacks of g and of the set."""
        total = NONE
        if at.problem.penalty is not None:
            product = 0.0 if self.v is None else float(self.v @ at.image)
            total += young(at.g, self.conjugate, product)
        if self.c is not None:
            product = float(self.c @ at.w)
            # outside the set the slack may be negative; then its size counts against the point
            total += Slack(abs(self.support - product), abs(self.support) + abs(product))
        return total


def young(primal: float, dual: float, product: float) -> Slack:
    """``primal + dual - product``, which Young's inequality says is at least 0; infinite unless all are finite."""
    gap = primal + dual - product
    return Slack(max(gap, 0.0), abs(primal) + abs(dual) + abs(product)) if math.isfinite(gap) else NO_BOUND


def of_rounding(left: Tensor, w: Tensor, sizes: Tensor) -> Slack:
    """What rounding has left of a balance costs; no bound where it is more than rounding.

    Args:
        left: What should be 0, a number for each coordinate [p].
        w: The coordinates that it is multiplied with [p].
        sizes: Of the numbers that were to cancel, each in the unit of its own coordinate [p].
    """
    if bool((left.abs() > BALANCED * sizes).any()):
        return NO_BOUND
    units = sizes.where(sizes > 0, 1.0)
    return Slack(2 * float((left / units).norm()) * float((w * units).norm()))


def of_modulus(at: Evaluation, rest: Tensor) -> Slack:
    r"""The slack of a strongly convex f at ``u = grad f(w) - rest``: at most :math:`\|rest\|^2 / (2 \mu)`."""
    modulus = at.problem.smooth.strong_convexity
    if not rest.any():
        return NONE
    square = float(rest @ rest)  # one that underflows bounds nothing
    return Slack(square / (2 * modulus)) if modulus > 0 and square > 0 else NO_BOUND


def of_conjugate(at: Evaluation, u: Tensor) -> Slack:
    """The slack of an f that says its conjugate, at u [p]."""
    smooth = at.problem.smooth
    excess = smooth.excess(at.w, at.gradient - u)
    if excess is not None:
        return Slack(excess) if math.isfinite(excess) else NO_BOUND
    if type(smooth).conjugate is Smooth.conjugate:
        return NO_BOUND
    return young(at.f, float(smooth.conjugate(u)), float(u @ at.w))


def of_losses(model: LinearModel, z: Tensor, theta: Tensor) -> Slack:
    r"""The slack of the losses of a linear model at a dual point of its predictions.

    .. math:: \sum_i s \ell(z_i) + s \ell^*(\theta_i / s) - \theta_i z_i

    Args:
        model: With a conjugate.
        z: Predictions ``X w`` [n].
        theta: The dual point [n]; :math:`s \ell'(z)` makes the slack 0.
    """
    if not model.has_conjugate:
        return NO_BOUND
    values, product = model.loss.values(z, model.y), theta / model.scale * z  # [n]
    conjugates = model.loss.conjugate(theta / model.scale, model.y)
    gaps = (values + conjugates - product).clamp(min=0)  # each loss has its own inequality
    size = float((values.abs() + conjugates.abs() + product.abs()).sum())
    total = model.scale * float(gaps.sum())
    return Slack(total, model.scale * size) if math.isfinite(total) else NO_BOUND
