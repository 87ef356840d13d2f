"""A user's examples as one split of tensors: pairs of arrays, data sets, data loaders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree
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
from optwise.numerics.rng import Streams
from optwise.problems.arrays import own_tensor

Source: TypeAlias = tuple[Any, Any] | Dataset[Any] | DataLoader[Any]
"""Inputs and labels as tensors or arrays, a map-style data set of pairs, or a loader of one."""

READ_TWICE = 8
"""Examples of a data set that are read once more, to see whether it draws random numbers."""

READING_SEED = 0
"""Of the random numbers that a data set draws while it is read: the same data in every process."""


class Reading(NamedTuple):
    """A split, and what is said of its source: where what was read is not what a loop over it would have met."""

    split: Split
    notes: tuple[str, ...] = ()


def read_split(source: Source, *, split: str, dtype: torch.dtype) -> Reading:
    """All examples of ``source``, in memory of our own, floating numbers in ``dtype``, whole labels as int64.

    A data set is read through once: a random transformation inside it is drawn once, from a seed of its own, and then
    kept, which the notes say.

    Args:
        source: Where the examples are.
        split: Name of the split, for messages.
        dtype: Type of the network's parameters.

    Raises:
        BadProblem: An iterable data set, a loader that leaves examples out, examples that are no pairs of dense
            numbers.

    Example:
        >>> read_split((np.eye(2), np.array([0, 1])), split="train", dtype=torch.float32).split.x.dtype
        torch.float32
    """
    notes: tuple[str, ...] = ()
    if isinstance(source, DataLoader):
        pair, notes = _collated(source.dataset, split=split, collate=_collate_of(source, split=split))
        notes = (*notes, *_ignored(source, split=split))
    elif isinstance(source, Dataset):
        pair, notes = _collated(source, split=split, collate=default_collate)
    else:
        pair = source
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise BadProblem(
            f"The {split} data are of type {type(pair).__name__}; give (x, y) as tensors or arrays, or a data set or "
            "loader of such pairs."
        )
    x, y = (own_tensor(part, split=split, part=name) for part, name in zip(pair, ("inputs", "labels"), strict=True))
    y = _cast(y, dtype, split, "labels") if y.is_floating_point() else y.to(torch.int64)
    return Reading(Split(_cast(x, dtype, split, "inputs"), y), notes)


def loader_batch_size(source: Source) -> int | None:
    """The batch size that comes with a data loader; ``None`` for other sources."""
    return source.batch_size if isinstance(source, DataLoader) else None


def loader_drops_last(source: Source) -> bool:
    """Whether a data loader leaves the short last batch of an epoch out."""
    return isinstance(source, DataLoader) and bool(source.drop_last)


def _cast(tensor: Tensor, dtype: torch.dtype, split: str, part: str) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    cast = tensor.to(dtype)
    lost = torch.isfinite(tensor) & ~torch.isfinite(cast)
    if bool(lost.any()):
        raise BadProblem(
            f"The {split} {part} hold {int(lost.sum())} numbers too large for {str(dtype).removeprefix('torch.')}, the "
            "type of the network's parameters; scale them first."
        )
    return cast


def _collate_of(loader: DataLoader[Any], *, split: str) -> Callable[[Any], Any]:
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


def _collated(dataset: Any, *, split: str, collate: Callable[[Any], Any]) -> tuple[Any, tuple[str, ...]]:
    """All examples of a data set as one batch, and what is said of it."""
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
        raise BadProblem(
            f"The {split} data are of type {type(dataset).__name__}, an iterable data set, which has no fixed examples "
            "to select and compare on; give a map-style data set, with __getitem__ and __len__."
        )
    if len(dataset) == 0:
        raise BadProblem(f"The {split} split is empty; give it at least one example.")
    some = range(min(READ_TWICE, len(dataset)))
    with Streams(READING_SEED):
        try:
            read = [dataset[index] for index in range(len(dataset))]
            whole = collate(read)
            drawn = not _same([dataset[index] for index in some], [read[index] for index in some])
            again = collate([read[index] for index in some])
        except Exception as error:
            raise BadProblem(
                f"The examples of the {split} data cannot be stacked ({type(error).__name__}: {error}); let each be a "
                "pair of numbers or arrays of one shape."
            ) from error
    return whole, tuple(_frozen(whole, again, len(some), drawn=drawn, split=split))


def _frozen(whole: Any, again: Any, some: int, *, drawn: bool, split: str) -> Iterator[str]:
    if drawn:
        yield (
            f"The {split} data set gives another example each time it is asked (a random augmentation?). Every example "
            "was read once, with a seed of its own, and is kept as it is: the methods train on one frozen draw. To "
            "draw anew in each step, augment within the network, in its training mode."
        )
    elif not _same(again, [part[:some] if isinstance(part, Tensor) else None for part in whole]):
        yield (
            f"The collate_fn of the {split} loader gives other numbers for a batch than for all examples at once "
            "(random, or padded to the longest). It was called once, on all of them, and what it gave is kept."
        )


def _same(one: Any, other: Any) -> bool:
    """Whether two readings hold the same numbers; a part that can be compared in no way counts as the same."""
    pairs = zip(pytree.tree_leaves(one), pytree.tree_leaves(other), strict=False)
    return all(a is b or b is None or _equal(a, b) for a, b in pairs)


def _equal(a: Any, b: Any) -> bool:
    try:
        return bool(np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True))
    except (TypeError, ValueError, RuntimeError):
        return True


def _ignored(loader: DataLoader[Any], *, split: str) -> Iterator[str]:
    """What a loader was told and what has no part in a comparison."""
    if split != "train" and loader.drop_last and loader.batch_size and len(loader.dataset) % loader.batch_size:  # type: ignore[arg-type]
        yield f"The {split} loader drops its last batch; here every example of the {split} split is measured."
    if split == "train" and type(loader.sampler) is SequentialSampler:
        yield "The train loader keeps its order; here every trial draws its own, and each epoch another."
    if loader.worker_init_fn is not None:
        yield f"The {split} loader's worker_init_fn was not called; its examples were read here, in one process."
