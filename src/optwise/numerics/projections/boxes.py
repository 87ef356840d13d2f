"""Sets with bounds on every coordinate: the nonnegative orthant, boxes and the ball of the maximum norm."""

from __future__ import annotations

import torch
from torch import Tensor

from optwise.numerics.projections.instances import Numbers, first, lifted, numbers, size


def project_nonnegative(v: Tensor) -> Tensor:
    r"""Nearest point of the nonnegative orthant: negative entries become 0.

    .. math:: \operatorname*{argmin}_{x \ge 0} \tfrac12 |x - v|^2 = \max(v, 0)

    Args:
        v: Points [..., p].

    Example:
        >>> project_nonnegative(torch.tensor([2.0, -1.0]))
        tensor([2., 0.])

    References:
        Parikh and Boyd (2014), Proximal Algorithms, section 6.2.
    """
    return lifted(v).clamp(min=0).to(v.dtype)


def support_nonnegative(u: Tensor) -> Tensor:
    r"""Support function of the nonnegative orthant.

    .. math:: \sup_{x \ge 0} \langle u, x \rangle = 0 \text{ where } u \le 0, \quad \infty \text{ elsewhere}

    Args:
        u: Directions [..., p].

    Returns:
        One number for each direction [...].

    Example:
        >>> support_nonnegative(torch.tensor([[0.0, -1.0], [0.1, -1.0]]))
        tensor([0., inf])

    References:
        Rockafellar (1970), Convex Analysis, section 13.
    """
    return torch.where((lifted(u) <= 0).all(-1), 0.0, torch.inf).to(u.dtype)


def bounds(low: Numbers, high: Numbers, like: Tensor) -> tuple[Tensor, Tensor]:
    """Both bounds of a box in float64.

    Raises:
        ValueError: No number lies between them.

    Example:
        >>> bounds(2.0, 1.0, like=torch.zeros(3))
        Traceback (most recent call last):
        ValueError: The box is empty: low is 2 where high is 1; give low <= high, with low < inf and high > -inf.
    """
    least, most = torch.broadcast_tensors(numbers(low, like), numbers(high, like))
    wrong = ~((least <= most) & (least < torch.inf) & (most > -torch.inf))
    if bool(wrong.any()):
        raise ValueError(
            f"The box is empty: low is {first(least, wrong)} where high is {first(most, wrong)}; "
            f"give low <= high, with low < inf and high > -inf."
        )
    return least, most


def finite_bounds(low: Numbers, high: Numbers, like: Tensor) -> tuple[Tensor, Tensor]:
    """Both bounds of a box in float64, for what only a bounded box has.

    Raises:
        ValueError: No number lies between them, or one is infinite.

    Example:
        >>> finite_bounds(0.0, float("inf"), like=torch.zeros(3))
        Traceback (most recent call last):
        ValueError: The box has a bound of inf, so a linear function may have no minimum on it; give finite bounds.
    """
    least, most = bounds(low, high, like)
    for bound in (least, most):
        wrong = ~torch.isfinite(bound)
        if bool(wrong.any()):
            raise ValueError(
                f"The box has a bound of {first(bound, wrong)}, so a linear function may have no minimum on it; "
                f"give finite bounds."
            )
    return least, most


def project_box(v: Tensor, *, low: Numbers, high: Numbers) -> Tensor:
    r"""Nearest point of a box: every entry is moved to the nearer of its bounds where it lies outside them.

    .. math:: \operatorname*{argmin}_{l \le x \le h} \tfrac12 |x - v|^2 = \min(\max(v, l), h)

    Args:
        v: Points [..., p].
        low: l, for all coordinates or each [..., p]; may be ``-inf``.
        high: h, likewise; may be ``inf``.

    Raises:
        ValueError: The box is empty.

    Example:
        >>> project_box(torch.tensor([2.0, -3.0]), low=torch.tensor([0.0, -torch.inf]), high=1.0)
        tensor([ 1., -3.])

    References:
        Parikh and Boyd (2014), Proximal Algorithms, section 6.2.
    """
    least, most = bounds(low, high, v)
    return lifted(v).clamp(least, most).to(v.dtype)


