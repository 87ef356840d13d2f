"""Parameters as named leaves, and one flat row of numbers where packing is legal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Leaves = dict[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """Names, shapes and places of the leaves inside a flat row [P].

    Example:
        >>> layout = Layout.of({"a": torch.zeros(2, 3), "b": torch.ones(1)})
        >>> layout.size, layout.pack({"a": torch.zeros(2, 3), "b": torch.ones(1)}).shape
        (7, torch.Size([7]))
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, leaves: Mapping[str, Tensor]) -> Layout:
        """The layout of ``leaves`` in their own order."""
        return cls(tuple(leaves), tuple(tuple(leaf.shape) for leaf in leaves.values()))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers in each leaf."""
        return tuple(math.prod(shape) for shape in self.shapes)

    @property
    def size(self) -> int:
        """P: numbers in a row."""
        return sum(self.sizes)

    def pack(self, leaves: Mapping[str, Tensor]) -> Tensor:
        """Leaves -> row [P]; extra leading dimensions are kept: leaves [T, ...] -> rows [T, P]."""
        if not self.names:
            raise ValueError("a layout without leaves has no row")
        lead = leaves[self.names[0]].ndim - len(self.shapes[0])
        return torch.cat([leaves[n].reshape(*leaves[n].shape[:lead], -1) for n in self.names], dim=-1)

    def unpack(self, row: Tensor) -> Leaves:
        """Row [..., P] -> views, by name."""
        parts = row.split(self.sizes, dim=-1)
        return {
            name: part.reshape((*row.shape[:-1], *shape))
            for name, part, shape in zip(self.names, parts, self.shapes, strict=True)
        }
