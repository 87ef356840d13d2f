"""Bounds as a caller writes them: two numbers, two arrays, or a pair for each coordinate."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from optwise.core.errors import BadProblem
from optwise.problems.terms.sets import Box

SIDES = ("low", "high")


def looks_like_bounds(given: Any) -> bool:
    """Whether something is meant as bounds rather than as a set: a list, a tuple, an array, scipy's ``Bounds``.

    Example:
        >>> looks_like_bounds((0, 1)), looks_like_bounds(Box(torch.zeros(1), torch.ones(1)))
        (True, False)
    """
    return isinstance(given, list | tuple | np.ndarray | Tensor) or _of_scipy(given)


def _of_scipy(given: Any) -> bool:
    scipy_optimize = sys.modules.get("scipy.optimize")  # an object of its class has loaded it
    return scipy_optimize is not None and isinstance(given, scipy_optimize.Bounds)


def read_bounds(bounds: Any, start: Tensor, name: str = "bounds") -> Box:
    """A box out of ``(low, high)``, numbers or arrays, of one pair for each coordinate, or of scipy's ``Bounds``.

    With two coordinates two lists of two can be either. A list of tuples is then read as pairs, as in
    ``scipy.optimize.minimize``, and a tuple of lists or arrays as low and high, as in ``scipy.optimize.least_squares``;
    anything else is refused where both are possible and differ.

    Args:
        bounds: ``None`` in it is no bound.
        start: A point of as many coordinates [p], whose dtype the box has.
        name: What the caller calls them.

    Raises:
        BadProblem: Bounds that cross, that do not fit the start, or that cannot be read.

    Example:
        >>> box = read_bounds([(0, None), (-1, 1)], torch.zeros(2))
        >>> box.low, box.high
        (tensor([ 0., -1.]), tensor([inf, 1.]))
    """
    low, high = (_bound(end, start, side) for end, side in zip(_ends(bounds, start, name), SIDES, strict=True))
    wrong = ~(low <= high)
    if bool(wrong.any()):
        at = int(wrong.nonzero()[0])
        raise BadProblem(
            f"The bounds cross at coordinate {at}: low is {float(low[at]):g} and high is {float(high[at]):g}; give "
            "low <= high."
        )
    nowhere = (low == math.inf) | (high == -math.inf)
    if bool(nowhere.any()):
        at = int(nowhere.nonzero()[0])
        raise BadProblem(
            f"The bounds at coordinate {at} are {float(low[at]):g} and {float(high[at]):g}, between which no number "
            "lies; give low < inf and high > -inf."
        )
    return Box(low, high)


def _ends(bounds: Any, start: Tensor, name: str) -> tuple[Any, Any]:
    if _of_scipy(bounds):
        return bounds.lb, bounds.ub
    if isinstance(bounds, Tensor) and bounds.layout is not torch.strided:
        raise BadProblem(f"{name} is a sparse tensor; give {name}.to_dense(), or (low, high).")
    size = start.numel()
    both = isinstance(bounds, tuple | list) and len(bounds) == 2
    if both and not any(isinstance(end, tuple | list) for end in bounds):
        return bounds[0], bounds[1]
    pairs = bounds.tolist() if isinstance(bounds, np.ndarray | Tensor) else bounds
    well = isinstance(pairs, Sequence) and all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs)
    by_pair = well and len(pairs) == size
    by_end = both and all(not isinstance(end, tuple | list) or len(end) == size for end in bounds)
    if by_pair and by_end and isinstance(bounds, tuple) and all(isinstance(end, list) for end in bounds):
        by_pair = False
    if by_pair and by_end and not (isinstance(bounds, list) and all(isinstance(pair, tuple) for pair in bounds)):
        _refuse_ambiguous(bounds, name)
    if by_pair:
        low, high = zip(*pairs, strict=True)
    elif by_end:
        low, high = bounds
    else:
        raise BadProblem(
            f"{name} cannot be read for {size} coordinates; give (low, high), numbers or arrays of {size}, or a list "
            f"of {size} pairs."
        )
    return _filled(low, -math.inf), _filled(high, math.inf)


def _refuse_ambiguous(bounds: Any, name: str) -> None:
    """Raise where two lists of two are bounds as pairs and as ends, and not the same ones."""
    (a, b), (c, d) = ([math.nan if end is None else end for end in pair] for pair in bounds)
    try:
        as_pairs, as_ends, same = not (a > b or c > d), not (a > c or b > d), b == c
    except TypeError:
        return  # no numbers: said where they are read
    if as_pairs and as_ends and not same:
        raise BadProblem(
            f"{name}={bounds!r} can be read as pairs and as (low, high); give tuples in a list for pairs, "
            f"[({a:g}, {b:g}), ({c:g}, {d:g})], or scipy.optimize.Bounds(low, high)."
        )


def _filled(end: Any, nothing: float) -> Any:
    return [nothing if each is None else each for each in end] if isinstance(end, tuple | list) else end


def _bound(values: Any, start: Tensor, name: str) -> Tensor:
    """A bound for each coordinate [p], infinite where there is none."""
    if values is None:
        values = -math.inf if name == "low" else math.inf
    try:
        bound = values.detach() if isinstance(values, Tensor) else torch.from_numpy(np.array(values, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise BadProblem(f"The bounds {name} are of type {type(values).__name__}; give numbers.") from error
    if bound.ndim == 1 and bound.numel() == 1:  # as scipy's Bounds holds a single number
        bound = bound[0]
    if bound.ndim > 0 and bound.shape != start.shape:
        raise BadProblem(
            f"The bounds {name} have shape {tuple(bound.shape)} and w0 has {start.numel()} numbers; give one number, "
            "or one for each."
        )
    return bound.detach().to(start).expand(start.shape).clone()
