"""What is measured of rows along the way: off the clock, in batches of its own size, at the evaluation weights."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from optwise.core.data import Split
from optwise.core.metric import Direction
from optwise.core.problem import Problem
from optwise.core.run import Measurement
from optwise.engine.program import Rows
from optwise.engine.rungs import Stepper

EVALUATION_NUMBERS = 2**22
"""Input numbers a measuring pass may hold over all rows, so that measuring never needs more memory than stepping."""

BLOW_UP = 1e6
"""A training loss this many times the start's marks the settings as infeasible."""


class Recorder:
    """Collects the measurements of T rows.

    Args:
        problem: What is measured.
        splits: Names of the splits to measure; empty where there is no data.
        rows: T.
    """

    def __init__(self, problem: Problem, splits: Sequence[str], rows: int) -> None:
        self.problem = problem
        self.splits = tuple(splits)
        self.measurements: list[list[Measurement]] = [[] for _ in range(rows)]
        self.seconds = 0.0

    def record(self, step: int, stepper: Stepper, rows: Rows, live: Sequence[int]) -> Rows:
        """Measure the live rows after ``step`` steps; a row whose training or selection metric is not finite ends here.

        A NaN or infinity is stored as what it is.
        """
        started = time.perf_counter()
        finite = torch.ones_like(rows.alive)
        data = self.problem.data
        named: list[tuple[str, Split | None]] = (
            [("", None)] if data is None else [(name, data.splits[name]) for name in self.splits if name in data.splits]
        )
        for name, split in named:
            means = self._means(stepper, rows, split)
            for metric, values in means.items():
                for t in live:
                    self.measurements[t].append(Measurement(step, name, metric, float(values[t])))
                finite &= torch.isfinite(values)
        self.seconds += time.perf_counter() - started
        return rows._replace(alive=rows.alive & finite)

    def _means(self, stepper: Stepper, rows: Rows, split: Split | None) -> dict[str, Tensor]:
        if split is None:
            return {name: values.double().mean(1) for name, values in stepper.measure(rows, None, None).items()}
        per_example = max(1, split.x[0].numel()) * rows.w.shape[0]
        size = max(1, EVALUATION_NUMBERS // per_example)
        sums: dict[str, Tensor] = {}
        for first in range(0, split.examples, size):
            y = None if split.y is None else split.y[first : first + size]
            for name, values in stepper.measure(rows, split.x[first : first + size], y).items():
                total = values.double().sum(1)
                sums[name] = sums[name] + total if name in sums else total
        return {name: total / split.examples for name, total in sums.items()}

    def infeasible(self, t: int) -> bool:
        """Whether row ``t`` never got better than its start or the trivial predictor, or its training loss blew up."""
        metric = self.problem.main_metric
        direction = self.problem.direction(metric)
        curve = [m.value for m in self.measurements[t] if m.name == metric]
        if not curve:
            return False
        later = [v for v in curve[1:] if math.isfinite(v)]
        bars = [curve[0], *([] if self.problem.predictor is None else [self.problem.predictor])]
        best = (min if direction is Direction.MIN else max)(later, default=math.nan)
        train = [m.value for m in self.measurements[t] if m.name == f"train/{self.problem.metrics[0].name}"]
        blown = len(train) > 1 and max(train[1:]) > BLOW_UP * max(abs(train[0]), 1e-300)
        return blown or not all(direction.better(best, bar) for bar in bars)
