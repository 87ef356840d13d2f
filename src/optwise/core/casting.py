"""Parts of a problem in another dtype: every tensor a frozen dataclass holds, and every part within it."""

from __future__ import annotations

import copy
from abc import ABC
from dataclasses import fields, is_dataclass
from typing import Any, Self

import torch
from torch import Tensor

from optwise.core.showing import Terse


class Part(Terse, ABC):
    """A part of a problem. One that is a dataclass of tensors and parts can be had in another dtype."""

    @property
    def called(self) -> str:
        """What it is called where a problem is told by its parts: its class."""
        return type(self).__name__

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


def ours(part: Any) -> bool:
    """Whether all of a part was written here: its class, the parts it holds, and no function of the caller among them.

    Example:
        >>> from optwise.problems.terms.penalties import L1
        >>> class Mine(L1):
        ...     __module__ = "mine"
        >>> ours(L1(0.1)), ours(Mine(0.1))
        (True, False)
    """
    if not type(part).__module__.startswith("optwise."):
        return False
    held = [getattr(part, name) for name in _names(type(part))]
    return all(ours(value) if isinstance(value, Part) else not _foreign(value) for value in held)


_NAMES: dict[Any, tuple[str, ...]] = {}


def _names(kind: Any) -> tuple[str, ...]:
    """The fields of a class, looked up once."""
    if kind not in _NAMES:
        _NAMES[kind] = tuple(f.name for f in fields(kind)) if is_dataclass(kind) else ()
    return _NAMES[kind]


def _foreign(value: object) -> bool:
    if isinstance(value, tuple | list):
        return any(_foreign(each) if not isinstance(each, Part) else not ours(each) for each in value)
    return callable(value) and not type(value).__module__.startswith(("optwise.", "torch."))


def _moved(value: object, dtype: torch.dtype, device: str) -> object:
    if isinstance(value, Part):
        return value.to(dtype=dtype, device=device)
    if isinstance(value, Tensor):
        return value.to(device=device, dtype=dtype if value.is_floating_point() else value.dtype)
    return value
