"""A box cut by a hyperplane, the set of budgets: nearest points, extreme points and the support function, exactly."""

from __future__ import annotations

import torch
from torch import Tensor

from optwise.numerics.projections.boxes import bounds, finite_bounds, sum_of_reaches
from optwise.numerics.projections.halfspaces import plane
from optwise.numerics.projections.instances import Numbers, each_point, first, lifted, rounding


def project_box_hyperplane(v: Tensor, a: Tensor, *, b: Numbers, low: Numbers, high: Numbers) -> Tensor:
    r"""Nearest point of a box among those of a hyperplane: the continuous quadratic knapsack.

    .. math:: \operatorname*{argmin}_{l \le x \le h, \langle a, x \rangle = b} \tfrac12 |x - v|^2
        = \min(\max(v - \lambda a, l), h)

    with the one :math:`\lambda` that meets the budget. :math:`\langle a, x(\lambda) \rangle` falls along lines between
    the values at which an entry meets a bound. They are sorted, bisection finds the line, and the line gives
    :math:`\lambda`.

    Args:
        v: Points [..., p].
        a: Normal, for all points [p] or each [..., p].
        b: Budget, for all points or each [...].
        low: l, for all coordinates or each [..., p]; may be ``-inf``.
        high: h, likewise; may be ``inf``.

    Raises:
        ValueError: The box is empty or does not meet the hyperplane, or a or b is not finite.

    Example:
        >>> project_box_hyperplane(torch.tensor([3.0, 1.0, 0.0]), torch.ones(3), b=2.0, low=0.0, high=1.0)
        tensor([1., 1., 0.])

    References:
        Pardalos and Kovoor (1990), An algorithm for a singly constrained class of quadratic programs subject to upper
        and lower bounds; Kiwiel (2008), Breakpoint searching algorithms for the continuous quadratic knapsack problem.
    """
    least, most = bounds(low, high, v)
    normal, budget = _met(a, b, least, most, like=v)
    point, normal, least, most, _ = torch.broadcast_tensors(lifted(v), normal, least, most, budget)
    for _ in range(2):  # moving along a changes no answer; from nearby, digits lost to a far v come back
        point = point - _multiplier(point, normal, budget, least, most) * normal
    nearest: Tensor = point.clamp(least, most)
    return nearest.to(v.dtype)


def vertex_box_hyperplane(g: Tensor, a: Tensor, *, b: Numbers, low: Numbers, high: Numbers) -> Tensor:
    r"""Extreme point of a box cut by a hyperplane at which a linear function is least: the continuous knapsack.

    .. math:: \operatorname*{argmin}_{l \le x \le h, \langle a, x \rangle = b} \langle g, x \rangle

    From the cheapest corner for :math:`\langle a, x \rangle` the budget is spent in the order of price,
    :math:`g_i / a_i`, until it is used up; at most one entry lies between its bounds.

    Args:
        g: Directions [..., p].
        a: Normal, for all directions [p] or each [..., p].
        b: Budget, for all directions or each [...].
        low: l, for all coordinates or each [..., p].
        high: h, likewise.

    Raises:
        ValueError: The box is empty, unbounded or does not meet the hyperplane, or a or b is not finite.

    Example:
        >>> vertex_box_hyperplane(torch.tensor([3.0, 1.0, 2.0]), torch.ones(3), b=1.5, low=0.0, high=1.0)
        tensor([0.0000, 1.0000, 0.5000])

    References:
        Dantzig (1957), Discrete-Variable Extremum Problems.
    """
    least, most = finite_bounds(low, high, g)
    normal, budget = _met(a, b, least, most, like=g)
    g64, normal, least, most, _ = torch.broadcast_tensors(lifted(g), normal, least, most, budget)
    cheap, dear = torch.where(normal > 0, least, most), torch.where(normal > 0, most, least)
    free = normal == 0
    width = normal * (dear - cheap)  # [..., p], at least 0
    order = torch.where(free, torch.inf, g64 / normal).argsort(-1)
    sorted_width = width.gather(-1, order)
    before = sorted_width.cumsum(-1) - sorted_width
    money = budget - (normal * cheap).sum(-1, keepdim=True)
    spent = torch.zeros_like(width).scatter(-1, order, (money - before).clamp(min=0).minimum(sorted_width))
    partly = torch.minimum(torch.maximum(cheap + spent / normal, least), most)
    bought = torch.where(spent >= width, dear, partly)
    return torch.where(free, torch.where(g64 < 0, most, least), bought).to(g.dtype)


