"""Sizes of the coordinates of a symmetric matrix, so that no unit of a coordinate matters."""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDS = 4
"""Passes over rows that have nothing on their diagonal."""


def symmetric_scales(matrix: Tensor) -> Tensor:
    r"""A size d of each coordinate, so that no entry of :math:`M_{ij} / (d_i d_j)` is above 1.

    It changes with the unit of its coordinate and with nothing else: the root of the diagonal, or where that is too
    small for its row, what the row has. 0 where the row has nothing.

    Args:
        matrix: Symmetric [n, n], finite.

    Example:
        >>> symmetric_scales(torch.tensor([[4.0, 1.0, 0.0], [1.0, 1e-2, 0.0], [0.0, 0.0, 0.0]]))
        tensor([4.4721, 0.2236, 0.0000])

    References:
        Jacobi's scaling; Ruiz (2001), A scaling algorithm to equilibrate both rows and columns norms in matrices.
    """
    sizes = matrix.abs()
    scale = sizes.diagonal().sqrt()
    if float((sizes / scale / scale[:, None]).max()) <= 1.0 + 4.0 * torch.finfo(scale.dtype).eps:  # not where one is 0
        return scale  # as of every matrix that is positive definite, but for rounding
    for _ in range(ROUNDS):
        safe = scale.where(scale > 0, torch.inf)
        missing = (scale == 0) & (sizes > 0).any(1)
        # against those that have a scale; where there are none, against each other
        against = (sizes / safe).amax(1)
        scale = scale.where(~missing, against.where(against > 0, sizes.amax(1).sqrt()))
        held = scale.where(scale > 0, 1.0)
        scale = scale * (sizes / held / held[:, None]).amax(1).clamp(min=1.0).sqrt()
    return scale
