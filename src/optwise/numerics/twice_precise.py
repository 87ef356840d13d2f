r"""Products summed as if in twice the precision: what a sum keeps when large numbers cancel in it.

Every product and every sum of two numbers leaves an error that is itself a number of the same dtype. It is computed,
and added at the end.

References:
    Dekker (1971), A floating-point technique for extending the available precision; Ogita, Rump and Oishi (2005),
    Accurate sum and dot product.
"""

from __future__ import annotations

import torch
from torch import Tensor

ENTRIES = 2**20
"""Entries of a block of rows, so that what is kept of them stays small."""
_HALF = {torch.float32: 2.0**12 + 1, torch.float64: 2.0**27 + 1}
"""What a number is multiplied with to be split in two that have half of its digits."""


def product_less(A: Tensor, w: Tensor, less: Tensor | None = None) -> tuple[Tensor, Tensor]:
    r"""A product minus a vector, :math:`A w - b`, as the rounded result and what rounding took from it.

    .. math:: |\text{error}| \le \epsilon |A w - b| + O(\epsilon^2) \, (|A| |w| + |b|)

    where the plain sum is off by :math:`\epsilon \, (|A| |w| + |b|)`.

    Args:
        A: Matrix [n, p], of float32 or float64; its entries are at most a billionth of the largest number there is.
        w: Vector [p].
        less: b [n]; ``None`` is 0.

    Example:
        >>> A, w = torch.tensor([[1e16, 1.0, -1e16]], dtype=torch.float64), torch.ones(3, dtype=torch.float64)
        >>> float(A @ w), float(product_less(A, w)[0])
        (0.0, 1.0)
    """
    rows = max(1, ENTRIES // max(1, A.shape[1]))
    found = [_summed(block, w) for block in A.split(rows)] or [(A.new_zeros(0), A.new_zeros(0))]
    total, rest = (torch.cat(parts) for parts in zip(*found, strict=True))
    if less is not None:
        total, lost = _sum(total, -less)
        rest = rest + lost
    return _sum(total, rest)


def dot(u: Tensor, v: Tensor) -> float:
    """The product of two vectors, summed in twice the precision."""
    return float(product_less(u[None], v)[0][0])


def _summed(A: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """The product of a block of rows, and what rounding has left."""
    terms, rest = _product(A, w.expand_as(A))
    left = rest.sum(1)
    while terms.shape[1] > 1:
        half = terms.shape[1] // 2
        pairs, lost = _sum(terms[:, :half], terms[:, half : 2 * half])
        left = left + lost.sum(1)
        terms = torch.cat([pairs, terms[:, 2 * half :]], 1)
    return (terms[:, 0] if terms.shape[1] else left), left


def _sum(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    total = a + b
    moved = total - a
    return total, (a - (total - moved)) + (b - moved)


def _product(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    product = a * b
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    return product, ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2


def _halves(a: Tensor) -> tuple[Tensor, Tensor]:
    high = _HALF[a.dtype] * a
    high = high - (high - a)
    return high, a - high
