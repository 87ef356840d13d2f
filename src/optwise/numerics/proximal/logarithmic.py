r"""Functions with a logarithm in their conjugate or in themselves: Poisson loss, logarithmic barrier, entropy.

Separable: one number per entry, with a weight of its own. The maps of the Poisson loss and of the entropy are Wright's
omega function, :math:`\omega + \log \omega = z`, the logarithm-safe form of Lambert's W: :math:`\omega(z) = W(e^z)`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from optwise.numerics.proximal.conventions import entrywise, positive_step, quotient

NEWTON_STEPS = 7
"""Of :func:`log_omega`; over z from -1e20 to 1e20 no float64 moves by more than rounding after the 5th."""


def log_omega(z: Tensor) -> Tensor:
    r"""Logarithm of Wright's omega function: the root s of :math:`s + e^s = z`, for any real z.

    Example:
        >>> log_omega(torch.tensor([1.0, -50.0]))
        tensor([  0., -50.])

    References:
        Corless and Jeffrey (2002), The Wright omega function.
    """
    # s + e^s is convex and rises: Newton from the right of the root stays there. z is right of it, and for z >= 1 so is
    # log z, since the root is then not negative
    s = torch.where(z >= 1, z.clamp(min=1).log(), z)
    for _ in range(NEWTON_STEPS):
        power = s.exp()
        s = s - (s + power - z) / (1 + power)
    return s


def poisson(z: Tensor, *, target: Tensor | float, weight: Tensor | float = 1.0) -> Tensor:
    r"""Negative log-likelihood of a count with mean :math:`e^z`, without the term that z does not change.

    .. math:: g(z) = w (e^z - b z)

    As ``torch.nn.PoissonNLLLoss(log_input=True)``. With a target of 0 this is the exponential function.

    Example:
        >>> poisson(torch.tensor([0.0, 1.0]), target=2.0)
        tensor([1.0000, 0.7183])
    """
    return entrywise(weight, z) * (z.exp() - entrywise(target, z) * z)


def prox_poisson(v: Tensor, step: Tensor | float, *, target: Tensor | float, weight: Tensor | float = 1.0) -> Tensor:
    r"""Proximal map of :func:`poisson`.

    .. math:: x + t e^x = v + t b =: c, \qquad x = c - \omega(c + \log t), \qquad t = s w

    Args:
        v: Point [..., n].
        step: s above 0, a number or one for each instance.
        target: b at least 0, a number or broadcasting against ``v``.
        weight: w at least 0, a number or broadcasting against ``v``.

    Example:
        >>> prox_poisson(torch.tensor([1.0]), 1.0, target=0.0)  # 0 + e^0 = 1
        tensor([0.])

    References:
        Chaux, Combettes, Pesquet and Wajs (2007), A variational formulation for frame-based inverse problems.
    """
    t = positive_step(step, v) * entrywise(weight, v)
    return _poisson_point(v + t * entrywise(target, v), t)


def prox_poisson_derivative(
    v: Tensor, step: Tensor | float, *, target: Tensor | float, weight: Tensor | float = 1.0
) -> Tensor:
    r"""Derivative of :func:`prox_poisson`, entry by entry: :math:`1 / (1 + t e^x)` at the result x.

    Example:
        >>> prox_poisson_derivative(torch.tensor([1.0]), 1.0, target=0.0)
        tensor([0.5000])
    """
    t = positive_step(step, v) * entrywise(weight, v)
    curvature = t * _poisson_point(v + t * entrywise(target, v), t).exp()
    return 1 / (1 + torch.where(t > 0, curvature, torch.zeros_like(v)))  # 0 times an overflow is NaN


def conjugate_poisson(u: Tensor, *, target: Tensor | float, weight: Tensor | float = 1.0) -> Tensor:
    r"""Conjugate of :func:`poisson`, infinite where the mean it stands for is negative.

    .. math:: g^*(u) = w (q \log q - q), \qquad q = b + u / w \ge 0

    Example:
        >>> conjugate_poisson(torch.tensor([-2.0, -1.0, -3.0]), target=2.0)
        tensor([ 0., -1., inf])
    """
    w = entrywise(weight, u)
    q = entrywise(target, u) + quotient(u, w)
    return torch.where((q >= 0) & (q < math.inf), w * (torch.special.xlogy(q, q) - q), math.inf)


def negative_log(x: Tensor, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""The logarithmic barrier of the positive numbers.

    .. math:: g(x) = -w \log x \text{ for } x > 0, \quad \infty \text{ elsewhere}

    Example:
        >>> negative_log(torch.tensor([1.0, 0.0, -1.0]))
        tensor([-0., inf, inf])
    """
    return torch.where(x > 0, -entrywise(weight, x) * x.log(), math.inf)


