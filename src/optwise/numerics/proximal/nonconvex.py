r"""Separable penalties that are not convex: the count of nonzeros, SCAD and MCP, which do not shrink large entries.

Their maps return a global minimiser, the one nearest to 0 where there are two, and are not nonexpansive: they stretch
distances or jump. No conjugates here, for they are of no use: the three functions are bounded, so that their conjugates
are infinite everywhere but at 0, and no duality gap closes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from optwise.numerics.proximal.conventions import entrywise, positive_step
from optwise.numerics.proximal.l1 import soft_threshold


def l0(x: Tensor, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""What each entry adds to the number of nonzeros.

    .. math:: g(x) = w \text{ for } x \ne 0, \quad 0 \text{ for } x = 0

    Example:
        >>> l0(torch.tensor([0.0, -2.0]), weight=0.5)
        tensor([0.0000, 0.5000])
    """
    return entrywise(weight, x) * (x != 0).to(x.dtype)


def prox_l0(v: Tensor, step: Tensor | float, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""Hard threshold, the proximal map of :func:`l0` (not convex): keep entries above :math:`\sqrt{2 s w}`.

    Args:
        v: Point [..., p].
        step: s above 0, a number or one for each instance.
        weight: w at least 0, a number or broadcasting against ``v``.

    Example:
        >>> prox_l0(torch.tensor([3.0, -2.0, 1.0]), 2.0)
        tensor([3., -0., 0.])

    References:
        Blumensath and Davies (2008), Iterative thresholding for sparse approximations.
    """
    level = (2 * positive_step(step, v) * entrywise(weight, v)).sqrt()
    return v * (v.abs() > level).to(v.dtype)


def scad(x: Tensor, *, level: Tensor | float, a: float = 3.7) -> Tensor:
    r"""Smoothly clipped absolute deviation: the l1 penalty near 0, constant far away, a parabola between.

    .. math:: g(x) = \lambda |x| \;(|x| \le \lambda), \quad
              \frac{2 a \lambda |x| - x^2 - \lambda^2}{2 (a - 1)} \;(|x| \le a \lambda), \quad
              \frac{(a + 1) \lambda^2}{2} \text{ beyond}

    The level :math:`\lambda` sets the slope at 0 and where the parts end; it is no factor.

    Example:
        >>> scad(torch.tensor([0.5, 2.0, 9.0]), level=1.0, a=3.0)
        tensor([0.5000, 1.7500, 2.0000])

    References:
        Fan and Li (2001), Variable selection via nonconcave penalized likelihood and its oracle properties.
    """
    size, lam = x.abs(), entrywise(level, x)
    middle = (2 * a * lam * size - x.square() - lam.square()) / (2 * (a - 1))
    outer = 0.5 * (a + 1) * lam.square()
    return torch.where(size <= lam, lam * size, torch.where(size <= a * lam, middle, outer))


def prox_scad(v: Tensor, step: Tensor | float, *, level: Tensor | float, a: float = 3.7) -> Tensor:
    r"""Proximal map of :func:`scad` (not convex), for any step.

    For :math:`s < a - 1` the objective is convex, and this is Fan and Li's rule with a step: the soft threshold up to
    :math:`|v| = (1 + s) \lambda`, a steeper line up to :math:`a \lambda`, v itself beyond. For longer steps the soft
    threshold is cheaper than v itself up to

    .. math:: |v| = \tfrac12 (s + a + 1) \lambda \;\text{ for } s \le a + 1, \qquad \sqrt{s (a + 1)} \, \lambda
              \;\text{ for } s \ge a + 1

    Args:
        v: Point [..., p].
        step: s above 0, a number or one for each instance.
        level: :math:`\lambda` at least 0, a number or broadcasting against ``v``.
        a: Where the penalty becomes constant, in levels; above 2.

    Raises:
        ValueError: ``a`` is not above 2.

    Example:
        >>> prox_scad(torch.tensor([0.5, 1.5, 2.5, -9.0]), 1.0, level=1.0, a=3.0)
        tensor([ 0.0000,  0.5000,  2.0000, -9.0000])

    References:
        Fan and Li (2001), Variable selection via nonconcave penalized likelihood and its oracle properties, section 2.
    """
    if a <= 2:
        raise ValueError(f"SCAD's a is {a}; it must be above 2. Fan and Li take 3.7.")
    s, lam, size = positive_step(step, v), entrywise(level, v), v.abs()
    convex = s < a - 1
    line = ((a - 1) * size - s * a * lam) / torch.where(convex, a - 1 - s, 1.0)
    steeper = torch.where(size <= (1 + s) * lam, soft_threshold(size, s * lam), line)
    smooth = torch.where(size <= a * lam, steeper, size)
    jump = torch.where(s <= a + 1, 0.5 * (s + a + 1), (s * (a + 1)).sqrt()) * lam
    jumping = torch.where(size <= jump, soft_threshold(size, s * lam), size)
    return v.sign() * torch.where(convex, smooth, jumping)


def mcp(x: Tensor, *, level: Tensor | float, gamma: float = 3.0) -> Tensor:
    r"""Minimax concave penalty: its slope falls linearly from :math:`\lambda` at 0 to 0 at :math:`\gamma \lambda`.

    .. math:: g(x) = \lambda |x| - \frac{x^2}{2 \gamma} \;(|x| \le \gamma \lambda), \quad
              \frac{\gamma \lambda^2}{2} \text{ beyond}

    The level :math:`\lambda` is no factor.

    Example:
        >>> mcp(torch.tensor([1.0, -9.0]), level=1.0, gamma=2.0)
        tensor([0.7500, 1.0000])

    References:
        Zhang (2010), Nearly unbiased variable selection under minimax concave penalty.
    """
    size, lam = x.abs(), entrywise(level, x)
    return torch.where(size <= gamma * lam, lam * size - x.square() / (2 * gamma), 0.5 * gamma * lam.square())


def prox_mcp(v: Tensor, step: Tensor | float, *, level: Tensor | float, gamma: float = 3.0) -> Tensor:
    r"""Proximal map of :func:`mcp` (not convex), for any step.

    For :math:`s < \gamma` the objective is convex and this is the firm threshold: the soft threshold divided by
    :math:`1 - s / \gamma` up to :math:`|v| = \gamma \lambda`, v itself beyond. For longer steps it is the hard
    threshold at :math:`\sqrt{s \gamma} \, \lambda`.

    Args:
        v: Point [..., p].
        step: s above 0, a number or one for each instance.
        level: :math:`\lambda` at least 0, a number or broadcasting against ``v``.
        gamma: Where the penalty becomes constant, in levels; above 1.

    Raises:
        ValueError: ``gamma`` is not above 1.

    Example:
        >>> prox_mcp(torch.tensor([0.5, 1.5, -9.0]), 1.0, level=1.0, gamma=2.0)
        tensor([ 0.,  1., -9.])

    References:
        Zhang (2010), Nearly unbiased variable selection under minimax concave penalty; Gao and Bruce (1997), WaveShrink
        with firm shrinkage.
    """
    if gamma <= 1:
        raise ValueError(f"MCP's gamma is {gamma}; it must be above 1. A usual choice is 3.")
    s, lam, size = positive_step(step, v), entrywise(level, v), v.abs()
    convex = s < gamma
    firm = soft_threshold(size, s * lam) / torch.where(convex, 1 - s / gamma, 1.0)
    smooth = torch.where(size <= gamma * lam, firm, size)
    hard = torch.where(size <= (s * gamma).sqrt() * lam, torch.zeros_like(v), size)
    return v.sign() * torch.where(convex, smooth, hard)
