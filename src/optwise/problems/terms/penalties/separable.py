"""Convex penalties that are sums over entries and set none to 0: squares and the hinge."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from optwise.core.penalty import Penalty
from optwise.numerics.proximal.margin_losses import conjugate_hinge, hinge, prox_hinge, prox_hinge_derivative
from optwise.numerics.proximal.quadratic_penalties import conjugate_squared_l2, prox_squared_l2, squared_l2
from optwise.problems.terms.arguments import keep_number, values_alone
from optwise.problems.terms.penalties.domains import largest_scale


@values_alone
@dataclass(frozen=True)
class SquaredL2(Penalty):
    r"""Half the squared l2 norm.

    .. math:: g(w) = \tfrac{\lambda}{2} \|w\|^2, \qquad g^*(u) = \tfrac{1}{2 \lambda} \|u\|^2

    Args:
        weight: :math:`\lambda`, at least 0.

    Example:
        >>> SquaredL2(2.0).conjugate(torch.tensor([2.0, 0.0]))
        tensor(1.)
    """

    weight: float

    lower_bound: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        keep_number(self, "weight", "The weight of a squared l2 norm", least=0)

    def value(self, w: Tensor) -> Tensor:
        return squared_l2(w, weight=self.weight).sum(-1)

    def prox(self, v: Tensor, step: float) -> Tensor:
        return prox_squared_l2(v, step, weight=self.weight)

    def conjugate(self, u: Tensor) -> Tensor:
        return conjugate_squared_l2(u, weight=self.weight).sum(-1)

    def dual_scale(self, u: Tensor) -> float:
        return largest_scale(self.conjugate, u, u.new_tensor(math.inf if self.weight > 0 else 0.0), u.abs())

    def violation(self, w: Tensor, g: Tensor) -> Tensor:
        return (g + self.weight * w).abs()

    def prox_derivative(self, v: Tensor, step: float) -> Tensor:
        return torch.full_like(v, 1 / (1 + step * self.weight))

    def restricted(self, index: Tensor) -> SquaredL2:
        return self


@values_alone
@dataclass(frozen=True)
class HingeSum(Penalty):
    r"""The hinge loss of margins, as a term behind the operator that makes them.

    .. math:: g(z) = s \sum_i \max(0, 1 - z_i), \qquad g^*(u) = \sum_i u_i \text{ for } -s \le u_i \le 0,
        \text{ else } \infty

    With the operator diag(y) X it is the loss of a support vector machine.

    Args:
        scale: s at least 0, 1/n for the mean and 1 for the sum.

    Example:
        >>> HingeSum(0.5).value(torch.tensor([2.0, 0.0, -1.0]))
        tensor(1.5000)

    References:
        Cortes and Vapnik (1995), Support-vector networks.
    """

    scale: float

    lower_bound: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        keep_number(self, "scale", "The scale of a hinge loss", least=0)

    def value(self, w: Tensor) -> Tensor:
        return hinge(w, label=1.0, weight=self.scale).sum(-1)

    def prox(self, v: Tensor, step: float) -> Tensor:
        return prox_hinge(v, step, label=1.0, weight=self.scale)

    def conjugate(self, u: Tensor) -> Tensor:
        return conjugate_hinge(u, label=1.0, weight=self.scale).sum(-1)

    def dual_scale(self, u: Tensor) -> float:
        bounds = torch.where(u > 0, 0.0, self.scale).to(u.dtype)
        return largest_scale(self.conjugate, u, bounds, u.abs())

    def violation(self, w: Tensor, g: Tensor) -> Tensor:
        below, beyond = g - self.scale, -g
        at_kink = torch.maximum(below, beyond).clamp(min=0)
        return torch.where(w < 1, below.abs(), torch.where(w > 1, beyond.abs(), at_kink))

    def prox_derivative(self, v: Tensor, step: float) -> Tensor:
        return prox_hinge_derivative(v, step, label=1.0, weight=self.scale)

    def restricted(self, index: Tensor) -> HingeSum:
        return self
