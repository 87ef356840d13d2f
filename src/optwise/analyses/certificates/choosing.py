"""The certificate of a point: the smallest bound that holds, or else a residual of the first-order conditions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from optwise.analyses.certificates.bounds import Bound, simple_bounds
from optwise.analyses.certificates.design_factor import DesignFactor
from optwise.analyses.certificates.duality import duality_bounds, joint_bounds
from optwise.analyses.certificates.evaluation import Evaluation
from optwise.analyses.certificates.exact_bounds import exact_bounds, factor_of
from optwise.analyses.certificates.feasibility import relative_violation
from optwise.analyses.certificates.repairs import repaired_bounds
from optwise.analyses.certificates.stationarity import stationarity
from optwise.core.certificate import Certificate, CertificateKind
from optwise.core.composite import Composite
from optwise.core.errors import BadProblem

QUICK = 2e8
"""Operations of a factorisation that is made where it may only sharpen a bound. Source: optwise, own choice."""

_FACTORS: WeakKeyDictionary[Composite, DesignFactor | None] = WeakKeyDictionary()


def certify(problem: Composite, w: Tensor, dual: Tensor | None = None, *, optimum: float | None = None) -> Certificate:
    r"""Prove how good a point is, from the problem and the point alone.

    OPTIMALITY means a bound that holds in exact arithmetic, relative and with the distance to the set:

    .. math:: \max\Big( \frac{\text{bound on } F(w) - F^\star}{\max(|F(w)|, |F(w) - \text{bound}|, \text{scale})},
        \frac{\operatorname{dist}(w, C)}{\max(1, \|w\|)} \Big)

    The smallest bound is taken of those kinds that were needed to meet ``problem.tol``, the quick ones first, and
    ``name`` says which: a *known optimum*, a *lower bound* of the parts, *strong convexity*, a *duality gap*, the
    *Frank-Wolfe gap*, the *projection of the residual* of least squares. The rounding of the numbers that a bound is
    the difference of is added to it.

    Where a bound tends to 0 at the optimum, its certificate is given however large it is, so that no solver is stopped
    by a weaker claim. A lower bound that need not be attained counts only once it meets ``problem.tol``. Otherwise the
    kind is STATIONARITY: a relative residual of the first-order conditions, which proves nothing about F.

    Args:
        problem: In float64, its scales taken at its own start.
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
        >>> proof = certify(Composite(Bowl(), value_scale=1e-8), torch.tensor([1.1, 1.0]).double())
        >>> proof.kind.value, proof.name, round(proof.value, 12)  # F is 0.005 and F* is 0
        ('optimality', 'strong convexity', 1.0)

    References:
        Fenchel (1949), On conjugate convex functions; Rockafellar (1970), Convex Analysis, section 31.
    """
    at = Evaluation.of(problem, w)
    dual = _fitting(at, dual)
    scale = problem.value_scale
    violation = relative_violation(problem, w)
    if not at.finite:
        return Certificate(CertificateKind.STATIONARITY, "value is not finite", math.inf, scale)
    bound = smallest_bound(at, dual, optimum=optimum)
    if bound is not None:
        value = max(bound.relative(at.value, scale), violation)
        if (at.convex and bound.closes) or value <= problem.tol:
            return Certificate(CertificateKind.OPTIMALITY, bound.name, value, scale)
    name, residual = stationarity(at, dual)
    residual = residual if residual >= 0 else math.inf
    return Certificate(CertificateKind.STATIONARITY, name, max(residual, violation), scale)


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


def _met(at: Evaluation, found: Iterable[Bound]) -> bool:
    return any(bound.relative(at.value, at.problem.value_scale) <= at.problem.tol for bound in found)


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
    return dual.detach() if bool(torch.isfinite(dual).all()) else None
