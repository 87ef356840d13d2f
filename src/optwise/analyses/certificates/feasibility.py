"""How far a point is from the set it must lie in."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.oracles import Oracle


def relative_violation(problem: Composite, w: Tensor) -> float:
    r"""Distance to the set, relative to the point's own length, so that no unit of w matters; of a box by coordinates.

    .. math:: \frac{\|w - P w\|}{\|w\|}, \qquad \max_j \frac{|w_j - (P w)_j|}{\max(|w_j|, |(P w)_j|)}

    for the projection P onto C, of a point that is not in the set.

    Args:
        problem: With its set; without one every point is feasible.
        w: The point [p].

    Returns:
        The distance; infinite where it is no number.
    """
    constraint = problem.constraint
    if constraint is None:
        return 0.0
    if Oracle.BOUNDS in constraint.oracles:
        inside = constraint.project(w)
        outside = (w - inside).abs()
        violation = float(torch.where(outside == 0, 0.0, outside / torch.maximum(w.abs(), inside.abs())).max())
    else:
        distance, size = float(constraint.violation(w)), float(w.norm())
        violation = 0.0 if distance == 0.0 else distance / size if size > 0.0 else math.inf
    return violation if violation >= 0 else math.inf
