"""Losses of one prediction and one label: half squared, Huber, logistic, half squared hinge."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from optwise.core.errors import BadProblem
from optwise.core.loss import Loss


@dataclass(frozen=True)
class SquaredError(Loss):
    r"""Half the squared difference.

    .. math:: \ell(z, y) = \tfrac12 (z - y)^2, \qquad \ell^*(u) = u y + \tfrac12 u^2

    ``torch.nn.functional.mse_loss`` has no half.

    Example:
        >>> SquaredError().values(torch.tensor([3.0]), torch.tensor([1.0]))
        tensor([2.])
    """

    quadratic: ClassVar[bool] = True
    of_difference: ClassVar[bool] = True

    @property
    def smoothness(self) -> float:
        return 1.0

    def values(self, z: Tensor, y: Tensor) -> Tensor:
        return 0.5 * (z - y).square()

    def derivative(self, z: Tensor, y: Tensor) -> Tensor:
        return z - y

    def curvature(self, z: Tensor, y: Tensor) -> Tensor:
        return torch.ones_like(z)

    def conjugate(self, u: Tensor, y: Tensor) -> Tensor:
        return u * (y + 0.5 * u)


@dataclass(frozen=True)
class HuberLoss(Loss):
    r"""Half squared near 0, linear beyond: the loss of an outlier grows no faster than its distance.

    .. math:: \ell(z, y) = \begin{cases} \tfrac12 r^2 & |r| \le \delta \\ \delta (|r| - \tfrac12 \delta) & |r| > \delta
        \end{cases}, \quad r = z - y, \qquad \ell^*(u) = u y + \tfrac12 u^2 \text{ for } |u| \le \delta

    The same as ``torch.nn.functional.huber_loss``; ``cvxpy.huber(r, delta)`` is twice it, and scikit-learn's
    ``HuberRegressor`` is another problem, which estimates the scale of the residuals as well.

    Args:
        delta: :math:`\delta > 0`, the largest residual that is squared.

    Raises:
        BadProblem: ``delta`` is no positive number.

    Example:
        >>> HuberLoss(1.0).values(torch.tensor([0.5, 3.0]), torch.zeros(2))
        tensor([0.1250, 2.5000])

    References:
        Huber (1964), Robust estimation of a location parameter.
    """

    delta: float
    of_difference: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.delta < math.inf:
            raise BadProblem(
                f"huber with delta={self.delta:g} has no quadratic part; give a number above 0, the largest residual "
                "that still counts as squared."
            )

    @property
    def smoothness(self) -> float:
        return 1.0

    def values(self, z: Tensor, y: Tensor) -> Tensor:
        size = (z - y).abs()
        inside = size.clamp(max=self.delta)
        return inside * (size - 0.5 * inside)

    def derivative(self, z: Tensor, y: Tensor) -> Tensor:
        return (z - y).clamp(-self.delta, self.delta)

    def curvature(self, z: Tensor, y: Tensor) -> Tensor:
        return ((z - y).abs() <= self.delta).to(z.dtype)

    def conjugate(self, u: Tensor, y: Tensor) -> Tensor:
        return torch.where(u.abs() <= self.delta, u * (y + 0.5 * u), torch.inf)


@dataclass(frozen=True)
class LogisticLoss(Loss):
    r"""Minus the log-likelihood of a label -1 or 1 whose log-odds are the prediction.

    .. math:: \ell(z, y) = \log(1 + e^{-y z}), \qquad
        \ell^*(u) = a \log a + (1 - a) \log(1 - a), \quad a = -u y \in [0, 1]

    With labels 0 and 1, ``torch.nn.functional.binary_cross_entropy_with_logits`` is the same number.

    Example:
        >>> LogisticLoss().values(torch.tensor([0.0, -1e4]), torch.tensor([1.0, 1.0]))
        tensor([6.9315e-01, 1.0000e+04])
    """

    @property
    def smoothness(self) -> float:
        return 0.25

    def values(self, z: Tensor, y: Tensor) -> Tensor:
        return -F.logsigmoid(y * z)

    def derivative(self, z: Tensor, y: Tensor) -> Tensor:
        away = -y
        return away * torch.sigmoid(away * z)

    def curvature(self, z: Tensor, y: Tensor) -> Tensor:
        # two factors, since 1 - sigmoid(z) has no digits left for large z
        return torch.sigmoid(z) * torch.sigmoid(-z)

    def recedes(self, z: Tensor, y: Tensor) -> Tensor:
        return y * z > 0

    def conjugate(self, u: Tensor, y: Tensor) -> Tensor:
        a = -u * y
        entropy: Tensor = torch.special.entr(a) + torch.special.entr(1 - a)  # minus infinity outside
        return -entropy


@dataclass(frozen=True)
class SquaredHinge(Loss):
    r"""Half the squared distance of the margin to 1, for labels -1 and 1: the smooth support vector machine.

    .. math:: \ell(z, y) = \tfrac12 \max(0, 1 - y z)^2, \qquad
        \ell^*(u) = \tfrac12 a^2 - a, \quad a = -u y \ge 0

    scikit-learn's ``LinearSVC(loss="squared_hinge")`` has no half.

    Example:
        >>> SquaredHinge().values(torch.tensor([2.0, -1.0]), torch.tensor([1.0, 1.0]))
        tensor([0., 2.])
    """

    @property
    def smoothness(self) -> float:
        return 1.0

    def values(self, z: Tensor, y: Tensor) -> Tensor:
        return 0.5 * (1 - y * z).clamp(min=0).square()

    def derivative(self, z: Tensor, y: Tensor) -> Tensor:
        return -y * (1 - y * z).clamp(min=0)

    def curvature(self, z: Tensor, y: Tensor) -> Tensor:
        return (y * z < 1).to(z.dtype)

    def conjugate(self, u: Tensor, y: Tensor) -> Tensor:
        a = -u * y
        return torch.where(a >= 0, a * (0.5 * a - 1), torch.inf)
