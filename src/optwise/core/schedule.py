"""What a schedule is: the factor on the learning rate as a closed form of the step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optwise.core.showing import Terse

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Schedule(Terse, ABC):
    """Factor on ``lr`` at step ``k`` (0-based: steps already taken); no state, so nothing to get out of step.

    Args:
        horizon: Steps over which the schedule runs; ``None`` takes the run's own budget. A decayed run cut short is
            another method, so the horizon is part of it.
    """

    horizon: int | None = None

    @abstractmethod
    def factor(self, k: Floats, horizon: int) -> Floats:
        """Factors at steps ``k`` (any shape) of a run of ``horizon`` steps."""

    def factors(self, steps: int) -> Floats:
        """The factors of a whole run of ``steps`` steps [steps]; past the horizon the last one stays."""
        horizon = self.horizon or steps
        return self.factor(np.minimum(np.arange(steps, dtype=np.float64), horizon - 1), horizon)

    def expression(self, horizon: int) -> str | None:
        """The factor as Python, of ``k``, for a run of ``horizon`` steps; ``None`` where it is not written out.

        ``k`` is at most ``horizon - 1`` and ``math`` is imported.
        """
        return None

    @property
    def needs_horizon(self) -> bool:
        """Whether the end of the run changes its beginning; only other schedules may be scored on shorter budgets."""
        return True
