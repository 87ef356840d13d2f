"""Arrays, tensors, lists and sparse matrices as a formulation reads them, or one sentence that says what is wrong."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from optwise.core.errors import BadProblem
from optwise.core.operator import LinearOperator
from optwise.core.showing import brief
from optwise.numerics.finiteness import all_finite
from optwise.numerics.rng import torch_generator
from optwise.problems.numbers import is_sparse, one_number, plain, real_tensor, refuse_not_finite
from optwise.problems.terms.operators import MatrixOperator, SparseOperator

Matrix: TypeAlias = Any
"""A matrix [n, p]: array, tensor, table, lists, ``scipy.sparse`` matrix, sparse tensor, or a ``LinearOperator``."""

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
    """Real numbers, at least one and all finite: float32 and float64 stay, whole numbers and lists are float64.

    Raises:
        BadProblem: Nothing to be read as real numbers, none at all, not finite ones.

    Example:
        >>> read_numbers([1, 2], "w0"), read_numbers(np.ones(2, dtype=np.float32), "w0").dtype
        (tensor([1., 2.], dtype=torch.float64), torch.float32)
    """
    tensor = real_tensor(values, name)
    if tensor.numel() == 0:
        raise BadProblem(f"{name} has shape {tuple(tensor.shape)} and holds no number; give at least one.")
    refuse_not_finite(tensor, name)
    return tensor


def read_vector(values: Numbers, name: str, *, like: Tensor | None = None) -> Tensor:
    """One vector of numbers, in the dtype and on the device of ``like`` where that is given."""
    vector = read_numbers(values, name)
    if vector.ndim != 1:
        raise BadProblem(f"{name} has shape {tuple(vector.shape)}; give one vector, as with {name}.reshape(-1).")
    return vector if like is None else _in_dtype(vector, like, name)


def read_column(values: Numbers, name: str) -> Tensor:
    """One number for each row: a vector [n], or a table or matrix of one column [n, 1].

    Example:
        >>> read_column([[1.0], [2.0]], "y")
        tensor([1., 2.], dtype=torch.float64)
    """
    column = read_numbers(values, name)
    if column.ndim == 2 and column.shape[1] == 1:
        column = column[:, 0]
    if column.ndim != 1:
        raise BadProblem(f"{name} has shape {tuple(column.shape)}; give one number for each row.")
    return column


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
    elif is_sparse(X) or (isinstance(X, Tensor) and X.layout is not torch.strided):
        operator = _from_sparse(X, name)
        design = Design(operator, None, operator.rows.values().new_zeros(()))
    else:
        entries = read_numbers(X, name)
        if entries.ndim != 2:
            column = f", as with {name}.reshape(-1, 1) for one column" if entries.ndim == 1 else ""
            raise BadProblem(
                f"{name} has shape {tuple(entries.shape)}; give a matrix, one row for each example{column}."
            )
        design = Design(MatrixOperator(entries), entries, entries.new_zeros(()))
    if min(design.shape) < 1:
        raise BadProblem(f"{name} has shape {design.shape}; give at least one row and one column.")
    if isinstance(X, LinearOperator):
        _refuse_wrong_adjoint(X, design.like, name)
    return design


def read_examples(X: Matrix, y: Numbers, *, names: tuple[str, str] = ("X", "y")) -> tuple[Design, Tensor]:
    """A design [n, p] and one number for each of its rows [n], in the dtype of the design."""
    refuse_other_order(X, y, names)
    labels = read_column(y, names[1])
    design = read_design(X, names[0], like=labels)
    refuse_other_length(design, labels.numel(), names)
    return design, _in_dtype(labels, design.like, names[1])


def nonnegative(value: Any, name: str) -> float:
    """A finite number of at least 0.

    Example:
        >>> nonnegative(-1, "weight")
        Traceback (most recent call last):
        optwise.core.errors.BadProblem: weight is -1; give a finite number of at least 0.
    """
    number = one_number(value, name)
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
    number = one_number(value, name)
    if not 0 < number < math.inf:
        raise BadProblem(f"{name} is {number:g}; give a finite number above 0.")
    return number


def scale_of(reduction: str, examples: int) -> float:
    """The factor before a sum of losses: 1/n for the mean, 1 for the sum.

    Example:
        >>> scale_of("mean", 4), scale_of("sum", 4)
        (0.25, 1.0)
    """
    if not isinstance(reduction, str) or reduction not in ("mean", "sum"):
        raise BadProblem(f"reduction is {brief(reduction)}; give 'mean' or 'sum'.")
    return 1.0 / examples if reduction == "mean" else 1.0


def in_words(error: Exception) -> str:
    """What was raised, in one line.

    Example:
        >>> in_words(ValueError("no such size; and more"))
        'ValueError: no such size; and more'
    """
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def _from_sparse(X: Any, name: str) -> SparseOperator:
    kind = plain(X.dtype)
    if "complex" in kind or kind == "object":
        raise BadProblem(f"{name} is sparse and of type {kind}; give real numbers.")
    if kind not in ("float32", "float64"):
        narrow = kind in ("float16", "bfloat16")
        if isinstance(X, Tensor):
            X = X.to(torch.float32 if narrow else torch.float64)
        else:
            X = X.astype(np.float32 if narrow else np.float64)
    operator = SparseOperator.of(X)
    entries = operator.rows.values()
    if not all_finite(entries):
        counts = operator.rows.crow_indices().diff()
        rows = torch.arange(counts.numel(), device=counts.device).repeat_interleave(counts)
        refuse_not_finite(entries, name, places=torch.stack([rows, operator.rows.col_indices()], dim=1))
    return operator


def refuse_other_length(design: Design, count: int, names: tuple[str, str]) -> None:
    """Raise unless there is one number for each row."""
    if count != design.shape[0]:
        raise BadProblem(
            f"{names[0]} has {design.shape[0]} rows and {names[1]} has {count} numbers; give one for each row."
        )


def refuse_other_order(X: Any, y: Any, names: tuple[str, str]) -> None:
    """Raise where two tables have the same rows in another order, since rows are taken by their position."""
    pandas = sys.modules.get("pandas")  # a table of its kind has loaded it
    if pandas is None or not (isinstance(X, pandas.DataFrame) and isinstance(y, pandas.Series | pandas.DataFrame)):
        return
    if not X.index.equals(y.index) and len(X.index) == len(y.index) and set(X.index) == set(y.index):
        raise BadProblem(
            f"{names[0]} and {names[1]} have the same index in another order, and rows are taken by position; give "
            f"{names[1]}.loc[{names[0]}.index], or both as arrays."
        )


def _in_dtype(values: Tensor, like: Tensor, name: str) -> Tensor:
    """The same in the dtype and on the device of ``like``, which must be able to hold them."""
    moved = values.to(like)
    lost = ~torch.isfinite(moved)
    if bool(lost.any()):
        shown = float(values[lost.to(values.device)][0])
        raise BadProblem(
            f"{name} holds {shown:g}, which is beyond {plain(like.dtype)}, the type of the rest; give all in float64."
        )
    return moved


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
