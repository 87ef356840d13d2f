"""The l1 norm and its kin, which set entries to exactly 0: weighted, of one sign only, within a box."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from optwise.numerics.proximal.conventions import entrywise, indicator, positive_step


def soft_threshold(v: Tensor, level: Tensor | float) -> Tensor:
    r"""Proximal map of the l1 norm: shrink every entry towards zero by ``level``.

    .. math:: \operatorname*{argmin}_x \tfrac12 (x - v)^2 + \lambda |x|

    Args:
        v: Point to map, any shape.
        level: Threshold, at least 0, broadcasting against ``v``. The step size is already inside it: pass
            ``step * weight``.

    Example:
        >>> soft_threshold(torch.tensor([3.0, -0.5, -2.0]), 1.0)
        tensor([ 2., -0., -1.])

    References:
        Parikh and Boyd (2014), Proximal Algorithms, section 6.5.2.
    """
    return v.sign() * (v.abs() - entrywise(level, v)).clamp(min=0)


def soft_threshold_derivative(v: Tensor, level: Tensor | float) -> Tensor:
    r"""Diagonal of the Jacobian of :func:`soft_threshold`: 1 where an entry survives, 0 where it does not.

    At :math:`|v| = \lambda` every number from 0 to 1 is in Clarke's Jacobian; this is 0.

    Example:
        >>> soft_threshold_derivative(torch.tensor([3.0, -0.5, -2.0]), 1.0)
        tensor([1., 0., 1.])

    References:
        Li, Sun and Toh (2018), A highly efficient semismooth Newton augmented Lagrangian method for solving Lasso
        problems.
    """
    return (v.abs() > entrywise(level, v)).to(v.dtype)


def l1(x: Tensor, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""Weighted absolute value of each entry; their sum is the (weighted) l1 norm.

    .. math:: g(x) = w |x|

    Example:
        >>> l1(torch.tensor([3.0, -2.0]), weight=torch.tensor([1.0, 0.5]))
        tensor([3., 1.])
    """
    return entrywise(weight, x) * x.abs()


