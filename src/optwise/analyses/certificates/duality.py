"""Duality gaps: the slacks of dual points, for those that proximal maps, the gradient or a solver offer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from optwise.analyses.certificates.bounds import Bound
from optwise.analyses.certificates.dual_points import (
    FACTORS,
    Ray,
    at_prox,
    least_squares,
    of_argument,
    of_set,
)
from optwise.analyses.certificates.evaluation import Evaluation
from optwise.analyses.certificates.fenchel_young import (
    NO_BOUND,
    NONE,
    DualPoint,
    Slack,
    of_conjugate,
    of_losses,
    of_modulus,
    of_rounding,
)
from optwise.core.loss import LinearModel
from optwise.core.smooth import Smooth

GAP = "duality gap"
FRANK_WOLFE = "Frank-Wolfe gap"
MODULUS = "strong convexity"


def duality_bounds(at: Evaluation, dual: Tensor | None) -> Iterator[Bound]:
    r"""Duality gaps of a convex problem at ``w``, from three kinds of dual points.

    *Near* points come from proximal maps; what they leave of the gradient,
    :math:`r = \nabla f(w) + A^\top v + c`, is paid for by strong convexity, with :math:`\|r\|^2 / (2\mu)`, or by a
    conjugate of f. With :math:`t = 1/\mu` that is the largest lower bound which strong convexity gives:

    .. math:: F^\star \ge \min_x f(w) + \langle \nabla f(w), x - w \rangle + \tfrac{\mu}{2} \|x - w\|^2 + g(x)

    On *rays*, :math:`A^\top v + c = -t \nabla f(w)` holds exactly, and t is as large as the domains of the conjugates
    allow: for t = 1 the gap is :math:`\langle \nabla f(w), w \rangle + g(w) + g^*(-\nabla f(w))`, over a bounded set
    the Frank-Wolfe gap. *Offered* points of the predictions of a linear model or of the argument of g are both.

    Args:
        at: The point.
        dual: What a solver offers: [n] of the predictions of a linear model, or [m] of the argument of g; where both
            lengths agree, it is tried as both, since every dual point gives a bound that holds.

    References:
        Rockafellar (1970), Convex Analysis, section 31; Ndiaye, Fercoq, Gramfort and Salmon (2017), Gap safe screening
        rules for sparsity enforcing penalties; Jaggi (2013), Revisiting Frank-Wolfe.
    """
    argument = dual if dual is not None and dual.shape == at.image.shape else None
    if at.problem.operator is None and at.has_prox and not at.joint:
        modulus = at.problem.smooth.strong_convexity
        if modulus > 0 or type(at.problem.smooth).conjugate is not Smooth.conjugate:
            t = 1 / modulus if modulus > 0 else at.step
            yield _near(at, at_prox(at, at.w - t * at.gradient, t))
    if argument is not None:
        yield from (_near(at, point) for point in with_normals(at, argument))
    for ray in (*(shares(at, -at.gradient) if at.problem.operator is None else ()), *_offered_rays(at, argument)):
        yield _on_gradient(at, ray)
    model = at.model
    if model is not None and dual is not None and dual.shape == model.y.shape and at.problem.operator is None:
        yield bound(of_predictions(at, model, dual))


def joint_bounds(at: Evaluation, dual: Tensor | None) -> Iterator[Bound]:
    """Duality gaps whose dual points take iterations of their own.

    They are those of a penalty together with a set, by Dykstra's algorithm, and of a penalty behind an operator, by
    least squares, where no dual point is offered.

    Args:
        at: The point.
        dual: What a solver offers.
    """
    operator, model = at.problem.operator, at.model
    if operator is not None:
        if dual is None or dual.shape != at.image.shape:
            yield from (_near(at, point) for point in with_normals(at, least_squares(operator, -at.gradient)))
        return
    if not at.joint or not at.has_prox:
        return
    near = at_prox(at, at.w - at.step * at.gradient, at.step)
    yield _near(at, near)
    yield from (_on_gradient(at, ray) for ray in splits(near, -at.gradient))
    if model is not None and dual is not None and dual.shape == model.y.shape and model.l2 == 0:
        smooth = losses_along(at, model, dual)
        yield from (bound(along(at, ray, smooth)) for ray in splits(near, -model.X.adjoint(dual)))


def of_predictions(at: Evaluation, model: LinearModel, theta: Tensor) -> Slack:
    r"""The gap at a dual point of the predictions of a linear model, without an operator.

    .. math:: F^\star \ge -\sum_i s \ell^*(\theta_i / s)
        - \big(g + \iota_C + \tfrac{\lambda_2}{2} \|\cdot\|^2\big)^*(-X^\top \theta)

    Without :math:`\lambda_2` the point is scaled into the domains; with it the conjugate is finite everywhere and is
    computed through the proximal map, since its supremum is attained at
    :math:`\operatorname{prox}_{(g + \iota_C) / \lambda_2}(-X^\top \theta / \lambda_2)`.

    Args:
        at: The point.
        model: With the conjugate of its loss.
        theta: The dual point [n], in the scale of :math:`s \ell'(X w)`.
    """
    pull = model.X.adjoint(theta)  # [p]
    smooth = losses_along(at, model, theta)
    if model.l2 == 0:
        return least(*(along(at, ray, smooth) for ray in shares(at, -pull)))
    if not at.has_prox:
        return NO_BOUND
    for t in FACTORS:
        losses = smooth(t)
        if math.isfinite(losses.gap):
            point = at_prox(at, -t * pull / model.l2, 1 / model.l2)
            rest = t * pull + model.l2 * at.w + point.pull
            return losses + point.slack(at) + Slack(float(rest @ rest) / (2 * model.l2))
    return NO_BOUND


def along(at: Evaluation, ray: Ray, smooth: Callable[[float], Slack]) -> Slack:
    """The gap at the largest multiple of a ray's dual points at which all conjugates are finite.

    Args:
        at: The point.
        ray: Of the penalty and the set.
        smooth: The slack of f for each multiple t.
    """
    for t, point in ray.points(at):
        level = NO_BOUND if ray.v is None and ray.c is None else _level_set(at, t, point)
        found = least(smooth(t) + point.slack(at), level)
        if math.isfinite(found.gap):
            return found
    return NO_BOUND


def shares(at: Evaluation, pull: Tensor) -> Iterator[Ray]:
    """Rays that give all of ``pull`` [p] to the penalty, which has no operator, or else to the set."""
    if at.problem.penalty is not None:
        yield Ray(pull, None)
    elif at.problem.constraint is not None:
        yield Ray(None, pull)


def splits(near: DualPoint, pull: Tensor) -> Iterator[Ray]:
    """Rays that share ``pull`` [p] between penalty and set as a near point does, one of them taking the difference."""
    assert near.v is not None
    assert near.c is not None
    yield Ray(pull - near.c, near.c, near.support)
    yield Ray(near.v, pull - near.v)


def losses_along(at: Evaluation, model: LinearModel, theta: Tensor) -> Callable[[float], Slack]:
    """The slack of the losses at the multiples of a dual point of the predictions [n]."""
    return lambda t: of_losses(model, at.predictions, t * theta)


def bound(slack: Slack, name: str = GAP) -> Bound:
    """A sum of slacks as a bound of the distance to the optimum."""
    return Bound(slack.gap, slack.magnitude, name)


def least(*slacks: Slack) -> Slack:
    """The smallest of several slacks."""
    return min(slacks, key=lambda slack: slack.gap if slack.gap >= 0 else math.inf, default=NO_BOUND)


def with_normals(at: Evaluation, v: Tensor) -> Iterator[DualPoint]:
    """A dual point of g's argument [m] as it is and mapped into the domain, each with what the set adds to it."""
    penalty, constraint = at.problem.penalty, at.problem.constraint
    if penalty is None:
        return
    found = [Ray(v, None).at(1.0, at)]
    if at.has_prox:
        found.append(of_argument(at, penalty, v)[0])
    for point in found:
        yield point
        if constraint is not None:
            normal = of_set(constraint, at.w - at.step * (at.gradient + point.pull), at.step)
            yield DualPoint(point.v, normal.c, point.conjugate, normal.support, point.pull + normal.pull)


