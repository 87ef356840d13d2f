"""Sums with scalar coefficients, each in one pass over memory: what the steps of all rules are spelled in.

A batched program is limited by memory, and ``a + c * b`` would read and write it twice. Scalars are folded in float64
and only then rounded to the precision of the parameters, so that float32 parameters stay float32 whatever their shape.
"""

from __future__ import annotations

import torch
from torch import Tensor

from optwise.core.method import Hyper


def coefficient(c: Hyper, like: Tensor) -> Tensor:
    """``c`` as a 0-d tensor in the precision and on the device of ``like``."""
    return torch.as_tensor(c, dtype=like.dtype, device=like.device)


def times(c: Hyper, a: Tensor) -> Tensor:
    """``c a``.

    Example:
        >>> times(torch.tensor(0.5, dtype=torch.float64), torch.tensor(3.0)).dtype
        torch.float32
    """
    return coefficient(c, a) * a


def plus(a: Tensor, c: Hyper, b: Tensor) -> Tensor:
    """``a + c b``.

    Example:
        >>> plus(torch.tensor([1.0, 2.0]), -0.5, torch.tensor([2.0, 2.0]))
        tensor([0., 1.])
    """
    return torch.addcmul(a, b, coefficient(c, a))


def blend(a: Tensor, share: Hyper, b: Tensor) -> Tensor:
    """``(1 - share) a + share b``, an exponential average's next value.

    Example:
        >>> blend(torch.tensor(1.0), 0.25, torch.tensor(5.0))
        tensor(2.)
    """
    return torch.lerp(a, b, coefficient(share, a))


def counter(like: Tensor) -> Tensor:
    """Steps taken before step 1: zero, in float64, on the device of ``like``."""
    return torch.zeros((), dtype=torch.float64, device=like.device)
