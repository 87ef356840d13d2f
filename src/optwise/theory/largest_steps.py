"""The largest step size that is stable: of a linear rule by its roots, on rows of a data set by its second moments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from optwise.core.errors import BadMethod, BadProblem
from optwise.core.method import Method
from optwise.core.problem import Problem
from optwise.core.quadratic import Noise, Quadratic
from optwise.theory.coordinates import Coordinates
from optwise.theory.design_noise import stationary
from optwise.theory.matrices import Floats
from optwise.theory.models import batch_of, closed, drawn_once, quadratic_of
from optwise.theory.outlooks import rows_at
from optwise.theory.roots import roots_of
from optwise.theory.settled_steps import few_at_once, settled
from optwise.theory.whole_runs import hold_in_a_run

SPREAD = 512
"""Curvatures, evenly spread on a log scale, that stand for all where a direction's stability is its own affair."""

SCANNED = (1e-6, 1e6, 241)
"""Ends and number of the step sizes, times 1 / h_max, among which the first unstable one is looked for."""


def _largest_of_rows(quadratic: Quadratic, method: Method, batch: float) -> float:
    """The largest stable step size on rows of a data set, by halving: each one's factor on the risk is looked at."""
    unit = 1.0 / float(quadratic.h.max())

    def unstable(lr: float) -> bool:
        own = rows_at(quadratic, closed(method.close({"lr": lr})), batch)
        return own is not None and not own.rate() < 1

    low, high, _ = SCANNED
    below, above = low * unit, low * unit
    while not unstable(above):
        below, above = above, 1.5 * above
        if above > high * unit:
            return float("inf")
    if below == above:
        return 0.0
    while above - below > 1e-12 * above:
        middle = (below + above) / 2
        below, above = (below, middle) if unstable(middle) else (middle, above)
    return below


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
    quadratic, batch = quadratic_of(problem), batch_of(problem, batch_size)
    at = Coordinates.of(quadratic)
    if at.h.size == 0:
        return float("inf")
    hold_in_a_run([closed(method.close({"lr": own / at.h[-1]})) for own in (SCANNED[0], 1.0)], quadratic)
    if quadratic.noise is Noise.ROWS:
        if drawn_once(problem):
            raise BadProblem(
                f"{problem.name} draws its rows without replacement, and no largest stable step is known for their "
                "products; draw with replacement, or look at forecasts of several step sizes."
            )
        return _largest_of_rows(quadratic, method, batch)
    if quadratic.noise is not Noise.DESIGN and at.h.size > SPREAD:
        at = at.some(np.unique(np.searchsorted(at.h, np.geomspace(at.h[0], at.h[-1], SPREAD)).clip(max=at.h.size - 1)))

    def unstable(lrs: Floats) -> NDArray[np.bool_]:
        settings = [closed(method.close({"lr": float(lr)})) for lr in lrs]
        return np.concatenate([_unstable(few, problem, at, batch) for few in few_at_once(settings, at.h.size)])

    low, high, count = SCANNED
    scanned = np.geomspace(low, high, count) / at.h[-1]
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


def _unstable(methods: Sequence[Method], problem: Problem, at: Coordinates, batch: float) -> NDArray[np.bool_]:
    """Which settings let second moments grow [T]."""
    constant = settled(methods, at.h)
    if constant is None:
        raise BadMethod(
            f"{methods[0].label} changes its step as it goes, so that no one step size bounds it; take its schedule "
            "and its average away."
        )
    if quadratic_of(problem).noise is Noise.DESIGN:
        return ~(stationary(*constant, at, batch).gain < 1)
    return np.asarray(~roots_of(constant[0], at.h).inside.all(-1))
