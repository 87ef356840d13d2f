"""Directions and words of the tests of parts: small enough to be a point, and told apart by their seed."""

from __future__ import annotations

import torch
from torch import Tensor


def direction(w: Tensor, other: Tensor, *, seed: int) -> Tensor:
    """A direction with every coordinate as long as the point is there, or where it is 0 as another point is."""
    signs = torch.Generator().manual_seed(seed)
    pattern = (torch.rand(w.shape, generator=signs, dtype=torch.float64) - 0.5).to(w) * 2
    size = torch.maximum(w.abs(), other.abs())
    return pattern.sign() * (0.5 + 0.5 * pattern.abs()) * size.where(size > 0, 1.0)


def few(w: Tensor) -> str:
    """The first numbers of a point, as its name in a sentence."""
    shown = ", ".join(f"{x:.4g}" for x in w[:3].tolist())
    return f"[{shown}{', ...' if w.numel() > 3 else ''}]"
