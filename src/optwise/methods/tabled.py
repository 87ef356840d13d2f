"""A schedule that is a list of numbers: whatever was computed, measured or drawn by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from optwise.core.errors import BadMethod
from optwise.core.schedule import Floats, Schedule


@final
@dataclass(frozen=True)
class Table(Schedule):
    """The factors themselves, one for each step; past the last one it stays.

    Args:
        values: Factors of steps 0, 1, 2, ..., at least 0.

    Raises:
        BadMethod: No factor at all, one that is negative, or none that is a number.

    Example:
        >>> Table((1.0, 0.5, 0.25)).factors(5).tolist()
        [1.0, 0.5, 0.25, 0.25, 0.25]

    References:
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: values[min(k, len(values) - 1)]).
    """

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        try:
            own = tuple(float(value) for value in self.values)
        except TypeError as error:
            raise BadMethod(
                f"Table.values is {self.values!r}; give one factor for each step, as (1.0, 0.5)."
            ) from error
        if not own:
            raise BadMethod("Table.values is empty; give one factor for each step, as (1.0, 0.5).")
        for k, value in enumerate(own):
            if not (0 <= value < math.inf):
                raise BadMethod(f"Table.values has {value} at step {k}; a factor must be a finite number, at least 0.")
        object.__setattr__(self, "values", own)

    def factor(self, k: Floats, horizon: int) -> Floats:
        places = np.minimum(k.astype(np.intp), len(self.values) - 1)
        return np.asarray(self.values, dtype=np.float64)[places]

    def expression(self, horizon: int) -> str:
        return f"{self.values!r}[min(k, {len(self.values) - 1})]"

    @property
    def needs_horizon(self) -> bool:
        return False
