"""How far a point is from the set it must lie in."""

from __future__ import annotations

import math

from torch import Tensor

from optwise.core.composite import Composite


def relative_violation(problem: Composite, w: Tensor) -> float:
    r"""Distance to the set, relative to the point's own length where that is above 1.

    .. math:: \frac{\operatorname{dist}(w, C)}{\max(1, \|w\|)}

    Args:
        problem: With its set; without one every point is feasible.
        w: The point [p].

    Returns:
        The distance; infinite where it is no number.
    """
    if problem.constraint is None:
        return 0.0
    violation = float(problem.constraint.violation(w)) / max(1.0, float(w.norm()))
    return violation if violation >= 0 else math.inf
