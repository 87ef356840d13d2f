"""Numbers and arrays that penalties and sets are made of, as people write them, or a sentence with the right order."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from optwise.core.errors import BadProblem
from optwise.core.showing import brief
from optwise.problems.gradients import without_gradients
from optwise.problems.numbers import one_number, real_tensor

AnyPart = TypeVar("AnyPart")


def values_alone(kind: type[AnyPart]) -> type[AnyPart]:
    """Let a part be made of tensors that require a gradient; it keeps their values, and one warning says so."""
    kind.__init__ = without_gradients(kind.__init__)  # type: ignore[method-assign]
    return kind


def keep_number(part: Any, field: str, name: str, *, least: float = -math.inf, above: bool = False) -> None:
    """Put a field in place as one finite number.

    Args:
        part: The dataclass that is being made.
        field: Of it.
        name: What a sentence calls it.
        least: The smallest number that will do.
        above: Whether ``least`` itself will not.

    Raises:
        BadProblem: It is no number, or none of those.
    """
    wanted = "" if least == -math.inf else f" above {least:g}" if above else f" of at least {least:g}"
    advice = f"give a finite number{wanted}{_order(part)}"
    number = one_number(getattr(part, field), name, advice)
    if not (math.isfinite(number) and (number > least if above else number >= least)):
        raise BadProblem(f"{name} is {number:g}; {advice}.")
    object.__setattr__(part, field, number)


def keep_count(part: Any, field: str, name: str) -> None:
    """Put a field in place as a whole number of at least 1."""
    value = getattr(part, field)
    number = one_number(value, name, f"give a whole number of at least 1{_order(part)}")
    if not (1 <= number < math.inf and number == int(number)):
        raise BadProblem(f"{name} is {number:g}; give a whole number of at least 1{_order(part)}.")
    object.__setattr__(part, field, int(number))


def keep_vector(part: Any, field: str, name: str) -> Tensor:
    """Put a field in place as a vector of numbers, infinite ones among them, none missing."""
    value = getattr(part, field)
    vector = real_tensor(value, name)
    if vector.ndim != 1 or vector.numel() == 0:
        raise BadProblem(
            f"{name} has shape {tuple(vector.shape)}; give one number for each entry, a vector{_order(part)}."
        )
    absent = torch.isnan(vector)
    if bool(absent.any()):
        raise BadProblem(f"{name} holds nan at entry {int(absent.nonzero()[0])}; give numbers{_order(part)}.")
    object.__setattr__(part, field, vector)
    return vector


def keep_bounds(part: Any, name: str, *, size: int | None = None, open_size: bool = False) -> None:
    """Put the fields ``low`` and ``high`` in place, one number for each coordinate in both; a single one is repeated.

    Args:
        part: The dataclass that is being made.
        name: What a sentence calls them.
        size: Number of coordinates, where something else says it.
        open_size: Whether two single numbers may stay single.
    """
    low, high = (real_tensor(end, f"{name}, {field},") for field, end in (("low", part.low), ("high", part.high)))
    sizes = {end.numel() for end in (low, high) if end.ndim == 1} | (set() if size is None else {size})
    fits = len(sizes) == 1 or (open_size and not sizes)
    if not fits or max(low.ndim, high.ndim) > 1 or 0 in sizes:
        raise BadProblem(
            f"{name} have shapes {tuple(low.shape)} and {tuple(high.shape)}{'' if size is None else f' for {size}'}; "
            f"give one number for all coordinates, or one for each, in both{_order(part)}."
        )
    dtype = torch.promote_types(low.dtype, high.dtype)
    for field, end in (("low", low), ("high", high)):
        if bool(torch.isnan(end).any()):
            raise BadProblem(f"{name}, {field}, holds nan; give numbers, or inf and -inf for none{_order(part)}.")
        repeated = end.ndim == 0 and bool(sizes)
        object.__setattr__(part, field, end.to(dtype).expand(*sizes).clone() if repeated else end.to(dtype))


def keep_matrix_shape(part: Any, field: str, name: str) -> None:
    """Put a field in place as the rows and columns of a matrix."""
    value = getattr(part, field)
    try:
        shape = tuple(int(side) for side in value)
        right = (
            len(shape) == 2 and min(shape) >= 1 and all(side == given for side, given in zip(shape, value, strict=True))
        )
    except (TypeError, ValueError, OverflowError, np.ma.MaskError):
        right, shape = False, ()
    if not right:
        raise BadProblem(
            f"{name} is {brief(value)}; give the rows and columns of a matrix, as in (12, 10){_order(part)}."
        )
    object.__setattr__(part, field, shape)


def _order(part: Any) -> str:
    """The call that makes the part, where there is an order to mistake."""
    names = [f.name for f in fields(part) if f.init]
    return f", in the order {type(part).__name__}({', '.join(names)})" if len(names) > 1 else ""
