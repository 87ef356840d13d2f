"""Losses of a linear model: one number per example, with what duality and Newton steps need to know."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from optwise.core.casting import Part
from optwise.core.errors import BadProblem
from optwise.core.operator import LinearOperator


class Loss(Part):
    r"""A convex loss :math:`\ell(z, y)` of one prediction z and one label y, entry by entry.

    Predictions and labels are [..., n]; every answer has that shape.
    """

    quadratic: ClassVar[bool] = False
    """Whether the curvature is the same everywhere."""
    lower_bound: ClassVar[float] = 0.0
    """A number that the loss never falls below."""
    of_difference: ClassVar[bool] = False
    """Whether only z - y matters, so that predictions less their labels may stand for them, with labels of 0."""

    @property
    @abstractmethod
    def smoothness(self) -> float:
        """The largest curvature in z."""

    @abstractmethod
    def values(self, z: Tensor, y: Tensor) -> Tensor:
        """The loss of each example."""

    @abstractmethod
    def derivative(self, z: Tensor, y: Tensor) -> Tensor:
        """Its derivative in z."""

    @abstractmethod
    def curvature(self, z: Tensor, y: Tensor) -> Tensor:
        """Its second derivative in z; where there is a kink of the first, one of its sides."""

    def recedes(self, z: Tensor, y: Tensor) -> Tensor:
        """Where the loss falls for ever along z itself, towards a bound that it never reaches."""
        return torch.zeros_like(z, dtype=torch.bool)

    def conjugate(self, u: Tensor, y: Tensor) -> Tensor:
        """``sup_z u z - loss(z, y)``; infinite outside its domain, an interval that holds 0."""
        raise BadProblem(f"{type(self).__name__} has no conjugate; a method that needs one cannot use it.")


@dataclass(frozen=True, eq=False)
class ClassModel(Part):
    r"""The structure of multinomial logistic regression.

    .. math:: f(W) = s \sum_{i=1}^n \Big( \log \sum_c e^{z_{ic}} - z_{i y_i} \Big) + \tfrac{\lambda_2}{2} \|W\|_F^2,
        \qquad Z = X W

    Args:
        X: The design [n, p].
        y: Class of each example, int64 [n].
        classes: C.
        scale: s.
        l2: :math:`\lambda_2`.
    """

    X: LinearOperator
    y: Tensor
    classes: int
    scale: float
    l2: float = 0.0


@dataclass(frozen=True, eq=False)
class LinearModel(Part):
    r"""The structure of a loss of linear predictions.

    .. math:: f(w) = s \sum_{i=1}^n \ell(z_i, y_i) + \tfrac{\lambda_2}{2} \|w\|^2, \qquad z = X w

    Args:
        X: The design [n, p].
        y: Labels [n].
        loss: :math:`\ell`.
        scale: s, 1/n for the mean and 1 for the sum.
        l2: :math:`\lambda_2`, at least 0; never averaged.
    """

    X: LinearOperator
    y: Tensor
    loss: Loss
    scale: float
    l2: float = 0.0

    @property
    def has_conjugate(self) -> bool:
        """Whether the loss says its conjugate."""
        return type(self.loss).conjugate is not Loss.conjugate

    @property
    def examples(self) -> int:
        """Number n of examples."""
        return self.X.shape[0]

    def value(self, w: Tensor, z: Tensor) -> Tensor:
        """The value at ``w`` [p], whose predictions are z [n]."""
        losses = self.scale * self.loss.values(z, self.y).sum()
        return losses + 0.5 * self.l2 * (w @ w) if self.l2 else losses

    def gradient(self, w: Tensor, z: Tensor) -> Tensor:
        """The gradient [p] there."""
        slope = self.X.adjoint(self.scale * self.loss.derivative(z, self.y))
        return torch.add(slope, w, alpha=self.l2) if self.l2 else slope

    @property
    def lower_bound(self) -> float:
        """A number that f never falls below."""
        bound = self.loss.lower_bound
        return self.scale * self.examples * bound if math.isfinite(bound) else bound