def prox_l1(v: Tensor, step: Tensor | float, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""Proximal map of :func:`l1`: soft thresholding at :math:`s w`.

    Args:
        v: Point [..., p].
        step: s above 0, a number or one for each instance.
        weight: w at least 0, a number or broadcasting against ``v``; an entry of weight 0 is left alone.

    Example:
        >>> prox_l1(torch.tensor([3.0, -2.0]), 2.0, weight=torch.tensor([1.0, 0.5]))
        tensor([ 1., -1.])

    References:
        Parikh and Boyd (2014), Proximal Algorithms, section 6.5.2.
    """
    return soft_threshold(v, positive_step(step, v) * entrywise(weight, v))


def prox_l1_derivative(v: Tensor, step: Tensor | float, *, weight: Tensor | float = 1.0) -> Tensor:
    """Diagonal of the Jacobian of :func:`prox_l1`; 0 at the kinks.

    Example:
        >>> prox_l1_derivative(torch.tensor([3.0, -2.0]), 2.0)
        tensor([1., 0.])
    """
    return soft_threshold_derivative(v, positive_step(step, v) * entrywise(weight, v))


def conjugate_l1(u: Tensor, *, weight: Tensor | float = 1.0, slack: float = 0.0) -> Tensor:
    r"""Conjugate of :func:`l1`, entry by entry: 0 for :math:`|u| \le w`, infinite elsewhere.

    Example:
        >>> conjugate_l1(torch.tensor([1.0, -1.5]))
        tensor([0., inf])
    """
    return indicator(u.abs() <= entrywise(weight, u) * (1 + slack), u)


def nonnegative_l1(x: Tensor, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""The l1 penalty on entries that may not be negative.

    .. math:: g(x) = w x \text{ for } x \ge 0, \quad \infty \text{ for } x < 0

    Example:
        >>> nonnegative_l1(torch.tensor([2.0, -1.0]), weight=0.5)
        tensor([1., inf])
    """
    return torch.where(x >= 0, entrywise(weight, x) * x, math.inf)


def prox_nonnegative_l1(v: Tensor, step: Tensor | float, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""Proximal map of :func:`nonnegative_l1`: :math:`\max(v - s w, 0)`, the positive half of a soft threshold.

    Args:
        v: Point [..., p].
        step: s above 0, a number or one for each instance.
        weight: w, a number or broadcasting against ``v``; with 0 this is the projection on the nonnegative orthant.

    Example:
        >>> prox_nonnegative_l1(torch.tensor([3.0, 0.5, -2.0]), 1.0)
        tensor([2., 0., 0.])

    References:
        Beck (2017), First-Order Methods in Optimization, table of prox computations in chapter 6.
    """
    return (v - positive_step(step, v) * entrywise(weight, v)).clamp(min=0)


def prox_nonnegative_l1_derivative(v: Tensor, step: Tensor | float, *, weight: Tensor | float = 1.0) -> Tensor:
    """Diagonal of the Jacobian of :func:`prox_nonnegative_l1`; 0 at the kink.

    Example:
        >>> prox_nonnegative_l1_derivative(torch.tensor([3.0, -3.0]), 1.0)
        tensor([1., 0.])
    """
    return (v > positive_step(step, v) * entrywise(weight, v)).to(v.dtype)


def conjugate_nonnegative_l1(u: Tensor, *, weight: Tensor | float = 1.0, slack: float = 0.0) -> Tensor:
    r"""Conjugate of :func:`nonnegative_l1`, entry by entry: 0 for :math:`u \le w`, infinite above.

    Example:
        >>> conjugate_nonnegative_l1(torch.tensor([1.5, -7.0]))
        tensor([inf, 0.])
    """
    w = entrywise(weight, u)
    return indicator(u <= w + slack * w.abs(), u)


def box_l1(x: Tensor, *, low: Tensor | float, high: Tensor | float, weight: Tensor | float = 1.0) -> Tensor:
    r"""The l1 penalty within bounds.

    .. math:: g(x) = w |x| \text{ for } l \le x \le h, \quad \infty \text{ elsewhere}

    Example:
        >>> box_l1(torch.tensor([-1.0, 2.0, 4.0]), low=-2.0, high=3.0)
        tensor([1., 2., inf])
    """
    inside = (entrywise(low, x) <= x) & (x <= entrywise(high, x))
    return torch.where(inside, entrywise(weight, x) * x.abs(), math.inf)


def prox_box_l1(
    v: Tensor, step: Tensor | float, *, low: Tensor | float, high: Tensor | float, weight: Tensor | float = 1.0
) -> Tensor:
    """Proximal map of :func:`box_l1`: soft thresholding, then the nearest point of the box.

    In one dimension the minimiser within an interval is the nearest point of it to the minimiser without.

    Args:
        v: Point [..., p].
        step: s above 0, a number or one for each instance.
        low: l, a number or broadcasting against ``v``; may be infinite.
        high: h, at least l; may be infinite.
        weight: w at least 0; with 0 this is the projection on the box.

    Example:
        >>> prox_box_l1(torch.tensor([-9.0, 0.5, 2.5]), 1.0, low=-2.0, high=3.0)
        tensor([-2.0000,  0.0000,  1.5000])

    References:
        Combettes and Pesquet (2007), A Douglas-Rachford splitting approach to nonsmooth convex variational signal
        recovery.
    """
    shrunk = soft_threshold(v, positive_step(step, v) * entrywise(weight, v))
    return shrunk.clamp(min=entrywise(low, v), max=entrywise(high, v))


def prox_box_l1_derivative(
    v: Tensor, step: Tensor | float, *, low: Tensor | float, high: Tensor | float, weight: Tensor | float = 1.0
) -> Tensor:
    """Diagonal of the Jacobian of :func:`prox_box_l1`: 1 strictly inside the box and off 0; 0 at the kinks.

    Example:
        >>> prox_box_l1_derivative(torch.tensor([-9.0, 0.5, 2.5]), 1.0, low=-2.0, high=3.0)
        tensor([0., 0., 1.])
    """
    level = positive_step(step, v) * entrywise(weight, v)
    shrunk = soft_threshold(v, level)
    inside = (entrywise(low, v) < shrunk) & (shrunk < entrywise(high, v))
    return torch.where(inside, soft_threshold_derivative(v, level), torch.zeros_like(v))


def conjugate_box_l1(u: Tensor, *, low: Tensor | float, high: Tensor | float, weight: Tensor | float = 1.0) -> Tensor:
    r"""Conjugate of :func:`box_l1`: the larger of what the two ends and the point nearest to 0 give.

    .. math:: g^*(u) = \max_{x \in \{l, h, \operatorname{clip}(0)\}} \; u x - w |x|

    Finite everywhere if the box is bounded.

    Example:
        >>> conjugate_box_l1(torch.tensor([-3.0, 0.5, 4.0]), low=-2.0, high=3.0)
        tensor([4., 0., 9.])
    """
    w, l, h = entrywise(weight, u), entrywise(low, u), entrywise(high, u)  # noqa: E741 - the letters of the formula
    nearest = torch.zeros_like(u).clamp(min=l, max=h)
    return torch.maximum(torch.maximum(_gain(u, l, w), _gain(u, h, w)), _gain(u, nearest, w))


def _gain(u: Tensor, x: Tensor, w: Tensor) -> Tensor:
    slope = u - w * x.sign()
    return torch.where(slope == 0, torch.zeros_like(u), slope * x)  # an infinite end with slope 0 gives 0, not NaN
