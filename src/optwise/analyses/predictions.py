"""What theory says of the runs of one method: kept in the notes of a protocol, written into the results."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optwise.analyses.observing import Scorer
from optwise.core.forecast import Floats

FORECASTS = "forecasts"
"""Where the notes of a protocol hold them: by problem, then by method."""


@dataclass(frozen=True, eq=False)
class Predicted:
    """The forecast of one configuration, at the steps at which its runs are measured.

    Args:
        study: The study that selected the configuration; -1 at library defaults.
        steps: When runs are measured [K].
        risk: Expected excess over the optimum there [K], infinite where it grows beyond all numbers.
        deviation: Standard deviation over runs of that excess [K]; ``None`` where it is not known.
        diverges: Whether the expected risk grows without end.
        heavy: Where rare runs make up so much of the expectation that no sample shows it [K].
    """

    study: int
    steps: NDArray[np.intp]
    risk: Floats
    deviation: Floats | None
    diverges: bool
    heavy: NDArray[np.bool_]

    @classmethod
    def read(cls, note: Mapping[str, Any], *, last: int) -> Predicted:
        """A note, up to step ``last``."""
        kept = [i for i, k in enumerate(note["steps"]) if k <= last]

        def numbers(name: str) -> Floats:
            return np.array([math.inf if note[name][i] is None else note[name][i] for i in kept], dtype=np.float64)

        steps = np.array([note["steps"][i] for i in kept], dtype=np.intp)
        deviation = None if note["deviation"] is None else numbers("deviation")
        heavy = np.isin(steps, note["heavy"])
        return cls(note["study"], steps, numbers("risk"), deviation, note["diverges"], heavy)

    def note(self, optimum: float = 0.0) -> dict[str, Any]:
        """It as plain JSON, ``optimum`` added to the risk; what is not finite is null."""
        return {
            "study": self.study,
            "steps": self.steps.tolist(),
            "risk": _plain(optimum + self.risk),
            "deviation": None if self.deviation is None else _plain(self.deviation),
            "diverges": self.diverges,
            "heavy": self.steps[self.heavy].tolist(),
        }


@dataclass(frozen=True, eq=False)
class Predictions:
    r"""What theory says of one method on one problem.

    Args:
        metric: What is predicted, by full name.
        optimum: Its best value, over which risks are the excess.
        size: :math:`\tfrac12 \sum_i h_i \, \mathbb E (w_i^2 + w_i^{\star 2})` at the start: the scale of numbers that
            are rounded.
        dtype: In which the runs were computed.
        studies: The selected configuration of each study that has one.
        default: The configuration at library defaults.
        reason: Why there is nothing; empty where there is.
    """

    metric: str
    optimum: float
    size: float
    dtype: str
    studies: tuple[Predicted, ...] = ()
    default: Predicted | None = None
    reason: str = ""

    def note(self) -> dict[str, Any]:
        """What the notes of a protocol keep."""
        everything = [*self.studies, *([] if self.default is None else [self.default])]
        return {
            "metric": self.metric,
            "optimum": self.optimum,
            "size": self.size,
            "predicted": [predicted.note() for predicted in everything],
            "reason": self.reason,
        }

    def document(self) -> dict[str, Any]:
        """What the results document says: the expected value of the metric itself, under ``risk``."""
        return {
            "metric": self.metric,
            "optimum": self.optimum,
            "studies": [predicted.note(self.optimum) for predicted in self.studies],
            "default": None if self.default is None else self.default.note(self.optimum),
            "reason": self.reason,
        }


def predictions(scorer: Scorer, problem: str, method: str) -> Predictions | None:
    """What the notes hold of a method, as far as its budget reaches; ``None`` where nothing is known of the problem."""
    note = scorer.notes.get(FORECASTS, {}).get(problem, {}).get(method)
    if note is None:
        return None
    last = int(scorer.plan(problem, method)["steps"])
    everything = [Predicted.read(each, last=last) for each in note["predicted"]]
    return Predictions(
        metric=note["metric"],
        optimum=note["optimum"],
        size=note["size"],
        dtype=scorer.protocol.dtype,
        studies=tuple(each for each in everything if each.study >= 0),
        default=next((each for each in everything if each.study < 0), None),
        reason=note["reason"],
    )


def _plain(values: Floats) -> list[float | None]:
    return [float(value) if math.isfinite(value) else None for value in values]
