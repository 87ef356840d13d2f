"""The best point a solver for smooth problems has seen, and whether it still gets anywhere."""

from __future__ import annotations

import math
from typing import final

from optwise.core.composite import Composite
from optwise.core.solver import Iterate
from optwise.methods.solvers.rays import Point, rounding


@final
class Incumbent:
    r"""The lowest point so far and, among those whose values rounding cannot tell apart, the flattest.

    A point is progress where it falls below the lowest value by more than rounding, or is flatter than the best one
    without being higher. After ``patience`` points in a row without progress the solver is *stalled*.

    Args:
        problem: What is solved.
        point: The start.
        patience: Points in a row without progress that are allowed.
    """

    _before: Point | None

    def __init__(self, problem: Composite, point: Point, *, patience: int) -> None:
        self.point = point
        self._patience, self._idle = patience, 0
        self._lowest, self._noise = point.value, rounding(point.w.dtype)
        self._problem, self._lower_bound = problem, problem.smooth.lower_bound
        self._last, self._before = point, None
        self._modulus = problem.smooth.strong_convexity if problem.smooth.convex else 0.0

    @property
    def stalled(self) -> bool:
        """Whether the last ``patience`` points brought nothing."""
        return self._idle >= self._patience

    def offer(self, point: Point) -> bool:
        """Take the point where it is progress, and say whether it was."""
        self._before, self._last = self._last, point
        margin = self._noise * abs(self._lowest)
        fell = point.value < self._lowest - margin
        if fell or (point.value <= self._lowest + margin and point.norm < self.point.norm):
            self.point, self._idle = point, 0
            self._lowest = point.value if fell else self._lowest
            return True
        self._idle += 1
        return False

    def iterate(self, step: float) -> Iterate:
        """The best point as an answer, with the number its certificate is likely to have."""
        return Iterate(self.point.w, self.point.value, step, self.measure())

    def measure(self) -> float:
        r"""The bound :math:`\|\nabla f\|^2 / (2 \mu)` of a strongly convex f, else what the last step promised.

        Of a linear model with a ridge the first is its duality gap. A value close to a known bound proves itself.
        """
        value, norm = self.point.value, self.point.norm
        if self._modulus > 0.0:
            found = self._problem.gap_measure(0.5 * norm * norm / self._modulus, value)
        else:
            known = self._problem.smooth.model is not None  # a duality gap is in sight
            found = (self._problem.gap_measure if known else self._problem.decrement_measure)(self._promise(), value)
        if math.isfinite(self._lower_bound):
            found = min(found, self._problem.gap_measure(value - self._lower_bound, value))
        return found

    def _promise(self) -> float:
        """Half the slope along the last step: what the model of a Newton step promises; of a shorter one it is less."""
        if self._before is None:
            return math.inf
        return 0.5 * abs(float(self._before.gradient @ (self._last.w - self._before.w)))
