r"""Losses of a prediction z against a target b, entry by entry: squares, absolute values, quantiles, Huber.

Every loss is one number per entry with a weight of its own; a mean over n examples is the weight 1 / n. The conjugate
is taken in the prediction, :math:`g^*(u) = \sup_z u z - g(z)`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from optwise.numerics.proximal.conventions import entrywise, positive_step, quotient


def squared_error(z: Tensor, *, target: Tensor | float, weight: Tensor | float = 1.0) -> Tensor:
    r"""Half the squared error, weighted.

    .. math:: g(z) = \tfrac{w}{2} (z - b)^2

    ``torch.nn.MSELoss`` has no half: there w is 2.

    Example:
        >>> squared_error(torch.tensor([3.0, 1.0]), target=1.0)
        tensor([2., 0.])
    """
    return 0.5 * entrywise(weight, z) * (z - entrywise(target, z)).square()


def prox_squared_error(
    v: Tensor, step: Tensor | float, *, target: Tensor | float, weight: Tensor | float = 1.0
) -> Tensor:
    r"""Proximal map of :func:`squared_error`: the average :math:`(v + s w b) / (1 + s w)`.

    Args:
        v: Point [..., n].
        step: s above 0, a number or one for each instance.
        target: b, a number or broadcasting against ``v``.
        weight: w at least 0, a number or broadcasting against ``v``.

    Example:
        >>> prox_squared_error(torch.tensor([3.0, 1.0]), 1.0, target=1.0)
        tensor([2., 1.])

    References:
        Parikh and Boyd (2014), Proximal Algorithms, section 6.1.1.
    """
    t = positive_step(step, v) * entrywise(weight, v)
    return (v + t * entrywise(target, v)) / (1 + t)


def conjugate_squared_error(u: Tensor, *, target: Tensor | float, weight: Tensor | float = 1.0) -> Tensor:
    r"""Conjugate of :func:`squared_error`: :math:`u^2 / (2 w) + u b`.

    Example:
        >>> conjugate_squared_error(torch.tensor([2.0, 0.0]), target=1.0)
        tensor([4., 0.])
    """
    return 0.5 * quotient(u.square(), entrywise(weight, u)) + u * entrywise(target, u)


def absolute_error(z: Tensor, *, target: Tensor | float, weight: Tensor | float = 1.0) -> Tensor:
    r"""Absolute error, weighted.

    .. math:: g(z) = w |z - b|

    Example:
        >>> absolute_error(torch.tensor([3.0, 0.5]), target=1.0)
        tensor([2.0000, 0.5000])
    """
    return entrywise(weight, z) * (z - entrywise(target, z)).abs()


def prox_absolute_error(
    v: Tensor, step: Tensor | float, *, target: Tensor | float, weight: Tensor | float = 1.0
) -> Tensor:
    r"""Proximal map of :func:`absolute_error`: the target, or as near to it as a move of :math:`s w` comes.

    Args:
        v: Point [..., n].
        step: s above 0, a number or one for each instance.
        target: b, a number or broadcasting against ``v``; reached exactly, without rounding.
        weight: w at least 0, a number or broadcasting against ``v``.

    Example:
        >>> prox_absolute_error(torch.tensor([3.0, 0.5]), 1.0, target=1.0)
        tensor([2., 1.])

    References:
        Parikh and Boyd (2014), Proximal Algorithms, section 6.5.2.
    """
    t = positive_step(step, v) * entrywise(weight, v)
    return _nearest(entrywise(target, v), v - t, v + t)


def prox_absolute_error_derivative(
    v: Tensor, step: Tensor | float, *, target: Tensor | float, weight: Tensor | float = 1.0
) -> Tensor:
    """Diagonal of the Jacobian of :func:`prox_absolute_error`; 0 at the kinks.

    Example:
        >>> prox_absolute_error_derivative(torch.tensor([3.0, 0.5]), 1.0, target=1.0)
        tensor([1., 0.])
    """
    t, b = positive_step(step, v) * entrywise(weight, v), entrywise(target, v)
    return ((b < v - t) | (b > v + t)).to(v.dtype)


def conjugate_absolute_error(u: Tensor, *, target: Tensor | float, weight: Tensor | float = 1.0) -> Tensor:
    r"""Conjugate of :func:`absolute_error`: :math:`u b` for :math:`|u| \le w`, infinite elsewhere.

    Example:
        >>> conjugate_absolute_error(torch.tensor([-1.0, 1.5]), target=3.0)
        tensor([-3., inf])
    """
    return torch.where(u.abs() <= entrywise(weight, u), u * entrywise(target, u), math.inf)


def quantile_loss(
    z: Tensor, *, target: Tensor | float, quantile: Tensor | float, weight: Tensor | float = 1.0
) -> Tensor:
    r"""The pinball loss, whose mean is least at a quantile of the targets.

    .. math:: g(z) = w \max(q \, (b - z), \; (q - 1)(b - z))

    A prediction that is too low costs q a unit, one that is too high 1 - q. At q = 1/2 this is half the absolute error.

    Example:
        >>> quantile_loss(torch.tensor([0.0, 2.0]), target=1.0, quantile=0.75)
        tensor([0.7500, 0.2500])

    References:
        Koenker and Bassett (1978), Regression quantiles.
    """
    q, short = entrywise(quantile, z), entrywise(target, z) - z
    return entrywise(weight, z) * torch.maximum(q * short, (q - 1) * short)


def prox_quantile_loss(
    v: Tensor,
    step: Tensor | float,
    *,
    target: Tensor | float,
    quantile: Tensor | float,
    weight: Tensor | float = 1.0,
) -> Tensor:
    r"""Proximal map of :func:`quantile_loss`: the target if it is near, else a move towards it.

    The move is :math:`s w q` up or :math:`s w (1 - q)` down.

    Args:
        v: Point [..., n].
        step: s above 0, a number or one for each instance.
        target: b, a number or broadcasting against ``v``; reached exactly, without rounding.
        quantile: q between 0 and 1, a number or broadcasting against ``v``.
        weight: w at least 0, a number or broadcasting against ``v``.

    Example:
        >>> prox_quantile_loss(torch.tensor([0.0, 2.0]), 1.0, target=1.0, quantile=0.75)
        tensor([0.7500, 1.7500])

    References:
        Gu, Fan, Kong, Ma and Zou (2018), ADMM for high-dimensional sparse penalized quantile regression.
    """
    t, q = positive_step(step, v) * entrywise(weight, v), entrywise(quantile, v)
    return _nearest(entrywise(target, v), v - t * (1 - q), v + t * q)


def prox_quantile_loss_derivative(
    v: Tensor,
    step: Tensor | float,
    *,
    target: Tensor | float,
    quantile: Tensor | float,
    weight: Tensor | float = 1.0,
) -> Tensor:
    """Diagonal of the Jacobian of :func:`prox_quantile_loss`; 0 at the kinks.

    Example:
        >>> prox_quantile_loss_derivative(torch.tensor([0.0, 1.1]), 1.0, target=1.0, quantile=0.75)
        tensor([1., 0.])
    """
    t, q, b = positive_step(step, v) * entrywise(weight, v), entrywise(quantile, v), entrywise(target, v)
    return ((b < v - t * (1 - q)) | (b > v + t * q)).to(v.dtype)


def conjugate_quantile_loss(
    u: Tensor, *, target: Tensor | float, quantile: Tensor | float, weight: Tensor | float = 1.0
) -> Tensor:
    r"""Conjugate of :func:`quantile_loss`: :math:`u b` for :math:`-w q \le u \le w (1 - q)`, infinite elsewhere.

    Example:
        >>> conjugate_quantile_loss(torch.tensor([-0.75, 0.5]), target=3.0, quantile=0.75)
        tensor([-2.2500,     inf])
    """
    q, w = entrywise(quantile, u), entrywise(weight, u)
    inside = (-w * q <= u) & (u <= w * (1 - q))
    return torch.where(inside, u * entrywise(target, u), math.inf)


def huber(
    z: Tensor, *, target: Tensor | float = 0.0, delta: Tensor | float = 1.0, weight: Tensor | float = 1.0
) -> Tensor:
    r"""Huber's loss: half the square of a small error, linear in a large one.

    .. math:: g(z) = \tfrac{w}{2} r^2 \text{ for } |r| \le \delta, \quad w \delta (|r| - \tfrac{\delta}{2})
              \text{ beyond}, \qquad r = z - b

    As ``torch.nn.HuberLoss(delta=delta)``; ``torch.nn.SmoothL1Loss(beta=delta)`` is this over delta.

    Example:
        >>> huber(torch.tensor([0.5, -3.0]))
        tensor([0.1250, 2.5000])

    References:
        Huber (1964), Robust estimation of a location parameter.
    """
    d, size = entrywise(delta, z), (z - entrywise(target, z)).abs()
    return entrywise(weight, z) * torch.where(size <= d, 0.5 * size.square(), d * (size - 0.5 * d))


def prox_huber(
    v: Tensor,
    step: Tensor | float,
    *,
    target: Tensor | float = 0.0,
    delta: Tensor | float = 1.0,
    weight: Tensor | float = 1.0,
) -> Tensor:
    r"""Proximal map of :func:`huber`: an average with the target nearby, a move of :math:`s w \delta` from afar.

    Args:
        v: Point [..., n].
        step: s above 0, a number or one for each instance.
        target: b, a number or broadcasting against ``v``.
        delta: Largest error that is squared, above 0, a number or broadcasting against ``v``.
        weight: w at least 0, a number or broadcasting against ``v``.

    Example:
        >>> prox_huber(torch.tensor([1.0, -4.0]), 1.0)
        tensor([ 0.5000, -3.0000])

    References:
        Beck (2017), First-Order Methods in Optimization, example 6.66.
    """
    t, b, d = positive_step(step, v) * entrywise(weight, v), entrywise(target, v), entrywise(delta, v)
    error = v - b
    return torch.where(error.abs() <= d * (1 + t), (v + t * b) / (1 + t), v - t * d * error.sign())


def prox_huber_derivative(
    v: Tensor,
    step: Tensor | float,
    *,
    target: Tensor | float = 0.0,
    delta: Tensor | float = 1.0,
    weight: Tensor | float = 1.0,
) -> Tensor:
    r"""Diagonal of the Jacobian of :func:`prox_huber`: :math:`1 / (1 + s w)` nearby, 1 from afar.

    Example:
        >>> prox_huber_derivative(torch.tensor([1.0, -4.0]), 1.0)
        tensor([0.5000, 1.0000])
    """
    t, b, d = positive_step(step, v) * entrywise(weight, v), entrywise(target, v), entrywise(delta, v)
    return torch.where((v - b).abs() <= d * (1 + t), 1 / (1 + t), torch.ones_like(v))


def conjugate_huber(
    u: Tensor, *, target: Tensor | float = 0.0, delta: Tensor | float = 1.0, weight: Tensor | float = 1.0
) -> Tensor:
    r"""Conjugate of :func:`huber`: :math:`u^2 / (2 w) + u b` for :math:`|u| \le w \delta`, infinite elsewhere.

    Example:
        >>> conjugate_huber(torch.tensor([1.0, 1.5]), target=3.0)
        tensor([3.5000,    inf])
    """
    w = entrywise(weight, u)
    value = 0.5 * quotient(u.square(), w) + u * entrywise(target, u)
    return torch.where(u.abs() <= w * entrywise(delta, u), value, math.inf)


def _nearest(b: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return torch.maximum(torch.minimum(b, high), low)
