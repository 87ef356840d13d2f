"""Columns of a design, copied side by side into memory that they grow into."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

ROOM = 4
"""A block is given memory for this many times the columns it starts with; what is never written to costs nothing."""


@final
class ColumnBlock:
    """Columns [k, n], one after another.

    Example:
        >>> block = ColumnBlock()
        >>> block.append(torch.eye(3), torch.tensor([2]))
        >>> block.append(torch.eye(3), torch.tensor([0]))
        >>> block.columns
        tensor([[0., 0., 1.],
                [1., 0., 0.]])
    """

    def __init__(self) -> None:
        self._store, self._size = torch.zeros(0, 0), 0

    @property
    def columns(self) -> Tensor:
        """The columns [k, n], a view."""
        return self._store[: self._size]

    def append(self, source: Tensor, index: Tensor) -> None:
        """Copy the rows of ``source`` [m, n] at ``index``."""
        k, m = self._size, index.numel()
        if k + m > self._store.shape[0]:
            wider = source.new_empty(min(ROOM * (k + m), source.shape[0] + k), source.shape[1])
            if k > 0:
                wider[:k] = self.columns
            self._store = wider
        room = self._store[k : k + m]
        if source.stride(1) == 1:
            torch.index_select(source, 0, index, out=room)
        else:
            room.copy_(source.mT.index_select(1, index).mT)
        self._size = k + m

    def keep(self, left: Tensor) -> None:
        """Drop the columns that are not ``left`` [k], bool."""
        remaining = self.columns[left]
        self._size = remaining.shape[0]
        self._store[: self._size] = remaining


def gram(rows: Tensor) -> Tensor:
    """Products of the rows with each other, [k, n] to [k, k].

    Where they lie in the host's memory, numpy computes them: of a matrix times its own transpose its BLAS makes one
    half, in half the time.
    """
    if rows.device.type != "cpu":
        return rows @ rows.mT
    entries = rows.numpy()
    return torch.from_numpy(entries @ entries.T)
