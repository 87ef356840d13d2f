"""Numbers as people have them, arrays, tables, lists or tensors, as one real tensor, or a sentence saying why not."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optwise.core.errors import BadProblem
from optwise.core.showing import brief

KEPT = (torch.float32, torch.float64)
"""Types that numbers keep."""


def real_tensor(values: Any, name: str) -> Tensor:
    """Real numbers in float32 or float64, in the memory of the caller where that can be shared.

    Both types are kept. Whole numbers, booleans, lists and long doubles become float64; half precision becomes float32,
    in which each of its numbers is exact.

    Args:
        values: A tensor, an array, a table or series of pandas, nested lists.
        name: What the caller calls them.

    Raises:
        BadProblem: Words, dates, complex numbers, a masked or sparse array, rows of unequal length.

    Example:
        >>> real_tensor(np.arange(2), "X"), real_tensor(np.ones(2, dtype=np.float32), "X").dtype
        (tensor([0., 1.], dtype=torch.float64), torch.float32)
    """
    tensor = _of_torch(values, name) if isinstance(values, Tensor) else torch.from_numpy(_of_numpy(values, name))
    if tensor.dtype in KEPT:
        return tensor
    return tensor.to(torch.float32 if tensor.is_floating_point() else torch.float64)


def one_number(value: Any, name: str, advice: str = "give one number") -> float:
    """A number of any type as Python's; whether it is finite is not looked at.

    Example:
        >>> one_number(np.float32(0.5), "weight"), one_number(torch.tensor(1.0), "weight")
        (0.5, 1.0)
    """
    shape = tuple(value.shape) if isinstance(value, Tensor | np.ndarray) else ()
    if shape:
        raise BadProblem(f"{name} is of type {type(value).__name__} and has shape {shape}; {advice}.")
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        number = float(value)
        return value if type(value) is int else number
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise BadProblem(f"{name} is {brief(value)}, of type {type(value).__name__}; {advice}.") from error


def refuse_not_finite(values: Tensor, name: str, *, places: Tensor | None = None) -> None:
    """Raise where a number is NaN or infinite, with the first of them and its place.

    Args:
        values: Any shape.
        name: What the caller calls them.
        places: Where each number lies [values, dimensions], where their own order does not tell.
    """
    finite = torch.isfinite(values)
    if not bool(finite.all()):
        at = (~finite).nonzero()[0].tolist()
        bad, first = int((~finite).sum()), float(values[tuple(at)])
        counted = "1 number that is" if bad == 1 else f"{bad} numbers that are"
        at = at if places is None else places[at[0]].tolist()
        place = at[0] if len(at) == 1 else at
        raise BadProblem(
            f"{name} holds {counted} not finite, the first {first:g} at {place}; clean or impute them first."
        )


def missing(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Which entries of an array of objects stand for nothing: ``None``, NaN, ``pandas.NA``, ``NaT``.

    Example:
        >>> missing(np.array([1, None, "a", float("nan")], dtype=object)).tolist()
        [False, True, False, True]
    """
    pandas = sys.modules.get("pandas")  # an entry of its kind has loaded it
    if pandas is not None:
        found: NDArray[np.bool_] = np.asarray(pandas.isna(array), dtype=bool)
        return found
    absent = [each is None or (isinstance(each, float) and math.isnan(each)) for each in array.ravel()]
    return np.array(absent, dtype=bool).reshape(array.shape)


def is_sparse(values: Any) -> bool:
    """Whether a value is a sparse matrix or array of scipy, told by its class: scipy takes longer to load than a solve.

    Example:
        >>> import scipy.sparse
        >>> is_sparse(scipy.sparse.eye_array(2)), is_sparse(np.eye(2))
        (True, False)
    """
    return any(kind.__module__.startswith("scipy.sparse") for kind in type(values).__mro__)


def as_array(values: Any, name: str) -> NDArray[Any]:
    """Anything but a tensor as an array of its own type.

    Raises:
        BadProblem: It is sparse or masked, or has rows of unequal length.
    """
    if is_sparse(values):
        raise BadProblem(f"{name} is sparse, {type(values).__name__}; give {name}.toarray().")
    if isinstance(values, np.ma.MaskedArray) and bool(np.ma.getmaskarray(values).any()):
        hidden = int(np.ma.getmaskarray(values).sum())
        raise BadProblem(f"{name} is a masked array that hides {hidden} entries; fill them or drop them first.")
    try:
        array: NDArray[Any] = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        line = str(error).partition("\n")[0]
        raise BadProblem(
            f"{name} cannot be read as an array ({type(error).__name__}: {line}); give rows of one length."
        ) from error
    return array


