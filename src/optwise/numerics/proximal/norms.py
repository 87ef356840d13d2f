"""Norms that act on a whole vector: l2, l2 with the rounded tip of Huber's function, and l-infinity."""

from __future__ import annotations

import torch
from torch import Tensor

from optwise.numerics.proximal.conventions import indicator, per_instance, positive_step, quotient


def l2_norm(x: Tensor, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""The Euclidean norm, not squared.

    .. math:: g(x) = w \|x\|_2

    Example:
        >>> l2_norm(torch.tensor([3.0, -4.0]), weight=2.0)
        tensor(10.)
    """
    return (per_instance(weight, x) * _norm(x)).squeeze(-1)


def prox_l2_norm(v: Tensor, step: Tensor | float, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""Proximal map of :func:`l2_norm`: shorten the vector by :math:`s w`, to 0 if it is no longer than that.

    .. math:: \operatorname{prox}(v) = \left(1 - \frac{s w}{\|v\|}\right)_+ v

    Args:
        v: Point [..., p].
        step: s above 0, a number or one for each instance.
        weight: w at least 0, a number or one for each instance.

    Example:
        >>> prox_l2_norm(torch.tensor([3.0, -4.0]), 2.5)
        tensor([ 1.5000, -2.0000])

    References:
        Parikh and Boyd (2014), Proximal Algorithms, section 6.5.1.
    """
    return v * _shortening(_norm(v), positive_step(step, v) * per_instance(weight, v))


def conjugate_l2_norm(u: Tensor, *, weight: Tensor | float = 1.0, slack: float = 0.0) -> Tensor:
    r"""Conjugate of :func:`l2_norm`: 0 for :math:`\|u\|_2 \le w`, infinite elsewhere.

    Example:
        >>> conjugate_l2_norm(torch.tensor([[0.6, 0.0], [3.0, 4.0]]))
        tensor([0., inf])
    """
    return indicator(_norm(u) <= per_instance(weight, u) * (1 + slack), u).squeeze(-1)


def huber_norm(x: Tensor, *, delta: float = 1.0, weight: Tensor | float = 1.0) -> Tensor:
    r"""The Euclidean norm with a quadratic tip, which makes it smooth (its Moreau envelope).

    .. math:: g(x) = w \frac{\|x\|^2}{2 \delta} \text{ for } \|x\|_2 \le \delta,
              \quad w \left(\|x\|_2 - \tfrac{\delta}{2}\right) \text{ beyond}

    Its slope far away is w; :func:`~optwise.numerics.proximal.regression_losses.huber` has slope :math:`w \delta`.

    Example:
        >>> huber_norm(torch.tensor([[0.0, 0.5], [3.0, -4.0]]))
        tensor([0.1250, 4.5000])
    """
    norm = _norm(x)
    value = torch.where(norm <= delta, norm.square() / (2 * delta), norm - delta / 2)
    return (per_instance(weight, x) * value).squeeze(-1)


def prox_huber_norm(v: Tensor, step: Tensor | float, *, delta: float = 1.0, weight: Tensor | float = 1.0) -> Tensor:
    r"""Proximal map of :func:`huber_norm`.

    .. math:: \operatorname{prox}(v) = \left(1 - \frac{s w}{\max(\|v\|_2, \, \delta + s w)}\right) v

    Args:
        v: Point [..., p].
        step: s above 0, a number or one for each instance.
        delta: Radius of the quadratic tip, above 0.
        weight: w at least 0, a number or one for each instance.

    Example:
        >>> prox_huber_norm(torch.tensor([[0.0, 0.5], [3.0, -4.0]]), 1.0)
        tensor([[ 0.0000,  0.2500],
                [ 2.4000, -3.2000]])

    References:
        Beck (2017), First-Order Methods in Optimization, example 6.66.
    """
    t = positive_step(step, v) * per_instance(weight, v)
    norm = _norm(v)
    # delta / (delta + t) is 1 - t / (delta + t) without its cancellation at a long step
    return v * torch.where(norm <= delta + t, delta / (delta + t), _shortening(norm, t))


def conjugate_huber_norm(u: Tensor, *, delta: float = 1.0, weight: Tensor | float = 1.0, slack: float = 0.0) -> Tensor:
    r"""Conjugate of :func:`huber_norm`: :math:`\delta \|u\|^2 / (2 w)` for :math:`\|u\|_2 \le w`, infinite elsewhere.

    Example:
        >>> conjugate_huber_norm(torch.tensor([[0.6, 0.8], [3.0, 4.0]]), weight=2.0)
        tensor([0.2500, inf])
    """
    w, norm = per_instance(weight, u), _norm(u)
    value = 0.5 * delta * quotient(norm.square(), w)
    return (value + indicator(norm <= w * (1 + slack), u)).squeeze(-1)


def linf_norm(x: Tensor, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""The l-infinity norm: the largest absolute entry.

    .. math:: g(x) = w \max_i |x_i|

    Example:
        >>> linf_norm(torch.tensor([3.0, -4.0]))
        tensor(4.)
    """
    return (per_instance(weight, x) * x.abs().amax(-1, keepdim=True)).squeeze(-1)


def prox_linf_norm(v: Tensor, step: Tensor | float, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""Proximal map of :func:`linf_norm`: clip at the level above which the entries have :math:`s w` in all.

    .. math:: \operatorname{prox}(v)_i = \operatorname{clip}(v_i, -\theta, \theta),
              \qquad \sum_i (|v_i| - \theta)_+ = s w

    and 0 if :math:`\|v\|_1 \le s w`.

    Args:
        v: Point [..., p].
        step: s above 0, a number or one for each instance.
        weight: w at least 0, a number or one for each instance.

    Example:
        >>> prox_linf_norm(torch.tensor([5.0, -4.0, 1.0]), 3.0)
        tensor([ 3., -3.,  1.])

    References:
        Parikh and Boyd (2014), Proximal Algorithms, section 6.5.2; Duchi and others (2008), Efficient projections onto
        the l1-ball for learning in high dimensions.
    """
    level = _level(v.abs(), positive_step(step, v) * per_instance(weight, v)).clamp(min=0)
    return torch.maximum(torch.minimum(v, level), -level)


def conjugate_linf_norm(u: Tensor, *, weight: Tensor | float = 1.0, slack: float = 0.0) -> Tensor:
    r"""Conjugate of :func:`linf_norm`: 0 for :math:`\|u\|_1 \le w`, infinite elsewhere.

    Example:
        >>> conjugate_linf_norm(torch.tensor([[0.5, -0.5], [1.0, 1.0]]))
        tensor([0., inf])
    """
    inside = u.abs().sum(-1, keepdim=True) <= per_instance(weight, u) * (1 + slack)
    return indicator(inside, u).squeeze(-1)


def _norm(x: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)  # [..., 1]
    return norm


def _level(a: Tensor, amount: Tensor) -> Tensor:
    """The level above which the entries of ``a`` have ``amount`` in all [..., 1]."""
    ordered = a.sort(dim=-1, descending=True).values
    counts = torch.arange(1, a.shape[-1] + 1, dtype=a.dtype, device=a.device)  # [p]
    # what the first k entries have above entry k + 1, as a sum of terms that are at least 0, and 0 at ties
    gaps = counts[:-1] * (ordered[..., :-1] - ordered[..., 1:])
    excess = torch.cat([torch.zeros_like(ordered[..., :1]), gaps.cumsum(-1)], dim=-1)
    active = (excess < amount).sum(-1, keepdim=True).clamp(min=1)
    return ordered.cumsum(-1).gather(-1, active - 1) / active - amount / active


def _shortening(norm: Tensor, t: Tensor) -> Tensor:
    """Factor that takes ``t`` off a length, never below 0; also where both are 0."""
    return torch.where(norm > t, (norm - t) / norm, torch.zeros_like(norm))
