"""Separable penalties that are not convex: they shrink small entries to 0 and leave large ones alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from optwise.core.penalty import Penalty
from optwise.numerics.proximal.nonconvex import l0, mcp, prox_l0, prox_mcp, prox_scad, scad
from optwise.problems.terms.arguments import keep_number, values_alone


@values_alone
@dataclass(frozen=True)
class L0(Penalty):
    r"""The number of entries that are not 0.

    .. math:: g(w) = \lambda \, |\{ i : w_i \ne 0 \}|

    Its limiting subdifferential is everything at 0 and nothing but 0 elsewhere, so that every least-squares fit on some
    columns is stationary.

    Args:
        weight: :math:`\lambda`, at least 0.

    Example:
        >>> L0(2.0).prox(torch.tensor([3.0, -1.0]), 1.0)  # the threshold is sqrt(2 * 2)
        tensor([3., -0.])

    References:
        Blumensath and Davies (2008), Iterative thresholding for sparse approximations.
    """

    weight: float

    convex: ClassVar[bool] = False
    lower_bound: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        keep_number(self, "weight", "The weight of a count of nonzeros", least=0)

    def value(self, w: Tensor) -> Tensor:
        return l0(w, weight=self.weight).sum(-1)

    def prox(self, v: Tensor, step: float) -> Tensor:
        return prox_l0(v, step, weight=self.weight)

    def violation(self, w: Tensor, g: Tensor) -> Tensor:
        return torch.where(w == 0, 0.0, g.abs())

    def prox_derivative(self, v: Tensor, step: float) -> Tensor:
        return (v.abs() > math.sqrt(2 * step * self.weight)).to(v.dtype)

    def restricted(self, index: Tensor) -> L0:
        return self


@values_alone
@dataclass(frozen=True)
class MCP(Penalty):
    r"""The minimax concave penalty: its slope falls from :math:`\lambda` at 0 to 0 at :math:`\gamma \lambda`.

    .. math:: g(w) = \sum_i \lambda |w_i| - \frac{w_i^2}{2 \gamma} \;(|w_i| \le \gamma \lambda), \quad
        \frac{\gamma \lambda^2}{2} \text{ beyond}

    Args:
        level: :math:`\lambda`, at least 0; no factor: it also says where the slope ends.
        gamma: :math:`\gamma > 1`.

    Raises:
        BadProblem: Numbers outside these ranges.

    Example:
        >>> MCP(1.0).prox(torch.tensor([0.5, 9.0]), 1.0)
        tensor([0., 9.])

    References:
        Zhang (2010), Nearly unbiased variable selection under minimax concave penalty.
    """

    level: float
    gamma: float = 3.0

    convex: ClassVar[bool] = False
    lower_bound: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        keep_number(self, "level", "The level of MCP", least=0)
        keep_number(self, "gamma", "The gamma of MCP", least=1, above=True)

    def value(self, w: Tensor) -> Tensor:
        return mcp(w, level=self.level, gamma=self.gamma).sum(-1)

    def prox(self, v: Tensor, step: float) -> Tensor:
        return prox_mcp(v, step, level=self.level, gamma=self.gamma)

    def violation(self, w: Tensor, g: Tensor) -> Tensor:
        slope = (self.level - w.abs() / self.gamma).clamp(min=0)
        return _off(w, g, slope=slope, level=self.level)

    def prox_derivative(self, v: Tensor, step: float) -> Tensor:
        size = v.abs()
        if step >= self.gamma:
            return (size > math.sqrt(step * self.gamma) * self.level).to(v.dtype)
        middle = torch.where(size <= step * self.level, 0.0, 1 / (1 - step / self.gamma))
        return torch.where(size <= self.gamma * self.level, middle, 1.0).to(v.dtype)

    def restricted(self, index: Tensor) -> MCP:
        return self


@values_alone
@dataclass(frozen=True)
class SCAD(Penalty):
    r"""The smoothly clipped absolute deviation: the l1 penalty near 0, a parabola, then constant.

    .. math:: g'(|w_i|) = \lambda \;(|w_i| \le \lambda), \quad \frac{a \lambda - |w_i|}{a - 1} \;(|w_i| \le a \lambda),
        \quad 0 \text{ beyond}

    Args:
        level: :math:`\lambda`, at least 0; no factor: it also says where the parts end.
        a: Above 2.

    Raises:
        BadProblem: Numbers outside these ranges.

    Example:
        >>> SCAD(1.0).value(torch.tensor([0.5, 9.0]))  # 0.5 and (3.7 + 1) / 2
        tensor(2.8500)

    References:
        Fan and Li (2001), Variable selection via nonconcave penalized likelihood and its oracle properties.
    """

    level: float
    a: float = 3.7

    convex: ClassVar[bool] = False
    lower_bound: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        keep_number(self, "level", "The level of SCAD", least=0)
        keep_number(self, "a", "The a of SCAD", least=2, above=True)

    def value(self, w: Tensor) -> Tensor:
        return scad(w, level=self.level, a=self.a).sum(-1)

    def prox(self, v: Tensor, step: float) -> Tensor:
        return prox_scad(v, step, level=self.level, a=self.a)

    def violation(self, w: Tensor, g: Tensor) -> Tensor:
        slope = ((self.a * self.level - w.abs()) / (self.a - 1)).clamp(0, self.level)
        return _off(w, g, slope=slope, level=self.level)

    def prox_derivative(self, v: Tensor, step: float) -> Tensor:
        size, kept = v.abs(), (v.abs() > step * self.level).to(v.dtype)
        if step >= self.a - 1:
            root = 0.5 * (step + self.a + 1) if step <= self.a + 1 else math.sqrt(step * (self.a + 1))
            return torch.where(size <= root * self.level, kept, 1.0)
        middle = torch.where(size <= (1 + step) * self.level, kept, (self.a - 1) / (self.a - 1 - step))
        return torch.where(size <= self.a * self.level, middle, 1.0).to(v.dtype)

    def restricted(self, index: Tensor) -> SCAD:
        return self


def _off(w: Tensor, g: Tensor, *, slope: Tensor, level: float) -> Tensor:
    """Distance of ``-g`` to the subdifferential: ``slope sign(w)`` off 0, and all up to ``level`` at 0."""
    return torch.where(w == 0, (g.abs() - level).clamp(min=0), (g + slope * w.sign()).abs())
