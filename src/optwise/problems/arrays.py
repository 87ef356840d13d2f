"""One array of a user's as a dense tensor of our own, or a sentence that says why it is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from optwise.core.errors import BadProblem

_WIDER = {torch.uint16: torch.int64, torch.uint32: torch.int64, torch.uint64: torch.int64}
"""Whole numbers that torch stores and hardly computes with."""


def own_tensor(values: Any, *, split: str, part: str) -> Tensor:
    """A copy of ``values`` in plain memory that nobody else holds: dense, on the CPU, without history.

    Args:
        values: A tensor, a numpy or pandas array, nested lists of numbers.
        split: Name of the split, for messages.
        part: Inputs or labels, for messages.

    Raises:
        BadProblem: Values that are sparse, nested, quantised, masked, complex or no numbers at all.

    Example:
        >>> caller = torch.ones(2)
        >>> own_tensor(caller, split="train", part="inputs").zero_(), caller
        (tensor([0., 0.]), tensor([1., 1.]))
    """
    if isinstance(values, list | tuple) and values and all(isinstance(value, Tensor) for value in values):
        values = _stacked(values, split=split, part=part)
    tensor = _of_torch(values, split, part) if isinstance(values, Tensor) else _of_numpy(values, split, part)
    wider = tensor.to(_WIDER.get(tensor.dtype, tensor.dtype))
    if tensor.dtype is torch.uint64 and bool((wider < 0).any()):
        raise BadProblem(f"The {split} {part} hold whole numbers above 2^63 - 1; give smaller ones.")
    return wider


def _of_torch(values: Tensor, split: str, part: str) -> Tensor:
    kind, instead = _unusual(values)
    if kind:
        raise BadProblem(f"The {split} {part} are {kind}; give a dense tensor{instead}.")
    plain = values.detach() if type(values) in (Tensor, torch.nn.Parameter) else values.detach().as_subclass(Tensor)
    return plain.to("cpu").clone(memory_format=torch.contiguous_format)


def _unusual(values: Tensor) -> tuple[str, str]:
    """What kind of tensor this is where it is no dense one of real numbers, and how to make it one."""
    if type(values).__name__ == "MaskedTensor":
        return "a masked tensor", ", as with `.to_tensor(0.0)`"
    if values.is_nested:
        return "a nested tensor", ", as with `torch.nested.to_padded_tensor(x, 0.0)`"
    if values.layout is not torch.strided:
        return f"a sparse tensor ({_word(values.layout)})", ", as with `.to_dense()`"
    if values.is_quantized:
        return f"a quantised tensor ({_word(values.dtype)})", ", as with `.dequantize()`"
    if values.is_complex():
        return f"complex numbers ({_word(values.dtype)})", " of real numbers, as with `torch.view_as_real(x)`"
    if values.is_meta:
        return "a tensor on the meta device, which holds no numbers", " on the CPU"
    if is_traceable_wrapper_subclass(values):
        return f"a {type(values).__name__}", ""
    return "", ""


def _of_numpy(values: Any, split: str, part: str) -> Tensor:
    if type(values).__module__.startswith("scipy.sparse"):
        raise BadProblem(f"The {split} {part} are a sparse {type(values).__name__}; give a dense array, `x.toarray()`.")
    try:
        array = np.ma.asarray(values) if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise _no_numbers(values, split, part) from error
    if isinstance(array, np.ma.MaskedArray) and bool(np.ma.getmaskarray(array).any()):
        raise BadProblem(
            f"The {split} {part} are a masked array with {int(np.ma.getmaskarray(array).sum())} masked values; give an "
            "array without a mask, as with `.filled(0.0)`."
        )
    if array.dtype.kind == "c":
        raise BadProblem(f"The {split} {part} are complex numbers ({array.dtype}); give an array of real numbers.")
    if array.dtype.kind not in "biuf":
        raise _no_numbers(values, split, part)
    return torch.from_numpy(_plain(np.asarray(array)))


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """A copy in a type and an order that torch knows: native bytes, at most 64 bits, ascending strides."""
    known = array.dtype.newbyteorder("=") if array.dtype.itemsize <= 8 else np.dtype(np.float64)
    return np.array(array, dtype=known, order="C", copy=True)


def _stacked(values: list[Tensor] | tuple[Tensor, ...], *, split: str, part: str) -> Tensor:
    try:
        return torch.stack([value.detach() for value in values])
    except (RuntimeError, TypeError) as error:
        raise BadProblem(
            f"The {split} {part} are {len(values)} tensors that cannot be stacked ({str(error).splitlines()[0]}); give "
            "one dense tensor, a row per example."
        ) from error


def _no_numbers(values: Any, split: str, part: str) -> BadProblem:
    return BadProblem(
        f"The {split} {part} are of type {type(values).__name__} and cannot be read as numbers; give a tensor or a "
        "numeric array."
    )


def _word(value: Any) -> str:
    return str(value).removeprefix("torch.")
