"""Parts of a problem in another dtype: every tensor a frozen dataclass holds, and every part within it."""

from __future__ import annotations

import copy
from abc import ABC
from dataclasses import fields, is_dataclass
from typing import Self

import torch
from torch import Tensor

from optwise.core.showing import Terse


class Part(Terse, ABC):
    """A part of a problem. One that is a dataclass of tensors and parts can be had in another dtype."""

    def to(self, *, dtype: torch.dtype, device: str = "cpu") -> Self:
        """The same part with its floating tensors in ``dtype`` on ``device``; itself where nothing changes."""
        if not is_dataclass(self):
            return self
        changed = {}
        for f in fields(self):
            value = getattr(self, f.name)
            moved = _moved(value, dtype, device)
            if moved is not value:
                changed[f.name] = moved
        if not changed:
            return self
        other = copy.copy(self)
        for name, value in changed.items():
            object.__setattr__(other, name, value)
        return other


def _moved(value: object, dtype: torch.dtype, device: str) -> object:
    if isinstance(value, Part):
        return value.to(dtype=dtype, device=device)
    if isinstance(value, Tensor):
        return value.to(device=device, dtype=dtype if value.is_floating_point() else value.dtype)
    return value
