"""Arrays, tensors, lists and sparse matrices as a formulation reads them, or one sentence that says what is wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from torch import Tensor

from optwise.core.errors import BadProblem
from optwise.core.operator import LinearOperator
from optwise.numerics.rng import torch_generator
from optwise.problems.terms.operators import MatrixOperator, SparseOperator

Matrix: TypeAlias = Any
"""A matrix [n, p]: array, tensor, nested lists, ``scipy.sparse`` matrix, sparse tensor, or a ``LinearOperator``."""

Numbers: TypeAlias = Any
"""Numbers: an array, a tensor or a list."""


@dataclass(frozen=True, eq=False)
class Design:
    """A matrix of examples.

    Args:
        operator: The matrix [n, p].
        entries: The same as a dense tensor, where it was given as one.
        like: A tensor of its dtype and on its device; where only products are known, of those of the labels.
    """

    operator: LinearOperator
    entries: Tensor | None
    like: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """``(n, p)``."""
        return self.operator.shape


def read_numbers(values: Numbers, name: str) -> Tensor:
    """Floating numbers in their own dtype and, where that can be shared, their own memory; lists in float64.

    Raises:
        BadProblem: Arrays or tensors of another type, nothing to be read as numbers, none at all, not finite ones.

    Example:
        >>> read_numbers([1, 2], "w0"), read_numbers(np.ones(2, dtype=np.float32), "w0").dtype
        (tensor([1., 2.], dtype=torch.float64), torch.float32)
    """
    tensor = values.detach() if isinstance(values, Tensor) else _from_array(values, name)
    if not tensor.is_floating_point():
        cast = ".double()" if isinstance(values, Tensor) else ".astype(float)"
        raise BadProblem(
            f"{name} is of type {_plain(tensor.dtype)}; give real floating-point numbers, as with {name}{cast}."
        )
    if tensor.numel() == 0:
        raise BadProblem(f"{name} has shape {tuple(tensor.shape)} and holds no number; give at least one.")
    _refuse_not_finite(tensor, name)
    return tensor


def read_vector(values: Numbers, name: str, *, like: Tensor | None = None) -> Tensor:
    """One vector of numbers, in the dtype and on the device of ``like`` where that is given."""
    vector = read_numbers(values, name)
    if vector.ndim != 1:
        raise BadProblem(f"{name} has shape {tuple(vector.shape)}; give one vector, as with {name}.reshape(-1).")
    return vector if like is None else vector.to(like)


def read_design(X: Matrix, name: str = "X", *, like: Tensor | None = None) -> Design:
    """A matrix of finite floating-point numbers with at least one row and one column.

    Args:
        X: The matrix.
        name: What the caller calls it.
        like: Says the dtype of an operator, whose own nobody knows; float64 if it is whole numbers or ``None``.

    Raises:
        BadProblem: Another type or shape, numbers that are not finite, an operator whose adjoint is not its transpose.

    Example:
        >>> design = read_design([[1, 2], [3, 4]])
        >>> design.shape, design.entries.dtype
        ((2, 2), torch.float64)
    """
    if isinstance(X, LinearOperator):
        floating = like is not None and like.is_floating_point()
        origin = torch.zeros((), dtype=torch.float64) if like is None or not floating else like.new_zeros(())
        design = Design(X, None, origin)
    elif scipy.sparse.issparse(X) or (isinstance(X, Tensor) and X.layout is not torch.strided):
        operator = _from_sparse(X, name)
        design = Design(operator, None, operator.rows.values().new_zeros(()))
    else:
        entries = read_numbers(X, name)
        if entries.ndim != 2:
            raise BadProblem(f"{name} has shape {tuple(entries.shape)}; give a matrix, one row for each example.")
        design = Design(MatrixOperator(entries), entries, entries.new_zeros(()))
    if min(design.shape) < 1:
        raise BadProblem(f"{name} has shape {design.shape}; give at least one row and one column.")
    if isinstance(X, LinearOperator):
        _refuse_wrong_adjoint(X, design.like, name)
    return design


def read_examples(X: Matrix, y: Numbers, *, names: tuple[str, str] = ("X", "y")) -> tuple[Design, Tensor]:
    """A design [n, p] and one number for each of its rows [n], in the dtype of the design."""
    labels = read_vector(y, names[1])
    design = read_design(X, names[0], like=labels)
    _refuse_other_length(design, labels, names)
    return design, labels.to(design.like)


def read_signs(X: Matrix, y: Numbers) -> tuple[Design, Tensor]:
    """A design [n, p] and labels -1 and 1 [n], which may be given as 0 and 1, as booleans or as whole numbers.

    Raises:
        BadProblem: Other labels, or one class only, besides what :func:`read_design` refuses.
    """
    given = _labels(y)
    design = read_design(X, like=given)
    _refuse_other_length(design, given, ("X", "y"))
    classes = given.double().unique().tolist()
    if not (set(classes) <= {0, 1} or set(classes) <= {-1, 1}):
        shown = ", ".join(f"{label:g}" for label in classes[:4]) + (", ..." if len(classes) > 4 else "")
        raise BadProblem(f"The labels y are {shown}; give -1 and 1, or 0 and 1, or use softmax for more classes.")
    if len(classes) < 2:
        raise BadProblem(
            f"All {given.numel()} labels y are {classes[0]:g}; a classifier needs examples of two classes."
        )
    return design, torch.where(given > 0, 1.0, -1.0).to(design.like)


def read_classes(X: Matrix, y: Numbers) -> tuple[Design, Tensor]:
    """A design [n, p] and classes 0, 1, ..., C - 1 as int64 [n], each with an example.

    Raises:
        BadProblem: Other labels, or one class only, besides what :func:`read_design` refuses.
    """
    given = _labels(y)
    design = read_design(X, like=given)
    _refuse_other_length(design, given, ("X", "y"))
    classes = given.double().unique().cpu()
    if classes.numel() < 2:
        raise BadProblem(
            f"All {given.numel()} labels y are {classes[0]:g}; a classifier needs examples of two classes."
        )
    if not torch.equal(classes, torch.arange(classes.numel(), dtype=torch.float64)):
        raise BadProblem(
            f"The {classes.numel()} classes in y run from {classes[0]:g} to {classes[-1]:g}; number them 0, 1, 2, ..., "
            "as numpy.unique(y, return_inverse=True)[1] does."
        )
    return design, given.to(dtype=torch.int64, device=design.like.device)


def nonnegative(value: Any, name: str) -> float:
    """A finite number of at least 0.

    Example:
        >>> nonnegative(-1, "weight")
        Traceback (most recent call last):
        optwise.core.errors.BadProblem: weight is -1; give a finite number of at least 0.
    """
    number = _number(value, name)
    if not 0 <= number < math.inf:
        raise BadProblem(f"{name} is {number:g}; give a finite number of at least 0.")
    return number


def positive(value: Any, name: str) -> float:
    """A finite number above 0.

    Example:
        >>> positive(0, "delta")
        Traceback (most recent call last):
        optwise.core.errors.BadProblem: delta is 0; give a finite number above 0.
    """
    number = _number(value, name)
    if not 0 < number < math.inf:
        raise BadProblem(f"{name} is {number:g}; give a finite number above 0.")
    return number


def scale_of(reduction: str, examples: int) -> float:
    """The factor before a sum of losses: 1/n for the mean, 1 for the sum.

    Example:
        >>> scale_of("mean", 4), scale_of("sum", 4)
        (0.25, 1.0)
    """
    if reduction not in ("mean", "sum"):
        raise BadProblem(f"reduction is {reduction!r}; give 'mean' or 'sum'.")
    return 1.0 / examples if reduction == "mean" else 1.0


def in_words(error: Exception) -> str:
    """What was raised, in one line.

    Example:
        >>> in_words(ValueError("no such size; and more"))
        'ValueError: no such size; and more'
    """
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def _number(value: Any, name: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadProblem(f"{name} is of type {type(value).__name__}; give one number.") from error


def _from_array(values: Any, name: str) -> Tensor:
    array = _array(values, name)
    if array.dtype.kind not in "fiubc":
        raise BadProblem(f"{name} is of type {type(values).__name__} and holds {array.dtype}; give numbers.")
    if array.dtype.kind in "iub" and isinstance(values, list | tuple | int):
        array = array.astype(np.float64)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:  # torch has no long double
        array = array.astype(np.float64)
    if not array.flags.writeable or not array.dtype.isnative or min(array.strides, default=0) < 0:
        array = np.array(array, dtype=array.dtype.newbyteorder("="), order="K")
        array = np.ascontiguousarray(array) if min(array.strides, default=0) < 0 else array
    return torch.from_numpy(array)


def _array(values: Any, name: str) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadProblem(f"{name} cannot be read as an array ({in_words(error)}); give rows of one length.") from error
    return array


def _from_sparse(X: Any, name: str) -> SparseOperator:
    if _plain(X.dtype) not in ("float32", "float64"):
        raise BadProblem(f"{name} is sparse and of type {_plain(X.dtype)}; give float32 or float64 numbers.")
    operator = SparseOperator.of(X)
    _refuse_not_finite(operator.rows.values(), name)
    return operator


def _labels(y: Any) -> Tensor:
    """Labels as they are [n]: whole numbers, booleans or floating numbers."""
    if isinstance(y, Tensor):
        labels = y.detach()
    else:
        array = _array(y, "y")
        if array.dtype.kind not in "fiub":
            raise BadProblem(f"The labels y hold {array.dtype}; give numbers, a class being a whole number.")
        kept = np.float32 if array.dtype == np.float32 else np.float64 if array.dtype.kind == "f" else np.int64
        labels = torch.from_numpy(array.astype(kept))
    if labels.is_complex():
        raise BadProblem("The labels y are complex; give numbers, a class being a whole number.")
    if labels.ndim != 1 or labels.numel() == 0:
        raise BadProblem(f"The labels y have shape {tuple(labels.shape)}; give one for each row of X.")
    if labels.is_floating_point():
        _refuse_not_finite(labels, "y")
    return labels


def _refuse_other_length(design: Design, y: Tensor, names: tuple[str, str]) -> None:
    if y.numel() != design.shape[0]:
        raise BadProblem(
            f"{names[0]} has {design.shape[0]} rows and {names[1]} has {y.numel()} numbers; give one for each row."
        )


def _refuse_not_finite(tensor: Tensor, name: str) -> None:
    finite = torch.isfinite(tensor)
    if not bool(finite.all()):
        raise BadProblem(
            f"{name} holds {int((~finite).sum())} numbers that are not finite; clean or impute them first."
        )


def _refuse_wrong_adjoint(A: LinearOperator, like: Tensor, name: str) -> None:
    """Compare ``<v, A w>`` and ``<A^T v, w>`` at one random pair."""
    m, p = A.shape
    generator = torch_generator(0)
    w, v = (torch.randn(size, generator=generator, dtype=torch.float64).to(like) for size in (p, m))
    try:
        forward, adjoint = A.forward(w), A.adjoint(v)
    except Exception as error:
        raise BadProblem(f"{name} fails on a vector of {p} numbers: {in_words(error)}") from error
    if forward.shape != v.shape or adjoint.shape != w.shape:
        raise BadProblem(
            f"{name} of shape {A.shape} gives {tuple(forward.shape)} and its adjoint {tuple(adjoint.shape)}; they must "
            f"be ({m},) and ({p},)."
        )
    left, right = float(v @ forward), float(adjoint @ w)
    # rounding leaves a few units of the lengths; the square root of one leaves room for products computed otherwise
    allowed = math.sqrt(torch.finfo(like.dtype).eps) * float(v.norm() * forward.norm() + adjoint.norm() * w.norm())
    if not abs(left - right) <= allowed:
        raise BadProblem(
            f"The adjoint of {name} is not its transpose: <v, A w> is {left:g} and <A^T v, w> is {right:g} for random "
            "v and w; mend one of the two."
        )


def _plain(dtype: object) -> str:
    return str(dtype).removeprefix("torch.")
