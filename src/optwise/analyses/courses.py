"""Curves read as numbers: how far a loss moved, whether it still falls, how much it jumps, whether its pace changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from optwise.analyses.intervals import LEVEL, mean_interval
from optwise.core.finding import Interval

Floats = NDArray[np.float64]

LAST = 1 / 3
"""The last share of a run that is looked at for its trend and its noise. Source: optwise, own choice."""
FEWEST = 4
"""Evaluations after the start below which a curve has no shape. Source: optwise, own choice."""


@dataclass(frozen=True, eq=False)
class Course:
    """One curve, lower is better.

    Args:
        steps: At which it was measured [K], the start first.
        values: What was measured [K], all finite.
        paid: Learning rate used up by then, as a share of the whole run's [K]; ``None`` where the schedule is unknown.
    """

    steps: Floats
    values: Floats
    paid: Floats | None = None

    @property
    def start(self) -> float:
        """Value before the first step."""
        return float(self.values[0])

    @property
    def best(self) -> float:
        """Lowest value after the start."""
        return float(self.values[1:].min())

    @property
    def spread(self) -> float:
        """Highest less lowest value, the start included."""
        return float(np.ptp(self.values))

    @property
    def level(self) -> float:
        """Median of the last third."""
        return float(np.median(self._last()[1]))

    @property
    def scale(self) -> float:
        """What noise is relative to: the level, or the spread where values are not all positive."""
        return abs(self.level) if self.values.min() > 0 else self.spread

    @property
    def before(self) -> float:
        """What a fall is relative to: the value before the last third, or the spread, where not all are positive."""
        return max(abs(self.line()[0]), self.level) if self.values.min() > 0 else self.spread

    def line(self) -> tuple[float, float]:
        """Where the straight line through the last third begins and ends."""
        x, y = self._last()
        slope = float(np.polyfit(x - x.mean(), y, 1)[0]) if len(x) > 1 else 0.0
        return float(y.mean() + slope * (x[0] - x.mean())), float(y.mean() + slope * (x[-1] - x.mean()))

    def fall(self) -> float:
        """By how much that line falls."""
        begin, end = self.line()
        return begin - end

    def noise(self) -> float:
        """Standard deviation around that line."""
        x, y = self._last()
        if len(x) < 3:
            return 0.0
        return math.sqrt(float(((y - np.interp(x, x[[0, -1]], self.line())) ** 2).sum()) / (len(x) - 2))

    def fall_interval(self) -> Interval:
        """Where the fall of this one curve may lie if its jumps are independent."""
        x, _ = self._last()
        if len(x) < 3:
            return Interval(None, None)
        half = float(student.ppf(0.5 + LEVEL / 2, len(x) - 2)) * self.noise() * float(np.ptp(x))
        half /= math.sqrt(float(((x - x.mean()) ** 2).sum()))
        return Interval(self.fall() - half, self.fall() + half)

    def falls(self) -> tuple[float, float] | None:
        """What the curve fell by over the first and the last third of the learning rate it was given.

        While steps are so small that the gradient stays what it was both are the same, whatever the schedule.
        """
        if self.paid is None:
            return None
        at = np.interp([1 / 3, 2 / 3], self.paid, self.values)
        return float(self.values[0] - at[0]), float(at[1] - self.values[-1])

    def _last(self) -> tuple[Floats, Floats]:
        late = self.steps > (1 - LAST) * self.steps[-1]
        return self.steps[late], self.values[late]


def course(curve: Sequence[tuple[int, float]], paid: Sequence[tuple[int, float]] | None = None) -> Course | None:
    """Read a curve; ``None`` where it is too short to have a shape, or holds a value that is not finite.

    Args:
        curve: ``(step, value)`` from the start on, lower is better.
        paid: ``(step, learning rate used up)`` at the same steps, in any unit.
    """
    if len(curve) <= FEWEST or curve[0][0] != 0 or not all(math.isfinite(value) for _, value in curve):
        return None
    steps, values = np.array(curve, dtype=np.float64).T
    shares = None
    if paid:
        at, used = np.array(paid, dtype=np.float64).T
        used = np.interp(steps, at, used)
        shares = used / used[-1] if used[-1] > 0 else None
    return Course(steps, values, shares)


def typical(courses: Sequence[Course]) -> Course | None:
    """The mean of courses that were measured at the same steps; ``None`` of none, or where they were not."""
    if not courses or any(not np.array_equal(one.steps, courses[0].steps) for one in courses):
        return None
    return Course(courses[0].steps, np.mean([one.values for one in courses], axis=0), courses[0].paid)


def relative_fall(by_study: Sequence[Sequence[Course]]) -> tuple[float, Interval]:
    """By which share curves fell over their last third, on average, with its interval.

    Studies are independent, so each counts as its mean. Of a single study the runs stand for themselves, and a single
    run for its own jumps.

    Args:
        by_study: Courses, none of the lists empty.
    """
    shares = [[one.fall() / one.before if one.before else 0.0 for one in study] for study in by_study]
    means = [float(np.mean(study)) for study in shares] if len(shares) > 1 else shares[0]
    if len(means) > 1:
        return float(np.mean(means)), mean_interval(means)
    ((one,),) = by_study
    ends = one.fall_interval()
    low, high = (None if end is None or not one.before else end / one.before for end in (ends.low, ends.high))
    return means[0], Interval(low, high)
