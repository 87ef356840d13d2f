"""Directions along which a stationary point has next to no curvature: what only higher derivatives decide."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from optwise.analyses.certificates.evaluation import Evaluation
from optwise.analyses.certificates.predicted_decrease import DENSE, SMALL, formed_hessian, softest
from optwise.core.composite import DOUBLE
from optwise.numerics.equilibration import symmetric_scales
from optwise.numerics.finiteness import all_finite

SOFT = 1e-6
"""Part of what the coordinates of a direction curve by themselves, below which its own curvature is next to nothing."""
WEAK = 1e-3
"""Part of F that a direction of weak curvature changes it by over the size of its coordinates."""
MOST = 4
"""Such directions that are kept."""
PART, ALIKE = 0.125, 0.1
"""Part of a direction over which its curvature is held against F, and how well they must agree to be a bowl."""
RESOLVED = 1e3
"""Rounding errors of F that a rise or a fall must have to be one."""
PROBES = 4
"""Sign patterns that see the curvature of coordinates whose Hessian is not formed."""


@dataclass(frozen=True, eq=False)
class FlatDirections:
    """What has next to no curvature at a point.

    Args:
        still: Coordinates whose slope and curvature change F by no rounding error over their own size, bool [p].
        size: Of each coordinate [p].
        curvatures: How much each coordinate curves, by itself or with others [p].
        ways: Directions of next to no curvature [k, p], each as long as the longest of its coordinates is large.
        newton: Takes a gradient [p] to Newton's step of all other directions [p, p]; ``None`` where there are none, or
            the Hessian is not formed.
    """

    still: Tensor
    size: Tensor
    curvatures: Tensor
    ways: Tensor
    newton: Tensor | None


def flat_directions(at: Evaluation, free: Tensor) -> FlatDirections:
    r"""The directions of weak curvature among those coordinates that may move.

    .. math:: |v^\top H v| \le 10^{-6} \sum_j v_j^2 |H_{jj}| \quad\text{or}\quad |v^\top H v| \le 10^{-3} |F(w)|

    for a v as long as its coordinates are large; no unit of F or of a coordinate that is not 0 changes the answer.

    Args:
        at: The point.
        free: Which coordinates may move, bool [p].
    """
    size, index = at.sizes, torch.nonzero(free)[:, 0]
    p = len(size)
    if len(index) > (SMALL if at.smooth_only else DENSE):
        return _seen_by_products(at, free, size)
    hessian = formed_hessian(at, index) if len(index) else torch.zeros(0, 0, dtype=at.w.dtype)
    if not len(index) or not all_finite(hessian):
        return FlatDirections(torch.zeros_like(free), size, torch.zeros_like(size), at.w.new_zeros(0, p), None)
    scale = symmetric_scales(hessian)  # [k]
    still, curvatures = free.clone(), torch.zeros_like(size).index_copy(0, index, scale.square())
    still[index] = _still(at, size, scale.square(), index)
    live = torch.nonzero(scale > 0)[:, 0]
    d, ways = scale[live], [torch.eye(p, dtype=at.w.dtype)[index[scale == 0]] * size]
    newton = None
    if len(live):
        values, vectors = torch.linalg.eigh(hessian[live][:, live] / d / d[:, None])
        spread = at.w.new_zeros(p, len(live)).index_copy(0, index[live], vectors / d[:, None])  # [p, live]
        length = (spread.abs() / size[:, None]).amax(0)
        soft = (values.abs() <= SOFT) | (values.abs() <= WEAK * abs(at.value) * length.square())
        ways.append(_undecided(at, (spread / length)[:, soft].mT, (values / length.square())[soft]))
        ways.append(_undecided(at, *_weak_axes(at, size, scale.square(), index, hessian.diagonal())))
        rest = spread[:, values.abs() > SOFT]
        newton = rest / values[values.abs() > SOFT].abs() @ rest.mT if rest.shape[1] else None
    return FlatDirections(still, size, curvatures, torch.cat(ways), newton)


def _still(at: Evaluation, size: Tensor, curvatures: Tensor, index: Tensor) -> Tensor:
    least, s = DOUBLE * abs(at.value), size[index]
    return (at.gradient[index].abs() * s <= least) & (curvatures * s.square() <= least)


def _weak_axes(at: Evaluation, size: Tensor, curvatures: Tensor, index: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates that curve, by themselves or with others, so little that F hardly changes over their size.

    Then how much a step along each curves by itself.
    """
    weak = (curvatures > 0) & (curvatures * size[index].square() <= WEAK * abs(at.value))
    few = index[weak][:MOST]
    return torch.eye(len(size), dtype=at.w.dtype)[few] * size, own[weak][:MOST] * size[few].square()


def _undecided(at: Evaluation, ways: Tensor, bends: Tensor) -> Tensor:
    """Those of some directions along which F is not seen to rise as their curvature says it does, to both sides.

    Args:
        at: The point.
        ways: The directions [k, p].
        bends: Their curvatures [k].
    """
    rises = 0.5 * PART**2 * bends
    kept = rises <= RESOLVED * DOUBLE * abs(at.value)
    for k in torch.nonzero(~kept)[:, 0].tolist():
        seen = (at.problem.value(at.w + t * ways[k]) - at.value for t in (PART, -PART))
        kept[k] = not all(abs(rise - float(rises[k])) <= ALIKE * float(rises[k]) for rise in seen)
    return ways[kept]


def _seen_by_products(at: Evaluation, free: Tensor, size: Tensor) -> FlatDirections:
    """What a few Hessian products see where there are too many coordinates to form it."""
    signs, seen = torch.Generator().manual_seed(0), torch.zeros_like(size)
    for _ in range(PROBES):
        s = size * free * (2.0 * torch.randint(0, 2, size.shape, generator=signs).to(size) - 1.0)
        seen = torch.maximum(seen, (size * at.bend(s)).abs())  # what a change of all changes F by along each
    least = DOUBLE * abs(at.value)
    still = free & (at.gradient.abs() * size <= least) & (seen <= least)
    # the most that is seen of a coordinate bounds what it curves by itself, up to chance
    scale = (seen.clamp(min=DOUBLE * float(seen.max())).sqrt() / size).where(free & ~still, math.inf)
    live = softest(at, scale, SOFT)[:MOST] if bool(torch.isfinite(scale).any()) else at.w.new_zeros(0, len(size))
    length = (live.abs() / size).amax(1, keepdim=True)
    places = torch.nonzero(still)[:MOST, 0]
    axes = torch.zeros(len(places), len(size), dtype=at.w.dtype)
    axes[torch.arange(len(places)), places] = size[places]
    return FlatDirections(still, size, seen / size.square(), torch.cat([axes, live / length]), None)
