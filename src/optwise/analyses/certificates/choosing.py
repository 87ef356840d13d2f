"""The certificate of a point: the smallest bound that holds, or else a residual of the first-order conditions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from optwise.analyses.certificates.bounds import Bound, simple_bounds
from optwise.analyses.certificates.class_probabilities import class_bounds
from optwise.analyses.certificates.design_factor import DesignFactor
from optwise.analyses.certificates.duality import duality_bounds, joint_bounds
from optwise.analyses.certificates.evaluation import Evaluation
from optwise.analyses.certificates.exact_bounds import exact_bounds, factor_of
from optwise.analyses.certificates.feasibility import relative_violation
from optwise.analyses.certificates.flat_directions import flat_directions
from optwise.analyses.certificates.predicted_decrease import bent_directions
from optwise.analyses.certificates.repairs import repaired_bounds
from optwise.analyses.certificates.rounding import balanced, rounding_error
from optwise.analyses.certificates.saddles import way_down, way_off
from optwise.analyses.certificates.separation import separated
from optwise.analyses.certificates.silence import silence
from optwise.analyses.certificates.stationarity import stationarity
from optwise.core.certificate import Certificate, CertificateKind
from optwise.core.composite import DOUBLE, Composite
from optwise.core.errors import BadProblem
from optwise.numerics.finiteness import all_finite

QUICK = 2e8
"""Operations of a factorisation that is made where it may only sharpen a bound. Source: optwise, own choice."""

RECEDES = (
    "The classes are separated by these weights: F falls for ever along them, so that its infimum is not attained; add "
    "a penalty, such as l2=1e-4."
)
SEPARATED = (
    "Some examples are separated from all others: F falls for ever along weights that grow, so that its infimum is not "
    "attained, and what is given is as close as was asked; add a penalty, such as l2=1e-4."
)
DOUBTFUL = (
    "Columns of the design depend on each other up to rounding, and nobody can tell whether they do: leave one out, or "
    "add l2."
)
STEEP = "F is finite at this point and its gradient is not, so that nothing can be told of it; start elsewhere."
VAGUE = 0.01
"""Part of what the tolerance allows that the rounding of F may be before its sums are made anew."""
LARGEST = 1e130
"""An entry of a gradient beyond which squares that certificates are made of overflow."""
TOO_LARGE = (
    "The gradient is beyond 1e130, and its square beyond the numbers there are; multiply the objective by a small "
    "number, such as 1e-100."
)
SMALLEST = 1e-140
"""An objective and a gradient, not both 0, below which these squares underflow."""
TOO_SMALL = (
    "Objective and gradient are below 1e-140, and their squares below the numbers there are; multiply the objective by "
    "a large number, such as 1e100."
)
GONE = (
    "F has fallen below 1e-140, and its square below the numbers there are, so that nothing is proved of it: it is as "
    "good as 0."
)
GROWTHS = (1e3, 1e9)
"""Multiples of a point that a set holds where it is a cone."""
_FACTORS: WeakKeyDictionary[Composite, DesignFactor | None] = WeakKeyDictionary()


def certify(problem: Composite, w: Tensor, dual: Tensor | None = None, *, optimum: float | None = None) -> Certificate:
    r"""Prove how good a point is, from the problem and the point alone.

    OPTIMALITY means a bound that holds in exact arithmetic, relative and with the distance to the set, of a box by
    coordinates:

    .. math:: \max\Big( \frac{\text{bound on } F(w) - F^\star}{\max(|F(w)|, |F(w) - \text{bound}|)},
        \frac{\operatorname{dist}(w, C)}{\|w\|} \Big)

    The smallest bound is taken of those kinds that were needed to meet ``problem.tol``, the quick ones first, and
    ``name`` says which: a *known optimum*, a *lower bound* of the parts, *strong convexity*, a *duality gap*, the
    *Frank-Wolfe gap*, the *projection of the residual* of least squares. The rounding of the numbers that a bound is
    the difference of is added to it. Where that of F would count, as where the terms of predictions cancel, the sums
    are made in twice the precision (:meth:`~.smooth.Smooth.precisely`), or where nobody can, the bound pays for it.

    Where F itself is no larger than what rounding makes of it (:func:`~.rounding.rounding_error`), a bound that is no
    larger either counts as 0, provided that the first-order conditions hold as well as rounding lets them: an optimum
    can be 0, and nothing is then relative to it. That is the only floor; no scale knows the start.

    Where a bound tends to 0 at the optimum, its certificate is given however large it is, so that no solver is stopped
    by a weaker claim. A lower bound that need not be attained counts only once it meets ``problem.tol``. Otherwise the
    kind is STATIONARITY: a residual of the first-order conditions without units, which proves nothing about F; whether
    negative curvature leads down from there is told.

    Args:
        problem: In float64.
        w: The point [p], float64.
        dual: A dual point [n] of the predictions of a linear model, in the scale of :math:`s \ell'(X w)`, or [m] of the
            argument of g; float64. It can make a bound smaller and never makes one wrong.
        optimum: :math:`F^\star`, where it is known.

    Returns:
        The certificate; its value is infinite where F or its gradient is not finite.

    Raises:
        BadProblem: ``w`` or ``dual`` has a length or type that fits nothing.

    Example:
        >>> from optwise.core.smooth import Smooth
        >>> class Bowl(Smooth):
        ...     dimension, convex, strong_convexity, lipschitz = 2, True, 1.0, 1.0
        ...
        ...     def value(self, w):
        ...         return 0.5 * (w - 1).square().sum()
        >>> proof = certify(Composite(Bowl()), torch.tensor([1.1, 1.0]).double())
        >>> proof.kind.value, proof.name, round(proof.value, 12)  # F is 0.005 and F* is 0
        ('optimality', 'strong convexity', 1.0)

    References:
        Fenchel (1949), On conjugate convex functions; Rockafellar (1970), Convex Analysis, section 31.
    """
    at = Evaluation.of(problem, w)
    w, dual = at.w, _fitting(at, dual)
    violation = relative_violation(problem, w)
    stationary = partial(Certificate, CertificateKind.STATIONARITY, objective=at.value, violation=violation)
    if not at.finite:
        return stationary("value is not finite", math.inf, remark=STEEP if math.isfinite(at.value) else "")
    steepest = float(at.gradient.abs().max())
    if 0.0 < max(steepest, abs(at.value)) < SMALLEST:
        return stationary("none", math.inf, remark=GONE if abs(problem.start_value) > SMALLEST else TOO_SMALL)
    if problem.smooth.recedes(w) and _stays(problem, w):
        return stationary("none", math.inf, remark=RECEDES, hopeless=True)
    at, blur, lost = _as_known(at)
    stationary = partial(stationary, objective=at.value)
    scale = 0.0
    bound = smallest_bound(at, dual, optimum=optimum)
    if bound is not None:
        relative = replace(bound, gap=bound.gap + 2 * lost).relative(at.value)
        if relative > problem.tol:
            scale = max(lost, rounding_error(at))
            relative = 0.0 if _drowned(at, bound, scale) else relative
        value = max(relative, violation)
        if (at.convex and bound.closes) or value <= problem.tol:
            factor = _FACTORS.get(problem) if value > problem.tol else None
            remark = DOUBTFUL if factor is not None and factor.doubtful else ""
            remark = SEPARATED if value <= problem.tol and separated(at) else remark
            scale = max(scale, blur) if value > problem.tol else scale
            return Certificate(
                CertificateKind.OPTIMALITY,
                bound.name,
                value,
                scale,
                remark=remark,
                objective=at.value,
                violation=violation,
            )
    if steepest > LARGEST:
        return stationary("none", math.inf, remark=TOO_LARGE)
    found = stationarity(at, dual)
    residual = found.value if found.value >= 0 else math.inf
    if residual > problem.tol and problem.operator is None and residual < math.inf:
        scale = scale or rounding_error(at)
        residual = 0.0 if abs(at.value) <= scale and balanced(at, scale) else residual
    elif blur > problem.tol * abs(at.value) > 0.0:
        residual = max(residual, blur / abs(at.value))  # nobody sees how far F falls
    value = max(residual, violation)
    if value > problem.tol:
        return stationary(found.name, value, max(scale, blur))
    bent = [found.bent] if found.bent is not None else bent_directions(at) if found.maps else []
    leaving = next((step for d in bent if (step := way_down(at, d)) is not None), None)
    silent, all_of_them = "", False
    if leaving is None and not at.convex:
        flat = flat_directions(at, torch.ones_like(w, dtype=torch.bool) if found.free is None else found.free)
        leaving = way_off(at, flat)
        silent, all_of_them = silence(at, flat) if leaving is None else ("", False)
    silent = SEPARATED if separated(at) else silent
    proved = math.inf if all_of_them else value
    return stationary(found.name, proved, scale, leaving=leaving, remark=silent, hopeless=all_of_them)


def smallest_bound(at: Evaluation, dual: Tensor | None, *, optimum: float | None = None) -> Bound | None:
    r"""The smallest finite bound of :math:`F(w) - F^\star`, among those that close where there are any.

    Each kind is computed only where those before it do not meet the tolerance by a bound that closes; first those that
    the gradient gives at once, then duality gaps, then what takes iterations or a factorisation, and a factorisation
    that is not small only where nothing closes.

    Args:
        at: The point.
        dual: What a solver offers.
        optimum: :math:`F^\star`, where it is known.
    """
    found = list(_finite(at, simple_bounds(at, optimum)))
    if at.convex and not _met(at, [bound for bound in found if bound.closes]):
        found += _finite(at, duality_bounds(at, dual))
        factor = _factor(at)
        quick = factor is not None and factor.flops <= QUICK
        if not _met(at, found) and (dual is None or not _closes(found)):
            found += _finite(at, joint_bounds(at, dual))
        if not _met(at, found):
            found += _finite(at, class_bounds(at))
        if not _met(at, found) and quick:
            found += _finite(at, exact_bounds(at, dual, factor))
        if not _met(at, found) and not _closes(found):
            found += _finite(at, repaired_bounds(at, dual))
        if not _met(at, found) and not _closes(found) and not quick:
            found += _finite(at, exact_bounds(at, dual, factor))
    best = min(found, key=lambda bound: bound.total(at.value), default=None)
    if best is None or not _closes(found) or _met(at, [best]):
        return best
    return min((bound for bound in found if bound.closes), key=lambda bound: bound.total(at.value))


def _as_known(at: Evaluation) -> tuple[Evaluation, float, float]:
    """The point from sums in twice the precision, where the rounding of F is no small part of ``tol``.

    Then what a solver knows F to, and what rounding may have taken from the value: nothing where it was summed like
    that.
    """
    enough = VAGUE * at.problem.tol * abs(at.value)
    lost = at.problem.smooth.rounding(at.w, at.f, enough=enough)
    if lost <= enough:
        return at, 0.0, 0.0
    known = at.precisely()
    return (at, lost, lost) if known is None else (known, lost, 0.0)


def _met(at: Evaluation, found: Iterable[Bound]) -> bool:
    return any(bound.relative(at.value) <= at.problem.tol for bound in found)


def _stays(problem: Composite, w: Tensor) -> bool:
    """Whether weights may grow for ever, as far as anybody can see: no set and no penalty minds their multiples."""
    if any(relative_violation(problem, factor * w) > problem.tol**2 for factor in GROWTHS):
        return False
    return all(abs(problem.g(factor * w) - problem.g(w)) <= DOUBLE * abs(problem.g(w)) for factor in GROWTHS)


def _drowned(at: Evaluation, bound: Bound, error: float) -> bool:
    """Whether F and the bound are no larger than rounding, and the gradient no larger than rounding makes it."""
    if not (abs(at.value) <= error and bound.total(at.value) <= error):
        return False
    return bound.closes or balanced(at, error)


def _closes(found: Iterable[Bound]) -> bool:
    return any(bound.closes for bound in found)


def _finite(at: Evaluation, bounds: Iterator[Bound]) -> Iterator[Bound]:
    return (bound for bound in bounds if math.isfinite(bound.total(at.value)))


def _factor(at: Evaluation) -> DesignFactor | None:
    if at.problem not in _FACTORS:
        _FACTORS[at.problem] = factor_of(at)
    return _FACTORS[at.problem]


def _fitting(at: Evaluation, dual: Tensor | None) -> Tensor | None:
    """The dual point, refused where it fits nothing; one that is not finite says nothing."""
    if dual is None:
        return None
    model = at.problem.smooth.model
    lengths = {at.image.numel()} | (set() if model is None else {model.examples})
    if dual.ndim != 1 or dual.numel() not in lengths or dual.dtype != torch.float64:
        raise BadProblem(
            f"A dual point is {str(dual.dtype).removeprefix('torch.')} of shape {tuple(dual.shape)}; give float64 of "
            f"length {' or '.join(str(length) for length in sorted(lengths))}, or none."
        )
    return dual.detach() if all_finite(dual) else None
