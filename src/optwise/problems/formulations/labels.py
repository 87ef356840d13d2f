"""Labels of classes as people write them: numbers, words, booleans, categories; and the design they belong to."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optwise.core.errors import BadProblem
from optwise.core.showing import brief
from optwise.problems.formulations.reading import (
    Design,
    Matrix,
    Numbers,
    read_design,
    refuse_other_length,
    refuse_other_order,
)
from optwise.problems.numbers import as_names, missing, one_column, plain, refuse_not_finite

SHOWN = 4
"""Classes that a sentence names."""


def read_signs(X: Matrix, y: Numbers) -> tuple[Design, Tensor, tuple[Any, ...]]:
    """A design [n, p], labels -1 and 1 [n], and which label of the caller's is which: the greater one is 1.

    Raises:
        BadProblem: More than two classes, or one only, besides what :func:`read_classes` refuses.
    """
    design, numbered, classes = _read(X, y)
    if len(classes) > 2:
        raise BadProblem(
            f"The labels y are of {len(classes)} classes, {_listed(classes)}; give two, or use softmax for more."
        )
    return design, torch.where(numbered > 0, 1.0, -1.0).to(design.like), classes


def read_classes(X: Matrix, y: Numbers) -> tuple[Design, Tensor, tuple[Any, ...]]:
    """A design [n, p], classes 0, 1, ..., C - 1 as int64 [n], and the caller's labels in that order.

    Labels are put in order: numbers and words as Python sorts them, ordered categories of pandas as they are.

    Raises:
        BadProblem: Labels that are missing, of mixed kinds or no whole numbers, one class only, besides what
            :func:`read_design` refuses.
    """
    return _read(X, y)


def _read(X: Matrix, y: Numbers) -> tuple[Design, Tensor, tuple[Any, ...]]:
    refuse_other_order(X, y, ("X", "y"))
    y = one_column(y)
    given = _given(y)
    if given.ndim == 2 and given.shape[1] == 1:
        given = given[:, 0]
    if given.ndim != 1 or given.size == 0:
        raise BadProblem(f"The labels y have shape {given.shape}; give one for each row of X.")
    found, numbered = _numbered(given, y)
    single = torch.zeros((), dtype=torch.float32) if given.dtype == np.float32 else None
    design = read_design(X, like=y if isinstance(y, Tensor) else single)
    refuse_other_length(design, given.size, ("X", "y"))
    classes = tuple(found.tolist())
    if len(classes) < 2:
        raise BadProblem(
            f"All {given.size} labels y are {brief(classes[0])}; a classifier needs examples of two classes."
        )
    return design, torch.from_numpy(numbered.astype(np.int64)).to(design.like.device), classes


def _given(y: Any) -> NDArray[Any]:
    """The labels as an array: of numbers, booleans or text, or of objects that are words or whole numbers alone."""
    if isinstance(y, Tensor):
        if y.is_complex():
            raise BadProblem(f"The labels y are of type {plain(y.dtype)}; give words, booleans or whole numbers.")
        labels = y.detach().cpu().to_dense() if y.layout is not torch.strided else y.detach().cpu()
        if labels.is_floating_point():
            labels = labels.double()  # numpy has no bfloat16
        return np.asarray(labels.numpy())
    array = as_names(y, "y")
    if array.dtype.kind == "O":
        return _of_objects(array)
    if array.dtype.kind not in "fiubUST":
        raise BadProblem(f"The labels y hold {array.dtype}; give words, booleans or whole numbers.")
    return array


def _of_objects(array: NDArray[Any]) -> NDArray[Any]:
    if array.ndim == 0:
        raise BadProblem(f"y is of type {type(array.item()).__name__}; give one label for each row of X.")
    absent = missing(array)
    if bool(absent.any()):
        count, at = int(absent.sum()), int(np.flatnonzero(absent.ravel())[0])
        raise BadProblem(
            f"y lacks {count} {'label' if count == 1 else 'labels'}, the first at {at}; drop those rows first."
        )
    kinds = {_kind(label) for label in array.ravel()}
    if len(kinds) > 1 or kinds <= {""}:
        names = sorted({type(label).__name__ for label in array.ravel()})
        raise BadProblem(f"The labels y are of type {' and '.join(names)}; give words, booleans or whole numbers.")
    return array.astype({"words": np.str_, "booleans": np.bool_, "numbers": np.float64}[kinds.pop()])


def _kind(label: Any) -> str:
    if isinstance(label, str):
        return "words"
    if isinstance(label, bool | np.bool_):
        return "booleans"
    return "numbers" if isinstance(label, int | float | np.number) else ""


def _numbered(given: NDArray[Any], y: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """The classes in order, and the number of each label's class [n]."""
    if given.dtype.kind == "f":
        refuse_not_finite(torch.from_numpy(given.astype(np.float64)), "y")
        broken = given[given != np.round(given)]
        if broken.size:
            raise BadProblem(
                f"The labels y hold {broken[0]:g}, which names no class; give words, booleans or whole numbers."
            )
        given = given.astype(np.int64) if bool((np.abs(given) < 2.0**53).all()) else given
    classes, numbered = _distinct(given)
    dtype: Any = getattr(y, "dtype", None)
    if getattr(dtype, "ordered", False):  # categories of pandas, in an order that somebody gave them
        rank = {label: i for i, label in enumerate(dtype.categories.tolist())}
        order = np.argsort([rank[label] for label in classes.tolist()])
        return classes[order], np.argsort(order)[numbered]
    return classes, numbered


def _distinct(given: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The classes in order, and the number of each label's class [n]; of two classes of numbers without sorting."""
    if given.dtype.kind in "fiub":
        low, high = given.min(), given.max()
        upper = given == high
        if low < high and bool((upper | (given == low)).all()):
            return np.array([low, high]), upper
    return np.unique(given, return_inverse=True)


def _listed(classes: tuple[Any, ...]) -> str:
    return ", ".join(map(brief, classes[:SHOWN])) + (", ..." if len(classes) > SHOWN else "")
