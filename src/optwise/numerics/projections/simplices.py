"""Simplices: points with entries of at least 0 and a given sum, with and without a cap on each entry."""

from __future__ import annotations

import torch
from torch import Tensor

from optwise.numerics.projections.box_hyperplane import project_box_hyperplane, vertex_box_hyperplane
from optwise.numerics.projections.instances import Numbers, each_point, extreme, first, lifted, numbers, rounding, size


def project_simplex(v: Tensor, total: Numbers = 1.0) -> Tensor:
    r"""Nearest point of the simplex; with a total of 1, the nearest probability vector.

    .. math:: \operatorname*{argmin}_{x \ge 0, \sum_i x_i = s} \tfrac12 |x - v|^2 = \max(v - \theta, 0), \qquad
        \theta = \max_k \frac1k \Big( \sum_{i \le k} v_{(i)} - s \Big)

    where :math:`v_{(1)} \ge v_{(2)} \ge \dots` are the entries in order.

    Args:
        v: Points [..., p].
        total: s, for all points or each [...].

    Raises:
        ValueError: The total is negative or not finite.

    Example:
        >>> project_simplex(torch.tensor([1.0, 0.5, -1.0]))
        tensor([0.7500, 0.2500, 0.0000])

    References:
        Held, Wolfe and Crowder (1974), Validation of subgradient optimization; Condat (2016), Fast projection onto the
        simplex and the l1 ball.
    """
    s, point = size(total, "total", like=v), lifted(v)
    return nearest_of_weighted_sum(point, torch.ones_like(point), s).to(v.dtype)


def vertex_simplex(g: Tensor, total: Numbers = 1.0) -> Tensor:
    r"""Corner of the simplex at which a linear function is least: all of the total where g is smallest.

    .. math:: \operatorname*{argmin}_{x \ge 0, \sum_i x_i = s} \langle g, x \rangle = s e_j, \qquad
        j \in \operatorname*{argmin}_i g_i

    Args:
        g: Directions [..., p].
        total: s, for all directions or each [...].

    Raises:
        ValueError: The total is negative or not finite.

    Example:
        >>> vertex_simplex(torch.tensor([1.0, -0.5, 2.0]), 3.0)
        tensor([0., 3., 0.])

    References:
        Jaggi (2013), Revisiting Frank-Wolfe: Projection-Free Sparse Convex Optimization.
    """
    s, direction = size(total, "total", like=g), lifted(g)
    return extreme(direction.argmin(-1, keepdim=True), s, direction).to(g.dtype)


def support_simplex(u: Tensor, total: Numbers = 1.0) -> Tensor:
    r"""Support function of the simplex.

    .. math:: \sup_{x \ge 0, \sum_i x_i = s} \langle u, x \rangle = s \max_i u_i

    Args:
        u: Directions [..., p].
        total: s, for all directions or each [...].

    Returns:
        One number for each direction [...].

    Raises:
        ValueError: The total is negative or not finite.

    Example:
        >>> support_simplex(torch.tensor([1.0, -0.5, 2.0]), 3.0)
        tensor(6.)

    References:
        Rockafellar (1970), Convex Analysis, section 13.
    """
    return (size(total, "total", like=u) * lifted(u).amax(-1, keepdim=True)).squeeze(-1).to(u.dtype)


def project_capped_simplex(v: Tensor, total: Numbers, *, cap: Numbers = 1.0) -> Tensor:
    r"""Nearest point of the capped simplex; with a cap of 1 and a total of k, the hull of the choices of k of p.

    .. math:: \operatorname*{argmin}_{0 \le x \le c, \sum_i x_i = s} \tfrac12 |x - v|^2
        = \min(\max(v - \theta, 0), c)

    Args:
        v: Points [..., p].
        total: s, for all points or each [...].
        cap: c, for all coordinates or each [..., p]; may be ``inf``.

    Raises:
        ValueError: The set is empty: the total is negative or above the sum of the caps, or a cap is negative.

    Example:
        >>> project_capped_simplex(torch.tensor([3.0, 1.0, 0.5]), 2.0)
        tensor([1.0000, 0.7500, 0.2500])

    References:
        Wang and Lu (2015), Projection onto the capped simplex.
    """
    _refuse_too_much(total, cap, like=v)
    return project_box_hyperplane(v, _ones(v), b=total, low=0.0, high=cap)


