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


FLAT = (1.0, -1.0, 1e-3, -1e-3)
"""Sizes of a coordinate over which F must not change for it to be called flat."""


def still_coordinates(at: Evaluation, curvatures: Tensor) -> Tensor:
    """Coordinates whose slope and curvature change F by no rounding error over their own size, bool [p]."""
    size, least = at.sizes, DOUBLE * abs(at.value)
    return (at.gradient.abs() * size <= least) & (curvatures.abs() * size.square() <= least)


def silence(at: Evaluation, curvatures: Tensor | None) -> tuple[str, bool]:
    r"""What there is to say of coordinates that F has stopped to depend on, and whether these are all.

    A coordinate is silent where neither its slope nor its curvature changes F by a rounding error, even over a change
    as large as the coordinate is at the point or the start,

    .. math:: |\partial_j F| \, s_j \le \epsilon |F|, \qquad h_j \, s_j^2 \le \epsilon |F|

    and where it did at the start, or does nearer to 0: an exponential has underflowed, a sigmoid is saturated. Where it
    never did, but F is the same over all of its size, at least 1 where it started at 0, the coordinate is flat: a
    plateau may be no minimum.

    Args:
        at: A stationary point.
        curvatures: How much each coordinate curves there, h [p]; ``None`` where nobody looked.
    """
    start = at.problem.start
    if curvatures is None or start is None:
        return "", False
    size, still = at.sizes, still_coordinates(at, curvatures)
    if not bool(still.any()):
        return "", False
    gone = torch.zeros_like(still)
    for point in (start, *(share * at.w for share in NEARER)):
        value, slope = at.problem.f_and_gradient(point)
        gone |= still & (slope.abs() * size > DOUBLE * max(abs(value), abs(at.value)))
    if not bool(gone.any()):
        # one that started at 0 and has gone by rounding alone says nothing of how far it may go
        return _flat(at, still, size.where(start != 0, size.clamp(min=1.0))), False
    named = _named(gone)
    everything = bool(still.all())
    said = (
        f"At this point the model no longer answers to {'any of its parameters' if everything else named}: derivatives "
        "are 0 up to rounding, as where an exponential underflows; start elsewhere, or bound them."
    )
    return said, everything


def _flat(at: Evaluation, still: Tensor, size: Tensor) -> str:
    """What there is to say where F is the same whatever the coordinates that are still do; nothing where it is not."""
    if at.convex or not all(_same(at, share * size * still) for share in FLAT):
        return ""
    flat = torch.zeros_like(still)
    for j in torch.nonzero(still)[:, 0].tolist()[: NAMED + 1]:
        flat[j] = all(_same(at, share * size * (torch.arange(len(size)) == j)) for share in FLAT)
    if not bool(flat.any()):
        return ""
    return (
        f"F is flat in {_named(flat)} around this point: its derivatives are 0 and it does not change, so that nothing "
        "tells a plateau from a minimum; start elsewhere."
    )


def _same(at: Evaluation, step: Tensor) -> bool:
    return abs(at.problem.value(at.w + step) - at.value) <= DOUBLE * abs(at.value)


def _named(places: Tensor) -> str:
    """The first of some coordinates, by name."""
    found = torch.nonzero(places)[:, 0].tolist()
    return ", ".join(f"w[{j}]" for j in found[:NAMED]) + (", ..." if len(found) > NAMED else "")
