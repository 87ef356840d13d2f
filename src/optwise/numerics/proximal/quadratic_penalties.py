"""Separable penalties with a quadratic part: squared l2, elastic net, and Huber's function turned inside out."""

from __future__ import annotations

import torch
from torch import Tensor

from optwise.numerics.proximal.conventions import entrywise, positive_step, quotient
from optwise.numerics.proximal.l1 import soft_threshold, soft_threshold_derivative


def squared_l2(x: Tensor, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""Half the weighted square of each entry (ridge, Tikhonov); their sum is half the squared l2 norm.

    .. math:: g(x) = \tfrac{w}{2} x^2

    scikit-learn's ``Ridge(alpha)`` has no half: there w is ``2 * alpha``.

    Example:
        >>> squared_l2(torch.tensor([3.0, -2.0]), weight=2.0)
        tensor([9., 4.])
    """
    return 0.5 * entrywise(weight, x) * x.square()


def prox_squared_l2(v: Tensor, step: Tensor | float, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""Proximal map of :func:`squared_l2`: :math:`v / (1 + s w)`.

    Args:
        v: Point [..., p].
        step: s above 0, a number or one for each instance.
        weight: w at least 0, a number or broadcasting against ``v``.

    Example:
        >>> prox_squared_l2(torch.tensor([3.0, -6.0]), 0.5, weight=4.0)
        tensor([ 1., -2.])

    References:
        Parikh and Boyd (2014), Proximal Algorithms, section 6.1.1.
    """
    return v / (1 + positive_step(step, v) * entrywise(weight, v))


def conjugate_squared_l2(u: Tensor, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""Conjugate of :func:`squared_l2`: :math:`u^2 / (2 w)`; with w = 0 the indicator of 0.

    Example:
        >>> conjugate_squared_l2(torch.tensor([2.0, -1.0]), weight=2.0)
        tensor([1.0000, 0.2500])
    """
    return 0.5 * quotient(u.square(), entrywise(weight, u))


def elastic_net(x: Tensor, *, l1: Tensor | float, l2: Tensor | float) -> Tensor:
    r"""Absolute value plus half the square of each entry, with a weight for each part.

    .. math:: g(x) = \lambda_1 |x| + \tfrac{\lambda_2}{2} x^2

    scikit-learn's ``ElasticNet(alpha, l1_ratio)`` has ``l1 = alpha * l1_ratio`` and ``l2 = alpha * (1 - l1_ratio)``.
    Zou and Hastie have no half.

    Example:
        >>> elastic_net(torch.tensor([2.0, -1.0]), l1=1.0, l2=3.0)
        tensor([8.0000, 2.5000])
    """
    return entrywise(l1, x) * x.abs() + 0.5 * entrywise(l2, x) * x.square()


def prox_elastic_net(v: Tensor, step: Tensor | float, *, l1: Tensor | float, l2: Tensor | float) -> Tensor:
    r"""Proximal map of :func:`elastic_net`: threshold at :math:`s \lambda_1`, then shrink by :math:`1 + s \lambda_2`.

    Args:
        v: Point [..., p].
        step: s above 0, a number or one for each instance.
        l1: Weight of the absolute value, at least 0, a number or broadcasting against ``v``.
        l2: Weight of half the square, at least 0.

    Example:
        >>> prox_elastic_net(torch.tensor([5.0, -0.5]), 1.0, l1=1.0, l2=3.0)
        tensor([1., -0.])

    References:
        Zou and Hastie (2005), Regularization and variable selection via the elastic net; Parikh and Boyd (2014),
        Proximal Algorithms, section 6.5.3.
    """
    s = positive_step(step, v)
    return soft_threshold(v, s * entrywise(l1, v)) / (1 + s * entrywise(l2, v))


def prox_elastic_net_derivative(v: Tensor, step: Tensor | float, *, l1: Tensor | float, l2: Tensor | float) -> Tensor:
    """Diagonal of the Jacobian of :func:`prox_elastic_net`; 0 at the kinks.

    Example:
        >>> prox_elastic_net_derivative(torch.tensor([5.0, -0.5]), 1.0, l1=1.0, l2=3.0)
        tensor([0.2500, 0.0000])
    """
    s = positive_step(step, v)
    return soft_threshold_derivative(v, s * entrywise(l1, v)) / (1 + s * entrywise(l2, v))


def conjugate_elastic_net(u: Tensor, *, l1: Tensor | float, l2: Tensor | float) -> Tensor:
    r"""Conjugate of :func:`elastic_net`: :math:`(|u| - \lambda_1)_+^2 / (2 \lambda_2)`.

    Finite everywhere if :math:`\lambda_2 > 0`, which makes any dual point feasible.

    Example:
        >>> conjugate_elastic_net(torch.tensor([7.0, -0.5]), l1=1.0, l2=3.0)
        tensor([6., 0.])
    """
    beyond = (u.abs() - entrywise(l1, u)).clamp(min=0)
    return 0.5 * quotient(beyond.square(), entrywise(l2, u))


def berhu(x: Tensor, *, delta: Tensor | float = 1.0, weight: Tensor | float = 1.0) -> Tensor:
    r"""Huber's function turned inside out: linear near 0, quadratic far away.

    .. math:: g(x) = w |x| \text{ for } |x| \le \delta, \quad w \, \frac{x^2 + \delta^2}{2 \delta} \text{ beyond}

    Example:
        >>> berhu(torch.tensor([0.5, -3.0]))
        tensor([0.5000, 5.0000])
    """
    d = entrywise(delta, x)
    return entrywise(weight, x) * torch.where(x.abs() <= d, x.abs(), (x.square() + d.square()) / (2 * d))


def prox_berhu(v: Tensor, step: Tensor | float, *, delta: Tensor | float = 1.0, weight: Tensor | float = 1.0) -> Tensor:
    r"""Proximal map of :func:`berhu`: a soft threshold near 0, a shrinkage from :math:`\delta + s w` on.

    Args:
        v: Point [..., p].
        step: s above 0, a number or one for each instance.
        delta: Where the quadratic part begins, above 0, a number or broadcasting against ``v``.
        weight: w at least 0, a number or broadcasting against ``v``.

    Example:
        >>> prox_berhu(torch.tensor([0.5, 1.5, -6.0]), 1.0)
        tensor([ 0.0000,  0.5000, -3.0000])

    References:
        Owen (2007), A robust hybrid of lasso and ridge regression.
    """
    d, t = entrywise(delta, v), positive_step(step, v) * entrywise(weight, v)
    return torch.where(v.abs() <= d + t, soft_threshold(v, t), v * (d / (d + t)))


def prox_berhu_derivative(
    v: Tensor, step: Tensor | float, *, delta: Tensor | float = 1.0, weight: Tensor | float = 1.0
) -> Tensor:
    """Diagonal of the Jacobian of :func:`prox_berhu`; at a kink that of the side towards 0.

    Example:
        >>> prox_berhu_derivative(torch.tensor([0.5, 1.5, -6.0]), 1.0)
        tensor([0.0000, 1.0000, 0.5000])
    """
    d, t = entrywise(delta, v), positive_step(step, v) * entrywise(weight, v)
    return torch.where(v.abs() <= d + t, soft_threshold_derivative(v, t), d / (d + t))


def conjugate_berhu(u: Tensor, *, delta: Tensor | float = 1.0, weight: Tensor | float = 1.0) -> Tensor:
    r"""Conjugate of :func:`berhu`: 0 for :math:`|u| \le w`, :math:`\delta (u^2 - w^2) / (2 w)` beyond.

    Finite everywhere if w > 0.

    Example:
        >>> conjugate_berhu(torch.tensor([1.0, -3.0]))
        tensor([0., 4.])
    """
    w = entrywise(weight, u)
    # (|u| - w)(|u| + w): a difference of squares would lose the digits of a small excess
    beyond = (u.abs() - w).clamp(min=0)
    return 0.5 * entrywise(delta, u) * quotient(beyond * (u.abs() + w), w)