def vertex_capped_simplex(g: Tensor, total: Numbers, *, cap: Numbers = 1.0) -> Tensor:
    r"""Corner of the capped simplex at which a linear function is least: full caps from the smallest g on.

    .. math:: \operatorname*{argmin}_{0 \le x \le c, \sum_i x_i = s} \langle g, x \rangle

    Args:
        g: Directions [..., p].
        total: s, for all directions or each [...].
        cap: c, for all coordinates or each [..., p]. A cap beyond the total is never reached, so it may be ``inf``.

    Raises:
        ValueError: The set is empty: the total is negative or above the sum of the caps, or a cap is negative.

    Example:
        >>> vertex_capped_simplex(torch.tensor([3.0, 1.0, 0.5]), 1.5)
        tensor([0.0000, 0.5000, 1.0000])

    References:
        Dantzig (1957), Discrete-Variable Extremum Problems.
    """
    s = _refuse_too_much(total, cap, like=g)
    return vertex_box_hyperplane(g, _ones(g), b=total, low=0.0, high=torch.minimum(numbers(cap, g), s))


def support_capped_simplex(u: Tensor, total: Numbers, *, cap: Numbers = 1.0) -> Tensor:
    r"""Support function of the capped simplex; with a cap of 1 and a total of k, the sum of the k largest entries.

    .. math:: \sup_{0 \le x \le c, \sum_i x_i = s} \langle u, x \rangle

    Args:
        u: Directions [..., p].
        total: s, for all directions or each [...].
        cap: c, for all coordinates or each [..., p]; may be ``inf``.

    Returns:
        One number for each direction [...].

    Raises:
        ValueError: The set is empty: the total is negative or above the sum of the caps, or a cap is negative.

    Example:
        >>> support_capped_simplex(torch.tensor([3.0, 1.0, -0.5]), 2.0)
        tensor(4.)

    References:
        Dantzig (1957), Discrete-Variable Extremum Problems.
    """
    direction = lifted(u)
    return (direction * vertex_capped_simplex(-direction, total, cap=cap)).sum(-1).to(u.dtype)


def nearest_of_weighted_sum(v: Tensor, weights: Tensor, total: Tensor) -> Tensor:
    r"""Nearest point with entries of at least 0 and a given weighted sum, in float64.

    .. math:: \operatorname*{argmin}_{x \ge 0, \langle w, x \rangle = s} \tfrac12 |x - v|^2
        = \max(v - \theta w, 0), \qquad
        \theta = \max_k \frac{\sum_{i \le k} w_{(i)} v_{(i)} - s}{\sum_{i \le k} w_{(i)}^2}

    in the order of falling :math:`v_i / w_i`.

    Args:
        v: Points [..., p].
        weights: w [..., p], at least 0; where 0, an entry stays as it is, if above 0.
        total: s [..., 1], at least 0.

    Example:
        >>> w = torch.tensor([1.0, 2.0], dtype=torch.float64)
        >>> nearest_of_weighted_sum(torch.tensor([3.0, 3.0], dtype=torch.float64), w, torch.tensor([2.0]))
        tensor([1.6000, 0.2000], dtype=torch.float64)

    References:
        Kiwiel (2008), Breakpoint searching algorithms for the continuous quadratic knapsack problem.
    """
    v, weights = torch.broadcast_tensors(v, weights)
    top = torch.where(weights > 0, v / weights, -torch.inf).amax(-1, keepdim=True)
    v = v - torch.where(torch.isinf(top), 0.0, top) * weights  # no answer changes, and near the top no digit is lost
    ratio = torch.where(weights > 0, v / weights, -torch.inf)
    order = ratio.argsort(-1, descending=True)
    products, squares = weights * v, weights * weights
    sums = products.gather(-1, order).cumsum(-1)
    theta = ((sums - total) / squares.gather(-1, order).cumsum(-1)).amax(-1, keepdim=True)
    kept = ratio >= theta  # once more over these alone: a running sum rounds at each of its steps
    theta = (torch.where(kept, products, 0.0).sum(-1, keepdim=True) - total) / torch.where(kept, squares, 0.0).sum(
        -1, keepdim=True
    )
    return (v - theta * weights).clamp(min=0)


def _refuse_too_much(total: Numbers, cap: Numbers, *, like: Tensor) -> Tensor:
    s, c = size(total, "total", like=like), numbers(cap, like)
    wrong = ~(c >= 0)
    if bool(wrong.any()):
        raise ValueError(f"cap is {first(c, wrong)}, which leaves the set empty; give a cap of at least 0.")
    most = c.broadcast_to(torch.broadcast_shapes(c.shape, like.shape)).sum(-1, keepdim=True)
    over = s > most * (1 + rounding(like))
    if bool(over.any()):
        raise ValueError(
            f"The set is empty: total is {first(each_point(total, like), over)}, and the {like.shape[-1]} caps sum to "
            f"{first(most, over)}; give a smaller total or larger caps."
        )
    return s


def _ones(like: Tensor) -> Tensor:
    return torch.ones(like.shape[-1], dtype=torch.float64, device=like.device)
