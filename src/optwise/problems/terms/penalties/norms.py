"""Norms of a whole vector, or of the matrix that it holds: Euclidean, rounded at 0, maximum, nuclear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from optwise.core.penalty import Penalty
from optwise.numerics.decompositions import svdvals
from optwise.numerics.proximal.matrices import conjugate_nuclear_norm, nuclear_norm, prox_nuclear_norm
from optwise.numerics.proximal.norms import (
    conjugate_huber_norm,
    conjugate_l2_norm,
    conjugate_linf_norm,
    huber_norm,
    l2_norm,
    linf_norm,
    prox_huber_norm,
    prox_l2_norm,
    prox_linf_norm,
)
from optwise.problems.terms.arguments import keep_matrix_shape, keep_number, values_alone
from optwise.problems.terms.penalties.domains import largest_scale


@values_alone
@dataclass(frozen=True)
class L2Norm(Penalty):
    r"""The Euclidean norm, not squared: all entries become 0 together.

    .. math:: g(w) = \lambda \|w\|_2, \qquad g^*(u) = 0 \text{ for } \|u\|_2 \le \lambda, \text{ else } \infty

    Args:
        weight: :math:`\lambda`, at least 0.

    Example:
        >>> L2Norm(2.0).value(torch.tensor([3.0, -4.0]))
        tensor(10.)
    """

    weight: float = 1.0

    lower_bound: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        keep_number(self, "weight", "The weight of an l2 norm", least=0)

    def value(self, w: Tensor) -> Tensor:
        return l2_norm(w, weight=self.weight)

    def prox(self, v: Tensor, step: float) -> Tensor:
        return prox_l2_norm(v, step, weight=self.weight)

    def conjugate(self, u: Tensor) -> Tensor:
        return conjugate_l2_norm(u, weight=self.weight)

    def dual_scale(self, u: Tensor) -> float:
        return largest_scale(self.conjugate, u, u.new_tensor(self.weight), u.norm(dim=-1))


@values_alone
@dataclass(frozen=True)
class HuberNorm(Penalty):
    r"""The Euclidean norm with a quadratic tip.

    .. math:: g(w) = \lambda \frac{\|w\|^2}{2 \delta} \;(\|w\|_2 \le \delta), \quad
        \lambda \big(\|w\|_2 - \tfrac{\delta}{2}\big) \text{ beyond}, \qquad
        g^*(u) = \frac{\delta \|u\|^2}{2 \lambda} \text{ for } \|u\|_2 \le \lambda

    Args:
        weight: :math:`\lambda`, at least 0.
        delta: :math:`\delta > 0`.

    Example:
        >>> HuberNorm(1.0).value(torch.tensor([3.0, -4.0]))
        tensor(4.5000)
    """

    weight: float = 1.0
    delta: float = 1.0

    lower_bound: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        keep_number(self, "weight", "The weight of a Huber norm", least=0)
        keep_number(self, "delta", "The delta of a Huber norm", least=0, above=True)

    def value(self, w: Tensor) -> Tensor:
        return huber_norm(w, delta=self.delta, weight=self.weight)

    def prox(self, v: Tensor, step: float) -> Tensor:
        return prox_huber_norm(v, step, delta=self.delta, weight=self.weight)

    def conjugate(self, u: Tensor) -> Tensor:
        return conjugate_huber_norm(u, delta=self.delta, weight=self.weight)

    def dual_scale(self, u: Tensor) -> float:
        return largest_scale(self.conjugate, u, u.new_tensor(self.weight), u.norm(dim=-1))


@values_alone
@dataclass(frozen=True)
class LInf(Penalty):
    r"""The maximum norm, which makes the largest entries equal.

    .. math:: g(w) = \lambda \max_i |w_i|, \qquad g^*(u) = 0 \text{ for } \|u\|_1 \le \lambda, \text{ else } \infty

    Args:
        weight: :math:`\lambda`, at least 0.

    Example:
        >>> LInf(1.0).prox(torch.tensor([5.0, -4.0, 1.0]), 3.0)
        tensor([ 3., -3.,  1.])
    """

    weight: float = 1.0

    lower_bound: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        keep_number(self, "weight", "The weight of a maximum norm", least=0)

    def value(self, w: Tensor) -> Tensor:
        return linf_norm(w, weight=self.weight)

    def prox(self, v: Tensor, step: float) -> Tensor:
        return prox_linf_norm(v, step, weight=self.weight)

    def conjugate(self, u: Tensor) -> Tensor:
        return conjugate_linf_norm(u, weight=self.weight)

    def dual_scale(self, u: Tensor) -> float:
        return largest_scale(self.conjugate, u, u.new_tensor(self.weight), u.abs().sum(-1))


@values_alone
@dataclass(frozen=True)
class NuclearNorm(Penalty):
    r"""The sum of the singular values of the matrix that w holds row by row, which favours low rank.

    .. math:: g(w) = \lambda \sum_i \sigma_i(W), \qquad g^*(u) = 0 \text{ for } \sigma_1(U) \le \lambda,
        \text{ else } \infty

    Args:
        weight: :math:`\lambda`, at least 0.
        shape: Of the matrix.

    Raises:
        BadProblem: A shape that is none.

    Example:
        >>> NuclearNorm(1.0, (2, 2)).value(torch.tensor([3.0, 0.0, 0.0, -1.0]))
        tensor(4.)

    References:
        Fazel (2002), Matrix rank minimization with applications.
    """

    weight: float
    shape: tuple[int, int]

    lower_bound: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        keep_number(self, "weight", "The weight of a nuclear norm", least=0)
        keep_matrix_shape(self, "shape", "The shape of a nuclear norm")

    @property
    def dimension(self) -> int:
        return self.shape[0] * self.shape[1]

    def value(self, w: Tensor) -> Tensor:
        return nuclear_norm(self._matrix(w), weight=self.weight)

    def prox(self, v: Tensor, step: float) -> Tensor:
        return prox_nuclear_norm(self._matrix(v), step, weight=self.weight).reshape(v.shape)

    def conjugate(self, u: Tensor) -> Tensor:
        return conjugate_nuclear_norm(self._matrix(u), weight=self.weight)

    def dual_scale(self, u: Tensor) -> float:
        largest = torch.amax(svdvals(self._matrix(u)), dim=-1)
        return largest_scale(self.conjugate, u, u.new_tensor(self.weight), largest)

    def _matrix(self, w: Tensor) -> Tensor:
        return w.reshape(*w.shape[:-1], *self.shape)