def prox_negative_log(v: Tensor, step: Tensor | float, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""Proximal map of :func:`negative_log`: the positive root of :math:`x^2 - v x = s w`.

    Args:
        v: Point [..., p].
        step: s above 0, a number or one for each instance.
        weight: w above 0, a number or broadcasting against ``v``.

    Example:
        >>> prox_negative_log(torch.tensor([0.0, 3.0]), 4.0)
        tensor([2., 4.])

    References:
        Parikh and Boyd (2014), Proximal Algorithms, section 6.1.3.
    """
    t = positive_step(step, v) * entrywise(weight, v)
    spread = torch.hypot(v, 2 * t.sqrt())
    # the two roots have product -t: for v < 0 this one without a difference
    return torch.where(v >= 0, 0.5 * (v + spread), 2 * t / (spread - v))


def prox_negative_log_derivative(v: Tensor, step: Tensor | float, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""Derivative of :func:`prox_negative_log`, entry by entry: :math:`x / \sqrt{v^2 + 4 s w}` at the result x.

    Example:
        >>> prox_negative_log_derivative(torch.tensor([0.0, 3.0]), 4.0)
        tensor([0.5000, 0.8000])
    """
    t = positive_step(step, v) * entrywise(weight, v)
    return prox_negative_log(v, step, weight=weight) / torch.hypot(v, 2 * t.sqrt())


def conjugate_negative_log(u: Tensor, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""Conjugate of :func:`negative_log`: :math:`w (\log w - 1 - \log(-u))` for u < 0, infinite elsewhere.

    Example:
        >>> conjugate_negative_log(torch.tensor([-1.0, 0.0]))
        tensor([-1., inf])
    """
    w = entrywise(weight, u)
    return torch.where(u < 0, w * (w.log() - 1 - (-u).log()), math.inf)


def entropy(x: Tensor, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""Negative entropy of each entry.

    .. math:: g(x) = w \, x \log x \text{ for } x \ge 0 \quad (0 \log 0 = 0), \quad \infty \text{ elsewhere}

    Example:
        >>> entropy(torch.tensor([1.0, 0.0, -1.0]))
        tensor([0., 0., inf])
    """
    return torch.where(x >= 0, entrywise(weight, x) * torch.special.xlogy(x, x), math.inf)


def prox_entropy(v: Tensor, step: Tensor | float, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""Proximal map of :func:`entropy`.

    .. math:: x + t (1 + \log x) = v, \qquad x = t \, \omega\!\left(\frac{v}{t} - 1 - \log t\right), \qquad t = s w

    Positive, until it underflows for v far below 0.

    Args:
        v: Point [..., p].
        step: s above 0, a number or one for each instance.
        weight: w above 0, a number or broadcasting against ``v``.

    Example:
        >>> prox_entropy(torch.tensor([2.0]), 1.0)  # 1 + (1 + log 1) = 2
        tensor([1.])

    References:
        Chaux, Combettes, Pesquet and Wajs (2007), A variational formulation for frame-based inverse problems.
    """
    t = positive_step(step, v) * entrywise(weight, v)
    s = log_omega(v / t - 1 - t.log())  # s = log x - log t
    # e^s multiplies the rounding of a large s; there x is v with a small correction
    return torch.where(s > 3, v - t * (1 + s + t.log()), t * s.exp())


def prox_entropy_derivative(v: Tensor, step: Tensor | float, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""Derivative of :func:`prox_entropy`, entry by entry: :math:`x / (x + t)` at the result x.

    Example:
        >>> prox_entropy_derivative(torch.tensor([2.0]), 1.0)
        tensor([0.5000])
    """
    t = positive_step(step, v) * entrywise(weight, v)
    x = prox_entropy(v, step, weight=weight)
    return x / (x + t)


def conjugate_entropy(u: Tensor, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""Conjugate of :func:`entropy`: :math:`w \, e^{u / w - 1}`, finite everywhere.

    Example:
        >>> conjugate_entropy(torch.tensor([1.0, 2.0]))
        tensor([1.0000, 2.7183])
    """
    w = entrywise(weight, u)
    return w * (u / w - 1).exp()


def _poisson_point(c: Tensor, t: Tensor) -> Tensor:
    """The root x of ``x + t e^x = c``."""
    s = log_omega(c + t.log())  # s = x + log t
    # where t e^x is large, c minus it would cancel; where it is small, s minus log t would
    return torch.where(t > 0, torch.where(s > 0, s - t.log(), c - s.exp()), c)
