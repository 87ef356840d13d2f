"""Numbers that a caller asks with: steps, batch sizes, targets, as what they must be, or a sentence saying why not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optwise.core.errors import BadProtocol
from optwise.core.showing import brief

Floats = NDArray[np.float64]


def real_number(value: Any, name: str, advice: str) -> float:
    """One real number; whether it is finite is not looked at.

    Args:
        value: Python's, numpy's or torch's.
        name: What the caller calls it.
        advice: What to give, as the end of a sentence.

    Raises:
        BadProtocol: Words, truths, nothing, several numbers.

    Example:
        >>> real_number(np.float32(0.5), "A target", "give one number")
        0.5
    """
    try:
        if isinstance(value, str | bytes | bool | np.bool_) or np.ndim(value) != 0:
            raise TypeError
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise BadProtocol(f"{name} is {brief(value)}, which is not one number; {advice}.") from error


def whole_number(value: Any, name: str, *, least: int | None = None, most: int | None = None) -> int:
    """A whole number; 10.0 is one.

    Args:
        value: Python's, numpy's or torch's.
        name: What the caller calls it.
        least: The least that will do; ``None`` for any.
        most: The largest; ``None`` for no end.

    Raises:
        BadProtocol: With what was found.

    Example:
        >>> whole_number(10.0, "steps", least=1)
        10
    """
    limits = "" if least is None else f" of at least {least}" if most is None else f" from {least} to {most}"
    advice = f"give a whole number{limits}"
    found = real_number(value, name, advice)
    if not found.is_integer() or (least is not None and found < least) or (most is not None and found > most):
        raise BadProtocol(f"{name} is {brief(value)}; {advice}.")
    return int(value)


def real_numbers(values: Any, name: str, advice: str) -> Floats:
    """A list of real numbers [n]; whether there are any, and finite ones, is not looked at.

    Args:
        values: A list, an array, a tensor.
        name: What the caller calls them, in the plural.
        advice: What to give, as the end of a sentence.

    Raises:
        BadProtocol: One number alone, words, lists within lists.

    Example:
        >>> real_numbers([1, 8], "Batch sizes", "give a list, as [1, 8]")
        array([1., 8.])
    """
    one = f"One of the {name[0].lower()}{name[1:]}"
    return np.array([real_number(value, one, advice) for value in listed(values, name, advice)], np.float64)


def listed(values: Any, name: str, advice: str) -> list[Any]:
    """Several things as a list.

    Args:
        values: A list, a tuple, a generator.
        name: What the caller calls them, in the plural.
        advice: What to give, as the end of a sentence.

    Raises:
        BadProtocol: One thing alone, a word.
    """
    try:
        if isinstance(values, str | bytes | Mapping):
            raise TypeError
        return list(values)
    except TypeError as error:  # numbers, and arrays without an axis
        raise BadProtocol(f"{name} are {brief(values)}, which is no list; {advice}.") from error
