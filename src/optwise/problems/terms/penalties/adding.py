"""Sums of two penalties that are one again: their weights add up, so that its proximal map is known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

import torch
from torch import Tensor

from optwise.core.penalty import Penalty
from optwise.problems.terms.penalties.l1 import L1, ElasticNetPenalty, NonnegativeL1, WeightedL1
from optwise.problems.terms.penalties.separable import SquaredL2
from optwise.problems.terms.penalties.structured import SortedL1


@dataclass(frozen=True, eq=False)
class _Weights:
    r"""What a penalty is made of: :math:`\sum_i \lambda_i |w_i| + \tfrac{\lambda_2}{2} \|w\|^2`, w >= 0 or not."""

    l1: float | Tensor = 0.0
    l2: float = 0.0
    nonnegative: bool = False
    by_rank: bool = False


def added(one: Penalty, other: Penalty) -> Penalty | None:
    """The penalty that two of them make together; ``None`` where it is none of ours.

    Example:
        >>> added(L1(0.5), SquaredL2(2.0)), added(L1(0.5), NonnegativeL1(0.25))
        (ElasticNetPenalty(l1=0.5, l2=2.0), NonnegativeL1(weight=0.75))
    """
    a, b = _weights(one), _weights(other)
    if a is None or b is None:
        return None
    l2, nonnegative = a.l2 + b.l2, a.nonnegative or b.nonnegative
    by_entry = isinstance(a.l1, Tensor) or isinstance(b.l1, Tensor)
    if by_entry and (nonnegative or l2 > 0):
        return None
    if a.by_rank or b.by_rank:
        # a constant for all ranks is one for all entries; weights by entry are another order
        mixed = any(isinstance(each.l1, Tensor) and not each.by_rank for each in (a, b))
        return None if mixed else SortedL1(torch.as_tensor(a.l1 + b.l1))
    if by_entry:
        return WeightedL1(torch.as_tensor(a.l1 + b.l1))
    l1 = float(a.l1 + b.l1)
    if nonnegative:
        return None if l2 > 0 else NonnegativeL1(l1)
    return ElasticNetPenalty(l1, l2) if l2 > 0 and l1 > 0 else SquaredL2(l2) if l2 > 0 else L1(l1)


@singledispatch
def _weights(_penalty: Penalty) -> _Weights | None:
    return None


@_weights.register
def _(penalty: L1) -> _Weights:
    return _Weights(penalty.weight)


@_weights.register
def _(penalty: WeightedL1) -> _Weights:
    return _Weights(penalty.weights)


@_weights.register
def _(penalty: NonnegativeL1) -> _Weights:
    return _Weights(penalty.weight, nonnegative=True)


@_weights.register
def _(penalty: ElasticNetPenalty) -> _Weights:
    return _Weights(penalty.l1, penalty.l2)


@_weights.register
def _(penalty: SquaredL2) -> _Weights:
    return _Weights(0.0, penalty.weight)


@_weights.register
def _(penalty: SortedL1) -> _Weights:
    return _Weights(penalty.weights, by_rank=True)
