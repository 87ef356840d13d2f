"""Settings of one rule that are probed together, and what its code raises, as one sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from optwise.core.errors import BadMethod, OptwiseError
from optwise.core.method import Method

Numbers: TypeAlias = dict[str, Tensor]

CHOSEN = 4
"""Settings of many that are looked at in every step, and of which whole runs are looked at."""


@dataclass(frozen=True, eq=False)
class Settings:
    """Where a rule is probed: numbers by path, clocks and given leaves, each with one entry per setting."""

    numbers: Numbers
    clocks: list[Tensor]
    fixed: list[Tensor]

    @property
    def count(self) -> int:
        """T: how many."""
        return len(self.numbers["lr"])

    def each(self, function: Callable[..., Any]) -> Any:
        """``function`` of each setting's numbers, clocks and given leaves, stacked; vmapped where there are several."""
        if self.count > 1:
            return torch.func.vmap(function)(self.numbers, self.clocks, self.fixed)
        numbers = {path: n[0] for path, n in self.numbers.items()}
        found = function(numbers, [c[0] for c in self.clocks], [f[0] for f in self.fixed])
        return pytree.tree_map(lambda part: part[None], found)

    def repeated(self, times: int, clocks: list[Tensor]) -> Settings:
        """The same settings several times over, with other clocks."""
        numbers = {path: n.repeat(times) for path, n in self.numbers.items()}
        return Settings(numbers, clocks, [leaf.repeat(times, *[1] * (leaf.ndim - 1)) for leaf in self.fixed])


def extremes(values: Sequence[dict[str, Any]]) -> list[int]:
    """Places of the first and last setting and of those whose numbers are the least and the largest, a few at most.

    Args:
        values: Hyperparameters of each setting by path.
    """
    if len(values) <= CHOSEN:
        return list(range(len(values)))
    chosen = {0: None, len(values) - 1: None}
    for path, first in values[0].items():
        if is_number(first):
            column = np.array([float(own[path]) for own in values])
            chosen |= {int(np.argmin(column)): None, int(np.argmax(column)): None}
    return list(chosen)[: 2 * CHOSEN]


def kind_of(rule: Method, values: dict[str, Any]) -> tuple[Any, ...]:
    """What settings must share to be probed together: the classes, and whatever is no number."""
    return (*rule.kinds, *((path, "" if is_number(value) else repr(value)) for path, value in values.items()))


def is_number(value: Any) -> bool:
    """Whether a hyperparameter is a number, and no flag."""
    return isinstance(value, int | float) and not isinstance(value, bool)


class sentences:  # noqa: N801 - reads as a statement: with sentences(label)
    """What a user's step raises while it is probed, as one sentence."""

    def __init__(self, label: str) -> None:
        self.label = label

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, OptwiseError):
            text = (str(error).strip().splitlines() or [""])[0][:160]
            raise BadMethod(f"{self.label} cannot be probed: {type(error).__name__}: {text}.") from error
