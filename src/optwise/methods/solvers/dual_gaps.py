"""What splitting methods share: gaps as they estimate them, scales, and points without a value."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.oracles import Oracle
from optwise.core.penalty import Penalty
from optwise.core.solver import Iterate
from optwise.methods.solvers.bidiagonal import probe
from optwise.methods.solvers.counted_operator import CountedOperator
from optwise.methods.solvers.newton_systems import in_float64, quadratic

FAR = 1e8
"""Where a penalty is asked whether it is finite."""


def penalty_gap(penalty: Penalty, g: float, z: Tensor, u: Tensor) -> tuple[float, float]:
    r"""The slack of Young's inequality at the largest share of a dual point that has a finite conjugate.

    .. math:: g(z) + g^*(s u) - \langle s u, z \rangle \ge 0

    Args:
        penalty: g.
        g: Its value at z.
        z: A point [m].
        u: A dual point [m].

    Returns:
        The slack, NaN where the penalty has no conjugate, and s.
    """
    if Oracle.CONJUGATE not in penalty.oracles:
        return math.nan, 1.0
    share = penalty.dual_scale(u)
    slack = g + float(penalty.conjugate(share * u) - share * (u @ z))
    return (math.inf if math.isnan(slack) else max(slack, 0.0)), share


def total_gap(problem: Composite, value: float, *, slack: float, rest: float, reach: float) -> float:
    r"""A gap in the scale of certificates: slacks, and what is left of the stationarity of f.

    .. math:: \text{slack} + \frac{\|r\|^2}{2 \mu}, \qquad r = \nabla f + A^T u + c

    Without strong convexity r counts by what it can gain on the way to 0.

    Args:
        problem: Whose f it is.
        value: F.
        slack: The sum of what dual points leave of the other parts.
        rest: Length of r.
        reach: Length of w.
    """
    modulus = problem.smooth.strong_convexity
    if modulus > 0.0:
        return problem.gap_measure(slack + rest * rest / (2.0 * modulus), value)
    return problem.gap_measure(slack + rest * reach, value)


def curvature_ratio(problem: Composite, w: Tensor, gradient: Tensor) -> float:
    """Curvature of f over that of |A w|^2 / 2 at ``w`` along its gradient; 1 where either is nothing.

    Far from zero losses saturate, without curvature to speak of: the mean on the way to zero counts where it is more.
    """
    A = CountedOperator(problem)
    pairs = [(problem.hvp(w, gradient), gradient)]
    if not quadratic(problem) and bool(w.any()):
        pairs.append((gradient - problem.f_and_gradient(torch.zeros_like(w))[1], w))
    ratios = [float(turned.norm() / A.adjoint(A.forward(d)).norm()) for turned, d in pairs]
    return max((ratio for ratio in ratios if 0.0 < ratio < math.inf), default=1.0)


def better(best: Iterate, found: Iterate) -> Iterate:
    """The iterate with the smaller gap; where the second has none, the one with the smaller value."""
    if math.isnan(found.measure):
        return found if found.value < best.value else best
    return found if found.measure < best.measure else best


def outside_domain(problem: Composite) -> str:
    """Why points on the way to a limit may have no value, as the rest of a sentence; empty where all have one."""
    exact, origin = in_float64(problem)
    if exact.penalty is None:
        return ""
    far = FAR * probe(origin if exact.operator is None else exact.operator.forward(origin), 1.0)
    if all(math.isfinite(float(exact.penalty.value(z))) for z in (far, -far)):
        return ""
    return (
        f"has a {type(exact.penalty).__name__} that is infinite outside a set, which iterates reach in the limit only"
    )
