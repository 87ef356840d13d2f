"""Least squares without any rounding: the oracle that float64 itself is held against."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor


def exact_least_squares(X: Tensor, y: Tensor) -> Tensor:
    r"""The minimiser of ``|X w - y|`` for exactly these floating-point numbers, rounded once at the end.

    .. math:: X^\top X w = X^\top y

    in whole numbers, since every float is one times a power of two; eliminated without fractions.

    Args:
        X: Rows of full column rank [n, p], p small.
        y: Labels [n].

    Returns:
        The weights in float64 [p].

    Raises:
        ZeroDivisionError: The columns depend on each other.

    Example:
        >>> X = torch.tensor([[1.0, 0.0], [1.0, 3.0], [1.0, 6.0]], dtype=torch.float64)
        >>> exact_least_squares(X, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
        tensor([-0.1667,  0.1667], dtype=torch.float64)

    References:
        Bareiss (1968), Sylvester's identity and multistep integer-preserving Gaussian elimination.
    """
    columns, scale = _whole(X.T.tolist())
    (right,), scale_y = _whole([y.tolist()])
    p = len(columns)
    system = [[_dot(a, b) for b in (*columns, right)] for a in columns]  # [p, p + 1]
    before = 1
    for k in range(p):
        for i in range(k + 1, p):
            for j in reversed(range(k, p + 1)):
                # the division leaves no rest: each entry is a minor of the system
                system[i][j] = (system[i][j] * system[k][k] - system[i][k] * system[k][j]) // before
        before = system[k][k]
    w = [Fraction(0)] * p
    for i in reversed(range(p)):
        rest = system[i][p] - sum((system[i][j] * w[j] for j in range(i + 1, p)), Fraction(0))
        w[i] = rest / system[i][i]
    return torch.tensor([float(v * scale / scale_y) for v in w], dtype=torch.float64)


def _whole(rows: list[list[float]]) -> tuple[list[list[int]], int]:
    """Whole numbers, and the power of two by which the rows were multiplied to become them."""
    ratios = [[v.as_integer_ratio() for v in row] for row in rows]
    scale = max(below for row in ratios for _, below in row)
    return [[above * (scale // below) for above, below in row] for row in ratios], scale


def _dot(a: list[int], b: list[int]) -> int:
    return sum(u * v for u, v in zip(a, b, strict=True))
