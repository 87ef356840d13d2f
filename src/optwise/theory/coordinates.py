"""The coordinates of a quadratic that have curvature, equal ones merged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optwise.core.quadratic import Quadratic
from optwise.theory.matrices import Floats


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Curvatures above 0, equal ones merged; moments are means over the coordinates that share one.

    Args:
        h: Increasing [N].
        count: How many coordinates have it [N].
        start: Second moment of the start's distance to the optimum [N].
        c: Noise variance at the optimum, for one example [N].
        cross: Product of the start's mean distance and the optimum [N].
        square: Square of the optimum [N].
    """

    h: Floats
    count: Floats
    start: Floats
    c: Floats
    cross: Floats
    square: Floats

    def some(self, chosen: NDArray[np.intp]) -> Coordinates:
        """Some of the curvatures."""
        parts = (self.h, self.count, self.start, self.c, self.cross, self.square)
        return Coordinates(*(each[chosen] for each in parts))

    def noiseless(self) -> Coordinates:
        """The same without noise."""
        return Coordinates(self.h, self.count, self.start, np.zeros_like(self.c), self.cross, self.square)

    @classmethod
    def of(cls, quadratic: Quadratic, offset: Floats | None = None) -> Coordinates:
        """Those of a quadratic whose starts have the mean distance ``offset`` [d] to the optimum; ``None`` for 0."""
        kept, center = quadratic.h > 0, quadratic.center
        h, places, count = np.unique(quadratic.h[kept], return_inverse=True, return_counts=True)
        mean = np.zeros_like(center) if offset is None else offset
        moments = (quadratic.start, quadratic.c, mean * center, center**2)
        return cls(h, count.astype(np.float64), *(np.bincount(places, part[kept], h.size) / count for part in moments))
