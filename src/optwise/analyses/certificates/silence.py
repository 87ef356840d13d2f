"""Whether a model has stopped to answer to its parameters: derivatives of 0 that are no minimum."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from optwise.analyses.certificates.evaluation import Evaluation
from optwise.analyses.certificates.flat_directions import FlatDirections
from optwise.core.composite import DOUBLE

NAMED = 3
"""Coordinates that a sentence names."""
NEARER = (0.1, 1e-3)
"""Shares of the point at which a model that is silent at its start may answer."""
FLAT, TOGETHER = (1.0, -1.0, 1e-3, -1e-3), (1e-3, -1e-3)
"""Sizes of a coordinate over which F must not change for it to be called flat, by itself and with all others."""
ASKED = 16
"""Coordinates that are looked at one by one."""
RISE = 1e-4
"""Part of F that it must rise by there."""


def silence(at: Evaluation, flat: FlatDirections) -> tuple[str, bool]:
    r"""What there is to say of coordinates that F has stopped to depend on, and whether these are all.

    A coordinate is silent where neither its slope nor its curvature changes F by a rounding error, even over a change
    as large as the coordinate is at the point or the start,

    .. math:: |\partial_j F| \, s_j \le \epsilon |F|, \qquad h_j \, s_j^2 \le \epsilon |F|

    and where it did at the start, or does nearer to 0: an exponential has underflowed, a sigmoid is saturated. Where it
    never did, but F is the same over all of its size, at least 1 where it started at 0, the coordinate is flat: a
    plateau may be no minimum.

    Args:
        at: A stationary point.
        flat: What has no curvature there.
    """
    start, size, still = at.problem.start, flat.size, flat.still
    if start is None or not bool(still.any()):
        return "", False
    if at.problem.penalty is not None:  # it may hold by itself what f does not depend on
        return _flat(at, flat), False
    gone = torch.zeros_like(still)
    for point in (start, *(share * at.w for share in NEARER)):
        value, slope = at.problem.f_and_gradient(point)
        gone |= still & (slope.abs() * size > DOUBLE * max(abs(value), abs(at.value)))
    if bool(gone.any()) and not all(_same(at, share * size * gone) for share in TOGETHER):
        return "", False  # a kink is no silence
    if not bool(gone.any()):
        return _flat(at, flat), False
    named = _named(gone)
    everything = bool(still.all())
    said = (
        f"At this point the model no longer answers to {'any of its parameters' if everything else named}: derivatives "
        "are 0 up to rounding, as where an exponential underflows; start elsewhere, or bound them."
    )
    return said, everything


def _flat(at: Evaluation, found: FlatDirections) -> str:
    """What there is to say where F is the same whatever the coordinates that are still do; nothing where it is not."""
    still, size = found.still, found.size
    if not all(_same(at, share * size * still) for share in TOGETHER):
        return ""
    flat = torch.zeros_like(still)
    for j in torch.nonzero(still)[:ASKED, 0].tolist():
        axis = (torch.arange(len(size)) == j).to(size)
        flat[j] = all(_same(at, share * size[j] * axis) for share in FLAT) and not _bowl(at, found, j, axis)
    together = at.problem.penalty is not None and not bool(flat.any())
    flat = still if together else flat
    if not bool(flat.any()):
        return ""
    which = _named(flat) + (" moved together" if together else "")
    return (
        f"F is flat in {which} around this point: its derivatives are 0 and it does not change, so that nothing tells "
        "a plateau from a minimum; start elsewhere."
    )


def _bowl(at: Evaluation, found: FlatDirections, j: int, axis: Tensor) -> bool:
    """Whether F rises to both sides over the length that its curvature tells: one that is 0 has no size of its own."""
    curvature = float(found.curvatures[j])
    step = math.sqrt(abs(at.value) / curvature) * axis if curvature > 0 else None
    return step is not None and _rises(at, step) and _rises(at, -step)


def _rises(at: Evaluation, step: Tensor) -> bool:
    return not at.problem.value(at.w + step) - at.value < RISE * abs(at.value)


def _same(at: Evaluation, step: Tensor) -> bool:
    there = at.w + step if at.problem.constraint is None else at.problem.constraint.project(at.w + step)
    return abs(at.problem.value(there) - at.value) <= DOUBLE * abs(at.value)


def _named(places: Tensor) -> str:
    """The first of some coordinates, by name."""
    found = torch.nonzero(places)[:, 0].tolist()
    return ", ".join(f"w[{j}]" for j in found[:NAMED]) + (", ..." if len(found) > NAMED else "")
