"""Penalties that know how entries belong together: by groups, by their order, by a chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from optwise.core.errors import BadProblem
from optwise.core.penalty import Penalty
from optwise.numerics.proximal.chains import conjugate_total_variation, prox_total_variation, total_variation
from optwise.numerics.proximal.groups import conjugate_group_l2, group_l2, group_norms, prox_group_l2
from optwise.numerics.proximal.sorted_l1 import conjugate_sorted_l1, prox_sorted_l1, sorted_l1
from optwise.problems.numbers import as_array, real_tensor
from optwise.problems.terms.arguments import keep_number, values_alone
from optwise.problems.terms.penalties.domains import keep_weights, largest_scale


@values_alone
@dataclass(frozen=True, eq=False)
class GroupL2(Penalty):
    r"""The l2 norm within each group of entries, summed over the groups: the penalty of the group lasso.

    .. math:: g(w) = \lambda \sum_j \omega_j \|w_{(j)}\|_2, \qquad
        g^*(u) = 0 \text{ for } \|u_{(j)}\|_2 \le \lambda \omega_j, \text{ else } \infty

    Args:
        weight: :math:`\lambda`, at least 0.
        groups: Number of each entry's group [p], from 0 without gaps.
        factors: :math:`\omega` [G], at least 0; ``None`` is 1 for every group. Yuan and Lin take the roots of the
            groups' sizes.

    Raises:
        BadProblem: Labels or factors of another kind.

    Example:
        >>> g = GroupL2(1.0, torch.tensor([0, 1, 0]))
        >>> g.value(torch.tensor([3.0, 1.0, -4.0])), g.prox(torch.tensor([3.0, 1.0, -4.0]), 2.5)
        (tensor(6.), tensor([ 1.5000,  0.0000, -2.0000]))

    References:
        Yuan and Lin (2006), Model selection and estimation in regression with grouped variables.
    """

    weight: float
    groups: Tensor
    factors: Tensor | None = None

    lower_bound: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        keep_number(self, "weight", "The weight of a group norm", least=0)
        object.__setattr__(self, "groups", _numbered(self.groups))
        if self.factors is not None:
            keep_weights(self, "factors", "The factors of the groups")
            if self.factors.numel() != self.count:
                raise BadProblem(f"{self.count} groups have {self.factors.numel()} factors; give one for each group.")

    @property
    def count(self) -> int:
        """Number G of groups."""
        return int(self.groups.max()) + 1

    @property
    def dimension(self) -> int:
        return self.groups.numel()

    def value(self, w: Tensor) -> Tensor:
        return group_l2(w, groups=self.groups, weights=self.factors, weight=self.weight)

    def prox(self, v: Tensor, step: float) -> Tensor:
        return prox_group_l2(v, step, groups=self.groups, weights=self.factors, weight=self.weight)

    def conjugate(self, u: Tensor) -> Tensor:
        return conjugate_group_l2(u, groups=self.groups, weights=self.factors, weight=self.weight)

    def dual_scale(self, u: Tensor) -> float:
        factors = u.new_ones(self.count) if self.factors is None else self.factors
        return largest_scale(self.conjugate, u, self.weight * factors, group_norms(u, self.groups, self.count))


@values_alone
@dataclass(frozen=True, eq=False)
class SortedL1(Penalty):
    r"""The sorted l1 norm (SLOPE, OWL): the largest entry pays the largest weight. Its prox works on the host.

    .. math:: g(w) = \sum_i \lambda_i |w|_{(i)}, \qquad
        g^*(u) = 0 \text{ for } \sum_{i \le k} |u|_{(i)} \le \sum_{i \le k} \lambda_i \;\; \forall k,
        \text{ else } \infty

    Args:
        weights: :math:`\lambda` [p], at least 0, in descending order.

    Raises:
        BadProblem: Weights that rise or are negative.

    Example:
        >>> SortedL1(torch.tensor([2.0, 1.0])).value(torch.tensor([1.0, -3.0]))
        tensor(7.)

    References:
        Bogdan and others (2015), SLOPE: adaptive variable selection via convex optimization.
    """

    weights: Tensor

    lower_bound: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        keep_weights(self, "weights", "The weights of a sorted l1 norm")
        if bool((self.weights.diff() > 0).any()):
            raise BadProblem("The weights of a sorted l1 norm rise somewhere; give them in descending order.")

    @property
    def dimension(self) -> int:
        return self.weights.numel()

    def value(self, w: Tensor) -> Tensor:
        return sorted_l1(w, weights=self.weights)

    def prox(self, v: Tensor, step: float) -> Tensor:
        return prox_sorted_l1(v, step, weights=self.weights)

    def conjugate(self, u: Tensor) -> Tensor:
        return conjugate_sorted_l1(u, weights=self.weights)

    def dual_scale(self, u: Tensor) -> float:
        taken = u.abs().sort(dim=-1, descending=True).values.cumsum(-1)
        return largest_scale(self.conjugate, u, self.weights.cumsum(-1), taken)


@values_alone
@dataclass(frozen=True)
class TotalVariation1D(Penalty):
    r"""The sum of the jumps from entry to entry. Its prox is exact and works on the host, in time linear in p.

    .. math:: g(w) = \lambda \sum_{i=1}^{p-1} |w_{i+1} - w_i|, \qquad
        g^*(u) = 0 \text{ for } |u_1 + \dots + u_i| \le \lambda, \; u_1 + \dots + u_p = 0, \text{ else } \infty

    No scaling makes a sum 0, so that a dual point must have its mean taken off. What rounding leaves of a sum of 0 is
    let pass. The formulation :func:`~optwise.problems.formulations.signals.total_variation` has the jumps behind an
    operator instead, where the conjugate has no such condition.

    Args:
        weight: :math:`\lambda`, at least 0.

    Example:
        >>> TotalVariation1D(2.0).prox(torch.tensor([0.0, 0.0, 6.0, 6.0]), 1.0)
        tensor([1., 1., 5., 5.])

    References:
        Johnson (2013), A dynamic programming algorithm for the fused lasso and L0-segmentation.
    """

    weight: float

    lower_bound: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        keep_number(self, "weight", "The weight of a total variation", least=0)

    def value(self, w: Tensor) -> Tensor:
        return total_variation(w, weight=self.weight)

    def prox(self, v: Tensor, step: float) -> Tensor:
        return prox_total_variation(v, step, weight=self.weight)

    def conjugate(self, u: Tensor) -> Tensor:
        slack = u.shape[-1] * torch.finfo(u.dtype).eps
        return conjugate_total_variation(u, weight=self.weight, slack=slack)

    def dual_scale(self, u: Tensor) -> float:
        return largest_scale(self.conjugate, u, u.new_tensor(self.weight), u.cumsum(-1)[..., :-1].abs())


def _numbered(groups: Any) -> Tensor:
    """The groups of entries as int64 [p], if they are numbered from 0 on."""
    if isinstance(groups, Tensor):
        real_tensor(groups, "groups")  # dense and real, or a sentence
    array = groups.detach().cpu().numpy() if isinstance(groups, Tensor) else as_array(groups, "groups")
    whole = array.dtype.kind in "iu" and array.ndim == 1 and array.size > 0 and int(array.min()) >= 0
    if not whole or np.unique(array).size != int(array.max()) + 1:
        raise BadProblem(
            f"groups of shape {tuple(array.shape)} and type {array.dtype} do not number the groups from 0 on; give one "
            "whole number for each entry, and leave none out, in the order GroupL2(weight, groups, factors)."
        )
    return groups.to(torch.int64) if isinstance(groups, Tensor) else torch.from_numpy(array.astype(np.int64))