def _offered_rays(at: Evaluation, argument: Tensor | None) -> Iterator[Ray]:
    """Rays of an offered point of g's argument of which the set takes the rest."""
    constraint = at.problem.constraint
    if constraint is None or argument is None or at.problem.penalty is None:
        return
    rest = -(at.gradient + at.adjoint(argument))
    yield Ray(argument, rest)
    longest = float(rest.abs().max())
    if at.problem.operator is None and longest > 0:
        # what the set takes of the offered point: for an affine set, its part along the rows
        t = max(float(at.w.abs().max()), 1.0) / longest
        normal = of_set(constraint, constraint.project(at.w) + t * rest, t)
        yield Ray(-at.gradient - normal.pull, normal.c, normal.support)


def _near(at: Evaluation, point: DualPoint) -> Bound:
    by_modulus, by_conjugate = of_modulus(at, at.gradient + point.pull), of_conjugate(at, -point.pull)
    smooth = least(by_modulus, by_conjugate)
    return bound(point.slack(at) + smooth, MODULUS if at.smooth_only and smooth is by_modulus else GAP)


def _on_gradient(at: Evaluation, ray: Ray) -> Bound:
    return bound(along(at, ray, lambda t: _along_gradient(at, t)), FRANK_WOLFE if at.problem.penalty is None else GAP)


def _along_gradient(at: Evaluation, t: float) -> Slack:
    """The slack of f at ``t grad f(w)``."""
    if t == 1 or not at.gradient.any():
        return NONE
    found = [of_modulus(at, (1 - t) * at.gradient), of_conjugate(at, t * at.gradient)]
    model = at.model
    if model is not None:
        losses = losses_along(at, model, model.scale * model.loss.derivative(at.predictions, model.y))(t)
        found.append(losses + Slack(0.5 * model.l2 * (1 - t) ** 2 * float(at.w @ at.w)))
    return least(*found)


def _level_set(at: Evaluation, t: float, point: DualPoint) -> Slack:
    r"""The gap on the level set of w where f is only bounded below.

    For :math:`A^\top v + c = -t \nabla f(w)`, convexity of f and :math:`g(Ax) \le F(w) - \inf f` give

    .. math:: F(w) - F^\star \le \frac{\text{slacks of } g \text{ and } C}{t}
        + \Big(\frac{1}{t} - 1\Big) \big(f(w) - \inf f\big)
    """
    lower = at.problem.smooth.lower_bound
    if not math.isfinite(lower):
        return NO_BOUND
    of_set = point.c if point.c is not None else torch.zeros_like(at.w)
    sizes = (t * at.gradient).abs() + (point.pull - of_set).abs() + of_set.abs()
    slack = point.slack(at) + of_rounding(t * at.gradient + point.pull, at.w, sizes)  # off the gradient's ray: none
    drop = (1 / t - 1) * (at.f - lower)
    return Slack(slack.gap / t + drop, slack.magnitude / t + abs(at.f) + abs(lower))
