r"""The sorted l1 norm (OWL, SLOPE): the largest entry pays the largest weight. Its proximal map works on the host.

All weights equal give the l1 norm, (1, 0, ..., 0) the l-infinity norm, linearly falling ones the OSCAR penalty.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from optwise.numerics.proximal.conventions import entrywise, indicator, positive_step


def sorted_l1(x: Tensor, *, weights: Tensor) -> Tensor:
    r"""Weighted sum of the absolute entries in descending order.

    .. math:: g(x) = \sum_{i=1}^p \lambda_i |x|_{(i)}, \qquad |x|_{(1)} \ge |x|_{(2)} \ge \dots \ge |x|_{(p)}

    Args:
        x: Point [..., p].
        weights: :math:`\lambda_1 \ge \lambda_2 \ge \dots \ge \lambda_p \ge 0` [p].

    Raises:
        ValueError: The weights rise, are negative, or are not one per entry.

    Example:
        >>> sorted_l1(torch.tensor([1.0, -3.0]), weights=torch.tensor([2.0, 1.0]))
        tensor(7.)

    References:
        Bogdan and others (2015), SLOPE: adaptive variable selection via convex optimization.
    """
    return (_falling(weights, x) * x.abs().sort(dim=-1, descending=True).values).sum(-1)


def prox_sorted_l1(v: Tensor, step: Tensor | float, *, weights: Tensor) -> Tensor:
    r"""Proximal map of :func:`sorted_l1`, by isotonic regression.

    With the absolute entries in descending order, the result is the nearest non-increasing sequence to
    :math:`|v|_{(i)} - s \lambda_i`, cut at 0, put back in place and sign.

    Runs on the host, instance by instance in O(p log p), so not under ``torch.func.vmap``.

    Args:
        v: Point [..., p].
        step: s above 0, a number or one for each instance.
        weights: :math:`\lambda` [p], non-increasing and at least 0.

    Raises:
        ValueError: The weights rise, are negative, or are not one per entry.

    Example:
        >>> prox_sorted_l1(torch.tensor([1.0, -5.0, 4.5]), 1.0, weights=torch.tensor([2.0, 1.0, 1.0]))
        tensor([ 0.0000, -3.2500,  3.2500])

    References:
        Bogdan and others (2015), SLOPE: adaptive variable selection via convex optimization, section 2; Zeng and
        Figueiredo (2014), The ordered weighted l1 norm: atomic formulation, projections, and algorithms.
    """
    falling = _falling(weights, v)
    magnitudes, order = v.abs().sort(dim=-1, descending=True)
    shrunk = non_increasing(magnitudes - positive_step(step, v) * falling).clamp(min=0)
    return v.sign() * torch.zeros_like(v).scatter(-1, order, shrunk)


def conjugate_sorted_l1(u: Tensor, *, weights: Tensor, slack: float = 0.0) -> Tensor:
    r"""Conjugate of :func:`sorted_l1`: 0 where no k entries of u outweigh the k largest weights, infinite elsewhere.

    .. math:: \sum_{i \le k} |u|_{(i)} \le \sum_{i \le k} \lambda_i \quad \text{for } k = 1, \dots, p

    The two sums are rounded: a dual point on the boundary needs a ``slack`` of about ``p * eps``.

    Args:
        u: Dual point [..., p].
        weights: :math:`\lambda` [p], non-increasing and at least 0.
        slack: By how much the bounds are taken as larger, relative to themselves.

    Raises:
        ValueError: The weights rise, are negative, or are not one per entry.

    Example:
        >>> conjugate_sorted_l1(torch.tensor([[1.0, -2.0], [1.5, 2.0]]), weights=torch.tensor([2.0, 1.0]))
        tensor([0., inf])

    References:
        Zeng and Figueiredo (2014), The ordered weighted l1 norm: atomic formulation, projections, and algorithms.
    """
    taken = u.abs().sort(dim=-1, descending=True).values.cumsum(-1)
    return indicator((taken <= _falling(weights, u).cumsum(-1) * (1 + slack)).all(-1), u)


def non_increasing(y: Tensor) -> Tensor:
    r"""Nearest non-increasing sequence (isotonic regression), on the host.

    .. math:: \operatorname*{argmin}_{x_1 \ge x_2 \ge \dots \ge x_p} \; \tfrac12 \|x - y\|^2

    Neighbours that rise are pooled into their mean until none do; in float64, whatever the dtype.

    Args:
        y: [..., p].

    Example:
        >>> non_increasing(torch.tensor([3.0, 1.0, 2.0, 0.0]))
        tensor([3.0000, 1.5000, 1.5000, 0.0000])

    References:
        Barlow, Bartholomew, Bremner and Brunk (1972), Statistical Inference under Order Restrictions.
    """
    from scipy.optimize import isotonic_regression

    rows = y.detach().to("cpu", torch.float64).reshape(-1, y.shape[-1]).numpy()
    fitted = np.empty_like(rows)
    for row, values in enumerate(rows):
        fitted[row] = isotonic_regression(values, increasing=False).x
    return torch.from_numpy(fitted).reshape(y.shape).to(y)


def _falling(weights: Tensor, x: Tensor) -> Tensor:
    if weights.shape != x.shape[-1:]:
        raise ValueError(
            f"weights has shape {tuple(weights.shape)}; the sorted l1 norm needs one for each of {x.shape[-1]} entries."
        )
    rises = weights.diff() > 0
    if bool(rises.any()):
        at = int(rises.nonzero()[0])
        raise ValueError(
            f"weights rise from {float(weights[at]):g} to {float(weights[at + 1]):g} at entry {at + 1}; the sorted l1 "
            "norm needs them in descending order, so sort them."
        )
    if bool((weights < 0).any()):
        raise ValueError(f"weights end at {float(weights[-1]):g}; the sorted l1 norm needs weights of at least 0.")
    return entrywise(weights, x)