def support_box_hyperplane(u: Tensor, a: Tensor, *, b: Numbers, low: Numbers, high: Numbers) -> Tensor:
    r"""Support function of a box cut by a hyperplane, infinite where the set is unbounded along ``u``.

    .. math:: \sup_{l \le x \le h, \langle a, x \rangle = b} \langle u, x \rangle
        = \min_\tau \; \tau b + \sum_i \max \big( (u_i - \tau a_i) l_i, (u_i - \tau a_i) h_i \big)

    The minimum stands at one of the prices :math:`u_i / a_i`; an infinite bound keeps :math:`\tau` to one side of its
    own price.

    Args:
        u: Directions [..., p]; equal prices of unbounded coordinates mean equal up to the rounding of u.
        a: Normal, for all directions [p] or each [..., p].
        b: Budget, for all directions or each [...].
        low: l, for all coordinates or each [..., p]; may be ``-inf``.
        high: h, likewise; may be ``inf``.

    Returns:
        One number for each direction [...].

    Raises:
        ValueError: The box is empty or does not meet the hyperplane, or a or b is not finite.

    Example:
        >>> u = torch.tensor([3.0, 1.0, 2.0])
        >>> support_box_hyperplane(u, torch.ones(3), b=1.5, low=0.0, high=1.0)
        tensor(4.)
        >>> support_box_hyperplane(u, torch.ones(3), b=1.5, low=0.0, high=torch.inf)
        tensor(4.5000)

    References:
        Dantzig (1957), Discrete-Variable Extremum Problems; Rockafellar (1970), Convex Analysis, section 16.
    """
    least, most = bounds(low, high, u)
    normal, budget = _met(a, b, least, most, like=u)
    u64, normal, least, most, _ = torch.broadcast_tensors(lifted(u), normal, least, most, budget)
    free = normal == 0
    price = torch.where(free, torch.nan, u64 / normal)
    cheap, dear = torch.where(normal > 0, least, most), torch.where(normal > 0, most, least)
    floor = torch.where(torch.isinf(dear) & ~free, price, -torch.inf).amax(-1, keepdim=True)
    ceiling = torch.where(torch.isinf(cheap) & ~free, price, torch.inf).amin(-1, keepdim=True)
    slack = rounding(u) * torch.maximum(floor.abs(), ceiling.abs())
    finite = (floor <= ceiling) | (floor - ceiling <= slack)
    tau = _price_of_the_last_unit(price, normal, cheap, dear, budget).maximum(floor).minimum(ceiling)
    chosen = torch.where(price > tau, dear, cheap)
    # an unbounded entry has its price on the side of tau where it adds nothing, or equal to tau but for rounding
    gain = torch.where(free | (price == tau) | torch.isinf(chosen), 0.0, (u64 - tau * normal) * chosen)
    value = tau * budget + gain.sum(-1, keepdim=True)
    rest = sum_of_reaches(torch.where(free, u64, 0.0), least, most)
    return (torch.where(finite, value, torch.inf).squeeze(-1) + rest).to(u.dtype)


