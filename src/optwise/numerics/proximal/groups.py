r"""The group lasso's norm: l2 within each group of a partition of the entries, summed over the groups.

A partition is a tensor of labels, one per entry, from 0 to G - 1. All groups are handled in one pass.
"""

from __future__ import annotations

import torch
from torch import Tensor

from optwise.numerics.proximal.conventions import entrywise, indicator, per_instance, positive_step


def group_l2(x: Tensor, *, groups: Tensor, weights: Tensor | None = None, weight: Tensor | float = 1.0) -> Tensor:
    r"""Sum over groups of the Euclidean norm within each.

    .. math:: g(x) = w \sum_{j=0}^{G-1} \omega_j \, \|x_{(j)}\|_2

    Weights are 1 unless given: Yuan and Lin's root of the group's size is not put in.

    Args:
        x: Point [..., p].
        groups: Label of each entry, 0 to G - 1, int64 [p].
        weights: :math:`\omega` [G], at least 0.
        weight: w, a number or one for each instance.

    Raises:
        ValueError: The labels or weights do not fit the point.

    Example:
        >>> group_l2(torch.tensor([3.0, 1.0, -4.0]), groups=torch.tensor([0, 1, 0]))
        tensor(6.)
    """
    omega = _group_weights(x, groups, weights)
    return (per_instance(weight, x) * omega * group_norms(x, groups, omega.numel())).sum(-1)


def prox_group_l2(
    v: Tensor,
    step: Tensor | float,
    *,
    groups: Tensor,
    weights: Tensor | None = None,
    weight: Tensor | float = 1.0,
) -> Tensor:
    r"""Proximal map of :func:`group_l2`: shorten each group by :math:`s w \omega_j`, to 0 if it is no longer than that.

    Args:
        v: Point [..., p].
        step: s above 0, a number or one for each instance.
        groups: Label of each entry, 0 to G - 1, int64 [p].
        weights: :math:`\omega` [G], at least 0; 1 by default.
        weight: w at least 0, a number or one for each instance.

    Raises:
        ValueError: The labels or weights do not fit the point.

    Example:
        >>> prox_group_l2(torch.tensor([3.0, 1.0, -4.0]), 2.5, groups=torch.tensor([0, 1, 0]))
        tensor([ 1.5000,  0.0000, -2.0000])

    References:
        Yuan and Lin (2006), Model selection and estimation in regression with grouped variables; Parikh and Boyd
        (2014), Proximal Algorithms, section 6.5.4.
    """
    omega = _group_weights(v, groups, weights)
    levels = positive_step(step, v) * per_instance(weight, v) * omega  # [..., G]
    norms = group_norms(v, groups, omega.numel())
    factors = torch.where(norms > levels, (norms - levels) / norms, torch.zeros_like(norms))
    return v * factors[..., groups]


def conjugate_group_l2(
    u: Tensor,
    *,
    groups: Tensor,
    weights: Tensor | None = None,
    weight: Tensor | float = 1.0,
    slack: float = 0.0,
) -> Tensor:
    r"""Conjugate of :func:`group_l2`: 0 if :math:`\|u_{(j)}\|_2 \le w \omega_j` in every group, infinite elsewhere.

    Args:
        u: Dual point [..., p].
        groups: Label of each entry, 0 to G - 1, int64 [p].
        weights: :math:`\omega` [G], at least 0; 1 by default.
        weight: w at least 0, a number or one for each instance.
        slack: By how much the bounds are taken as larger, relative to themselves.

    Raises:
        ValueError: The labels or weights do not fit the point.

    Example:
        >>> conjugate_group_l2(torch.tensor([0.5, 1.0, -0.5]), groups=torch.tensor([0, 1, 0]))
        tensor(0.)
    """
    omega = _group_weights(u, groups, weights)
    bounds = per_instance(weight, u) * omega * (1 + slack)
    return indicator((group_norms(u, groups, omega.numel()) <= bounds).all(-1), u)


def group_norms(x: Tensor, groups: Tensor, count: int) -> Tensor:
    """Euclidean norm of each group of entries.

    Args:
        x: Point [..., p].
        groups: Label of each entry, below ``count`` [p].
        count: Number of groups G; a group without entries has norm 0.

    Returns:
        [..., G].

    Example:
        >>> group_norms(torch.tensor([3.0, 1.0, -4.0]), torch.tensor([0, 1, 0]), 2)
        tensor([5., 1.])
    """
    squares = x.new_zeros((*x.shape[:-1], count)).index_add(-1, groups, x.square())
    return squares.sqrt()


def _group_weights(x: Tensor, groups: Tensor, weights: Tensor | None) -> Tensor:
    """The weight of each group in the dtype of ``x``, after the labels have been checked."""
    if groups.dtype != torch.int64 or groups.shape != x.shape[-1:] or groups.numel() == 0:
        raise ValueError(
            f"groups has shape {tuple(groups.shape)} and type {groups.dtype}; pass one int64 label for each of the "
            f"{x.shape[-1]} entries."
        )
    least, largest = int(groups.min()), int(groups.max())
    if least < 0:
        raise ValueError(f"groups holds the label {least}; number the groups from 0.")
    if weights is None:
        return x.new_ones(largest + 1)
    if weights.ndim != 1 or weights.numel() <= largest:
        raise ValueError(
            f"weights has shape {tuple(weights.shape)}, and the largest label is {largest}; pass one weight for each "
            f"of the {largest + 1} groups."
        )
    return entrywise(weights, x)
