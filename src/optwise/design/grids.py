"""Every combination of a few values of each field."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np

from optwise.core.errors import BadProtocol
from optwise.core.plain import dumps
from optwise.core.space import Distribution, Space


def grid_points(space: Space, per_dimension: int) -> tuple[dict[str, Any], ...]:
    """The full grid with ``per_dimension`` values a field, evenly spaced on the field's own scale, ends included.

    A field without an order is taken at each of its options instead. Points that coincide (few whole numbers, a
    conditional field that does not exist there) are listed once. The last field varies fastest.

    Args:
        space: Open fields; with none, the grid is the one empty point.
        per_dimension: Values of each numeric field, at least 1; a single one lies in the middle.

    Raises:
        BadProtocol: ``per_dimension`` below 1.

    Example:
        >>> from optwise.core.space import Choice, LogUniform
        >>> grid_points(Space({"lr": LogUniform(0.01, 1.0), "nesterov": Choice(True, False)}), 2)[:3]
        ({'lr': 0.01, 'nesterov': True}, {'lr': 0.01, 'nesterov': False}, {'lr': 1.0, 'nesterov': True})
    """
    if per_dimension < 1:
        raise BadProtocol(f"per_dimension is {per_dimension}; a grid needs at least 1 value a field.")
    axes = (_positions(distribution, per_dimension) for distribution in space.fields.values())
    points = (space.point(u) for u in product(*axes))
    return tuple({dumps(point): point for point in points}.values())


def _positions(distribution: Distribution, count: int) -> list[float]:
    if not distribution.numeric:
        options = round(math.exp(distribution.log_volume))  # the log volume of a choice counts its options
        return [(i + 0.5) / options for i in range(options)]
    return [0.5] if count == 1 else np.linspace(0.0, 1.0, count).tolist()
