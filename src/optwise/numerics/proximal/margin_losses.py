r"""Losses of a score z against a label y of -1 or +1, entry by entry: hinge, squared hinge, logistic.

All depend on the margin y z alone. Every loss is one number per entry with a weight of its own; a mean over n examples
is the weight 1 / n. Conjugates are taken in the score; their domain is one-sided, :math:`y u \le 0`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from optwise.numerics.proximal.conventions import entrywise, positive_step, quotient

NEWTON_STEPS = 8
"""Of the logistic map, monotone from a start that is close; over steps from 1e-12 to 1e12 and margins up to 1e8 no
float64 entry moves by more than rounding after the 6th."""


def hinge(z: Tensor, *, label: Tensor | float, weight: Tensor | float = 1.0) -> Tensor:
    r"""The hinge loss of a support vector machine.

    .. math:: g(z) = w \max(0, 1 - y z)

    Example:
        >>> hinge(torch.tensor([0.5, 2.0, 2.0]), label=torch.tensor([1.0, 1.0, -1.0]))
        tensor([0.5000, 0.0000, 3.0000])

    References:
        Cortes and Vapnik (1995), Support-vector networks.
    """
    return entrywise(weight, z) * (1 - entrywise(label, z) * z).clamp(min=0)


def prox_hinge(v: Tensor, step: Tensor | float, *, label: Tensor | float, weight: Tensor | float = 1.0) -> Tensor:
    r"""Proximal map of :func:`hinge`: raise a margin below 1 by :math:`s w`, but not beyond 1.

    Args:
        v: Point [..., n].
        step: s above 0, a number or one for each instance.
        label: y, -1 or +1, a number or broadcasting against ``v``.
        weight: w at least 0, a number or broadcasting against ``v``.

    Example:
        >>> prox_hinge(torch.tensor([-1.0, 0.5, 2.0]), 1.0, label=1.0)
        tensor([0., 1., 2.])

    References:
        Shalev-Shwartz and Zhang (2014), Accelerated proximal stochastic dual coordinate ascent for regularized loss
        minimization.
    """
    t, y = positive_step(step, v) * entrywise(weight, v), entrywise(label, v)
    margin = y * v
    return y * torch.maximum((margin + t).clamp(max=1), margin)


def prox_hinge_derivative(
    v: Tensor, step: Tensor | float, *, label: Tensor | float, weight: Tensor | float = 1.0
) -> Tensor:
    """Diagonal of the Jacobian of :func:`prox_hinge`: 0 where the margin lands on 1, 1 elsewhere; 0 at the kinks.

    Example:
        >>> prox_hinge_derivative(torch.tensor([-1.0, 0.5, 2.0]), 1.0, label=1.0)
        tensor([1., 0., 1.])
    """
    t, margin = positive_step(step, v) * entrywise(weight, v), entrywise(label, v) * v
    return ((margin > 1) | (margin + t < 1)).to(v.dtype)


def conjugate_hinge(u: Tensor, *, label: Tensor | float, weight: Tensor | float = 1.0) -> Tensor:
    r"""Conjugate of :func:`hinge`: :math:`y u` for :math:`-w \le y u \le 0`, infinite elsewhere.

    Example:
        >>> conjugate_hinge(torch.tensor([-0.5, 0.5]), label=1.0)
        tensor([-0.5000,     inf])
    """
    along = entrywise(label, u) * u
    return torch.where((-entrywise(weight, u) <= along) & (along <= 0), along, math.inf)


def squared_hinge(z: Tensor, *, label: Tensor | float, weight: Tensor | float = 1.0) -> Tensor:
    r"""Half the square of the hinge loss.

    .. math:: g(z) = \tfrac{w}{2} \max(0, 1 - y z)^2

    scikit-learn's ``squared_hinge`` has no half: there w is 2.

    Example:
        >>> squared_hinge(torch.tensor([-1.0, 2.0]), label=1.0)
        tensor([2., 0.])
    """
    return 0.5 * entrywise(weight, z) * (1 - entrywise(label, z) * z).clamp(min=0).square()


def prox_squared_hinge(
    v: Tensor, step: Tensor | float, *, label: Tensor | float, weight: Tensor | float = 1.0
) -> Tensor:
    r"""Proximal map of :func:`squared_hinge`: average a margin below 1 with 1, :math:`(m + s w) / (1 + s w)`.

    Args:
        v: Point [..., n].
        step: s above 0, a number or one for each instance.
        label: y, -1 or +1, a number or broadcasting against ``v``.
        weight: w at least 0, a number or broadcasting against ``v``.

    Example:
        >>> prox_squared_hinge(torch.tensor([-1.0, 2.0]), 1.0, label=1.0)
        tensor([0., 2.])

    References:
        Shalev-Shwartz and Zhang (2014), Accelerated proximal stochastic dual coordinate ascent for regularized loss
        minimization.
    """
    t, y = positive_step(step, v) * entrywise(weight, v), entrywise(label, v)
    margin = y * v
    return y * torch.where(margin < 1, (margin + t) / (1 + t), margin)


def prox_squared_hinge_derivative(
    v: Tensor, step: Tensor | float, *, label: Tensor | float, weight: Tensor | float = 1.0
) -> Tensor:
    r"""Diagonal of the Jacobian of :func:`prox_squared_hinge`: :math:`1 / (1 + s w)` for margins below 1, else 1.

    Example:
        >>> prox_squared_hinge_derivative(torch.tensor([-1.0, 2.0]), 1.0, label=1.0)
        tensor([0.5000, 1.0000])
    """
    t, margin = positive_step(step, v) * entrywise(weight, v), entrywise(label, v) * v
    return torch.where(margin < 1, 1 / (1 + t), torch.ones_like(v))


def conjugate_squared_hinge(u: Tensor, *, label: Tensor | float, weight: Tensor | float = 1.0) -> Tensor:
    r"""Conjugate of :func:`squared_hinge`: :math:`u^2 / (2 w) + y u` for :math:`y u \le 0`, infinite elsewhere.

    Example:
        >>> conjugate_squared_hinge(torch.tensor([-2.0, 2.0]), label=1.0)
        tensor([0., inf])
    """
    along = entrywise(label, u) * u
    value = 0.5 * quotient(along.square(), entrywise(weight, u)) + along
    return torch.where(along <= 0, value, math.inf)


def logistic(z: Tensor, *, label: Tensor | float, weight: Tensor | float = 1.0) -> Tensor:
    r"""The logistic loss.

    .. math:: g(z) = w \log(1 + e^{-y z})

    Example:
        >>> logistic(torch.tensor([0.0, 2.0]), label=1.0)
        tensor([0.6931, 0.1269])
    """
    return entrywise(weight, z) * torch.nn.functional.softplus(-entrywise(label, z) * z)


def prox_logistic(v: Tensor, step: Tensor | float, *, label: Tensor | float, weight: Tensor | float = 1.0) -> Tensor:
    r"""Proximal map of :func:`logistic`, by Newton's method on its optimality condition.

    .. math:: m - y v = \frac{s w}{1 + e^m}, \qquad \operatorname{prox}(v) = y m

    A fixed number of steps, all entries at once, to rounding.

    Args:
        v: Point [..., n].
        step: s above 0, a number or one for each instance.
        label: y, -1 or +1, a number or broadcasting against ``v``.
        weight: w at least 0, a number or broadcasting against ``v``.

    Example:
        >>> prox_logistic(torch.tensor([0.0, -2.0]), 2.0, label=1.0)
        tensor([ 0.6748, -0.6748])

    References:
        Briceño-Arias, Chierchia, Chouzenoux and Pesquet (2019), A random block-coordinate Douglas-Rachford splitting
        method with low computational complexity for binary logistic regression.
    """
    t, y = positive_step(step, v) * entrywise(weight, v), entrywise(label, v)
    return y * _logistic_margin(y * v, t)


def prox_logistic_derivative(
    v: Tensor, step: Tensor | float, *, label: Tensor | float, weight: Tensor | float = 1.0
) -> Tensor:
    r"""Derivative of :func:`prox_logistic`, entry by entry; it is smooth.

    .. math:: \frac{1}{1 + s w \, \sigma(m) \, \sigma(-m)}, \qquad m = y \operatorname{prox}(v)

    Example:
        >>> prox_logistic_derivative(torch.tensor([-1.0]), 2.0, label=1.0)  # whose margin becomes 0
        tensor([0.6667])
    """
    t = positive_step(step, v) * entrywise(weight, v)
    margin = _logistic_margin(entrywise(label, v) * v, t)
    return 1 / (1 + t * margin.sigmoid() * (-margin).sigmoid())


def conjugate_logistic(u: Tensor, *, label: Tensor | float, weight: Tensor | float = 1.0) -> Tensor:
    r"""Conjugate of :func:`logistic`: minus the entropy of a coin, infinite where that is no probability.

    .. math:: g^*(u) = w \left(q \log q + (1 - q) \log(1 - q)\right), \qquad q = -y u / w \in [0, 1]

    Example:
        >>> conjugate_logistic(torch.tensor([-0.5, -1.0, 0.5]), label=1.0)
        tensor([-0.6931,  0.0000,     inf])
    """
    w = entrywise(weight, u)
    q = quotient(-entrywise(label, u) * u, w)
    value = w * (torch.special.xlogy(q, q) + torch.special.xlog1py(1 - q, -q))
    return torch.where((q >= 0) & (q <= 1), value, math.inf)


def _logistic_margin(c: Tensor, t: Tensor) -> Tensor:
    """The root m of ``m - c = t / (1 + e^m)``."""
    # log(1 + e^-m) = log(1 + e^m) - m: -m is the root for -(c + t), so one of the two is a root that is not negative
    mirrored = c + 0.5 * t < 0
    c = torch.where(mirrored, -(c + t), c)
    # Bounds of a root m >= 0. If m - c >= 1 then t e^-m >= 1, so m <= max(c + 1, 1, log t); hence a bound of m - c.
    # From below, m - c >= t e^-m / 2.
    reach = torch.minimum(torch.maximum(1 - c.clamp(max=0), t.log() - c), 0.5 * t)
    lowest = torch.maximum(c.clamp(min=0), (0.5 * t).log() - reach.log())
    # m - c - t / (1 + e^m) rises and is concave for m >= 0: Newton from the left of the root stays there, and gets near
    m = torch.where(t > 0, lowest, c.clamp(min=0))
    for _ in range(NEWTON_STEPS):
        rest = (-m).sigmoid()
        m = m - (m - c - t * rest) / (1 + t * m.sigmoid() * rest)
    return torch.where(mirrored, -m, m)
