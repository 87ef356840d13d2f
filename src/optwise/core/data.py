"""Data in named splits that are never mixed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from optwise.core.cards import data_card, split_card
from optwise.core.errors import BadProblem
from optwise.core.showing import Card, Shown


@dataclass(frozen=True, eq=False)
class Split(Shown):
    """Examples: inputs ``x`` [N, ...] and labels ``y`` [N, ...], or ``None`` where there are no labels."""

    x: Tensor
    y: Tensor | None = None

    @property
    def examples(self) -> int:
        """How many."""
        return int(self.x.shape[0])

    def to(self, *, dtype: torch.dtype, device: str) -> Split:
        """On a device, floating tensors in ``dtype``; whole numbers keep their type."""
        return Split(_cast(self.x, dtype, device), None if self.y is None else _cast(self.y, dtype, device))

    def card(self) -> Card:
        return split_card(self)


@dataclass(frozen=True, eq=False)
class Data(Shown):
    """Train makes gradients, validation selects and times, test is looked at once, by an explicit act.

    Raises:
        BadProblem: An empty split, a NaN or infinity, inputs and labels of unequal length.
    """

    train: Split
    valid: Split | None = None
    test: Split | None = None

    def __post_init__(self) -> None:
        for name, split in self.splits.items():
            if split.x.ndim == 0 or split.examples == 0:
                raise BadProblem(f"The {name} split is empty; give it at least one example.")
            if split.y is not None and split.y.shape[:1] != split.x.shape[:1]:
                raise BadProblem(
                    f"The {name} split has {split.examples} inputs and labels of shape {tuple(split.y.shape)}; "
                    "give one label per input."
                )
            for part, tensor in (("inputs", split.x), ("labels", split.y)):
                if tensor is not None and tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                    bad = int((~torch.isfinite(tensor)).sum())
                    raise BadProblem(
                        f"The {name} {part} hold {bad} values that are not finite; clean or impute them first."
                    )

    @property
    def splits(self) -> dict[str, Split]:
        """The splits that exist, by name."""
        named = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: split for name, split in named.items() if split is not None}

    def to(self, *, dtype: torch.dtype, device: str) -> Data:
        """Every split on a device in ``dtype``."""
        return Data(**{name: split.to(dtype=dtype, device=device) for name, split in self.splits.items()})

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the bytes of all splits, in hex."""
        sha = hashlib.sha256()
        for name, split in self.splits.items():
            for tensor in (split.x, split.y):
                if tensor is not None:
                    sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
                    sha.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return sha.hexdigest()

    def card(self) -> Card:
        return data_card(self)


def _cast(tensor: Tensor, dtype: torch.dtype, device: str) -> Tensor:
    return tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else tensor.dtype)
