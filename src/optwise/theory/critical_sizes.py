"""The batch size beyond which larger batches stop paying."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optwise.core.method import Method
from optwise.core.problem import Problem
from optwise.theory.first_steps import additive, checked, noiseless_steps
from optwise.theory.matrices import Floats
from optwise.theory.models import drawn_once, nodes_of, offset_of, opened, quadratic_of
from optwise.theory.moving_moments import Whole
from optwise.theory.searches import Asked, searched
from optwise.theory.side_by_side import Side
from optwise.theory.surveys import increasing, settings_of, surveyed

REFINED = 1.01
"""Ratio of neighbouring batch sizes between which a critical one is interpolated."""

MOST_TOGETHER = 16
"""Settings that are tried together at the size below the best so far: any of them may improve on it."""

PARTS = 8
"""Pieces into which the interval that holds it is cut each time."""


def critical_batch_size(
    problem: Problem,
    method: Method,
    target: float,
    *,
    batch_sizes: Sequence[float] | None = None,
    points: int = 1000,
    max_steps: int = 20_000,
) -> float:
    """Where larger batches stop paying: the size at which a tuned method needs twice the steps it needs without noise.

    Below it steps fall almost as 1/B, above it hardly at all. It belongs to the method, the target and the space.

    Where noise multiplies, each setting is asked only whether it meets the target in so many steps at the size below
    the best so far, which few do. A question of more than about a minute is refused before it is begun.

    Args:
        problem: One that declares its quadratic.
        method: A linear rule; a closed one is taken as it is, an open one is tuned at each batch size.
        target: Excess over the optimum, above 0.
        batch_sizes: Between which to look, increasing; by default the powers of 2 up to 2^24, or to what the data have
            where they are drawn without replacement.
        points: Settings of the grid.
        max_steps: Where to give up.

    Returns:
        Infinity where no surveyed size is large enough, 0 where the smallest is.

    Raises:
        CallerError: As :func:`steps_to`; batch sizes that do not increase.

    Example:
        >>> from optwise.problems import nqm
        >>> from optwise.methods import SGD
        >>> round(critical_batch_size(nqm(d=100), SGD(lr=0.5), 0.02), 1)
        38.1
    """
    method = opened(method)
    once = drawn_once(problem)
    most = np.log2(max(quadratic_of(problem).examples, 1)) if once else 24
    sizes = increasing([2.0**i for i in range(int(most) + 1)] if batch_sizes is None else batch_sizes)
    _, methods = settings_of(method, points)
    if not additive(problem) and not once:
        asked = Asked.of(target, sizes, max_steps)
        target, max_steps = asked.target, asked.most
        methods, sizes = checked(problem, methods, asked)
        side = Side.of(problem, methods, max_steps)
        if side is not None:
            return _Bracket(problem, methods, side, Asked(target, sizes, max_steps)).found()
    while True:
        found = surveyed(problem, method, target, sizes, points=points, max_steps=max_steps)
        critical = found.critical_batch_size
        place = int(np.searchsorted(sizes, critical))
        if not (np.isfinite(critical) and 0 < place < sizes.size) or sizes[place] <= REFINED * sizes[place - 1]:
            return critical
        # steps fall in steps, so that a line may be far off
        finer = np.geomspace(sizes[place - 1], sizes[place], PARTS + 1)
        finer = np.unique(np.rint(finer)) if once else finer
        if finer.size == 2:
            return critical
        sizes = finer


class _Bracket:
    """Where noise multiplies: the risk of every setting falls as the batch grows, so that sizes can be bisected.

    Places count sizes on a grid finer than that given, so many to each of its intervals that neighbours lie within
    a hundredth.
    """

    def __init__(self, problem: Problem, methods: Sequence[Method], side: Side, asked: Asked) -> None:
        self.problem, self.methods, self.side, self.asked = problem, methods, side, asked
        self.noiseless = noiseless_steps(problem, methods, asked.target, asked.most)
        widest = float(np.max(asked.sizes[1:] / asked.sizes[:-1], initial=1.0))
        self.pieces = max(1, int(np.ceil(np.log(widest) / np.log(REFINED) - 1e-9)))
        self.last = (asked.sizes.size - 1) * self.pieces

    def size(self, place: int) -> float:
        """The batch size at a place of the finer grid."""
        i, part = divmod(place, self.pieces)
        low, high = self.asked.sizes[i], self.asked.sizes[min(i + 1, self.asked.sizes.size - 1)]
        return float(low * (high / low) ** (part / self.pieces))

    def found(self) -> float:
        """The critical batch size."""
        limit = 2 * float(self.noiseless.min())
        if not np.isfinite(limit):
            return float("inf")
        if limit == 0:  # the target is met at the start
            return 0.0
        horizon = int(min(limit, self.asked.most))
        able = np.flatnonzero(self.noiseless <= horizon)
        # one look at each setting, or at those that a bound leaves over
        looks = 10 + able.size**0.5 if self.side.bounded else able.size
        self.side.hold(float(looks) * horizon, f"The critical batch size of {len(self.methods)} settings")
        able, earliest = self._most_promising_first(able, horizon)
        place = self._first(able, earliest, horizon)
        if place > self.last:
            return float("inf")
        least = self._least(able, place, horizon)
        if place == 0:
            return 0.0 if least < limit else self.size(0)
        high = self._more_than(place - 1, horizon)
        if not np.isfinite(high):
            return self.size(place)
        share = np.log(high / limit) / np.log(high / least)
        return float(self.size(place - 1) * (self.size(place) / self.size(place - 1)) ** share)

    def _most_promising_first(self, able: Whole, horizon: int) -> tuple[Whole, Whole]:
        """Settings in the order of the size that they seem to need, and places before which each is not enough."""
        if not self.side.bounded:  # what additive noise would make them need is a hint, and no bound
            nodes = nodes_of(quadratic_of(self.problem), offset_of(self.problem))
            own = [self.methods[i] for i in able]
            steps = searched(own, nodes, Asked(self.asked.target, self.asked.sizes, horizon)).steps
            return able[np.argsort(np.isinf(steps).sum(1), kind="stable")], np.zeros_like(able)
        low, high = np.full(able.size, -1), np.full(able.size, self.last + 1)
        while np.any(high - low > 1):
            middle = (low + high) // 2
            sizes = np.array([self.size(int(place)) for place in middle])
            met = np.isfinite(self.side.not_before(able, sizes, self.asked.target, horizon))
            low, high = np.where(met, low, middle), np.where(met, middle, high)
        order = np.argsort(high, kind="stable")
        return able[order], high[order]

    def _hits(self, rows: Whole, place: int, horizon: int) -> Floats:
        return self.side.first_hits(rows, np.full(rows.size, self.size(place)), self.asked.target, horizon)

    def _first(self, able: Whole, earliest: Whole, horizon: int) -> int:
        """The first place at which a setting meets the target within the horizon; beyond the last where none does."""
        best, begin, count = self.last + 1, 0, 1
        while begin < able.size and earliest[begin] < best:
            few = slice(begin, begin + count)
            rows, places = able[few], earliest[few]
            begin, count = begin + rows.size, min(4 * count, MOST_TOGETHER)
            met = np.isfinite(self._hits(rows, best - 1, horizon)) & (places < best)
            rows, low, high = rows[met], int(places[met].min(initial=best)) - 1, best - 1
            while rows.size and high - low > 1:
                middle = (low + high) // 2
                met = np.isfinite(self._hits(rows, middle, horizon))
                low, high, rows = (low, middle, rows[met]) if met.any() else (middle, high, rows)
            best = high if rows.size else best
        return best

    def _least(self, able: Whole, place: int, horizon: int) -> float:
        """The least steps of some settings at a place, within the horizon; infinite where none meets the target."""
        best, begin, count = float("inf"), 0, 8
        while begin < able.size:
            few = able[begin : begin + count]
            begin, count = begin + few.size, 4 * count
            few = few[self.noiseless[few] < best]
            within = horizon if np.isinf(best) else int(best) - 1
            if few.size and within >= 1:
                best = min(best, float(self._hits(few, place, within).min()))
        return best

    def _more_than(self, place: int, horizon: int) -> float:
        """The least steps at a place where they are known to be more than the horizon."""
        within, best = horizon, float("inf")
        while np.isinf(best) and within < self.asked.most:
            within = min(self.asked.most, within + max(8, within // 8))
            able = np.flatnonzero(self.noiseless <= within)
            best = self._least(able[np.argsort(self.noiseless[able], kind="stable")], place, within)
        return best
