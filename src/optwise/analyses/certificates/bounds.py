"""Upper bounds of F(w) - F*, and those that need no dual point: a known optimum, a known lower bound."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from optwise.analyses.certificates.evaluation import Evaluation

ROUNDING = 4 * torch.finfo(torch.float64).eps
"""Relative error of a sum, as far as certificates are concerned. Source: optwise, own choice."""


@dataclass(frozen=True)
class Bound:
    r"""A number that :math:`F(w) - F^\star` does not exceed in exact arithmetic.

    Args:
        gap: The number, at least 0.
        magnitude: Sum of the sizes of further numbers than F(w) that it was computed from, whose rounding it carries.
        name: What proves it.
        closes: Whether it tends to 0 as w tends to an optimum; a lower bound alone need not.
    """

    gap: float
    magnitude: float
    name: str
    closes: bool = True

    def total(self, value: float) -> float:
        """The gap with what rounding may have taken from it; infinite where it is no number.

        Args:
            value: F(w).
        """
        total = self.gap + ROUNDING * (self.magnitude + abs(value) + abs(value - self.gap))
        return total if total >= 0 else math.inf

    def relative(self, value: float) -> float:
        """The bound relative to ``max(|primal|, |dual|)``; 0 where it is 0.

        Args:
            value: F(w), the primal value.
        """
        total = self.total(value)
        if total == 0:
            return 0.0
        return total / max(abs(value), abs(value - total)) if math.isfinite(total) else math.inf


def simple_bounds(at: Evaluation, optimum: float | None) -> Iterator[Bound]:
    r"""Bounds from what is known of F beforehand.

    .. math:: F(w) - F^\star, \qquad F(w) - (\inf f + \inf g)

    A point whose value is *below* the known optimum is as far from it as one above: it is not in the set, or the known
    optimum is none.

    Args:
        at: The point.
        optimum: :math:`F^\star` where it is known.
    """
    if optimum is not None:
        yield Bound(abs(at.value - optimum), 0.0, "known optimum")
    penalty = at.problem.penalty
    parts = (at.problem.smooth.lower_bound, 0.0 if penalty is None else penalty.lower_bound)
    if math.isfinite(sum(parts)):
        yield Bound(max(at.value - sum(parts), 0.0), abs(at.f) + abs(at.g), "lower bound", closes=False)
