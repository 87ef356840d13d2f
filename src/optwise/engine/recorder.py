"""What is noted of rows along the way: metrics, off the clock and at the evaluation weights, and their counters."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from optwise.core.budget import STEPS
from optwise.core.data import Split
from optwise.core.metric import Direction
from optwise.core.problem import Problem
from optwise.core.run import HeldWeights, Measurement
from optwise.core.spending import Spending
from optwise.engine.chunks import held
from optwise.engine.program import Rows
from optwise.engine.rungs import Stepper, row_of

EVALUATION_NUMBERS = 2**22
"""Input numbers a measuring pass may hold over all rows, so that measuring never needs more memory than stepping."""

BLOW_UP = 1e6
"""A training loss this many times the start's marks the settings as infeasible."""


class Best(NamedTuple):
    """The best evaluation of a row so far, and what was measured there; no weights where they are too large."""

    step: int
    value: float
    weights: HeldWeights | None


class Recorder:
    """Collects the measurements and the counters of T rows.

    Args:
        problem: What is measured.
        splits: Names of the splits to measure; empty where there is no data.
        rows: T.
        keep_best: The metric, by full name, whose best evaluation keeps its weights; ``None`` keeps none.
    """

    def __init__(self, problem: Problem, splits: Sequence[str], rows: int, keep_best: str | None = None) -> None:
        self.problem = problem
        self.splits = tuple(splits)
        self.keep_best = keep_best
        self.measurements: list[list[Measurement]] = [[] for _ in range(rows)]
        self.best: list[Best | None] = [None] * rows
        self.seconds = 0.0
        self._counted: list[list[Mapping[str, float]]] = [[] for _ in range(rows)]

    def record(
        self, step: int, stepper: Stepper, rows: Rows, live: Sequence[int], totals: Sequence[Mapping[str, float]]
    ) -> Rows:
        """Measure the live rows after ``step`` steps; a row whose training or selection metric is not finite ends here.

        A NaN or infinity is stored as what it is.

        Args:
            step: Steps taken by each of them.
            stepper: Knows how rows are measured.
            rows: All T rows.
            live: Which of them are measured.
            totals: The counters of all T rows.
        """
        for t in live:
            self._counted[t].append(totals[t])
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
                if step > 0 and self.keep_best == (f"{name}/{metric}" if name else metric):
                    self._keep_best(step, stepper, rows, {t: float(values[t]) for t in live})
                finite &= torch.isfinite(values)
        self.seconds += time.perf_counter() - started
        return rows._replace(alive=rows.alive & finite)

    def _keep_best(self, step: int, stepper: Stepper, rows: Rows, values: Mapping[int, float]) -> None:
        """Keep the weights of the rows whose value is their best so far."""
        direction = self.problem.direction(self.keep_best or "")
        better = [
            t
            for t, value in values.items()
            if math.isfinite(value) and ((best := self.best[t]) is None or direction.better(value, best.value))
        ]
        if better:
            points = {**stepper.measured(rows), **rows.buffers}
            for t in better:
                self.best[t] = Best(step, values[t], held(row_of(points, t), keep=True))

    def measured_at(self, t: int) -> int:
        """The step of row ``t``'s last evaluation."""
        return int(self._counted[t][-1][STEPS])

    def spending(self, t: int, totals: Mapping[str, float]) -> Spending:
        """The counters of row ``t`` at its evaluations, and at its end, where they are ``totals``."""
        counted = self._counted[t]
        ended = not counted or counted[-1][STEPS] != totals[STEPS]
        return Spending.of([*counted, totals] if ended else counted)

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
        masses = {name: float(mass.double().sum()) for name, mass in self.problem.objective.masses(split.y).items()}
        return {name: total / masses.get(name, split.examples) for name, total in sums.items()}

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
