"""Average ranks over several problems, and how far apart two must be before they differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata, studentized_range


@dataclass(frozen=True)
class AverageRanks:
    """Ranks of methods, averaged over problems.

    Args:
        ranks: Of each method, 1 the best; ties share the mean of their ranks.
        difference: Critical difference: average ranks that lie closer do not differ at the level.
        problems: How many there were.
    """

    ranks: tuple[float, ...]
    difference: float
    problems: int

    def groups(self) -> list[tuple[int, ...]]:
        """Largest runs of methods, best first, of which no two differ; a method alone makes none."""
        order = sorted(range(len(self.ranks)), key=lambda i: self.ranks[i])
        found: list[tuple[int, ...]] = []
        for i, first in enumerate(order):
            own = [j for j in order[i:] if self.ranks[j] - self.ranks[first] < self.difference]
            if len(own) > 1 and not (found and set(own) <= set(found[-1])):
                found.append(tuple(own))
        return found


def average_ranks(table: Sequence[Sequence[float]], *, level: float) -> AverageRanks:
    r"""Rank the methods on every problem, average, and say what Nemenyi's test can tell apart.

    .. math:: \mathrm{CD} = q_{\alpha} \sqrt{k (k + 1) / (6 N)}

    for k methods on N problems, q the studentized range over :math:`\sqrt 2`. The problem is the unit here, not the
    study: the answer is about problems like these.

    Args:
        table: One row a problem, one number a method, lower is better; ``inf`` where it never arrived, which ties.
        level: Of all pairs together.

    Example:
        >>> found = average_ranks([[1.0, 2.0, 3.0], [1.0, 3.0, math.inf]], level=0.95)
        >>> found.ranks, round(found.difference, 2)
        ((1.0, 2.0, 3.0), 2.34)
        >>> found.groups()
        [(0, 1, 2)]

    References:
        Demsar (2006), Statistical Comparisons of Classifiers over Multiple Data Sets, section 3.2.2.
    """
    ranks = np.mean([rankdata(row) for row in table], axis=0)
    methods, problems = len(ranks), len(table)
    quantile = float(studentized_range.ppf(level, methods, math.inf)) / math.sqrt(2) if methods > 1 else 0.0
    difference = quantile * math.sqrt(methods * (methods + 1) / (6 * problems))
    return AverageRanks(tuple(float(r) for r in ranks), difference, problems)
