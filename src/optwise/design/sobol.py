"""Numbered points of one search, from a scrambled Sobol sequence."""

from __future__ import annotations

from typing import Any

from optwise.core.space import Space
from optwise.numerics.quasirandom import sobol


def sobol_points(space: Space, trials: int, seed: int) -> tuple[dict[str, Any], ...]:
    """The first ``trials`` points of one scrambled Sobol sequence over the open fields, in their order.

    The points are drawn before anything runs and never depend on a result, so any number of workers tries the same
    ones. More trials keep the first ones. A conditional field takes its closed value where it does not exist; its
    coordinate is spent all the same, so that the others stay even.

    Args:
        space: Open fields; with none, every point is empty.
        trials: Number of points, at least 0.
        seed: Scramble seed of the study, see :func:`~optwise.design.seeds.scramble_seed`.

    Returns:
        Values by path, one mapping a trial; its place is its number.

    Example:
        >>> from optwise.core.space import Uniform
        >>> points = sobol_points(Space({"lr": Uniform(0.0, 1.0)}), 4, seed=0)
        >>> sorted(int(4 * point["lr"]) for point in points)
        [0, 1, 2, 3]
    """
    rows = sobol(trials, space.dimensions, seed).tolist()
    return tuple(space.point(tuple(row)) for row in rows)
