"""What every set says of itself: that it is not empty, and along which directions it has an end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from optwise.core.errors import BadProblem


@contextmanager
def refusing_empty_sets() -> Iterator[None]:
    """What numerics says of numbers that make no set, as a mistake in a problem."""
    try:
        yield
    except ValueError as error:
        raise BadProblem(str(error)) from error


def all_or_nothing(support: Callable[[Tensor], Tensor], u: Tensor) -> float:
    """The largest t in [0, 1] with a finite ``support(t u)``; that of a multiple is the multiple, so 1 or 0."""
    return float(torch.isfinite(support(u)).all())
