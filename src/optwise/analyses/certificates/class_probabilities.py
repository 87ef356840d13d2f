"""The duality gap of multinomial logistic regression: probabilities whose errors no weight can see."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from optwise.analyses.certificates.bounds import Bound
from optwise.analyses.certificates.evaluation import Evaluation
from optwise.core.loss import ClassModel
from optwise.numerics.finiteness import all_finite

GAP = "duality gap"
FLOPS = 2e8
"""Operations that may be spent on the system. Source: optwise, own choice, about 10 milliseconds."""
REFINEMENTS = 3
"""Steps of iterative refinement."""
BALANCED = 1e-12
"""Part of the numbers that are to cancel that rounding may leave."""


def class_bounds(at: Evaluation) -> Iterator[Bound]:
    r"""The gap of softmax regression without penalty at probabilities q that balance the gradient exactly.

    For any q with :math:`X^\top (q - e_y) = 0`, rows in the simplex,

    .. math:: F(w) - F^\star \le s \sum_i \mathrm{KL}(q_i \,\|\, p_i), \qquad p_i = \operatorname{softmax}(W^\top x_i)

    and q is p moved as a Newton step would move it: by :math:`-D_i U^\top x_i`, :math:`D_i = \operatorname{diag}(p_i) -
    p_i p_i^\top`, where U solves :math:`\sum_i (x_i x_i^\top) \otimes D_i \, U = X^\top (p - e_y)`.

    Args:
        at: The point, of a problem that may be of another kind; then there is no bound.

    References:
        Boehning (1992), Multinomial logistic regression algorithm; Rockafellar (1970), Convex Analysis, section 31.
    """
    model = at.problem.smooth.classes_of
    if model is None or model.l2 > 0 or not at.smooth_only or model.X.matrix is None:
        return
    n, p = model.X.shape
    order = p * model.classes
    if order**2 * (n + order) > FLOPS:
        return
    X = model.X.matrix
    P = (X @ at.w.reshape(p, model.classes)).softmax(1)  # [n, C]
    if not bool((P > 0).all()):
        return  # saturated up to underflow: nothing can be moved
    sizes = (X.square() * (P * (1 - P)).sum(1)[:, None]).sum(0).sqrt()
    units = sizes.where(sizes > 0, 1.0)  # so that no unit of a column matters
    moved = _balanced(X / units, P, _off(X / units, P, model))
    if moved is None or not bool((moved > 0).all()):
        return
    left = X.mT @ (moved - _labels(P, model))  # [p, C]
    reach = float((at.w.reshape(p, -1) * units[:, None]).norm())
    rest = float((left / units[:, None]).norm())
    if rest > BALANCED * float(P.norm()) * n**0.5:
        return
    each = moved * (moved / P).log() - moved + P  # [n, C], each at least 0; the last two sum to 0
    yield Bound(model.scale * (float(each.clamp(min=0).sum()) + 2 * rest * reach), abs(at.f), GAP)


def _labels(P: Tensor, model: ClassModel) -> Tensor:
    return torch.nn.functional.one_hot(model.y, model.classes).to(P)


def _off(X: Tensor, P: Tensor, model: ClassModel) -> Tensor:
    return X.mT @ (P - _labels(P, model))


def _balanced(X: Tensor, P: Tensor, rest: Tensor) -> Tensor | None:
    """The probabilities with ``X^T q`` changed by ``-rest`` [p, C]; ``None`` where the system is singular."""
    p, C = X.shape[1], P.shape[1]
    weighted = X[:, :, None, None] * (torch.diag_embed(P) - P[:, :, None] * P[:, None, :])[:, None]  # [n, p, C, C]
    system = torch.einsum("nj,nkab->jakb", X, weighted).reshape(p * C, p * C)
    system.diagonal().add_(1e-13 * system.diagonal().mean())  # shifts of all classes change nothing
    factor, failed = torch.linalg.cholesky_ex(system)
    if int(failed):
        return None
    q, target = P, X.mT @ P - rest
    for _ in range(REFINEMENTS):
        U = torch.cholesky_solve(rest.reshape(-1, 1), factor).reshape(p, C)
        pushed = X @ U  # [n, C]
        q = q - P * (pushed - (P * pushed).sum(1, keepdim=True))
        rest = X.mT @ q - target
    return q if all_finite(q) else None
