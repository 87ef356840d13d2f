"""First steps at a target where noise multiplies: the second moments of many settings and batch sizes side by side.

Each entry is one setting at one batch size. Moments are followed as in a single forecast; what noise adds is a linear
map of those of the parameters, for all entries one matrix product a step.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optwise.core.errors import BadProtocol
from optwise.core.method import Method
from optwise.core.problem import Problem
from optwise.core.quadratic import Noise
from optwise.theory.coordinates import Coordinates
from optwise.theory.matrices import Floats
from optwise.theory.models import offset_of, quadratic_of
from optwise.theory.moving_moments import BelowRows, Entries, OnFreshRows, OnRows, Settings, Whole
from optwise.theory.row_maps import MINUTE, RowMap

TOGETHER = 2**18
"""Numbers of second moments that are moved together."""

FEWEST = 8
"""Entries that are moved together at least: fewer make no use of a matrix product."""

STILL = 2e-14
"""Share of themselves by which second moments that have come to rest change between two looks: rounding."""

LOOKED_AT = 64
"""Steps from one look to the next."""

WORTH_A_BOUND = 4.0
"""How many times cheaper a lower bound on the risk must be to be looked at first."""

OVERHEAD = 2.0**14
"""Operations that take as long as what a step of one entry costs besides arithmetic."""


class Side:
    """Settings of one problem, ready to be followed at any batch sizes.

    Args:
        problem: Whose noise multiplies, batches being independent.
        settings: At the curvatures of ``at``.
        at: Curvatures.
    """

    def __init__(self, problem: Problem, settings: Settings, at: Coordinates) -> None:
        self.problem, self.settings, self.at = problem, settings, at
        quadratic = quadratic_of(problem)
        self.map = RowMap(quadratic) if quadratic.noise is Noise.ROWS else None
        self.spent = 0.0 if self.map is None else self.map.making

    @classmethod
    def of(cls, problem: Problem, methods: Sequence[Method], most: int) -> Side | None:
        """Closed settings over ``most`` steps; ``None`` where the step keeps changing."""
        quadratic = quadratic_of(problem)
        at = Coordinates.of(quadratic, offset_of(problem))
        h = quadratic.h[quadratic.h > 0] if quadratic.noise is Noise.ROWS else at.h
        settings = Settings.of(methods, h, most, far=bool(np.any(at.square)))
        return None if settings is None else cls(problem, settings, at)

    @property
    def operations(self) -> float:
        """What one step of one entry costs."""
        return self._operations(whole=True)

    def _operations(self, *, whole: bool) -> float:
        numbers, noise = self.settings.start.shape[-1], 0.0
        if self.map is not None:
            numbers *= self.map.d if whole else 1
            noise = self.map.operations if whole else 4.0 * self.map.n * self.map.d
        return float(8.0 * self.settings.m**3 * numbers + noise + OVERHEAD)

    def first_hits(self, rows: Whole, sizes: Floats, target: float, most: int) -> Floats:
        """First steps [E] whose risk is at most the target, infinite for a miss.

        Args:
            rows: Setting of each entry.
            sizes: Its batch size.
            target: Excess over the optimum.
            most: Last step that counts.
        """
        found = np.full(rows.size, np.inf)
        able = np.arange(rows.size)
        if self.bounded:
            able = np.flatnonzero(np.isfinite(self.not_before(rows, sizes, target, most)))
        found[able] = self._walked(rows[able], sizes[able], target, most, whole=True)
        return found

    @property
    def bounded(self) -> bool:
        """Whether a lower bound on the risk is so much cheaper than the risk that it is looked at first."""
        return self.map is not None and self.operations > WORTH_A_BOUND * self._operations(whole=False)

    def not_before(self, rows: Whole, sizes: Floats, target: float, most: int) -> Floats:
        """Steps [E] before which no risk meets the target, infinite where none does; by the bound alone."""
        return self._walked(rows, sizes, target, most, whole=False)

    def _walked(self, rows: Whole, sizes: Floats, target: float, most: int, *, whole: bool) -> Floats:
        """First hits of the risk, or of a lower bound on it where it is not followed as a ``whole``."""
        N, m, found = self.settings.start.shape[-1], self.settings.m, np.full(rows.size, np.inf)
        each = m * m * N * (N if self.map is not None and whole else 1)
        length = max(FEWEST, TOGETHER // max(each, 1))
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            for i in range(0, rows.size, length):
                few = slice(i, i + length)
                entries = self._entries(rows[few], sizes[few], whole=whole)
                found[few] = self._followed(entries, target, most, self._operations(whole=whole))
        return found

    def _entries(self, rows: Whole, sizes: Floats, *, whole: bool) -> Entries:
        own = self.settings.some(rows)
        if self.map is None:
            return OnFreshRows(own, self.at, sizes)
        kind = OnRows if whole else BelowRows
        return kind(own, self.map, quadratic_of(self.problem), offset_of(self.problem), sizes)

    def _followed(self, entries: Entries, target: float, most: int, operations: float) -> Floats:
        first, places = entries.risk(0), len(self.settings.A)
        found = np.where(first <= target, 0.0, np.inf)
        alive = np.flatnonzero(~(first <= target))
        entries.keep(alive)
        ended, before = np.zeros(alive.size, dtype=bool), None
        for k in range(1, most + 1):
            if not alive.size:
                break
            self._spend(alive.size * operations)
            place = min(k, places)
            entries.after(place - 1)
            risk = entries.risk(place)
            met = (risk <= target) & ~ended
            found[alive[met]] = k
            ended |= met | ~np.isfinite(risk)
            if k % LOOKED_AT == 0 and k > places:
                now, size = entries.state()
                if before is not None:
                    ended |= (np.abs(now - before) <= STILL * size).all(tuple(range(1, now.ndim)))
                before = now.copy()
            if 4 * ended.sum() >= ended.size:  # what is left is gathered only now and then
                left = np.flatnonzero(~ended)
                alive, ended, before = alive[left], ended[left], None if before is None else before[left]
                entries.keep(left)
        return found

    def hold(self, steps: float, asked: str) -> None:
        """Refuse what would take long, before any of it is done.

        Args:
            steps: Steps of single entries that it takes at least, on top of those that were taken.
            asked: What is asked for, in words.

        Raises:
            BadProtocol: They are more work than may be done.
        """
        work = self.spent + steps * self.operations
        if work > MINUTE:
            raise BadProtocol(
                f"{asked} on {self.problem.name} would take about {work / MINUTE:.1g} minutes, beyond 1, with "
                f"second moments of {self._size()}; give fewer points, batch sizes or max_steps, a target that is "
                "easier to meet, or a smaller problem."
            )

    def _size(self) -> str:
        if self.map is None:
            return f"{self.at.h.size} curvatures"
        return f"{self.map.n} rows in {self.map.d} dimensions"

    def _spend(self, operations: float) -> None:
        """Count operations, and refuse those beyond what may be done."""
        self.spent += operations
        self.hold(0.0, "Looking for the steps to the target")
