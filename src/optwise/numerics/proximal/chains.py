r"""Penalties on the jumps along a chain of entries: total variation and the fused lasso. The maps work on the host.

Both are solved exactly, without iterating, in time linear in the length of the chain.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optwise.numerics.proximal.conventions import entrywise, indicator, per_instance, positive_step
from optwise.numerics.proximal.l1 import soft_threshold

Floats = NDArray[np.float64]


def total_variation(x: Tensor, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""Weighted sum of the absolute jumps from entry to entry.

    .. math:: g(x) = \sum_{i=1}^{p-1} w_i |x_{i+1} - x_i|

    Args:
        x: Point [..., p].
        weight: w at least 0, a number or one per jump, broadcasting against [..., p - 1].

    Example:
        >>> total_variation(torch.tensor([1.0, 4.0, 2.0]))
        tensor(5.)
    """
    return (entrywise(weight, x) * x.diff().abs()).sum(-1)


def prox_total_variation(v: Tensor, step: Tensor | float, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""Proximal map of :func:`total_variation` in one dimension (the fused lasso signal approximator), exact.

    Dynamic programming over the chain: the derivative of the least cost of the first i entries, as a function of the
    value of entry i, is piecewise linear, and a jump's penalty cuts it off at :math:`\pm s w_i`. Going back, every
    entry takes the value of the next one, clipped to where its own derivative was not cut off.

    Runs on the host in float64, instance by instance in O(p), so not under ``torch.func.vmap``.

    Args:
        v: Point [..., p].
        step: s above 0, a number or one for each instance.
        weight: w at least 0, a number or one per jump, broadcasting against [..., p - 1].

    Example:
        >>> prox_total_variation(torch.tensor([0.0, 0.0, 6.0, 6.0]), 2.0)
        tensor([1., 1., 5., 5.])

    References:
        Johnson (2013), A dynamic programming algorithm for the fused lasso and L0-segmentation.
    """
    levels = (positive_step(step, v) * entrywise(weight, v)).expand(*v.shape[:-1], max(v.shape[-1] - 1, 0))
    if v.shape[-1] < 2:
        return v.clone()
    smoothed = np.array([_smoothed_chain(*chain) for chain in zip(_rows(v), _rows(levels), strict=True)])
    return torch.from_numpy(smoothed).reshape(v.shape).to(v)


def conjugate_total_variation(u: Tensor, *, weight: Tensor | float = 1.0, slack: float = 0.0) -> Tensor:
    r"""Conjugate of :func:`total_variation`: 0 if u sums to 0 with running sums within the weights, else infinite.

    .. math:: |u_1 + \dots + u_i| \le w_i \quad (i < p), \qquad u_1 + \dots + u_p = 0

    No scaling makes a sum 0, and rounding seldom leaves one: take the mean off a dual point first, and pass a
    ``slack`` of about ``p * eps``. Here it is relative to :math:`\|u\|_1`, as the rounding of running sums is, and is
    added to every bound, the last one of 0 included.

    Example:
        >>> conjugate_total_variation(torch.tensor([[1.0, -2.0, 1.0], [1.0, -1.0, 1.0]]))
        tensor([0., inf])

    References:
        Condat (2013), A direct algorithm for 1-D total variation denoising.
    """
    sums, allowed = u.cumsum(-1).abs(), slack * u.abs().sum(-1, keepdim=True)
    within = (sums[..., :-1] <= entrywise(weight, u) + allowed).all(-1)
    return indicator(within & (sums[..., -1:] <= allowed).all(-1), u)


def fused_lasso(x: Tensor, *, l1: Tensor | float, tv: Tensor | float) -> Tensor:
    r"""Absolute entries plus absolute jumps, with a weight for each part: sparse and piecewise constant.

    .. math:: g(x) = \lambda \sum_{i=1}^p |x_i| + \sum_{i=1}^{p-1} w_i |x_{i+1} - x_i|

    Args:
        x: Point [..., p].
        l1: :math:`\lambda` at least 0, a number or one for each instance, the same for all its entries.
        tv: w at least 0, a number or one per jump, broadcasting against [..., p - 1].

    Example:
        >>> fused_lasso(torch.tensor([1.0, 4.0, -2.0]), l1=0.5, tv=1.0)
        tensor(12.5000)

    References:
        Tibshirani, Saunders, Rosset, Zhu and Knight (2005), Sparsity and smoothness via the fused lasso.
    """
    return (per_instance(l1, x, name="l1") * x.abs()).sum(-1) + total_variation(x, weight=tv)


def prox_fused_lasso(v: Tensor, step: Tensor | float, *, l1: Tensor | float, tv: Tensor | float) -> Tensor:
    """Proximal map of :func:`fused_lasso`: first that of the total variation, then a soft threshold.

    Runs on the host, as :func:`prox_total_variation` does.

    Args:
        v: Point [..., p].
        step: s above 0, a number or one for each instance.
        l1: Weight of the absolute entries, at least 0, a number or one for each instance.
        tv: Weight of the absolute jumps, at least 0, a number or one per jump, broadcasting against [..., p - 1].

    Example:
        >>> prox_fused_lasso(torch.tensor([0.0, 0.0, 6.0, 6.0]), 2.0, l1=1.0, tv=1.0)
        tensor([0., 0., 3., 3.])

    References:
        Friedman, Hastie, Höfling and Tibshirani (2007), Pathwise coordinate optimization, proposition 1.
    """
    level = positive_step(step, v) * per_instance(l1, v, name="l1")
    return soft_threshold(prox_total_variation(v, step, weight=tv), level)


def conjugate_fused_lasso(u: Tensor, *, l1: Tensor | float, tv: Tensor | float, slack: float = 0.0) -> Tensor:
    """Conjugate of :func:`fused_lasso`: 0 if u is a subgradient at 0, that is if u is mapped to 0, else infinite.

    Runs on the host. The map is rounded: a dual point on the boundary needs a ``slack`` of about ``p * eps``.

    Args:
        u: Dual point [..., p].
        l1: Weight of the absolute entries, at least 0, a number or one for each instance.
        tv: Weight of the absolute jumps, at least 0, a number or one per jump, broadcasting against [..., p - 1].
        slack: By how much both weights are taken as larger, relative to themselves.

    Example:
        >>> conjugate_fused_lasso(torch.tensor([[2.0, -2.0, 0.5], [2.0, -2.0, 3.0]]), l1=1.0, tv=1.0)
        tensor([0., inf])
    """
    return indicator((prox_fused_lasso(u, 1 + slack, l1=l1, tv=tv) == 0).all(-1), u)


def _smoothed_chain(values: Floats, levels: Floats) -> Floats:
    # The result is the slope of a string pulled taut between the running sums plus and minus the levels; it rises no
    # higher and falls no lower than the sums do. A level beyond their spread (twice that, in view of rounding) changes
    # nothing, but would cost digits.
    shifted = values - values[0]
    sums = np.cumsum(shifted - shifted.mean())
    spread = max(float(sums.max()), 0.0) - min(float(sums.min()), 0.0)
    points: list[float] = values.tolist()
    # The derivative of the least cost of the entries so far rises. Its outermost pieces have slope 1, and its knots, in
    # ascending order, change the slope. Slopes are counts of entries: integers.
    knots: deque[tuple[float, int]] = deque()
    lows, highs = [], []
    before = 0.0
    for point, level in zip(points[:-1], np.minimum(levels, 2 * spread).tolist(), strict=True):
        low, slope_at_low = _from_left(knots, point + before - level)
        high, slope_at_high = _from_right(knots, point - before + level)
        knots.appendleft((low, slope_at_low))
        knots.append((high, -slope_at_high))
        lows.append(low)
        highs.append(high)
        before = level
    x, _ = _from_left(knots, points[-1] + before)
    smoothed = [x]
    for low, high in zip(reversed(lows), reversed(highs), strict=True):
        x = min(max(x, low), high)
        smoothed.append(x)
    return np.array(smoothed[::-1])


def _from_left(knots: deque[tuple[float, int]], place: float) -> tuple[float, int]:
    """Where the derivative crosses a level that its leftmost piece would cross at ``place``, and with what slope.

    The knots before the crossing are dropped.
    """
    slope = 1
    while knots and knots[0][0] < place:
        knot, change = knots.popleft()
        rest = slope * (place - knot)
        slope += change
        place = knot + rest / slope
    return place, slope


def _from_right(knots: deque[tuple[float, int]], place: float) -> tuple[float, int]:
    """As :func:`_from_left`, from the other end."""
    slope = 1
    while knots and knots[-1][0] > place:
        knot, change = knots.pop()
        rest = slope * (knot - place)
        slope -= change
        place = knot - rest / slope
    return place, slope


def _rows(x: Tensor) -> Floats:
    rows: Floats = x.detach().to("cpu", torch.float64).reshape(-1, x.shape[-1]).numpy()
    return rows
