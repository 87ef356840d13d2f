"""The l1 norm and its kin, which set entries to exactly 0: weighted, of one sign only, with squares beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from optwise.core.penalty import Penalty
from optwise.numerics.proximal.l1 import (
    conjugate_l1,
    conjugate_nonnegative_l1,
    nonnegative_l1,
    prox_l1,
    prox_l1_derivative,
    prox_nonnegative_l1,
    prox_nonnegative_l1_derivative,
)
from optwise.numerics.proximal.quadratic_penalties import (
    conjugate_elastic_net,
    elastic_net,
    prox_elastic_net,
    prox_elastic_net_derivative,
)
from optwise.problems.terms.arguments import keep_number, values_alone
from optwise.problems.terms.penalties.domains import keep_weights, largest_scale


@values_alone
@dataclass(frozen=True)
class L1(Penalty):
    r"""The l1 norm, which makes entries exactly 0.

    .. math:: g(w) = \lambda \sum_i |w_i|, \qquad g^*(u) = 0 \text{ for } \max_i |u_i| \le \lambda, \text{ else } \infty

    Args:
        weight: :math:`\lambda`, at least 0.

    Example:
        >>> g = L1(0.5)
        >>> (
        ...     g.value(torch.tensor([3.0, -1.0])),
        ...     g.prox(torch.tensor([3.0, -1.0]), 4.0),
        ...     g.dual_scale(torch.tensor([1.0, 0.0])),
        ... )
        (tensor(2.), tensor([1., -0.]), 0.5)

    References:
        Tibshirani (1996), Regression shrinkage and selection via the lasso.
    """

    weight: float

    lower_bound: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        keep_number(self, "weight", "The weight of an l1 norm", least=0)

    def value(self, w: Tensor) -> Tensor:
        return self.weight * w.abs().sum(-1)

    def prox(self, v: Tensor, step: float) -> Tensor:
        return F.softshrink(v, step * self.weight)  # one pass over v, where a formula takes four

    def conjugate(self, u: Tensor) -> Tensor:
        return conjugate_l1(u, weight=self.weight).sum(-1)

    def dual_scale(self, u: Tensor) -> float:
        return largest_scale(self.conjugate, u, u.new_tensor(self.weight), u.abs())

    def violation(self, w: Tensor, g: Tensor) -> Tensor:
        return _off_l1(w, g, weight=self.weight)

    def prox_derivative(self, v: Tensor, step: float) -> Tensor:
        return (v.abs() > step * self.weight).to(v.dtype) if self.weight > 0 else torch.ones_like(v)

    def restricted(self, index: Tensor) -> L1:
        return self


@values_alone
@dataclass(frozen=True, eq=False)
class WeightedL1(Penalty):
    r"""The l1 norm with a weight for each entry; entries of weight 0 are not penalised.

    .. math:: g(w) = \sum_i \lambda_i |w_i|, \qquad g^*(u) = 0 \text{ for } |u_i| \le \lambda_i, \text{ else } \infty

    Args:
        weights: :math:`\lambda` [p], at least 0.

    Example:
        >>> WeightedL1(torch.tensor([1.0, 0.0])).prox(torch.tensor([3.0, 3.0]), 2.0)
        tensor([1., 3.])

    References:
        Zou (2006), The adaptive lasso and its oracle properties.
    """

    weights: Tensor

    lower_bound: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        keep_weights(self, "weights", "The weights of an l1 norm")

    @property
    def dimension(self) -> int:
        return self.weights.numel()

    def value(self, w: Tensor) -> Tensor:
        return (self.weights * w.abs()).sum(-1)

    def prox(self, v: Tensor, step: float) -> Tensor:
        return prox_l1(v, step, weight=self.weights)

    def conjugate(self, u: Tensor) -> Tensor:
        return conjugate_l1(u, weight=self.weights).sum(-1)

    def dual_scale(self, u: Tensor) -> float:
        return largest_scale(self.conjugate, u, self.weights, u.abs())

    def violation(self, w: Tensor, g: Tensor) -> Tensor:
        return _off_l1(w, g, weight=self.weights)

    def prox_derivative(self, v: Tensor, step: float) -> Tensor:
        # without a weight there is no kink at 0
        return torch.where(self.weights > 0, prox_l1_derivative(v, step, weight=self.weights), torch.ones_like(v))

    def restricted(self, index: Tensor) -> WeightedL1:
        return replace(self, weights=self.weights[index])


@values_alone
@dataclass(frozen=True)
class NonnegativeL1(Penalty):
    r"""The l1 norm of entries that may not be negative.

    .. math:: g(w) = \lambda \sum_i w_i \text{ for } w \ge 0, \text{ else } \infty, \qquad
        g^*(u) = 0 \text{ for } \max_i u_i \le \lambda, \text{ else } \infty

    Args:
        weight: :math:`\lambda`, at least 0; with 0 it is the constraint alone.

    Example:
        >>> NonnegativeL1(1.0).prox(torch.tensor([3.0, -3.0]), 2.0)
        tensor([1., 0.])
    """

    weight: float

    lower_bound: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        keep_number(self, "weight", "The weight of a nonnegative l1 norm", least=0)

    def value(self, w: Tensor) -> Tensor:
        return nonnegative_l1(w, weight=self.weight).sum(-1)

    def prox(self, v: Tensor, step: float) -> Tensor:
        return prox_nonnegative_l1(v, step, weight=self.weight)

    def conjugate(self, u: Tensor) -> Tensor:
        return conjugate_nonnegative_l1(u, weight=self.weight).sum(-1)

    def dual_scale(self, u: Tensor) -> float:
        return largest_scale(self.conjugate, u, u.new_tensor(self.weight), u)

    def violation(self, w: Tensor, g: Tensor) -> Tensor:
        slope = g + self.weight
        at_zero = (-slope).clamp(min=0)
        return torch.where(w > 0, slope.abs(), torch.where(w == 0, at_zero, math.inf))

    def prox_derivative(self, v: Tensor, step: float) -> Tensor:
        return prox_nonnegative_l1_derivative(v, step, weight=self.weight)

    def restricted(self, index: Tensor) -> NonnegativeL1:
        return self


@values_alone
@dataclass(frozen=True)
class ElasticNetPenalty(Penalty):
    r"""The l1 norm and half the squared l2 norm.

    .. math:: g(w) = \lambda_1 \sum_i |w_i| + \tfrac{\lambda_2}{2} \|w\|^2, \qquad
        g^*(u) = \tfrac{1}{2 \lambda_2} \sum_i (|u_i| - \lambda_1)_+^2

    scikit-learn's ``ElasticNet(alpha, l1_ratio)`` is ``l1 = alpha * l1_ratio`` and ``l2 = alpha * (1 - l1_ratio)``.

    Args:
        l1: :math:`\lambda_1`, at least 0.
        l2: :math:`\lambda_2`, at least 0.

    Example:
        >>> ElasticNetPenalty(1.0, 1.0).prox(torch.tensor([3.0, -0.5]), 1.0)
        tensor([1., -0.])

    References:
        Zou and Hastie (2005), Regularization and variable selection via the elastic net.
    """

    l1: float
    l2: float

    lower_bound: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        keep_number(self, "l1", "The weight l1 of an elastic net", least=0)
        keep_number(self, "l2", "The weight l2 of an elastic net", least=0)

    def value(self, w: Tensor) -> Tensor:
        return elastic_net(w, l1=self.l1, l2=self.l2).sum(-1)

    def prox(self, v: Tensor, step: float) -> Tensor:
        return prox_elastic_net(v, step, l1=self.l1, l2=self.l2)

    def conjugate(self, u: Tensor) -> Tensor:
        return conjugate_elastic_net(u, l1=self.l1, l2=self.l2).sum(-1)

    def dual_scale(self, u: Tensor) -> float:
        bound = math.inf if self.l2 > 0 else self.l1
        return largest_scale(self.conjugate, u, u.new_tensor(bound), u.abs())

    def violation(self, w: Tensor, g: Tensor) -> Tensor:
        return _off_l1(w, g + self.l2 * w, weight=self.l1)

    def prox_derivative(self, v: Tensor, step: float) -> Tensor:
        return prox_elastic_net_derivative(v, step, l1=self.l1, l2=self.l2)

    def restricted(self, index: Tensor) -> ElasticNetPenalty:
        return self


def _off_l1(w: Tensor, g: Tensor, *, weight: Tensor | float) -> Tensor:
    """Distance of ``-g`` to the subdifferential of ``weight |w|``."""
    return torch.where(w == 0, (g.abs() - weight).clamp(min=0), (g + weight * w.sign()).abs())
