"""Vectors of float64 out of what a caller handed in, or one sentence that says what is wrong with it."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def finite_vector(values: ArrayLike, name: str) -> FloatArray:
    """``values`` as a non-empty one-dimensional float64 array without NaN or infinity.

    Example:
        >>> finite_vector([1, 2.5], "a")
        array([1. , 2.5])
    """
    vector = _vector(values, name)
    if not np.isfinite(vector).all():
        raise ValueError(
            f"{name} holds {_first(vector[~np.isfinite(vector)])}, which is neither a time nor a value. "
            f"Give a miss the full budget and mark it as censored."
        )
    return vector


def vector_with_misses(values: ArrayLike, name: str) -> FloatArray:
    """``values`` as a non-empty one-dimensional float64 array in which +inf is a miss; NaN and -inf are refused.

    Example:
        >>> vector_with_misses([1, float("inf")], "times")
        array([ 1., inf])
    """
    vector = _vector(values, name)
    refuse_all_but_misses(vector, name)
    return vector


def refuse_all_but_misses(array: FloatArray, name: str) -> None:
    """Raise where ``array`` holds NaN or -inf: the only non-finite number with a meaning is +inf, a miss."""
    wrong = np.isnan(array) | np.isneginf(array)
    if wrong.any():
        raise ValueError(f"{name} holds {_first(array[wrong])}. Pass +inf for a miss or an infeasible trial.")


def check_level(level: float) -> None:
    """Raise unless ``level`` is a confidence level strictly between 0 and 1."""
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}; it must lie strictly between 0 and 1, for example 0.95.")


def _vector(values: ArrayLike, name: str) -> FloatArray:
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1 or vector.size == 0:
        raise ValueError(f"{name} has shape {vector.shape}; it must be one number per entry, at least one entry.")
    return vector


def _first(array: FloatArray) -> float:
    return float(array.flat[0])
