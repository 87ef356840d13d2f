"""What the report reads off documents and runs: order and leader, best values, what a step costs, quantiles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from optwise.core.budget import EXAMPLE_GRADIENTS, SECONDS, STEPS
from optwise.core.metric import Direction
from optwise.core.outcomes import best_value
from optwise.core.protocol import Protocol
from optwise.core.run import Phase, Run, TrialName
from optwise.core.spending import StepTime
from optwise.core.status import Status

Document: TypeAlias = Mapping[str, Any]
Floats: TypeAlias = NDArray[np.float64]


def address(run: Run) -> TrialName:
    """The run's address; figures are drawn of comparisons only, where every run has one."""
    if run.name is None:
        raise ValueError(f"a run of {run.problem} has no address; the report draws runs of a comparison")
    return run.name


def chosen(runs: Sequence[Run], problem: str, phase: Phase, methods: Sequence[str]) -> list[Run]:
    """Runs of one problem and phase, ordered by method, study and index."""
    place = {method: i for i, method in enumerate(methods)}
    found = [
        run
        for run in runs
        if address(run).problem == problem and address(run).phase is phase and address(run).method in place
    ]
    return sorted(found, key=lambda run: (place[address(run).method], address(run).study, address(run).index))


def direction_of(protocol: Protocol, problem: str, metric: str) -> Direction:
    """Which way a metric is better, as the problem declares it."""
    return Direction(protocol.problems[problem]["metrics"][metric.rpartition("/")[2]])


CLAIMS = ("faster", "better")
"""Words of a verdict that say one method is ahead of the other."""


def leading(document: Document, problem: str) -> str | None:
    """The method that the verdict speaks of first; ``None`` where it is ahead of no other."""
    result = document["problems"][problem]
    first: str | None = result.get("leader")
    return first if any(v["words"] in CLAIMS and v["a"] == first for v in result["verdicts"]) else None


def ordered(document: Document, problem: str) -> list[str]:
    """The methods in the one order of the page.

    It is the document's own; one that is older names none, and its methods stand by median time, misses last, or by
    median value, the leader at the front.
    """
    result = document["problems"][problem]
    if result.get("order"):
        return [name for name in result["order"] if name in result["methods"]]
    metric = document["protocol"]["metric"][problem].rpartition("/")[2]
    sign = Direction(document["protocol"]["problems"][problem]["metrics"][metric]).sign
    first = leading(document, problem)

    def place(name: str) -> tuple[bool, float, float, float]:
        confirm = result["methods"][name]["confirm"]
        time = confirm.get("time_to_target") or {"median": 0.0, "restricted_mean": 0.0}
        value = confirm["value"]["median"]
        late, mean = (math.inf if time[key] is None else time[key] for key in ("median", "restricted_mean"))
        return name != first, late, mean, math.inf if value is None else value * sign

    return sorted(result["methods"], key=place)


def metric_names(runs: Sequence[Run], first: str) -> list[str]:
    """Every metric that was measured, the selection metric first; what was never measured finitely is left out."""
    names = dict.fromkeys(m.name for run in runs for m in run.measurements if math.isfinite(m.value))
    return sorted(names, key=lambda name: name != first)


def feasible_value(run: Run, metric: str, direction: Direction) -> float:
    """Best value of a run; the worst possible infinity where it is labelled infeasible."""
    return math.inf * direction.sign if run.infeasible else best_value(run, metric, direction)


def diverged(run: Run) -> bool:
    """Whether the run ended before its budget without an answer."""
    return not run.status.ok and run.status is not Status.STALLED


class Meter:
    """What each run of one problem had spent at its evaluations, by its own counters.

    Args:
        document: Says how long the steps of each method take.
        problem: Name.
        runs: To be drawn.
    """

    def __init__(self, document: Document, problem: str, runs: Sequence[Run]) -> None:
        executions = {
            name: method.get("execution") or {} for name, method in document["problems"][problem]["methods"].items()
        }
        self._timings = {
            name: StepTime.read(execution)
            for name, execution in executions.items()
            if execution.get("step_seconds") is not None
        }
        self.axes = tuple(
            axis
            for axis in (EXAMPLE_GRADIENTS, STEPS, SECONDS)
            if runs and all(self._counted(run, axis) for run in runs)
        )
        """Axes on which every run can be drawn."""

    def _counted(self, run: Run, axis: str) -> bool:
        if axis == SECONDS:
            return address(run).method in self._timings
        return axis == STEPS or bool(run.counts.get(axis))

    def at(self, run: Run, axis: str, step: float) -> float:
        """What a run had spent of one of the axes after ``step`` steps."""
        return run.spent(axis, step, timing=self._timings.get(address(run).method))


def quantiles(values: Floats, direction: Direction, shares: Sequence[float]) -> Floats:
    """Quantiles of each column of ``values`` [n, k], where NaN is a run that ended and counts as the worst.

    Between two values it is interpolated, as ``np.quantile`` does; NaN where one of them has ended: [shares, k].

    Example:
        >>> quantiles(np.array([[1.0], [2.0], [4.0], [np.nan]]), Direction.MIN, (0.5, 0.75))
        array([[ 3.],
               [nan]])
    """
    ordered = np.sort(np.where(np.isnan(values), np.inf, values * direction.sign), axis=0)
    places = np.array([share * (len(ordered) - 1) for share in shares])
    below, above = np.floor(places + 1e-9).astype(int), np.ceil(places - 1e-9).astype(int)
    with np.errstate(invalid="ignore"):
        found = ordered[below] + (places - below)[:, None] * (ordered[above] - ordered[below])
    found = np.where(np.isfinite(ordered[above]), np.where((below == above)[:, None], ordered[below], found), np.nan)
    return found * direction.sign


def spans_decades(values: Sequence[float], *, ratio: float = 10.0) -> bool:
    """Whether a log scale is possible and worth it: all positive, and the largest ``ratio`` times the smallest."""
    finite = [value for value in values if math.isfinite(value)]
    return bool(finite) and min(finite) > 0 and max(finite) / min(finite) >= ratio
