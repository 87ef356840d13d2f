"""Whether a model has stopped to answer to its parameters: derivatives of 0 that are no minimum."""

from __future__ import annotations

import torch
from torch import Tensor

from optwise.analyses.certificates.evaluation import Evaluation
from optwise.core.composite import DOUBLE

NAMED = 3
"""Coordinates that a sentence names."""
NEARER = (0.1, 1e-3)
"""Shares of the point at which a model that is silent at its start may answer."""


def silence(at: Evaluation, curvatures: Tensor | None) -> tuple[str, bool]:
    r"""What there is to say of coordinates that F has stopped to depend on, and whether these are all.

    A coordinate is silent where neither its slope nor its curvature changes F by a rounding error, even over a change
    as large as the coordinate is at the point or the start,

    .. math:: |\partial_j F| \, s_j \le \epsilon |F|, \qquad h_j \, s_j^2 \le \epsilon |F|

    and where it did at the start, or does nearer to 0: an exponential has underflowed, a sigmoid is saturated.

    Args:
        at: A stationary point.
        curvatures: How much each coordinate curves there, h [p]; ``None`` where nobody looked.
    """
    start = at.problem.start
    if curvatures is None or start is None:
        return "", False
    size, least = torch.maximum(at.w.abs(), start.abs()), DOUBLE * abs(at.value)
    still = (at.gradient.abs() * size <= least) & (curvatures.abs() * size.square() <= least)
    if not bool(still.any()):
        return "", False
    gone = torch.zeros_like(still)
    for point in (start, *(share * at.w for share in NEARER)):
        value, slope = at.problem.f_and_gradient(point)
        gone |= still & (slope.abs() * size > DOUBLE * max(abs(value), abs(at.value)))
    if not bool(gone.any()):
        return "", False
    places = torch.nonzero(gone)[:, 0].tolist()
    named = ", ".join(f"w[{j}]" for j in places[:NAMED]) + (", ..." if len(places) > NAMED else "")
    everything = bool(still.all())
    said = (
        f"At this point the model no longer answers to {'any of its parameters' if everything else named}: derivatives "
        "are 0 up to rounding, as where an exponential underflows; start elsewhere, or bound them."
    )
    return said, everything
