"""Directions and words of the tests of parts: small enough to be a point, and told apart by their seed."""

from __future__ import annotations

import torch
from torch import Tensor

from optwise.core.composite import DOUBLE

SLACK = 1e-9
"""Part of the sizes of its terms by which an inequality may fail."""
NOISE = 1e3 * DOUBLE
"""Part of the sizes of its terms by which a difference may be off."""
EXACT = 1e-6
"""Part by which two ways to compute one number may differ: inner iterations, not other formulas."""
LEAST = 1e-280
"""A size below which numbers underflow, and differences of them."""
STRIDE = DOUBLE ** (1 / 3)
"""Length of a difference, in sizes of the point. Source: what balances rounding and curvature of central ones."""
AGREEMENT = 1e-3
"""Part by which a slope may differ from a difference quotient that is as good as it looks."""


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
