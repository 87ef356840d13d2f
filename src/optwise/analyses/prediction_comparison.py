"""The runs of a method beside their predictions: what they add up to, and the chance of that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optwise.analyses.predictions import Predicted, Predictions
from optwise.core.finding import Interval
from optwise.core.forecast import Floats
from optwise.core.run import Run
from optwise.core.status import Status
from optwise.numerics.sums_of_squares import estimated_range, estimated_spread, known_range, known_spread, skew_bounds

FEWEST_RUNS = 4
"""Runs that a spread is estimated from at least. Source: optwise, own choice."""
HEAVY = 0.5
"""Share of a sum that one run may have where the spread is estimated: beyond it, the sample says nothing of its mean.
Source: optwise, own choice."""
OUTSIDE = 1e-3
"""Chance that a range leaves out what it is about."""
RELATIVE = {"float32": 1e-4, "float64": 1e-9}
"""Of an excess, what rounding may change. Noiseless runs of 1000 steps stray by 2e-5 at most in float32 and 6e-14 in
float64, momentum 0.99 the most: coefficients such as 1 - momentum are rounded too."""
ROOTS = {"float32": 3e-6, "float64": 1e-12}
"""Of the root of the largest excess so far, what rounding may change of any root; measured were 7e-7 and 6e-15."""
LIMITS = {"float32": 1e30, "float64": 1e290}
"""Beyond these, numbers overflow somewhere, and nothing is compared."""
SPREADS = 40.0
"""Expected excesses that no run exceeds: the square of a normal does with a chance of 3e-10."""
CALM = 1e-15
"""Share of an expected excess that every run exceeds: the square of a normal does not with a chance of 3e-8."""


@dataclass(frozen=True, eq=False)
class Compared:
    """What runs add up to, and what theory says of that.

    Args:
        step: Of the runs; ``None`` for the mean over their course.
        runs: How many.
        measured: Mean value, each study weighed by how precisely it is predicted; over the course, mean of measured
            over predicted.
        predicted: What theory says of it.
        error: Standard error of ``measured``.
        rounding: What rounding may change of it.
        errors: What rounding does not explain of the difference, in standard errors; infinite where there are none.
        p: Two-sided chance of a difference this large.
        low: Lower end of the 99.9 % range of measured minus predicted, rounding apart.
        high: Its upper end.
    """

    step: int | None
    runs: int
    measured: float
    predicted: float
    error: float
    rounding: float
    errors: float
    p: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        """Measured minus predicted."""
        return self.measured - self.predicted

    @property
    def interval(self) -> Interval:
        """The difference with its 99.9 % range, rounding included."""
        return Interval(self.low - self.rounding, self.high + self.rounding)


@dataclass(frozen=True, eq=False)
class Held:
    """The runs of one study beside their prediction.

    Args:
        predicted: What theory says.
        excess: What was measured, over the optimum [n, K]; NaN where a run had ended.
        rounding: What rounding may change of an excess [K].
        comparable: Where numbers are compared [K].
        overflow: Where theory expects numbers that may overflow [K].
    """

    predicted: Predicted
    excess: Floats
    rounding: Floats
    comparable: NDArray[np.bool_]
    overflow: NDArray[np.bool_]

    @property
    def lost(self) -> int:
        """Runs that ended where theory expects numbers."""
        return int(np.isnan(self.excess[:, self.comparable]).any(1).sum())

    @property
    def ended(self) -> int:
        """Runs that ended before their last step."""
        return int(np.isnan(self.excess).any(1).sum())

    @property
    def calm(self) -> int:
        """Runs that stay small where theory expects overflow, surely and not only on average."""
        if self.predicted.deviation is None:
            return 0
        with np.errstate(invalid="ignore"):
            return int((self.excess < CALM * np.minimum(self.predicted.risk, 1e300))[:, self.overflow].any(1).sum())


def hold(predicted: Predicted, confirm: Sequence[Run], predictions: Predictions) -> Held | None:
    """The runs of a study beside its prediction; those that a machine ended say nothing and are left out."""
    own = [
        dict(run.curve(predictions.metric))
        for run in confirm
        if run.name is not None
        and run.name.study == predicted.study
        and (run.status.ok or run.status is Status.NOT_FINITE)
    ]
    own = [curve for curve in own if curve]
    if not own:
        return None
    values = np.array([[curve.get(int(k), math.nan) for k in predicted.steps] for curve in own], dtype=np.float64)
    relative, roots = RELATIVE[predictions.dtype], ROOTS[predictions.dtype]
    with np.errstate(over="ignore", invalid="ignore"):
        excess = np.where(np.isfinite(values), values - predictions.optimum, math.nan)
        risk = predicted.risk
        largest = np.maximum(np.maximum.accumulate(risk), predictions.size)
        shift = roots * np.sqrt(largest)
        rounding = relative * risk + shift * (2 * np.sqrt(risk) + shift) + roots * abs(predictions.optimum)
        overflow = np.logical_or.accumulate(~(SPREADS * risk < LIMITS[predictions.dtype]))
    return Held(predicted, excess, rounding, ~(overflow | predicted.heavy), overflow)


def step_by_step(studies: Sequence[Held], optimum: float = 0.0) -> list[Compared]:
    """Every step at which numbers can be compared: the sum over runs against its expectation.

    Where the deviation of one run is known, the sum is a shifted gamma variable with bounds on its skewness, otherwise
    its spread is that of the runs.

    Args:
        studies: Their runs and predictions.
        optimum: Best value of the metric.
    """
    steps = sorted({int(k) for held in studies for k in held.predicted.steps[held.comparable]})
    return [one for step in steps if (one := _at(studies, step, optimum)) is not None]


def over_the_course(studies: Sequence[Held]) -> Compared | None:
    """Measured over predicted, its mean over the steps of each run: whatever lasts adds up, and runs are independent.

    How steps hang together is not known, so that the spread is always that of the runs. Steps whose prediction is
    mostly rounding are left out.

    Args:
        studies: Their runs and predictions.
    """
    means, slacks = [], []
    for held in studies:
        risk = held.predicted.risk
        kept = held.comparable & (held.rounding < 0.01 * risk)
        if kept.any():
            means.append((held.excess[:, kept] / risk[kept]).mean(1))
            slacks.append(float((held.rounding[kept] / risk[kept]).mean()))
    if not means:
        return None
    return _estimated(np.concatenate(means), slack=max(slacks))


def _at(studies: Sequence[Held], step: int, optimum: float) -> Compared | None:
    here = [(h, int(np.flatnonzero(h.predicted.steps == step)[0])) for h in studies if step in h.predicted.steps]
    here = [(held, i) for held, i in here if held.comparable[i]]
    risk = np.array([held.predicted.risk[i] for held, i in here])
    rounding = np.array([held.rounding[i] for held, i in here])
    counts = np.array([float(len(held.excess)) for held, _ in here])
    known = [held.predicted.deviation for held, _ in here]
    deviation = np.array([math.nan if d is None else d[i] for d, (_, i) in zip(known, here, strict=True)])
    is_known = not bool(np.isnan(deviation).any())

    scale = np.maximum(risk, rounding)
    scale[scale == 0] = 1.0  # nothing is there, and nothing is rounded
    spread = np.hypot(deviation / scale, rounding / scale)
    weights = 1 / (scale * np.where(spread > 0, spread, 1.0) ** 2) if is_known else 1 / scale
    weights /= float(weights @ counts)
    predicted, slack = float(weights * counts @ risk), float(weights * counts @ rounding)
    each = np.concatenate([w * held.excess[:, i] for w, (held, i) in zip(weights, here, strict=True)])
    if is_known:
        skews = skew_bounds(weights, counts, risk, deviation) if (deviation > 0).any() else None
        error = math.sqrt(float(counts @ (weights * deviation) ** 2))
        return _known(step, each, predicted, optimum=optimum, slack=slack, error=error, skews=skews)
    if predicted <= 0:
        return None
    return _estimated(len(each) * each / predicted, slack / predicted, step=step, unit=predicted, optimum=optimum)


def _known(
    step: int,
    each: Floats,
    predicted: float,
    *,
    optimum: float,
    slack: float,
    error: float,
    skews: tuple[float, float] | None,
) -> Compared:
    measured = float(each.sum())
    difference = measured - predicted
    beyond = math.copysign(max(abs(difference) - slack, 0.0), difference)
    if skews is None:
        errors, p, ends = (math.copysign(math.inf, beyond), 0.0, (0.0, 0.0)) if beyond else (0.0, 1.0, (0.0, 0.0))
    else:
        errors, ends = beyond / error, known_range(*skews, OUTSIDE)
        p = known_spread(errors, *skews)
    low, high = difference - ends[1] * error, difference - ends[0] * error
    return Compared(step, each.size, optimum + measured, optimum + predicted, error, slack, errors, p, low, high)


def _estimated(
    ratios: Floats, slack: float, *, step: int | None = None, unit: float = 1.0, optimum: float = 0.0
) -> Compared | None:
    """Measured over predicted of each run, in units of what is predicted."""
    n, mean = ratios.size, float(ratios.mean())
    if n < FEWEST_RUNS or float(ratios.max()) > HEAVY * n * mean:
        return None
    errors, p = estimated_spread(ratios, slack)
    low, high = (unit * (end - 1) for end in estimated_range(ratios, OUTSIDE))
    error = unit * float(ratios.std(ddof=1)) / math.sqrt(n)
    if error > 0 and errors != 0:  # on the scale of the test, where a low mean has a smaller spread than it should
        error = unit * (abs(mean - 1) - slack) / abs(errors)
    return Compared(step, n, optimum + unit * mean, optimum + unit, error, unit * slack, errors, p, low, high)
