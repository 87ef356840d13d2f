"""Schedules that are lists of numbers: one for every step, or one from each milestone on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from torch import Tensor

from optwise.core.errors import BadMethod
from optwise.core.hyperparameters import admitted, within
from optwise.core.method import Hyper
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

    values: tuple[float, ...] = (1.0,)

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


@final
@dataclass(frozen=True)
class Milestones(Schedule):
    """Factor 1 at first, and from each of ``steps`` on the factor beside it.

    Args:
        steps: Steps taken before each change, increasing.
        then: What the factor is from then on, at least 0; not what it is multiplied by.

    Raises:
        BadMethod: Another number of factors than of steps; steps that do not increase; a factor that is negative.

    Example:
        >>> Milestones(steps=(2, 4), then=(0.1, 0.01)).factors(5).tolist()
        [1.0, 1.0, 0.1, 0.1, 0.01]

    References:
        torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, gamma) has the factors gamma, gamma^2, ....
    """

    steps: Hyper = ()
    then: Hyper = ()

    def __post_init__(self) -> None:
        for name in ("steps", "then"):
            own = getattr(self, name)
            object.__setattr__(self, name, tuple(own) if isinstance(own, tuple | list) else (own,))
        check_milestones("Milestones.steps", self.steps)
        if len(self.steps) != len(self.then):
            raise BadMethod(f"Milestones has {len(self.steps)} steps and {len(self.then)} factors; give one to each.")
        for i, value in enumerate(self.then):
            within(f"Milestones.then[{i}]", admitted(f"Milestones.then[{i}]", value, 1.0), (0.0, math.inf))

    def factor(self, k: Floats, horizon: int) -> Floats:
        places = np.searchsorted(np.asarray(self.steps, dtype=np.float64), k, side="right")
        return np.asarray((1.0, *self.then), dtype=np.float64)[places]

    def expression(self, horizon: int) -> str:
        place = " + ".join(f"(k >= {step})" for step in self.steps)
        return f"{(1.0, *self.then)!r}[{place or 0}]"

    @property
    def needs_horizon(self) -> bool:
        return False


def check_milestones(where: str, steps: Sequence[Any]) -> None:
    """Refuse milestones that are no whole numbers of steps, each later than the one before.

    Raises:
        BadMethod: With what was found.
    """
    before = -1
    for step in steps:
        if isinstance(step, Tensor):  # inside a batched pass; looked at when the method was made
            continue
        whole = isinstance(step, int | float | np.integer) and not isinstance(step, bool) and float(step).is_integer()
        if not whole or step <= before:
            raise BadMethod(f"{where} is {tuple(steps)!r}; give whole steps from 0 on, each later than the one before.")
        before = int(step)