def vertex_box(g: Tensor, *, low: Numbers, high: Numbers) -> Tensor:
    r"""Corner of a box at which a linear function is least.

    .. math:: \operatorname*{argmin}_{l \le x \le h} \langle g, x \rangle = l \text{ where } g \ge 0, \quad
        h \text{ where } g < 0

    Args:
        g: Directions [..., p].
        low: l, for all coordinates or each [..., p].
        high: h, likewise.

    Raises:
        ValueError: The box is empty or unbounded.

    Example:
        >>> vertex_box(torch.tensor([2.0, -3.0]), low=-1.0, high=5.0)
        tensor([-1.,  5.])

    References:
        Jaggi (2013), Revisiting Frank-Wolfe: Projection-Free Sparse Convex Optimization.
    """
    least, most = finite_bounds(low, high, g)
    return torch.where(lifted(g) < 0, most, least).to(g.dtype)


def support_box(u: Tensor, *, low: Numbers, high: Numbers) -> Tensor:
    r"""Support function of a box, infinite where the box is unbounded along ``u``.

    .. math:: \sup_{l \le x \le h} \langle u, x \rangle = \sum_i \max(u_i l_i, u_i h_i), \qquad 0 \cdot \infty = 0

    Args:
        u: Directions [..., p].
        low: l, for all coordinates or each [..., p]; may be ``-inf``.
        high: h, likewise; may be ``inf``.

    Returns:
        One number for each direction [...].

    Raises:
        ValueError: The box is empty.

    Example:
        >>> support_box(torch.tensor([[2.0, -3.0], [-2.0, 3.0]]), low=torch.tensor([-torch.inf, -1.0]), high=4.0)
        tensor([11., inf])

    References:
        Rockafellar (1970), Convex Analysis, section 13.
    """
    least, most = bounds(low, high, u)
    return sum_of_reaches(lifted(u), least, most).to(u.dtype)


def sum_of_reaches(u: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The most that ``<u, x>`` can be in a box [...]; a coordinate with ``u`` = 0 counts as 0, whatever its bounds.

    Example:
        >>> sum_of_reaches(torch.tensor([0.0, 2.0]), torch.tensor(0.0), torch.tensor([torch.inf, 3.0]))
        tensor(6.)
    """
    return torch.where(u == 0, 0.0, u * torch.where(u > 0, high, low)).sum(-1)


def project_linf_ball(v: Tensor, radius: Numbers = 1.0) -> Tensor:
    r"""Nearest point of the ball of the maximum norm.

    .. math:: \operatorname*{argmin}_{\max_i |x_i| \le r} \tfrac12 |x - v|^2 = \min(\max(v, -r), r)

    Args:
        v: Points [..., p].
        radius: r, for all points or each [...].

    Raises:
        ValueError: The radius is negative or not finite.

    Example:
        >>> project_linf_ball(torch.tensor([2.0, -0.5]), 1.0)
        tensor([ 1.0000, -0.5000])

    References:
        Parikh and Boyd (2014), Proximal Algorithms, section 6.5.
    """
    r = size(radius, "radius", like=v)
    return lifted(v).clamp(-r, r).to(v.dtype)


def vertex_linf_ball(g: Tensor, radius: Numbers = 1.0) -> Tensor:
    r"""Corner of the ball of the maximum norm at which a linear function is least.

    .. math:: \operatorname*{argmin}_{\max_i |x_i| \le r} \langle g, x \rangle = -r \operatorname{sign}(g),
        \qquad \operatorname{sign}(0) = 1

    Args:
        g: Directions [..., p].
        radius: r, for all points or each [...].

    Raises:
        ValueError: The radius is negative or not finite.

    Example:
        >>> vertex_linf_ball(torch.tensor([2.0, -0.5]), 3.0)
        tensor([-3.,  3.])

    References:
        Jaggi (2013), Revisiting Frank-Wolfe: Projection-Free Sparse Convex Optimization.
    """
    r = size(radius, "radius", like=g)
    return torch.where(lifted(g) < 0, r, -r).to(g.dtype)


def support_linf_ball(u: Tensor, radius: Numbers = 1.0) -> Tensor:
    r"""Support function of the ball of the maximum norm: the l1 norm is its dual.

    .. math:: \sup_{\max_i |x_i| \le r} \langle u, x \rangle = r \sum_i |u_i|

    Args:
        u: Directions [..., p].
        radius: r, for all directions or each [...].

    Returns:
        One number for each direction [...].

    Raises:
        ValueError: The radius is negative or not finite.

    Example:
        >>> support_linf_ball(torch.tensor([2.0, -0.5]), 3.0)
        tensor(7.5000)

    References:
        Rockafellar (1970), Convex Analysis, section 15.
    """
    r = size(radius, "radius", like=u)
    return (r * lifted(u).abs()).sum(-1).to(u.dtype)
