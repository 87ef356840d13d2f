"""Where two gradients differ: entry by entry, along directions, and the entry behind a difference along a direction."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from optwise.analyses.differentiability import BARS
from optwise.analyses.points import Point
from optwise.numerics.difference_quotients import Limit, differences

ROUNDING = 1e-12
"""Rounding that a gradient itself may show, as a share of its largest entry. Source: optwise, own choice."""


@dataclass(frozen=True)
class Disagreement:
    """The entry where two gradients are furthest apart, in units of what is allowed.

    Args:
        entry: Its name, ``weight[0, 2]``.
        first: The number that is checked.
        second: The number that it is checked against.
        allowed: How far apart they may be.

    Example:
        >>> Disagreement("w[0]", 2.0, 3.0, 1e-6).ok
        False
    """

    entry: str
    first: float
    second: float
    allowed: float

    @property
    def ok(self) -> bool:
        """Whether they agree; a NaN never does."""
        return abs(self.first - self.second) <= self.allowed


def worst_entry(
    first: Tensor, second: Tensor, *, bars: Tensor, places: Tensor, point: Point, tol: float
) -> Disagreement:
    """The entry where ``first`` and ``second`` are furthest apart in units of what is allowed.

    Allowed is ``tol`` of the larger of the two, four error bars, and rounding.

    Args:
        first: The entries that are checked [n].
        second: What they are checked against [n].
        bars: Error bars of ``second`` [n].
        places: Places of these entries in the row [n].
        point: Which names them.
        tol: Relative difference that counts as none.
    """
    largest = float(second[torch.isfinite(second)].abs().max()) if bool(torch.isfinite(second).any()) else 0.0
    allowed = tol * torch.maximum(first.abs(), second.abs()) + BARS * bars + ROUNDING * largest
    excess = (first - second).abs() / allowed.clamp(min=torch.finfo(torch.float64).tiny)
    i = int(excess.nan_to_num(torch.inf, torch.inf).argmax())
    return Disagreement(point.entry(int(places[i])), float(first[i]), float(second[i]), float(allowed[i]))


def share(first: Tensor, second: Tensor) -> float:
    """The largest difference, as a share of the largest entry of ``second``; as it is where that is zero.

    Example:
        >>> share(torch.tensor([1.0, 2.5]), torch.tensor([1.0, 2.0]))
        0.25
    """
    apart, largest = float((first - second).abs().max()), float(second.nan_to_num(0.0).abs().max())
    return apart / largest if largest > 0 else apart


def agree_along(gradient: Tensor, directions: Tensor, slopes: Limit, *, tol: float) -> bool:
    """Whether a gradient [P] gives the slopes that were measured along directions [R, P]."""
    terms = gradient * directions
    predicted = terms.sum(1)
    allowed = tol * torch.maximum(predicted.abs(), slopes.value.abs()) + BARS * slopes.error
    return bool(((predicted - slopes.value).abs() <= allowed + ROUNDING * terms.abs().sum(1)).all())


def entry_by_halving(
    point: Point, gradient: Tensor, *, scales: Tensor, generator: Generator, tol: float
) -> Disagreement:
    """An entry where autograd is wrong, found with 2 log2(P) directions instead of P.

    Entries are halved: along random signs on each half the slope is measured, and the half where the gradient misses
    it by more is kept. With several wrong entries it is one of the larger ones, not always the largest.

    Args:
        point: Where.
        gradient: Autograd's [P].
        scales: Unit of a step in each coordinate [P].
        generator: Of the signs.
        tol: Relative difference that counts as none.
    """

    def measured(places: Tensor) -> tuple[float, Limit]:
        direction = torch.zeros(point.size, dtype=torch.float64)
        signs = 2.0 * torch.randint(2, (len(places),), generator=generator, dtype=torch.float64) - 1.0
        direction[places] = signs * scales[places]
        slope = differences(point.f, point.row, [direction]).central()
        return float((gradient @ direction - slope.value[0]).abs()), slope

    places = torch.arange(point.size)
    while len(places) > 1:
        halves = places.tensor_split(2)
        places = max(halves, key=lambda half: measured(half)[0])
    unit = torch.zeros(point.size, dtype=torch.float64)
    unit[places] = scales[places]
    slope = differences(point.f, point.row, [unit]).central()
    bars, value = slope.error / scales[places], slope.value / scales[places]
    return worst_entry(gradient[places], value, bars=bars, places=places, point=point, tol=tol)
