"""The vertical axis of a method's axis plots: what ranks its trials, so that the best one stands lowest."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from optwise.core.budget import STEPS
from optwise.core.metric import Direction, Target
from optwise.report.readings import spans_decades
from optwise.report.words import goal_words


@dataclass(frozen=True)
class Heights:
    """What the vertical axis of a method's plots shows: what ranks its trials, the same in every plot.

    Args:
        title: In words.
        low, high: Its ends.
        log: Whether it is logarithmic.
        missed: Above which height misses stand, in the order of their values; ``None`` where values are shown.
        costs: Of the misses, lowest first.
        sign: That turns a value into a cost.
        unit: In which what was spent is counted.
    """

    title: str
    low: float
    high: float
    log: bool
    sign: float
    unit: str = STEPS
    missed: float | None = None
    costs: tuple[float, ...] = ()

    def of(self, rows: pd.DataFrame) -> list[float]:
        """The height of each row; crosses of infeasible trials stand at the worse end."""
        worst = self.high if self.missed is not None or self.sign > 0 else self.low
        return [
            worst if math.isnan(value) else self._height(value, spent)
            for value, spent in zip(rows["value"], rows["spent"], strict=True)
        ]

    def _height(self, value: float, spent: float) -> float:
        if self.missed is None:
            return value
        if not math.isnan(spent):
            return max(spent, self.low)
        place = (bisect_left(self.costs, value * self.sign) + 1) / (len(self.costs) + 1)
        if self.log:
            return float(self.missed * (self.high / self.missed) ** place)
        return self.missed + place * (self.high - self.missed)


def heights(
    frames: Sequence[pd.DataFrame], *, metric: str, direction: Direction, target: Target | None, last: float, unit: str
) -> Heights:
    """The vertical axis that the fields of a method share.

    Args:
        frames: Rows of each field.
        metric: The selection metric.
        direction: Which way it is better.
        target: What is timed, or ``None``.
        last: The most that a trial spent.
        unit: Of what.
    """
    rows = pd.concat([pd.DataFrame(columns=["trial", "value", "spent"]), *(f for f in frames if len(f))])
    rows = rows.drop_duplicates("trial")
    values = [float(value) for value in rows["value"].dropna()]
    spent = [float(amount) for amount in rows["spent"].dropna()]
    if target is not None and spent:
        missing = rows[rows["spent"].isna() & rows["value"].notna()]
        costs = tuple(sorted(float(value) * direction.sign for value in missing["value"]))
        title = f"{unit} to {goal_words(target)} of a search trial"
        return replace(_timed(title, max(min(spent), 1.0), last, costs, direction.sign), unit=unit)
    reached = "" if target is None else f", none reaches {goal_words(target)}"
    return _valued(f"best {metric} of a search trial{reached}", values, direction.sign)


def _timed(title: str, first: float, last: float, costs: tuple[float, ...], sign: float) -> Heights:
    if spans_decades([first, last]):
        room = (last / first) ** 0.08
        return Heights(title, first / room, last * room**5, log=True, sign=sign, missed=last * room, costs=costs)
    room = 0.08 * (last - first) or 1.0
    return Heights(title, first - room, last + 5 * room, log=False, sign=sign, missed=last + room, costs=costs)


def _valued(title: str, values: Sequence[float], sign: float) -> Heights:
    if not values:
        return Heights(title, 0.0, 1.0, log=False, sign=sign)
    low, high = min(values), max(values)
    if sign > 0 and spans_decades(values):  # what is to be maximised has no zero to come near
        room = (high / low) ** 0.06
        return Heights(title, low / room, high * room, log=True, sign=sign)
    room = 0.06 * (high - low) or 0.5
    return Heights(title, low - room, high + room, log=False, sign=sign)
