"""What a comparison infers from: the seeds of whole studies of one method, and the one order of several methods."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from scipy.stats import rankdata

Studies = tuple[tuple[float, ...], ...]
"""For each study the numbers of its seeds."""


@dataclass(frozen=True)
class Observations:
    """The seeds of the confirmations of one method, study by study; lower is better.

    Args:
        studies: Times on the axis, or values of the selection metric, turned so that lower is better. ``inf`` is a miss
            or a run without a finite value: worse than any number, and equal to another.
        lows: What each time is known to exceed, in the same shape; ``None`` where numbers are known.
        limit: Up to where times are observed, the same for all methods of a problem.
        grid: The amounts on the axis at which every run was measured; ``None`` where runs differ, or there is no time.
        feasible: Whether any study found a feasible trial.
        certain: Whether chance has no part in the one number: a closed method on a deterministic problem.
    """

    studies: Studies
    lows: Studies | None = None
    limit: float = math.inf
    grid: tuple[float, ...] | None = None
    feasible: bool = True
    certain: bool = False

    @property
    def usable(self) -> bool:
        """Whether there is anything to compare."""
        return self.feasible and bool(self.studies)

    @property
    def seeds(self) -> int:
        """How many there are, over all studies."""
        return sum(map(len, self.studies))

    @property
    def misses(self) -> int:
        """How many seeds are worse than any number."""
        return sum(not self.hit(v) for study in self.studies for v in study)

    def hit(self, value: float) -> bool:
        """Whether a number lies within the limit."""
        return math.isfinite(value) and value <= self.limit * (1 + 1e-9)

    def first(self, studies: int) -> Self:
        """The first few studies alone: what was known when there were no more."""
        return replace(self, studies=self.studies[:studies], lows=None if self.lows is None else self.lows[:studies])

    def per_study(self, *, log: bool) -> list[float]:
        """One number per study: the geometric mean over its seeds (``log``) or the mean, a miss counting the limit."""
        cut = [[v if self.hit(v) else self.limit for v in study] for study in self.studies]
        return [math.exp(float(np.mean(np.log(s)))) if log else float(np.mean(s)) for s in cut]

    @property
    def resolution(self) -> float:
        """Mean width of a hit's interval in logs: how far the ratio may be off for want of evaluations."""
        if self.lows is None:
            return 0.0
        pairs = [
            (low, high) for own in zip(self.lows, self.studies, strict=True) for low, high in zip(*own, strict=True)
        ]
        widths = [math.log(high / low) for low, high in pairs if self.hit(high)]
        return float(np.mean(widths)) if widths else 0.0


def mean_ranks(observations: Mapping[str, Observations]) -> dict[str, list[float]]:
    """For each method and study the mean midrank of its seeds among all seeds of all methods; misses tie at the end.

    Example:
        >>> found = mean_ranks({"a": Observations(((1.0, 2.0),)), "b": Observations(((3.0, math.inf), (math.inf,)))})
        >>> found
        {'a': [1.5], 'b': [3.75, 4.5]}
    """
    usable = {name: o for name, o in observations.items() if o.usable}
    if not usable:
        return {}
    pooled = [v if o.hit(v) else math.inf for o in usable.values() for study in o.studies for v in study]
    ranks = iter(rankdata(pooled).tolist())
    return {name: [float(np.mean([next(ranks) for _ in study])) for study in o.studies] for name, o in usable.items()}


def in_order(observations: Mapping[str, Observations], won: Mapping[str, int], lost: Mapping[str, int]) -> list[str]:
    """The one order of methods: most claims won, then fewest lost, then mean rank; those without a trial last.

    Args:
        observations: Method to its studies.
        won: Claims that each method wins.
        lost: Claims that each method loses.
    """
    ranks = mean_ranks(observations)
    names = list(observations)

    def place(name: str) -> tuple[bool, int, int, float, int]:
        own: Sequence[float] = ranks.get(name, ())
        mean = float(np.mean(own)) if own else math.inf
        return name not in ranks, -won.get(name, 0), lost.get(name, 0), mean, names.index(name)

    return sorted(names, key=place)
