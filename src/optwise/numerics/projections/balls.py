"""Balls of vector norms: Euclidean, of absolute values, and of weighted absolute values."""

from __future__ import annotations

import torch
from torch import Tensor

from optwise.numerics.projections.instances import Numbers, extreme, first, lifted, numbers, size
from optwise.numerics.projections.simplices import nearest_of_weighted_sum


def project_l2_ball(v: Tensor, radius: Numbers = 1.0, *, center: Numbers = 0.0) -> Tensor:
    r"""Nearest point of a Euclidean ball.

    .. math:: \operatorname*{argmin}_{|x - c| \le r} \tfrac12 |x - v|^2 = c + \min\Big(1, \frac{r}{|v - c|}\Big) (v - c)

    Args:
        v: Points [..., p].
        radius: r, for all points or each [...].
        center: c, for all coordinates or each [..., p].

    Raises:
        ValueError: The radius is negative or not finite.

    Example:
        >>> project_l2_ball(torch.tensor([[3.0, 4.0], [0.3, 0.4]]))
        tensor([[0.6000, 0.8000],
                [0.3000, 0.4000]])

    References:
        Parikh and Boyd (2014), Proximal Algorithms, section 6.5.
    """
    r, c, point = size(radius, "radius", like=v), numbers(center, v), lifted(v)
    away = point - c
    length = torch.linalg.vector_norm(away, dim=-1, keepdim=True)
    inside = length <= r
    return torch.where(inside, point, c + away * (r / torch.where(inside, 1.0, length))).to(v.dtype)


def vertex_l2_ball(g: Tensor, radius: Numbers = 1.0, *, center: Numbers = 0.0) -> Tensor:
    r"""Point of a Euclidean ball at which a linear function is least.

    .. math:: \operatorname*{argmin}_{|x - c| \le r} \langle g, x \rangle = c - r \frac{g}{|g|}

    Args:
        g: Directions [..., p]; where one is 0, it counts as the first unit vector.
        radius: r, for all directions or each [...].
        center: c, for all coordinates or each [..., p].

    Raises:
        ValueError: The radius is negative or not finite.

    Example:
        >>> vertex_l2_ball(torch.tensor([3.0, 4.0]), 5.0)
        tensor([-3., -4.])

    References:
        Jaggi (2013), Revisiting Frank-Wolfe: Projection-Free Sparse Convex Optimization.
    """
    r, c = size(radius, "radius", like=g), numbers(center, g)
    return (c - r * unit(lifted(g))).to(g.dtype)


def support_l2_ball(u: Tensor, radius: Numbers = 1.0, *, center: Numbers = 0.0) -> Tensor:
    r"""Support function of a Euclidean ball.

    .. math:: \sup_{|x - c| \le r} \langle u, x \rangle = \langle u, c \rangle + r |u|

    Args:
        u: Directions [..., p].
        radius: r, for all directions or each [...].
        center: c, for all coordinates or each [..., p].

    Returns:
        One number for each direction [...].

    Raises:
        ValueError: The radius is negative or not finite.

    Example:
        >>> support_l2_ball(torch.tensor([3.0, 4.0]), 5.0, center=1.0)
        tensor(32.)

    References:
        Rockafellar (1970), Convex Analysis, section 13.
    """
    r, c, direction = size(radius, "radius", like=u), numbers(center, u), lifted(u)
    largest = direction.abs().amax(-1, keepdim=True)
    unit = largest.where((largest > 0) & largest.isfinite(), 1.0)  # so that no square underflows
    length: Tensor = unit * torch.linalg.vector_norm(direction / unit, dim=-1, keepdim=True)
    return ((c * direction).sum(-1, keepdim=True) + r * length).squeeze(-1).to(u.dtype)


def unit(direction: Tensor) -> Tensor:
    """A direction over its length, and the first unit vector for a direction of 0.

    Example:
        >>> unit(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[0.6000, 0.8000],
                [1.0000, 0.0000]])
    """
    length = torch.linalg.vector_norm(direction, dim=-1, keepdim=True)
    first_unit = torch.zeros_like(direction)
    first_unit[..., 0] = 1.0
    return torch.where(length > 0, direction / torch.where(length > 0, length, 1.0), first_unit)


def project_l1_ball(v: Tensor, radius: Numbers = 1.0) -> Tensor:
    r"""Nearest point of the ball of the l1 norm: soft thresholding, at the level that meets the radius.

    .. math:: \operatorname*{argmin}_{\sum_i |x_i| \le r} \tfrac12 |x - v|^2
        = \operatorname{sign}(v) \max(|v| - \theta, 0)

    Outside the ball :math:`|x|` is the nearest point to :math:`|v|` of the simplex of total r.

    Args:
        v: Points [..., p].
        radius: r, for all points or each [...].

    Raises:
        ValueError: The radius is negative or not finite.

    Example:
        >>> project_l1_ball(torch.tensor([1.0, -0.5, 0.1]))
        tensor([ 0.7500, -0.2500,  0.0000])

    References:
        Duchi, Shalev-Shwartz, Singer and Chandra (2008), Efficient Projections onto the l1-Ball for Learning in High
        Dimensions.
    """
    return project_weighted_l1_ball(v, 1.0, radius=radius)


def vertex_l1_ball(g: Tensor, radius: Numbers = 1.0) -> Tensor:
    r"""Corner of the ball of the l1 norm at which a linear function is least: one signed coordinate.

    .. math:: \operatorname*{argmin}_{\sum_i |x_i| \le r} \langle g, x \rangle = -r \operatorname{sign}(g_j) e_j, \qquad
        j \in \operatorname*{argmax}_i |g_i|

    Args:
        g: Directions [..., p].
        radius: r, for all directions or each [...].

    Raises:
        ValueError: The radius is negative or not finite.

    Example:
        >>> vertex_l1_ball(torch.tensor([1.0, -3.0]), 2.0)
        tensor([0., 2.])

    References:
        Jaggi (2013), Revisiting Frank-Wolfe: Projection-Free Sparse Convex Optimization.
    """
    return vertex_weighted_l1_ball(g, 1.0, radius=radius)


