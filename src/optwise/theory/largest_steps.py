"""The largest step size that is stable: of a linear rule by its roots, on rows of a data set by its second moments."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from optwise.core.errors import BadMethod, BadProblem
from optwise.core.method import Method
from optwise.core.problem import Problem
from optwise.core.quadratic import Noise, Quadratic
from optwise.theory.coordinates import Coordinates
from optwise.theory.design_noise import stationary
from optwise.theory.matrices import Floats
from optwise.theory.models import batch_of, closed, drawn_once, opened, quadratic_of
from optwise.theory.outlooks import rows_at
from optwise.theory.roots import roots_of
from optwise.theory.row_limits import noise_of
from optwise.theory.row_maps import RowMap
from optwise.theory.settled_steps import few_at_once, settled
from optwise.theory.whole_runs import hold_in_a_run

SPREAD = 512
"""Curvatures, evenly spread on a log scale, that stand for all where a direction's stability is its own affair."""

LARGEST = 1e308
"""The largest step size that is looked at, whatever the curvatures are."""

SCANNED = (1e-6, 1e6, 241)
"""Ends and number of the step sizes, times 1 / h_max, among which the first unstable one is looked for."""


def max_lr(problem: Problem, method: Method, batch_size: float | None = None) -> float:
    """Largest step size below which the second moments stay bounded, other hyperparameters as given.

    Additive noise leaves it at that of the noiseless method (2 / h_max for gradient descent, 2 (1 + momentum) / h_max
    for heavy ball), for which 512 curvatures from the least to the largest are looked at where there are more. For
    least squares on fresh rows it grows with the batch size.

    Args:
        problem: One that declares its quadratic.
        method: A linear rule; its ``lr`` is not looked at, and may be open.
        batch_size: B; ``None`` takes the problem's own.

    Returns:
        Infinity where no step up to a million over the largest curvature is unstable.

    Raises:
        BadMethod: The step keeps changing (a schedule, Polyak's average).

    Example:
        >>> from optwise.problems import nqm
        >>> from optwise.methods import Momentum
        >>> round(max_lr(nqm(h=[4.0, 1.0]), Momentum(lr=1.0, momentum=0.9)), 9)
        0.95
    """
    quadratic, batch, method = quadratic_of(problem), batch_of(problem, batch_size), opened(method)
    at = Coordinates.of(quadratic)
    if at.h.size == 0:
        return float("inf")
    scanned = _scanned(at)
    looked_at = (float(scanned[0]), float(scanned[scanned.size // 2]))
    hold_in_a_run([closed(method.close({"lr": lr})) for lr in looked_at], quadratic)
    if quadratic.noise is Noise.ROWS:
        if drawn_once(problem):
            raise BadProblem(
                f"{problem.name} draws its rows without replacement, and no largest stable step is known for their "
                "products; draw with replacement, or look at forecasts of several step sizes."
            )
        noise = noise_of(problem.name, quadratic)
        return _largest_of_rows(quadratic, method, batch, noise, _first_unstable(method, at, None))
    if quadratic.noise is Noise.DESIGN:
        return _first_unstable(method, at, batch)
    if at.h.size > SPREAD:
        at = at.some(np.unique(np.searchsorted(at.h, np.geomspace(at.h[0], at.h[-1], SPREAD)).clip(max=at.h.size - 1)))
    return _first_unstable(method, at, None)


def _scanned(at: Coordinates) -> Floats:
    """The step sizes among which the first unstable one is looked for."""
    low, high, count = SCANNED
    with np.errstate(over="ignore"):
        return np.unique(np.minimum(np.geomspace(low, high, count) / at.h[-1], LARGEST))


def _first_unstable(method: Method, at: Coordinates, batch: float | None) -> float:
    """The step size above which the first of those that are scanned is unstable; without a batch, that of the mean."""

    def unstable(lrs: Floats) -> NDArray[np.bool_]:
        settings = [closed(method.close({"lr": float(lr)})) for lr in lrs]
        return np.concatenate([_unstable(few, at, batch) for few in few_at_once(settings, at.h.size)])

    scanned = _scanned(at)
    found = np.flatnonzero(unstable(scanned))
    if found.size == 0:
        return float("inf")
    if found[0] == 0:
        return 0.0
    below, above = scanned[found[0] - 1], scanned[found[0]]
    while above - below > 4e-16 * above:
        inside = np.linspace(below, above, 34)[1:-1]  # 32 at a time: a factor of 33 each round
        bad = np.flatnonzero(unstable(inside))
        edge = int(bad[0]) if bad.size else inside.size
        new = (below if edge == 0 else inside[edge - 1], above if edge == inside.size else inside[edge])
        if new == (below, above):
            break
        below, above = new
    return float(below)


def _unstable(methods: Sequence[Method], at: Coordinates, batch: float | None) -> NDArray[np.bool_]:
    """Which settings let second moments grow [T]: on fresh rows in batches, or, without a batch, those of the mean."""
    constant = settled(methods, at.h)
    if constant is None:
        raise BadMethod(
            f"{methods[0].label} changes its step as it goes, so that no one step size bounds it; take its schedule "
            "and its average away."
        )
    if batch is None:
        return np.asarray(~roots_of(constant[0], at.h).inside.all(-1))
    return ~(stationary(*constant, at, batch).gain < 1)


def _largest_of_rows(quadratic: Quadratic, method: Method, batch: float, noise: RowMap, noiseless: float) -> float:
    """The largest step on rows of a data set: where the gain of their noise is 1, at most that without noise."""
    unit = 1.0 / float(quadratic.h.max())
    end = min(noiseless / unit, SCANNED[1])
    least = SCANNED[0] * end

    @cache
    def excess(share: float) -> float:  # nearly a line: the gain grows as the step, with a pole at the noiseless edge
        gain = rows_at(quadratic, closed(method.close({"lr": share * unit})), batch, noise).gain()
        return (1.0 - 1.0 / gain) * share if gain > 0 else -np.inf

    if end <= 0:
        return 0.0
    line = least - excess(least)  # where the gain would be 1 if it were a multiple of the step
    above = below = min(max(0.25 * line, least), 0.5 * end)
    while excess(below) >= 0:
        below, above = below / 4, below
        if below < SCANNED[0] * least:
            return 0.0
    while above == below or excess(above) < 0:
        below, above = above, min(1.25 * above, (above + end) / 2)
        if end - above <= 1e-14 * end:
            return noiseless
    return float(brentq(excess, below, above, xtol=1e-300, rtol=1e-14)) * unit
