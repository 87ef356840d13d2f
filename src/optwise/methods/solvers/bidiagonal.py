"""Operators that look at neighbours only, and systems with the tridiagonal matrices made of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from optwise.core.operator import LinearOperator

Bands = tuple[Tensor, Tensor]
"""Diagonal [k] and off-diagonal [k - 1] of a symmetric tridiagonal matrix."""


@dataclass(frozen=True, eq=False)
class Bidiagonal:
    r"""The entries of an operator of neighbours, :math:`(A w)_i = l_i w_i + r_i w_{i+1}` for i = 1, ..., p - 1.

    Args:
        left: l [p - 1].
        right: r [p - 1].
    """

    left: Tensor
    right: Tensor

    @classmethod
    def of(cls, operator: LinearOperator, *, like: Tensor) -> Bidiagonal | None:
        """The entries of ``operator`` in the dtype of ``like`` [p]; ``None`` where it looks at more than neighbours.

        Two products read the entries off, a third one shows whether there are others.
        """
        (m, p), eps = operator.shape, torch.finfo(like.dtype).eps
        if operator.gram_bands is None or m != p - 1:
            return None
        even = torch.arange(p, device=like.device) % 2 == 0
        at_even, at_odd = operator.forward(even.to(like)), operator.forward((~even).to(like))  # [m]
        left, right = torch.where(even[:-1], at_even, at_odd), torch.where(even[:-1], at_odd, at_even)
        found, x = cls(left, right), probe(like, 1.0)
        size = (left * x[:-1]).abs() + (right * x[1:]).abs()
        return found if bool(((operator.forward(x) - found.forward(x)).abs() <= 8 * eps * size).all()) else None

    def forward(self, w: Tensor) -> Tensor:
        """``A w``: [..., p] to [..., p - 1]."""
        return self.left * w[..., :-1] + self.right * w[..., 1:]

    @property
    def is_difference(self) -> bool:
        """Whether A takes first differences, as they are."""
        return bool((self.left == -1).all()) and bool((self.right == 1).all())

    def gram(self, e: Tensor, d: Tensor) -> Bands:
        """The bands of ``diag(e) + A^T diag(d) A`` for e [p] and d [p - 1]."""
        diagonal = e.clone()
        diagonal[:-1] += d * self.left.square()
        diagonal[1:] += d * self.right.square()
        return diagonal, d * self.left * self.right

    def outer(self, c: Tensor) -> Bands:
        """The bands of ``A diag(c) A^T`` for c [p]."""
        diagonal = c[:-1] * self.left.square() + c[1:] * self.right.square()
        return diagonal, c[1:-1] * self.right[:-1] * self.left[1:]


def probe(like: Tensor, phase: float) -> Tensor:
    """A vector of the shape of ``like`` with entries between 1/2 and 3/2 in no simple relation to each other."""
    index = torch.arange(1, like.numel() + 1, dtype=torch.float64, device=like.device)
    return (1 + 0.5 * torch.sin(phase * index.square())).to(like.dtype)


def factor_tridiagonal(bands: Bands) -> Callable[[Tensor], Tensor] | None:
    """A solver for right-hand sides [k] of a positive definite matrix; ``None`` where it is not, or not finite.

    LAPACK factorises and solves, in float64 on the CPU: torch has no banded kernel. Unlike a call for each right-hand
    side, the factor serves all of them.
    """
    parts = [band.double().cpu().numpy() for band in bands]
    if not len(parts[1]):  # LAPACK's wrapper wants a place for the off-diagonal even where there is none
        parts[1] = np.zeros(1)
    from scipy.linalg import lapack  # only where there are bands: scipy takes longer to load than most solves

    diagonal, beside, failed = lapack.dpttrf(parts[0], parts[1][: max(len(parts[0]) - 1, 1)])
    if failed or not math.isfinite(float(diagonal.sum())):
        return None
    return lambda b: torch.from_numpy(lapack.dpttrs(diagonal, beside, b.double().cpu().numpy())[0]).to(b)
