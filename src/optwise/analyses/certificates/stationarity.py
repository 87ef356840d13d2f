"""Residuals of the first-order conditions: what is certified where nothing bounds the distance to the optimum."""

from __future__ import annotations

import math

from torch import Tensor

from optwise.analyses.certificates.dual_points import at_prox, least_squares, of_argument, of_set
from optwise.analyses.certificates.evaluation import Evaluation
from optwise.core.operator import LinearOperator
from optwise.core.smooth import Residuals


def stationarity(at: Evaluation, dual: Tensor | None) -> tuple[str, float]:
    r"""The relative residual of the first-order conditions at ``w``, with its name.

    - *gradient norm*, :math:`\|\nabla f(w)\|` over that at the start;
    - *gradient map* with a penalty or a set, :math:`\|w - \operatorname{prox}_{tg}(w - t \nabla f(w))\| / t` over the
      same, with t = 1/L. A shorter step gives a larger number; this one changes with the units of F and w as the
      gradient does, so that no choice of units changes the certificate;
    - *KKT residual* behind an operator: the larger of :math:`\|\nabla f(w) + A^\top v + c\|`, relative as above, and
      of the distance between :math:`A w` and the point where v is a subgradient, relative to :math:`\|A w\|`;
    - *cosine of residual and Jacobian* for least squares without penalty and set,
      :math:`\max_j |J_j^\top r| / (\|J_j\| \|r\|)`, which no units of residuals or parameters change.

    Args:
        at: The point.
        dual: Of g's argument [m], where a solver offers one.

    References:
        More, Garbow and Hillstrom (1980), User guide for MINPACK-1, for the cosine; Beck (2017), First-Order Methods in
        Optimization, section 10.3, for the gradient map.
    """
    problem = at.problem
    if at.smooth_only:
        if problem.smooth.residuals is not None:
            return "cosine of residual and Jacobian", _cosine(problem.smooth.residuals, at.w)
        return "gradient norm", problem.gradient_measure(float(at.gradient.norm()))
    if problem.operator is not None:
        return "KKT residual", _kkt_residual(at, problem.operator, dual)
    return "gradient map", problem.gradient_measure(_gradient_map(at))


def _cosine(residuals: Residuals, w: Tensor) -> float:
    r, J = residuals.value(w), residuals.jacobian(w)  # [m], [m, p]
    length = float(r.norm())
    if length == 0:
        return 0.0
    lengths = J.norm(dim=0)
    cosines = (J.mT @ (r / length)).abs() / lengths.where(lengths > 0, 1.0)
    return float(cosines.max())


def _gradient_map(at: Evaluation) -> float:
    """Length of the gradient map; infinite where the penalty has no proximal map."""
    if not at.has_prox:
        return math.inf
    t, penalty, constraint = at.step, at.problem.penalty, at.problem.constraint
    z = at.w - t * at.gradient
    if penalty is not None and constraint is not None:
        point = at_prox(at, z, t)
        assert point.v is not None
        assert point.c is not None
        # v is a subgradient at w, and c a normal, just where these maps come back to w
        back = (penalty.prox(at.w + t * point.v, t), constraint.project(at.w + t * point.c))
        return max(float((at.gradient + point.pull).norm()), *(float((x - at.w).norm()) / t for x in back))
    mapped = z if penalty is None else penalty.prox(z, t)
    mapped = mapped if constraint is None else constraint.project(mapped)
    return float((at.w - mapped).norm()) / t


def _kkt_residual(at: Evaluation, operator: LinearOperator, dual: Tensor | None) -> float:
    penalty, constraint = at.problem.penalty, at.problem.constraint
    if penalty is None or not at.has_prox:
        return math.inf
    offered = dual is not None and dual.shape == at.image.shape
    v = dual if dual is not None and offered else least_squares(operator, -at.gradient)
    point, place = of_argument(at, penalty, v)
    rest = at.gradient + point.pull
    if constraint is not None:
        rest = rest + of_set(constraint, at.w - at.step * rest, at.step).pull
    length = float(at.image.norm())
    apart = float((at.image - place).norm()) / (length if length > 0 else 1.0)
    return max(at.problem.gradient_measure(float(rest.norm())), apart)
