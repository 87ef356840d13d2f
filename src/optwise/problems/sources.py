"""A user's examples as one split of tensors: pairs of arrays, data sets, data loaders."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    default_collate,
)

from optwise.core.data import Split
from optwise.core.errors import BadProblem

Source: TypeAlias = tuple[Any, Any] | Dataset[Any] | DataLoader[Any]
"""Inputs and labels as tensors or arrays, a map-style data set of pairs, or a loader of one."""


def read_split(source: Source, *, split: str, dtype: torch.dtype) -> Split:
    """All examples of ``source``, floating numbers in ``dtype``, whole labels as int64.

    A data set is read through once: a random transformation inside it is drawn once and then kept.

    Args:
        source: Where the examples are.
        split: Name of the split, for messages.
        dtype: Type of the network's parameters.

    Raises:
        BadProblem: An iterable data set, a loader that leaves examples out, examples that are no pairs of numbers.

    Example:
        >>> read_split((np.eye(2), np.array([0, 1])), split="train", dtype=torch.float32).x.dtype
        torch.float32
    """
    if isinstance(source, DataLoader):
        pair = _collated(source.dataset, split=split, collate=_collate_of(source, split=split))
    elif isinstance(source, Dataset):
        pair = _collated(source, split=split, collate=default_collate)
    else:
        pair = source
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise BadProblem(
            f"The {split} data are {_kind(pair)}; give (x, y) as tensors or arrays, or a data set or "
            "loader of such pairs."
        )
    x, y = (_tensor(part, split=split, part=name) for part, name in zip(pair, ("inputs", "labels"), strict=True))
    x = x.to(dtype) if x.is_floating_point() else x
    return Split(x, y.to(dtype if y.is_floating_point() else torch.int64))


def loader_batch_size(source: Source) -> int | None:
    """The batch size that comes with a data loader; ``None`` for other sources."""
    return source.batch_size if isinstance(source, DataLoader) else None


def _collate_of(loader: DataLoader[Any], *, split: str) -> Any:
    order = loader.sampler
    whole = type(order) is SequentialSampler or (
        type(order) is RandomSampler and not order.replacement and order.num_samples == len(order)
    )
    if isinstance(loader.dataset, IterableDataset):
        return default_collate  # refused by the caller
    if not whole or type(loader.batch_sampler) not in (BatchSampler, type(None)):
        raise BadProblem(
            f"The {split} loader draws its examples with {type(order).__name__}, which may leave some out; give the "
            "examples themselves, as a torch.utils.data.Subset for a part of a data set."
        )
    return loader.collate_fn if loader.batch_size is not None else default_collate


def _collated(dataset: Any, *, split: str, collate: Any) -> Any:
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
        raise BadProblem(
            f"The {split} data are {_kind(dataset)}, an iterable data set, which has no fixed examples to select and "
            "compare on; give a map-style data set, with __getitem__ and __len__."
        )
    if len(dataset) == 0:
        raise BadProblem(f"The {split} split is empty; give it at least one example.")
    try:
        return collate([dataset[index] for index in range(len(dataset))])
    except Exception as error:
        raise BadProblem(
            f"The examples of the {split} data cannot be stacked ({type(error).__name__}: {error}); let each be a pair "
            "of numbers or arrays of one shape."
        ) from error


def _tensor(values: Any, *, split: str, part: str) -> Tensor:
    if isinstance(values, Tensor):
        return values.detach()
    try:
        return torch.tensor(np.asarray(values))
    except (TypeError, ValueError) as error:
        raise BadProblem(
            f"The {split} {part} are {_kind(values)} and cannot be read as numbers; give a tensor or a numeric array."
        ) from error


def _kind(value: Any) -> str:
    return f"of type {type(value).__name__}"