def one_column(values: Any) -> Any:
    """The column of a table of pandas that has one, with its own type; anything else as it is."""
    pandas = sys.modules.get("pandas")
    table = pandas is not None and isinstance(values, pandas.DataFrame) and values.shape[1] == 1
    return values.iloc[:, 0] if table else values


def as_names(values: Any, name: str) -> NDArray[Any]:
    """As :func:`as_array`, but a list of several kinds stays as it is, where numpy writes all as words.

    Example:
        >>> as_names(["a", float("nan")], "y").tolist()
        ['a', nan]
    """
    array = as_array(values, name)
    mixed = array.dtype.kind in "US" and isinstance(values, list | tuple)
    if mixed and array.ndim == 1 and not all(isinstance(each, str | bytes) for each in values):
        array = np.empty(len(values), dtype=object)
        array[:] = values
    return array


def _of_torch(values: Tensor, name: str) -> Tensor:
    if values.is_nested or values.is_quantized or values.is_meta:
        raise BadProblem(f"{name} is a nested, quantised or meta tensor; give a dense one of real numbers.")
    if values.layout is not torch.strided:
        raise BadProblem(f"{name} is a sparse tensor; give {name}.to_dense().")
    if values.is_complex():
        raise BadProblem(f"{name} is of type {plain(values.dtype)}; give real numbers, such as {name}.real.")
    return values.detach()


def _of_numpy(values: Any, name: str) -> NDArray[Any]:
    array = as_array(values, name)
    if array.dtype.kind == "O":
        array = _of_objects(values, array, name)
    if array.dtype.kind == "c":
        raise BadProblem(f"{name} is of type {array.dtype}; give real numbers, such as {name}.real.")
    if array.dtype.kind not in "fiub":
        shown = f" such as {brief(array.ravel()[0].item())}" if array.size and array.dtype.kind in "US" else ""
        raise BadProblem(f"{name} is of type {type(values).__name__} and holds {array.dtype}{shown}; give numbers.")
    if array.dtype.kind in "iub" or array.dtype.itemsize > 8:  # torch has no long double
        return array.astype(np.float64)
    if not array.flags.writeable or not array.dtype.isnative or min(array.strides, default=0) < 0:
        array = np.array(array, dtype=array.dtype.newbyteorder("="), order="K")
        array = np.ascontiguousarray(array) if min(array.strides, default=0) < 0 else array
    return array


def _of_objects(values: Any, array: NDArray[Any], name: str) -> NDArray[Any]:
    """Numbers that came one by one as objects, as a table of mixed columns gives them; NaN where one is missing."""
    if array.ndim == 0:
        raise BadProblem(f"{name} is of type {type(values).__name__}; give an array, a tensor, a table or lists.")
    absent = missing(array)
    if not any(isinstance(entry, str | bytes) for entry in array.flat):
        try:
            return np.where(absent, np.nan, array).astype(np.float64)
        except (TypeError, ValueError, OverflowError):
            pass  # which entry it is, is found below
    found = np.full(array.shape, np.nan)
    for at, entry in np.ndenumerate(array):
        if absent[at]:
            continue
        try:
            if isinstance(entry, str | bytes):
                raise TypeError
            found[at] = float(entry)
        except (TypeError, ValueError, OverflowError) as error:
            place = list(at) if array.ndim > 1 else at[0]
            column = getattr(values, "columns", None)
            where = f"in column {column[at[1]]!r}" if column is not None and array.ndim == 2 else f"at {place}"
            raise BadProblem(
                f"{name} holds {brief(entry)} {where}, which is no number; give numbers, words as 0 and 1 in a column "
                "each."
            ) from error
    return found


def plain(dtype: object) -> str:
    """A dtype of torch or numpy by its bare name.

    Example:
        >>> plain(torch.float32)
        'float32'
    """
    return str(dtype).removeprefix("torch.")
