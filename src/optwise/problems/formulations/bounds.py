"""Bounds as a caller writes them: two numbers, two arrays, or a pair for each coordinate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from optwise.core.errors import BadProblem
from optwise.problems.terms.sets import Box


def read_bounds(bounds: Any, start: Tensor) -> Box:
    """A box out of ``(low, high)``, numbers or arrays, or out of one pair (a list or tuple) for each coordinate.

    Args:
        bounds: ``None`` in it is no bound.
        start: A point of as many coordinates [p], whose dtype the box has.

    Raises:
        BadProblem: Bounds that cross, that do not fit the start, or that cannot be read.

    Example:
        >>> box = read_bounds([(0, None), (-1, 1)], torch.zeros(2))
        >>> box.low, box.high
        (tensor([ 0., -1.]), tensor([inf, 1.]))
    """
    low, high = (_bound(end, start, name) for end, name in zip(_ends(bounds, start), ("low", "high"), strict=True))
    wrong = ~(low <= high)
    if bool(wrong.any()):
        at = int(wrong.nonzero()[0])
        raise BadProblem(
            f"The bounds cross at coordinate {at}: low is {float(low[at]):g} and high is {float(high[at]):g}; give "
            "low <= high."
        )
    return Box(low, high)


def _ends(bounds: Any, start: Tensor) -> tuple[Any, Any]:
    both = isinstance(bounds, tuple | list) and len(bounds) == 2
    if both and not any(isinstance(end, tuple | list) for end in bounds):
        return bounds[0], bounds[1]
    pairs = bounds.tolist() if isinstance(bounds, np.ndarray | Tensor) else bounds
    well = isinstance(pairs, Sequence) and all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs)
    if not well or len(pairs) != start.numel():
        raise BadProblem(
            f"bounds cannot be read for {start.numel()} coordinates; give (low, high), numbers or arrays of "
            f"{start.numel()}, or a list of {start.numel()} pairs."
        )
    low, high = zip(*pairs, strict=True)
    return [-math.inf if end is None else end for end in low], [math.inf if end is None else end for end in high]


def _bound(values: Any, start: Tensor, name: str) -> Tensor:
    """A bound for each coordinate [p], infinite where there is none."""
    if values is None:
        values = -math.inf if name == "low" else math.inf
    try:
        bound = values if isinstance(values, Tensor) else torch.from_numpy(np.array(values, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise BadProblem(f"The bounds {name} are of type {type(values).__name__}; give numbers.") from error
    if bound.ndim > 0 and bound.shape != start.shape:
        raise BadProblem(
            f"The bounds {name} have shape {tuple(bound.shape)} and w0 has {start.numel()} numbers; give one number, "
            "or one for each."
        )
    return bound.detach().to(start).expand(start.shape).clone()