def _multiplier(v: Tensor, a: Tensor, b: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The lambda [..., 1] at which ``clamp(v - lambda a, low, high)`` meets the budget."""
    still = a == 0
    first_end, last_end = torch.where(a > 0, high, low), torch.where(a > 0, low, high)
    enters = torch.where(still, -torch.inf, (v - first_end) / a)  # an entry moves for lambda between these two
    leaves = torch.where(still, -torch.inf, (v - last_end) / a)
    turns = torch.cat([enters, leaves], dim=-1).sort(-1).values  # [..., 2p]
    turns_count = turns.shape[-1]
    below = torch.zeros_like(turns[..., :1], dtype=torch.long)  # so many turns still meet the budget
    above = torch.full_like(below, turns_count)
    for _ in range(turns_count.bit_length()):
        middle = (below + above) // 2
        turn = turns.gather(-1, middle.clamp(max=turns_count - 1))
        usual = torch.isfinite(turn)
        spent = (a * (v - torch.where(usual, turn, 0.0) * a).clamp(low, high)).sum(-1, keepdim=True)
        meets = torch.where(usual, spent >= b, turn < 0)
        below, above = torch.where(meets & (below < above), middle + 1, below), torch.where(meets, above, middle)
    left = turns.gather(-1, (below - 1).clamp(min=0)).where(below > 0, -torch.inf)
    right = turns.gather(-1, below.clamp(max=turns_count - 1)).where(below < turns_count, torch.inf)
    moving = (enters <= left) & (right <= leaves)
    stopped = torch.where(moving | still, 0.0, a * torch.where(leaves <= left, last_end, first_end))
    slope = torch.where(moving, a * a, 0.0).sum(-1, keepdim=True)
    over = (torch.where(moving, a * v, 0.0) + stopped).sum(-1, keepdim=True) - b
    # a budget at its least or its most leaves nothing that moves: any lambda beyond the last turn will do
    end = torch.where(torch.isfinite(left), left, torch.where(torch.isfinite(right), right, 0.0))
    return torch.where(slope > 0, (over / slope).maximum(left).minimum(right), end)


def _price_of_the_last_unit(price: Tensor, a: Tensor, cheap: Tensor, dear: Tensor, budget: Tensor) -> Tensor:
    """The price tau [..., 1] nearest to a minimiser of the dual, were infinite bounds as good as those beside them.

    That dual is the same between the bounds that unbounded entries set for tau, which are prices too.
    """
    begin = torch.where(torch.isfinite(cheap), cheap, torch.where(torch.isfinite(dear), dear, 0.0))
    end = torch.where(torch.isfinite(dear), dear, begin)
    priced = ~torch.isnan(price)
    ranked = torch.where(priced, price, -torch.inf)
    order = ranked.argsort(-1, descending=True)
    reached = torch.where(priced, a * (end - begin), 0.0).gather(-1, order).cumsum(-1)
    money = budget - torch.where(priced, a * begin, 0.0).sum(-1, keepdim=True)
    entries = priced.sum(-1, keepdim=True)
    rank = (reached < money).sum(-1, keepdim=True).minimum(entries - 1).clamp(min=0)
    return torch.where(entries > 0, ranked.gather(-1, order).gather(-1, rank), 0.0)


def _met(a: Tensor, b: Numbers, low: Tensor, high: Tensor, *, like: Tensor) -> tuple[Tensor, Tensor]:
    """The plane with a normal whose largest entry is 1, once it is sure that the box meets it."""
    normal, budget = plane(a, b, like=like)
    stretched = lifted(a).to(like.device).broadcast_to(torch.broadcast_shapes(a.shape, like.shape, low.shape))
    least = 0.0 - sum_of_reaches(-stretched, low, high).unsqueeze(-1)
    most = sum_of_reaches(stretched, low, high).unsqueeze(-1)
    wanted = each_point(b, like)
    # the ends of the box's range are sums, and a budget that equals one of them is met
    ends = torch.where(torch.isfinite(least), least.abs(), 0.0) + torch.where(torch.isfinite(most), most.abs(), 0.0)
    slack = rounding(like) * (ends + wanted.abs())
    wrong = (wanted < least - slack) | (wanted > most + slack)
    if bool(wrong.any()):
        raise ValueError(
            f"The set is empty: within its bounds <a, x> runs from {first(least, wrong)} to {first(most, wrong)}, "
            f"which leaves out b = {first(wanted, wrong)}; give a budget within that range."
        )
    return normal, budget