def support_l1_ball(u: Tensor, radius: Numbers = 1.0) -> Tensor:
    r"""Support function of the ball of the l1 norm: the maximum norm is its dual.

    .. math:: \sup_{\sum_i |x_i| \le r} \langle u, x \rangle = r \max_i |u_i|

    Args:
        u: Directions [..., p].
        radius: r, for all directions or each [...].

    Returns:
        One number for each direction [...].

    Raises:
        ValueError: The radius is negative or not finite.

    Example:
        >>> support_l1_ball(torch.tensor([1.0, -3.0]), 2.0)
        tensor(6.)

    References:
        Rockafellar (1970), Convex Analysis, section 15.
    """
    return support_weighted_l1_ball(u, 1.0, radius=radius)


def project_weighted_l1_ball(v: Tensor, weights: Numbers, *, radius: Numbers = 1.0) -> Tensor:
    r"""Nearest point of the ball of a weighted l1 norm.

    .. math:: \operatorname*{argmin}_{\sum_i w_i |x_i| \le r} \tfrac12 |x - v|^2
        = \operatorname{sign}(v) \max(|v| - \theta w, 0)

    with the :math:`\theta` at which :math:`\sum_i w_i |x_i| = r` where v lies outside.

    Args:
        v: Points [..., p].
        weights: w, for all coordinates or each [..., p], at least 0; where 0, an entry is free.
        radius: r, for all points or each [...].

    Raises:
        ValueError: A weight or the radius is negative or not finite.

    Example:
        >>> project_weighted_l1_ball(torch.tensor([3.0, -3.0]), torch.tensor([1.0, 2.0]), radius=2.0)
        tensor([ 1.6000, -0.2000])

    References:
        Perez, Ament, Gomes and Barlaud (2022), Efficient projection algorithms onto the weighted l1 ball.
    """
    w, r, point = _weights(weights, like=v), size(radius, "radius", like=v), lifted(v)
    inside = (w * point.abs()).sum(-1, keepdim=True) <= r
    return torch.where(inside, point, point.sign() * nearest_of_weighted_sum(point.abs(), w, r)).to(v.dtype)


def vertex_weighted_l1_ball(g: Tensor, weights: Numbers, *, radius: Numbers = 1.0) -> Tensor:
    r"""Corner of the ball of a weighted l1 norm at which a linear function is least: one signed coordinate.

    .. math:: \operatorname*{argmin}_{\sum_i w_i |x_i| \le r} \langle g, x \rangle
        = -\frac{r}{w_j} \operatorname{sign}(g_j) e_j, \qquad j \in \operatorname*{argmax}_i |g_i| / w_i

    Args:
        g: Directions [..., p].
        weights: w, for all coordinates or each [..., p], above 0.
        radius: r, for all directions or each [...].

    Raises:
        ValueError: A weight is not above 0, so that the ball is unbounded, or the radius is negative; or one of them
            is not finite.

    Example:
        >>> vertex_weighted_l1_ball(torch.tensor([3.0, -4.0]), torch.tensor([1.0, 2.0]), radius=2.0)
        tensor([-2.,  0.])

    References:
        Jaggi (2013), Revisiting Frank-Wolfe: Projection-Free Sparse Convex Optimization.
    """
    w, r, direction = _weights(weights, like=g), size(radius, "radius", like=g), lifted(g)
    if bool((w == 0).any()):
        raise ValueError(
            "A weight is 0, so the ball is unbounded and a linear function may have no minimum on it; "
            "give weights above 0."
        )
    w, direction = torch.broadcast_tensors(w, direction)
    index = (direction.abs() / w).argmax(-1, keepdim=True)
    away = torch.where(direction.gather(-1, index) < 0, 1.0, -1.0)
    return extreme(index, away * r / w.gather(-1, index), direction).to(g.dtype)


def support_weighted_l1_ball(u: Tensor, weights: Numbers, *, radius: Numbers = 1.0) -> Tensor:
    r"""Support function of the ball of a weighted l1 norm, infinite along entries of weight 0.

    .. math:: \sup_{\sum_i w_i |x_i| \le r} \langle u, x \rangle = r \max_i \frac{|u_i|}{w_i}, \qquad 0 / 0 = 0

    Args:
        u: Directions [..., p].
        weights: w, for all coordinates or each [..., p], at least 0.
        radius: r, for all directions or each [...].

    Returns:
        One number for each direction [...].

    Raises:
        ValueError: A weight or the radius is negative or not finite.

    Example:
        >>> support_weighted_l1_ball(torch.tensor([3.0, -4.0]), torch.tensor([1.0, 2.0]), radius=2.0)
        tensor(6.)

    References:
        Rockafellar (1970), Convex Analysis, section 15.
    """
    w, r, direction = _weights(weights, like=u), size(radius, "radius", like=u), lifted(u)
    ratio = torch.where(direction == 0, 0.0, direction.abs() / w).amax(-1, keepdim=True)
    # a ball of radius 0 still holds the free entries
    return torch.where(torch.isinf(ratio), ratio, r * ratio).squeeze(-1).to(u.dtype)


def _weights(weights: Numbers, *, like: Tensor) -> Tensor:
    w = numbers(weights, like)
    wrong = ~((w >= 0) & torch.isfinite(w))
    if bool(wrong.any()):
        raise ValueError(f"A weight is {first(w, wrong)}, which defines no norm; give finite weights of at least 0.")
    return w
