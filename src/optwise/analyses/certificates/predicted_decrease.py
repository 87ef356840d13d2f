r"""What a second-order step from a point is expected to gain: the measure of stationarity that has no units.

A model of f with the exact Hessian H, its eigenvalues counted by their sizes, promises

.. math:: \tfrac12 \, g^\top |H|^{-1} g

which no change of the units of w alters once each coordinate is measured by its own curvature. It is looked at step by
step, from few Hessian products to all of them, so that a point far from stationary is told at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optwise.analyses.certificates.evaluation import Evaluation
from optwise.numerics.equilibration import symmetric_scales
from optwise.numerics.finiteness import all_finite
from optwise.numerics.lanczos_process import Block, Operator, Process

SMALL, DENSE = 64, 256
"""Coordinates up to which the whole Hessian is formed, at once or where Krylov spaces do not settle."""
LOOKS = 24
"""Products spent on curvature that the slope does not see."""
FEW = 4
"""Products spent on a point that may be far from stationary."""
BENT, MOST_BENT = 1e-8, 4
"""Part of what a coordinate curves below which curvature is negative, and how many such directions are tried."""
KRYLOV = 120
"""Products spent at most where the Hessian is not formed."""
SETTLED = 0.1
"""Part by which the last half of the products may still raise the decrease."""
EACH = 5
"""Products between looks at the decrease."""
PROBES = 8
"""Sign patterns that estimate the diagonal of a Hessian that is not formed."""


@dataclass(frozen=True, eq=False)
class Promise:
    """What the quadratic model promises.

    Args:
        decrease: Of f; infinite where a slope meets no curvature, or nobody knows.
        bent: The direction of the most negative curvature [p]; ``None`` where all of it is upwards.
    """

    decrease: float
    bent: Tensor | None = None


def newton_promise(
    at: Evaluation, free: Tensor, slope: Tensor, more: Tensor | None = None, *, enough: float
) -> Promise:
    r"""The decrease :math:`\tfrac12 g^\top |H|^{-1} g` over some coordinates.

    Args:
        at: The point.
        free: Which coordinates may move, bool [p].
        slope: g [p], of all that is smooth there.
        more: Curvature of further terms along each coordinate [p].
        enough: A decrease beyond which the exact number does not matter: what is found by then is returned.
    """
    index = torch.nonzero(free)[:, 0]
    g = slope[index]
    if not bool(g.any()) and not len(index):
        return Promise(0.0)
    extra = None if more is None else more[index]

    def product(v: Tensor) -> Tensor:
        whole = torch.zeros_like(at.w)
        whole[index] = v
        image = at.bend(whole)[index]
        return image if extra is None else image + extra * v

    if bool(g.any()):
        first = _along_krylov(product, g, torch.ones_like(g), FEW, enough=enough)
        if first.decrease > enough:
            return first
    found = Promise(math.inf) if len(index) <= SMALL else _estimated(product, g, enough=enough)
    if found.decrease == math.inf and len(index) <= DENSE:
        found = _formed(at, index, extra, g)
    elif found.decrease <= enough and found.bent is None and not at.convex:
        found = Promise(found.decrease, _bent_anywhere(product, g))
    bent = None if found.bent is None else torch.zeros_like(at.w).index_copy(0, index, found.bent)
    return Promise(found.decrease, bent)


def _bent_anywhere(product: Operator, like: Tensor) -> Tensor | None:
    """A direction of negative curvature, looked for from a random one; the slope may have nothing along it."""
    signs = torch.Generator().manual_seed(0)
    start = torch.randn(like.shape, generator=signs, dtype=torch.float64).to(like)
    return _along_krylov(product, start, torch.ones_like(like), LOOKS, enough=math.inf).bent


def softest(at: Evaluation, scale: Tensor, share: float) -> Tensor:
    """Directions whose curvature is below a share of the largest, as a few products see them [k, p].

    Args:
        at: The point.
        scale: Roots of what coordinates curve [p], infinite where they may not move.
        share: The share.
    """
    signs = torch.Generator().manual_seed(1)
    start = torch.randn(at.w.shape, generator=signs, dtype=torch.float64) * torch.isfinite(scale)
    process = Process(lambda v: at.bend(v / scale) / scale, len(start), dtype=at.w.dtype, device=at.w.device)
    process.begin(start)
    for _ in range(LOOKS):
        try:
            if not process.advance() or process.exhausted:
                break
        except ValueError:  # no symmetric Hessian
            break
    if not process.count:
        return at.w.new_zeros(0, len(start))
    values, vectors = _tridiagonal(process.blocks[0])
    low = np.abs(values) <= share * np.abs(values).max()
    rows = torch.from_numpy(np.ascontiguousarray(vectors[:, low])).to(at.w)  # [products, k]
    return rows.mT @ process.basis[: process.count] / scale


def bent_directions(at: Evaluation) -> list[Tensor]:
    """Directions of negative curvature of f, the most negative first, and two that mix them all [p]."""
    if at.w.numel() > DENSE:
        found = _bent_anywhere(at.bend, at.w)
        return [] if found is None else [found]
    hessian = formed_hessian(at, torch.arange(at.w.numel()))
    if not all_finite(hessian):
        return []
    scale = symmetric_scales(hessian)
    scale = scale.where(scale > 0, 1.0)
    values, vectors = torch.linalg.eigh(hessian / scale / scale[:, None])
    space = vectors[:, values < -BENT]
    bent = space / scale[:, None]
    if not bent.shape[1]:
        return []
    even = space @ (space.mT @ scale) / scale  # what penalties of differences do not see
    mix = torch.randn(bent.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(bent)
    return [*bent[:, :MOST_BENT].mT, even, bent @ mix / mix.norm()]


def _formed(at: Evaluation, index: Tensor, extra: Tensor | None, g: Tensor) -> Promise:
    hessian = formed_hessian(at, index)
    if extra is not None:
        hessian.diagonal().add_(extra)
    if not all_finite(hessian):
        return Promise(math.inf)
    scale = symmetric_scales(hessian)  # [k]
    dead = scale == 0
    if bool(g[dead].any()):
        return Promise(math.inf)  # a slope without any curvature
    kept = ~dead
    if not bool(kept.any()):
        return Promise(0.0)
    d = scale[kept]
    values, vectors = torch.linalg.eigh(hessian[kept][:, kept] / d / d[:, None])
    floor = len(d) * torch.finfo(d.dtype).eps
    along = vectors.mT @ (g[kept] / d)
    decrease = 0.5 * float((along.square() / values.abs().clamp(min=floor)).sum())
    bent = None
    if float(values[0]) < -floor * len(d):
        bent = torch.zeros_like(g)
        bent[kept] = vectors[:, 0] / d
    return Promise(decrease if decrease >= 0 else math.inf, bent)


def formed_hessian(at: Evaluation, index: Tensor) -> Tensor:
    """The rows and columns ``index`` of the Hessian of f [k, k], by one pass for each, and kept."""
    known = at.formed.get("index")
    if known is not None and torch.equal(known, index):
        return at.formed["hessian"].clone()
    hessian, unit = torch.empty(len(index), len(index), dtype=at.w.dtype), torch.zeros_like(at.w)
    for n, j in enumerate(index.tolist()):
        unit[j] = 1.0
        hessian[n] = at.bend(unit)[index]
        unit[j] = 0.0
    at.formed.update(index=index, hessian=0.5 * (hessian + hessian.mT))
    return at.formed["hessian"].clone()


def _estimated(product: Operator, g: Tensor, *, enough: float) -> Promise:
    signs, total = torch.Generator().manual_seed(0), torch.zeros_like(g)
    for _ in range(PROBES):
        s = 2.0 * torch.randint(0, 2, g.shape, generator=signs).to(g) - 1.0
        total += s * product(s)
    diagonal = (total / PROBES).abs()
    least = float(diagonal.max()) * torch.finfo(g.dtype).eps
    scale = diagonal.clamp(min=least).sqrt() if least > 0 else torch.ones_like(g)
    return _along_krylov(product, g, scale, KRYLOV, enough=enough)


def _tridiagonal(block: Block) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues, increasing, and eigenvectors of the tridiagonal matrix of a block."""
    beside = block.betas[:-1]
    found = np.linalg.eigh(np.diag(block.alphas) + np.diag(beside, 1) + np.diag(beside, -1))
    return found.eigenvalues, found.eigenvectors


def _along_krylov(product: Operator, g: Tensor, scale: Tensor, most: int, *, enough: float) -> Promise:
    r"""The decrease over Krylov spaces of g, in which it only grows: Gauss quadrature of :math:`1/|\lambda|`."""
    start = g / scale
    length = float(start.norm())
    if not 0 < length < math.inf:
        return Promise(0.0 if length == 0 else math.inf)
    process = Process(lambda v: product(v / scale) / scale, len(g), dtype=g.dtype, device=g.device)
    process.begin(start)
    decreases: list[float] = []
    bent: Tensor | None = None
    for k in range(1, most + 1):
        try:
            if not process.advance():
                return Promise(math.inf)
        except ValueError:  # no symmetric Hessian
            return Promise(math.inf)
        if k > FEW and k % EACH and k < most and not process.exhausted:
            continue
        block = process.blocks[0]
        values, vectors = _tridiagonal(block)
        floor = float(np.abs(values).max()) * torch.finfo(g.dtype).eps * len(values)
        sizes = np.maximum(np.abs(values), max(floor, 1e-300))
        decreases.append(0.5 * length * length * float((vectors[0] ** 2 / sizes).sum()))
        if values[0] < -floor * len(values):
            row = torch.from_numpy(vectors[:, 0]).to(g)
            bent = (process.basis[: process.count].mT @ row) / scale
        settled = decreases[-1] - decreases[len(decreases) // 2] <= SETTLED * decreases[-1]
        if decreases[-1] > enough or process.exhausted:
            return Promise(decreases[-1], bent)
        if settled and k >= most // 4 and most > FEW:
            return Promise(decreases[-1], bent)
    known = most <= FEW or decreases[-1] <= 1e-3 * enough
    return Promise(decreases[-1] if known else math.inf, bent)
